//! Token servers of all kinds, beside a registry that takes whatever they give.

use std::sync::Mutex;

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use harmony_core::Context;
use harmony_core::capability::OciRegistry;
use harmony_core::capability::oci_registry::RegistryLocation;
use harmony_core::outcome::Action;
use harmony_registry::OciRegistryClient;

use crate::fixture::Image;
use crate::scripted::{Asked, PASSWORD, Scripted, USER, challenge, redirect, refuse};

/// A registry whose token server is this script; it takes the token `good`.
async fn with_tokens(
    token_server: impl Fn(&Asked) -> Response + Send + Sync + 'static,
) -> Scripted {
    Scripted::start(move |asked| {
        if asked.path.starts_with("/token") {
            return Some(token_server(asked));
        }
        let bearer = format!(
            "Negotiate, Bearer realm=\"http://{}/token?tenant=a\",service=\"trial\",scope=\"repository:team/app:pull,push\"",
            asked.host
        );
        (asked.authorization() != Some("Bearer good")).then(|| challenge(&bearer))
    })
    .await
}

fn good() -> Response {
    r#"{"token":"","access_token":"good","expires_in":"300","issued_at":"never"}"#.into_response()
}

async fn push(registry: &Scripted) -> Action {
    let pushed = registry.push(&registry.with_password(PASSWORD)).await;
    pushed.expect("a push").change.action
}

#[tokio::test]
async fn a_server_is_asked_with_all_that_the_registry_said() {
    let registry = with_tokens(|asked| {
        let scope = [
            "repository:team/app:pull,push".to_owned(),
            "repository:team/base:pull".to_owned(),
        ];
        let asked_for = asked
            .query
            .get("scope")
            .map(Vec::as_slice)
            .unwrap_or_default();
        let is_right = asked.method == Method::GET
            && asked.has_password()
            && asked.field("service") == "trial"
            && asked.field("tenant") == "a"
            && (asked_for == &scope[..1] || asked_for == &scope[..]);
        if is_right {
            good()
        } else {
            StatusCode::UNAUTHORIZED.into_response()
        }
    })
    .await;
    assert_eq!(push(&registry).await, Action::Create);
    // A mount reads where the blob is.
    let base = format!("{}/team/base:1", registry.host);
    let image = Image::new(&[crate::fixture::layer(b"other")], Some(&base));
    let client = registry.with_password(PASSWORD);
    let to = format!("{}/team/app:2.0.0", registry.host)
        .parse()
        .expect("a name");
    client
        .push_image(&image.built(), &to)
        .await
        .expect("a push");
    let tokens = registry
        .seen()
        .into_iter()
        .filter(|line| line.starts_with("GET /token"));
    assert_eq!(tokens.count(), 3, "one for each client, one for the mount");
}

#[tokio::test]
async fn a_server_that_knows_forms_only_is_sent_one_also_by_a_plan() {
    let registry = with_tokens(|asked| {
        let form = String::from_utf8_lossy(&asked.body).into_owned();
        let fields = [
            "grant_type=password".to_owned(),
            format!("username={USER}"),
            format!("password={PASSWORD}"),
            "service=trial".to_owned(),
            "scope=repository%3Ateam%2Fapp%3Apull".to_owned(),
        ];
        if asked.method != Method::POST {
            StatusCode::METHOD_NOT_ALLOWED.into_response()
        } else if fields.iter().all(|field| form.contains(field)) {
            good()
        } else {
            refuse(401, "UNAUTHORIZED", "no")
        }
    })
    .await;
    let location = RegistryLocation::new(registry.host.parse().expect("a host"), None);
    let planner = OciRegistryClient::new(
        Context::new().planning(),
        location.expect("a location"),
        harmony_registry::RegistrySettings::new(harmony_registry::Environment::default())
            .with_credentials(harmony_registry::Credentials::new(USER, PASSWORD)),
    );
    let planned = registry.push(&planner.expect("a client")).await;
    assert_eq!(planned.expect("a plan").change.action, Action::Create);
    assert_eq!(push(&registry).await, Action::Create);
}

