//! The objects of both providers. `harmony/tests/monitoring` checks the files with the tools of Prometheus.

use harmony_core::kubernetes::KubeObject;
use serde_json::{Value, json};

use super::provider::Found;
use super::*;

fn key(secret: &str, key: &str) -> SecretKey {
    SecretKey::new(secret.parse().unwrap(), key)
}

fn name(text: &str) -> ResourceName {
    text.parse().unwrap()
}

fn address(text: &str) -> HttpAddress {
    text.parse().unwrap()
}

/// Every rule and every receiver.
fn score() -> MonitoringScore {
    let namespace: Namespace = "shop".parse().unwrap();
    let webhook = WebhookReceiver::new(address("http://10.0.0.1:8080/x")).named(name("hook"));
    let ntfy = NtfyReceiver::new(&address("https://ntfy.sh"), "shop").unwrap();
    let email = EmailReceiver::new("mail.example.com:587", "a@example.com", "b@example.com");
    MonitoringScore::new(name("web"), namespace.clone())
        .with_images(MonitoringImages {
            prometheus: "registry.example.com/prometheus:2.42.0".parse().unwrap(),
            alertmanager: "registry.example.com/alertmanager:0.25.0".parse().unwrap(),
        })
        .scrape(ScrapeTarget::new(name("web"), namespace, 8080))
        .scrape(ScrapeTarget::new(name("api"), "other".parse().unwrap(), 9000).with_path("/m"))
        .alert(AlertRule::target_down())
        .alert(AlertRule::restarts(3))
        .alert(AlertRule::error_rate(0.05))
        .alert(AlertRule::latency(Duration::from_millis(1500)))
        .alert(AlertRule::memory(1 << 30))
        .alert(AlertRule::raw(
            "Queue",
            "sum(queue_length) > 100".parse().unwrap(),
            "too long",
        ))
        .notify(webhook.with_token(key("hook", "token")))
        .notify(WebhookReceiver::at_secret_url(key("teams", "url")).named(name("teams")))
        .notify(ntfy.with_token(key("push", "token")))
        .notify(email.with_login("a", key("mail", "password")))
        .notify(SlackReceiver::new(key("slack", "url")))
        .notify(DiscordReceiver::new(key("discord", "url")))
}

const SECRET: &str = "https://hooks.example.com/s3cret-word";

fn secrets(score: &MonitoringScore) -> SecretValues {
    let keys: Vec<_> = score
        .receivers
        .iter()
        .flat_map(|receiver| receiver.secrets())
        .collect();
    let values: Vec<_> = keys.iter().map(|key| (key, SECRET)).collect();
    SecretValues::of(&values)
}

fn plain_objects(score: &MonitoringScore) -> Vec<KubeObject> {
    let images = score.images.as_ref().unwrap();
    plain::build(score, images, &secrets(score)).unwrap().0
}

/// A file in a ConfigMap or Secret.
fn file(objects: &[KubeObject], kind: &str, file: &str) -> String {
    use base64::Engine as _;
    let holder = objects
        .iter()
        .find(|object| object.reference().kind == kind);
    let text = holder.unwrap().body()["data"][file].as_str().unwrap();
    if kind == "Secret" {
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap();
        return String::from_utf8(bytes).unwrap();
    }
    text.to_owned()
}

#[test]
fn targets_are_found_by_name_and_receivers_by_their_routes() {
    let objects = plain_objects(&score());
    let config = file(&objects, "ConfigMap", "prometheus.yml");
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(
        config["scrape_configs"][1]["dns_sd_configs"][0],
        json!({ "names": ["api-metrics.other.svc"], "type": "A", "port": 9000, "refresh_interval": "15s" })
    );
    let config = file(&objects, "Secret", "alertmanager.yml");
    let config: Value = serde_json::from_str(&config).unwrap();
    let push = &config["receivers"][3]["webhook_configs"][0];
    assert_eq!(push["url"], "https://ntfy.sh/shop?template=alertmanager");
    let routes = config["route"]["routes"].as_array().unwrap();
    assert_eq!(
        routes.len(),
        12,
        "a test route and a route for each receiver"
    );
    assert_eq!(routes[0]["matchers"], json!(["harmony_test=\"hook\""]));
}

#[test]
fn secrets_are_in_the_secret_and_nowhere_else() {
    let score = score();
    let objects = plain_objects(&score);
    for object in &objects {
        let text = object.body().to_string();
        assert!(!text.contains("s3cret-word"), "{}", object.reference());
    }
    assert!(file(&objects, "Secret", "alertmanager.yml").contains(SECRET));
    let debug = format!("{score:?} {objects:?} {:?}", secrets(&score));
    assert!(!debug.contains("s3cret-word"));
}

