//! Registries that deny what is not there yet, and logins that are wrong or have no rights: told apart.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::capability::{OciRegistry, ReleaseRecords};
use harmony_core::outcome::Action;
use harmony_registry::OciRegistryClient;
use harmony_types::{ReleaseUnit, Version};

use crate::scripted::{Asked, PASSWORD, Scripted, challenge, refuse};

const BASIC: &str = "Basic realm=\"trial\"";

/// Answers `denial` to everything that reads, until a manifest was pushed.
fn until_pushed(
    denial: impl Fn() -> Response + Send + Sync,
) -> impl Fn(&Asked) -> Option<Response> + Send + Sync {
    let pushed = AtomicBool::new(false);
    move |asked| {
        if asked.is(Method::PUT, "/manifests/") {
            pushed.store(true, Ordering::Relaxed);
        }
        let reads = matches!(asked.method, Method::GET | Method::HEAD) && asked.path != "/v2/";
        (reads && !pushed.load(Ordering::Relaxed)).then(&denial)
    }
}

fn unit() -> ReleaseUnit {
    let name = |text: &str| text.parse().expect("a name");
    ReleaseUnit::new(name("team"), "app".parse().expect("a name")).expect("a unit")
}

/// Looks for everything, then pushes.
async fn first_push(registry: &Scripted, client: &OciRegistryClient, case: &str) {
    let resolved = client.resolve_image(&registry.image()).await;
    assert_eq!(resolved.expect(case), None, "{case}");
    let read = client.read_record(&unit(), &Version::new(1, 0, 0)).await;
    assert_eq!(read.expect(case), None, "{case}");
    let listed = client.released_versions(&unit()).await;
    assert_eq!(listed.expect(case), [], "{case}");
    let pushed = registry.push(client).await.expect(case);
    assert_eq!(pushed.change.action, Action::Create, "{case}");
}

#[tokio::test]
async fn what_a_registry_denies_until_the_first_push_is_not_there_yet() {
    for status in [401, 403] {
        let deny = move || refuse(status, "DENIED", "the requested access is denied");
        let registry = Scripted::start(until_pushed(deny)).await;
        first_push(&registry, &registry.anonymous(), &status.to_string()).await;
    }
}

#[tokio::test]
async fn a_password_that_is_taken_elsewhere_is_not_wrong() {
    let denied = until_pushed(|| challenge(BASIC));
    let registry = Scripted::start(move |asked| {
        if asked.has_password() {
            denied(asked)
        } else {
            Some(challenge(BASIC))
        }
    })
    .await;
    first_push(
        &registry,
        &registry.with_password(PASSWORD),
        "with a password",
    )
    .await;
    // A registry that lets everybody in, but not to this.
    let registry = Scripted::start(until_pushed(|| challenge(BASIC))).await;
    first_push(&registry, &registry.anonymous(), "anonymous").await;
}

#[tokio::test]
async fn a_token_that_is_good_for_something_is_not_wrong() {
    let denied = until_pushed(|| challenge("Bearer"));
    let registry = Scripted::start(move |asked| {
        let bearer = format!(
            "Bearer realm=\"http://{}/token\",service=\"trial\"",
            asked.host
        );
        match asked.path.as_str() {
            "/token" if asked.has_password() => Some(r#"{"token":"good"}"#.into_response()),
            "/token" => Some(StatusCode::UNAUTHORIZED.into_response()),
            _ if asked.authorization() != Some("Bearer good") => Some(challenge(&bearer)),
            _ => {
                denied(asked).map(|_| challenge(&format!("{bearer},error=\"insufficient_scope\"")))
            }
        }
    })
    .await;
    first_push(&registry, &registry.with_password(PASSWORD), "with a token").await;
    // A token server gives a token to everybody; what it is not good for may be private.
    let error = registry
        .with_password("wrong")
        .resolve_image(&registry.image())
        .await;
    insta::assert_snapshot!(registry.rendered(&error.expect_err("denied")), @r"
    error[H0203]: the registry `HOST` denied access while reading `team/app:1.0.0`
    seen: credentials: from the settings of this program
    help: log in with `docker login HOST`, or set HARMONY_REGISTRY_USER and HARMONY_REGISTRY_PASSWORD
    help: check that this user is allowed to push to this path
    ");
}

#[tokio::test]
async fn a_wrong_password_is_shown_once() {
    let registry = Scripted::start(|asked| (!asked.has_password()).then(|| challenge(BASIC))).await;
    let client = registry.with_password("wrong");
    let error = registry.push(&client).await.expect_err("denied");
    insta::assert_snapshot!(registry.rendered(&error), @r"
    error[H0203]: the registry `HOST` denied access while reading `team/app:1.0.0`
    seen: credentials: from the settings of this program
    seen: it answered: 401 Unauthorized: UNAUTHORIZED: authentication required
    help: log in with `docker login HOST`, or set HARMONY_REGISTRY_USER and HARMONY_REGISTRY_PASSWORD
    help: check that this user is allowed to push to this path
    ");
    // Not for anything else, either.
    let read = client.read_record(&unit(), &Version::new(1, 0, 0)).await;
    assert!(
        matches!(read, Err(RegistryError::Denied { .. })),
        "{read:?}"
    );
    assert_eq!(registry.with_login(), ["GET /v2/ +"]);

    // Nor to a token server.
    let registry = Scripted::start(|asked| {
        let bearer = format!("Bearer realm=\"http://{}/token\"", asked.host);
        Some(match asked.path.as_str() {
            "/token" => StatusCode::UNAUTHORIZED.into_response(),
            _ => challenge(&bearer),
        })
    })
    .await;
    let client = registry.with_password("wrong");
    registry.push(&client).await.expect_err("denied");
    let read = client.read_record(&unit(), &Version::new(1, 0, 0)).await;
    assert!(
        matches!(read, Err(RegistryError::Denied { .. })),
        "{read:?}"
    );
    assert_eq!(registry.with_login(), ["GET /token +"]);
}

#[tokio::test]
async fn a_login_without_rights_is_denied_when_it_pushes() {
    for (status, deny) in [
        (
            "403 Forbidden",
            (|| refuse(403, "DENIED", "no rights")) as fn() -> Response,
        ),
        ("401 Unauthorized", || challenge(BASIC)),
    ] {
        let registry = Scripted::start(move |asked| {
            if !asked.has_password() {
                return Some(challenge(BASIC));
            }
            (asked.path != "/v2/").then(deny)
        })
        .await;
        let client = registry.with_password(PASSWORD);
        let error = registry.push(&client).await.expect_err("denied");
        let rendered = registry.rendered(&error);
        let words = ["DENIED: no rights", "UNAUTHORIZED: authentication required"];
        let rendered = rendered.replace(status, "STATUS");
        let rendered = words
            .iter()
            .fold(rendered, |shown, words| shown.replace(words, "WORDS"));
        insta::allow_duplicates! {
            insta::assert_snapshot!(rendered, @r"
            error[H0203]: the registry `HOST` denied access while pushing to `team/app`
            seen: credentials: from the settings of this program
            seen: it answered: STATUS: WORDS
            help: log in with `docker login HOST`, or set HARMONY_REGISTRY_USER and HARMONY_REGISTRY_PASSWORD
            help: check that this user is allowed to push to this path
            ");
        }
    }
}
