//! The configuration file of the server, as a pure function of the Score.

use std::fmt::Write as _;

use secrecy::ExposeSecret;

use super::{CLIENT_PORT, MONITOR_PORT, NatsPermissions, NatsScore};

/// The mount path of the configuration.
pub(super) const FOLDER: &str = "/etc/nats";
/// Where the certificate and its key are mounted.
pub(super) const TLS_FOLDER: &str = "/etc/nats-tls";
/// The storage of JetStream.
pub(super) const STORE: &str = "/data";

/// The complete file. It contains passwords and is therefore stored in a Secret.
pub(super) fn render(score: &NatsScore) -> String {
    let mut text = format!(
        "server_name: {name}\nlisten: 0.0.0.0:{CLIENT_PORT}\nhttp: 127.0.0.1:{MONITOR_PORT}\n\
         jetstream {{\n  store_dir: {STORE}\n}}\n",
        name = quote(score.name.as_str()),
    );
    if score.tls.is_some() {
        let _ = writeln!(
            text,
            "tls {{\n  cert_file: {TLS_FOLDER}/tls.crt\n  key_file: {TLS_FOLDER}/tls.key\n}}"
        );
    }
    if !score.users.is_empty() {
        text.push_str("authorization {\n  users: [\n");
        for user in &score.users {
            let name = quote(user.name.as_str());
            let password = quote(user.password.expose_secret());
            let permissions = permissions(&user.permissions);
            let _ = writeln!(
                text,
                "    {{ user: {name}, password: {password}{permissions} }}"
            );
        }
        text.push_str("  ]\n}\n");
    }
    text
}

fn permissions(permissions: &NatsPermissions) -> String {
    let NatsPermissions::Only {
        publish,
        subscribe,
        deny,
        reply,
    } = permissions
    else {
        return String::new();
    };
    let list = |subjects: &[String]| {
        subjects
            .iter()
            .map(|subject| quote(subject))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let rule = |allow: &[String]| match deny.as_slice() {
        [] => format!("{{ allow: [{}] }}", list(allow)),
        deny => format!("{{ allow: [{}], deny: [{}] }}", list(allow), list(deny)),
    };
    format!(
        ", permissions: {{ publish: {}, subscribe: {}{} }}",
        rule(publish),
        rule(subscribe),
        if *reply {
            ", allow_responses: true"
        } else {
            ""
        }
    )
}

/// Quotes any string so that the configuration language reads it back unchanged.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{NatsReach, NatsStorage, NatsTls, NatsUser};
    use super::*;

    fn score(users: Vec<NatsUser>) -> NatsScore {
        NatsScore {
            name: "nats".parse().unwrap(),
            namespace: "fleet".parse().unwrap(),
            image: "registry.example.com/nats:2.15.2".parse().unwrap(),
            pull_secret: None,
            storage: NatsStorage::Pod,
            users,
            tls: None,
            reach: NatsReach::Everybody,
            deadline: Duration::from_secs(1),
        }
    }

    #[test]
    fn no_pod_reaches_the_monitoring() {
        let score = score(Vec::new());
        assert!(render(&score).contains("http: 127.0.0.1:"));
        for object in super::super::objects::build(&score).unwrap() {
            let text = object.body().to_string();
            assert!(
                !text.contains("8222") && !text.contains("monitor"),
                "{text}"
            );
        }
    }

    #[test]
    fn with_a_certificate_clients_are_encrypted_and_a_new_one_restarts_the_server() {
        let with = |revision: &str| NatsScore {
            tls: Some(NatsTls {
                secret: "nats-tls".parse().unwrap(),
                revision: revision.into(),
            }),
            ..score(Vec::new())
        };
        let text = render(&with("1"));
        assert!(
            text.contains("tls {\n  cert_file: /etc/nats-tls/tls.crt\n"),
            "{text}"
        );
        assert_eq!(with("1").url(), "tls://nats.fleet.svc.cluster.local:4222");
        let server = |revision: &str| {
            let objects = super::super::objects::build(&with(revision)).unwrap();
            let server = objects.iter().find(|o| o.reference().kind == "StatefulSet");
            server.unwrap().body()["spec"]["template"].clone()
        };
        assert!(server("1").to_string().contains("nats-tls"));
        assert_eq!(server("1"), server("1"));
        assert_ne!(server("1"), server("2"));
    }

    #[test]
    fn only_the_pods_that_are_named_reach_the_server() {
        let labels = |name: &str| [("app".to_owned(), name.to_owned())].into();
        let score = NatsScore {
            reach: NatsReach::Pods(vec![labels("operator"), labels("agent")]),
            ..score(Vec::new())
        };
        let objects = super::super::objects::build(&score).unwrap();
        let policy = objects
            .iter()
            .find(|object| object.reference().kind == "NetworkPolicy")
            .unwrap();
        assert_eq!(
            policy.body()["spec"],
            serde_json::json!({
                "podSelector": { "matchLabels": {
                    "app.kubernetes.io/name": "nats", "app.kubernetes.io/instance": "nats",
                } },
                "policyTypes": ["Ingress"],
                "ingress": [{
                    "from": [
                        { "podSelector": { "matchLabels": { "app": "operator" } } },
                        { "podSelector": { "matchLabels": { "app": "agent" } } },
                    ],
                    "ports": [{ "port": "client", "protocol": "TCP" }],
                }],
            })
        );
    }

    #[test]
    fn users_and_their_permissions_are_written() {
        let score = score(vec![
            NatsUser {
                name: "operator".parse().unwrap(),
                password: "pa\"ss\\word".to_owned().into(),
                permissions: NatsPermissions::All,
            },
            NatsUser {
                name: "device".parse().unwrap(),
                password: "secret".to_owned().into(),
                permissions: NatsPermissions::Only {
                    publish: vec!["fleet.v1.t.d.hb".into()],
                    subscribe: vec!["_INBOX.d.>".into()],
                    deny: vec!["fleet.v1.t._operator.>".into()],
                    reply: true,
                },
            },
        ]);
        let text = render(&score);
        assert!(text.contains("http: 127.0.0.1:8222\n"), "{text}");
        assert!(
            text.contains(r#"{ user: "operator", password: "pa\"ss\\word" }"#),
            "{text}"
        );
        assert!(
            text.contains(
                r#"permissions: { publish: { allow: ["fleet.v1.t.d.hb"], deny: ["fleet.v1.t._operator.>"] }, subscribe: { allow: ["_INBOX.d.>"], deny: ["fleet.v1.t._operator.>"] }, allow_responses: true } }"#
            ),
            "{text}"
        );
    }
}