#[test]
fn a_changed_configuration_replaces_the_pods_that_read_it() {
    let mark = |score: &MonitoringScore, part: &str| {
        let objects = plain_objects(score);
        let set = objects.iter().find(|object| {
            object.reference().kind == "StatefulSet"
                && object.reference().name.as_str().ends_with(part)
        });
        set.unwrap().body()["spec"]["template"]["metadata"]["annotations"].clone()
    };
    let (before, more_rules) = (score(), score().alert(AlertRule::memory(5)));
    assert_ne!(mark(&before, "prometheus"), mark(&more_rules, "prometheus"));
    assert_eq!(
        mark(&before, "alertmanager"),
        mark(&more_rules, "alertmanager")
    );
    let mut slower = score();
    slower.timing.repeat = Duration::from_secs(60);
    assert_ne!(mark(&before, "alertmanager"), mark(&slower, "alertmanager"));
}

#[test]
fn the_pods_are_confined_and_only_prometheus_reaches_alertmanager() {
    let objects = plain_objects(&score());
    let of_kind = |kind: &str| {
        let kind = kind.to_owned();
        objects
            .iter()
            .filter(move |object| object.reference().kind == kind)
    };
    for set in of_kind("StatefulSet") {
        let pod = &set.body()["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["automountServiceAccountToken"], false);
        let container = &pod["containers"][0]["securityContext"];
        assert_eq!(container["readOnlyRootFilesystem"], true);
        assert_eq!(container["capabilities"], json!({ "drop": ["ALL"] }));
        assert_eq!(
            set.body()["spec"]["volumeClaimTemplates"][0]["metadata"]["name"],
            "data"
        );
    }
    let ingress: Vec<_> = of_kind("NetworkPolicy")
        .map(|policy| &policy.body()["spec"]["ingress"])
        .collect();
    assert_eq!(*ingress[0], json!([]));
    let from = &ingress[1][0]["from"][0]["podSelector"]["matchLabels"];
    assert_eq!(from["app.kubernetes.io/name"], "prometheus");
}

#[test]
fn the_operator_gets_its_resources_without_secrets() {
    let labels = |text: &str| BTreeMap::from([("release".to_owned(), text.to_owned())]);
    let found = Found {
        prometheus: "monitoring".parse().unwrap(),
        monitor_labels: labels("m"),
        rule_labels: labels("r"),
        alertmanager: ("monitoring".parse().unwrap(), "main".parse().unwrap()),
        alertmanager_labels: labels("a"),
    };
    let objects = operator::build(&score(), &found).unwrap();
    let body = |kind: &str| {
        let object = objects
            .iter()
            .find(|object| object.reference().kind == kind);
        object.unwrap().body().clone()
    };
    let monitor = body("ServiceMonitor");
    assert_eq!(monitor["metadata"]["labels"], json!({ "release": "m" }));
    assert_eq!(
        monitor["spec"]["endpoints"][0]["relabelings"][0],
        json!({ "targetLabel": "job", "replacement": "web" })
    );
    assert_eq!(
        body("PrometheusRule")["spec"]["groups"][0]["rules"][0]["labels"]["namespace"],
        "shop"
    );
    let receivers = body("AlertmanagerConfig");
    assert_eq!(
        receivers["spec"]["receivers"][1]["webhookConfigs"][0]["httpConfig"]["authorization"]["credentials"],
        json!({ "name": "hook", "key": "token" })
    );
    assert_eq!(
        receivers["spec"]["route"]["routes"][0]["matchers"][0],
        json!({ "name": "harmony_test", "value": "hook", "matchType": "=" })
    );
    assert!(!format!("{objects:?}").contains("s3cret-word"));
}

#[test]
fn everything_that_is_wrong_is_listed_at_once() {
    let hook = || WebhookReceiver::new(address("http://x/"));
    let namespace: Namespace = "shop".parse().unwrap();
    let target = || ScrapeTarget::new(name("web"), namespace.clone(), 80);
    let broken = MonitoringScore::new(name("web"), namespace.clone())
        .scrape(target())
        .scrape(target().with_path("metrics"))
        .notify(hook())
        .notify(hook())
        .with_timing(Timing {
            repeat: Duration::ZERO,
            ..Timing::default()
        });
    assert_eq!(
        broken.faults(),
        [
            "two targets have the name `web`",
            "the path `metrics` of target `web` does not start with `/`",
            "two receivers have the name `webhook`",
            "the time `repeat` is zero",
        ]
    );
    assert!(MonitoringScore::new(name("web"), namespace).faults()[0].contains("no target"));
    assert!(score().faults().is_empty());
}

#[test]
fn durations_are_written_as_prometheus_reads_them() {
    assert_eq!(duration(Duration::from_secs(90)), "90s");
    assert_eq!(duration(Duration::from_millis(1500)), "1500ms");
    assert_eq!(duration(Duration::ZERO), "0s");
}