#[tokio::test]
async fn a_server_may_move_within_its_host_but_not_pass_a_login_on() {
    let registry = with_tokens(|asked| {
        let is_right = asked.has_password() && asked.field("service") == "trial";
        match asked.path.as_str() {
            "/token" => redirect(
                301,
                &format!("/token/v2?service={}", asked.field("service")),
            ),
            _ if is_right => good(),
            _ => StatusCode::UNAUTHORIZED.into_response(),
        }
    })
    .await;
    assert_eq!(push(&registry).await, Action::Create);

    let registry = with_tokens(|_| redirect(302, "http://localhost:1/token")).await;
    let refused = registry.push(&registry.with_password(PASSWORD)).await;
    insta::assert_snapshot!(registry.rendered(&refused.expect_err("refused")), @r"
    error[H0234]: refused to follow the registry `HOST` to `http://localhost:1`: a login is not sent on to another host
    help: if the registry is behind a proxy, forward `Host` and `X-Forwarded-Proto`, or configure the public URL of the registry
    ");
}

#[tokio::test]
async fn a_server_that_is_broken_is_told_in_its_own_words() {
    let registry = with_tokens(|_| refuse(400, "BAD", "no such \u{1b}[31mtenant")).await;
    let refused = registry.push(&registry.with_password(PASSWORD)).await;
    insta::assert_snapshot!(registry.rendered(&refused.expect_err("refused")), @r"
    error[H0205]: the registry `HOST` failed while logging in: 400 Bad Request: BAD: no such tenant
    help: run the same command again; if the error persists, look at the log of the registry
    ");
    let registry = with_tokens(|_| r#"{"token":""}"#.into_response()).await;
    let refused = registry.push(&registry.with_password(PASSWORD)).await;
    insta::assert_snapshot!(registry.rendered(&refused.expect_err("refused")), @r"
    error[H0205]: the registry `HOST` failed while logging in: its token server sent no token
    help: run the same command again; if the error persists, look at the log of the registry
    ");
    let registry = with_tokens(|_| vec![b' '; 2_000_000].into_response()).await;
    let refused = registry.push(&registry.with_password(PASSWORD)).await;
    insta::assert_snapshot!(registry.rendered(&refused.expect_err("refused")), @r"
    error[H0233]: the token is larger than 1048576 bytes
    help: check the reference: a release does not create anything this large
    ");
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_a_push_is_renewed() {
    // What takes the first token no more, and whether it says what it wants instead.
    for (method, part, says_why) in [
        (Method::PUT, "/blobs/uploads/", true),
        (Method::PUT, "/blobs/uploads/", false),
        (Method::PUT, "/manifests/sha256:", true),
        (Method::PUT, "/manifests/1.0.0", true),
        (Method::POST, "/blobs/uploads/", true),
    ] {
        let issued: &'static Mutex<usize> = Box::leak(Box::default());
        let case = format!("{method} {part} {says_why}");
        let registry = Scripted::start(move |asked| {
            let mut issued = issued.lock().expect("a count");
            if asked.path == "/token" {
                *issued += 1;
                return Some(
                    format!(r#"{{"token":"t{issued}","expires_in":3600}}"#).into_response(),
                );
            }
            let bearer = format!(
                "Bearer realm=\"http://{}/token\",service=\"trial\"",
                asked.host
            );
            let newest = format!("Bearer t{}", *issued);
            if *issued == 0 || asked.authorization() != Some(&newest) {
                return Some(challenge(&bearer));
            }
            let has_ended = *issued == 1 && asked.is(method.clone(), part);
            has_ended.then(|| {
                if says_why {
                    challenge(&bearer)
                } else {
                    refuse(401, "UNAUTHORIZED", "expired")
                }
            })
        })
        .await;
        let pushed = registry.push(&registry.with_password(PASSWORD)).await;
        assert_eq!(pushed.expect(&case).change.action, Action::Create, "{case}");
        assert_eq!(*issued.lock().expect("a count"), 2, "{case}");
    }
}
