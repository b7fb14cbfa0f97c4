//! Where logins come from: the files of Docker and Podman, credential helpers, the environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harmony_core::Context;
use harmony_core::capability::OciRegistry;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_registry::testing::RegistryPeer;
use harmony_registry::{Environment, RegistrySettings};
use serde_json::{Value, json};

use crate::fixture::{self, Image};
use crate::killed::pusher;

fn login() -> Value {
    let pair = format!("{}:{}", RegistryPeer::USER, RegistryPeer::PASSWORD);
    json!({"auth": STANDARD.encode(pair)})
}

fn settings(peer: &RegistryPeer, variable: &str, value: &Path) -> RegistrySettings {
    let environment =
        Environment::from_lookup(|name| (name == variable).then(|| value.as_os_str().to_owned()));
    RegistrySettings::new(environment).with_ca_file(peer.ca_file())
}

#[tokio::test]
async fn the_files_of_docker_and_podman_are_read() {
    let peer = fixture::peer().await;
    let folder = tempfile::tempdir().expect("a folder");
    let content = json!({"auths": {peer.host().as_str(): login()}}).to_string();
    let to = fixture::image_ref(&peer, "fleet/operator:0.1.0");
    for (variable, value, file) in [
        ("DOCKER_CONFIG", "docker", "docker/config.json"),
        ("HOME", "home", "home/.docker/config.json"),
        ("REGISTRY_AUTH_FILE", "podman.json", "podman.json"),
        ("XDG_RUNTIME_DIR", "run", "run/containers/auth.json"),
        ("HOME", "home2", "home2/.config/containers/auth.json"),
    ] {
        let file = folder.path().join(file);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(&file, &content).expect("a file");
        let settings = settings(&peer, variable, &folder.path().join(value));
        let client = fixture::client_in(Context::new(), &peer, settings);
        let found = client.resolve_image(&to).await;
        assert_eq!(found.expect(variable), None, "{variable}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_named() {
    let peer = fixture::peer().await;
    let folder = tempfile::tempdir().expect("a folder");
    let to = fixture::image_ref(&peer, "fleet/operator:0.1.0");
    let other = json!({"auths": {"registry.example.com": login()}}).to_string();
    let unknown_helper = json!({"credsStore": "harmony-test-nonexistent"}).to_string();
    for (content, expected) in [
        ("{ not json", "is not the JSON that `docker login` writes"),
        (&other, "has no login for"),
        (
            &unknown_helper,
            "the helper `docker-credential-harmony-test-nonexistent`, which cannot be run",
        ),
        (
            &json!({"auths": {peer.host().as_str(): {"auth": "!!!"}}}).to_string(),
            "that cannot be decoded",
        ),
    ] {
        fs::write(folder.path().join("config.json"), content).expect("a file");
        let settings = settings(&peer, "DOCKER_CONFIG", folder.path());
        let client = fixture::client_in(Context::new(), &peer, settings);
        let error = client.resolve_image(&to).await.expect_err("denied");
        let evidence = harmony_core::Diagnostic::evidence(&error).join("");
        assert!(
            evidence.contains(expected) && evidence.contains("config.json"),
            "{expected}: {evidence}"
        );
        assert!(!evidence.contains(RegistryPeer::PASSWORD), "{evidence}");
    }
}

#[tokio::test]
async fn the_login_of_the_repository_counts_not_that_of_its_neighbour() {
    let peer = fixture::peer().await;
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = json!({"auth": STANDARD.encode("wrong:wrong")});
    let named = |path: &str| format!("{}{path}", peer.host());
    let config = json!({"auths": {
        named("/team"): login(),
        named("/other"): wrong,
        named("/team/secret"): wrong,
    }});
    fs::write(folder.path().join("config.json"), config.to_string()).expect("a file");
    // One client, whose location names no path.
    let client = fixture::client_in(
        Context::new(),
        &peer,
        settings(&peer, "DOCKER_CONFIG", folder.path()),
    );
    for repository in ["team/app", "team/secrets", "team"] {
        let to = fixture::image_ref(&peer, &format!("{repository}:1.0.0"));
        let pushed = client
            .push_image(&Image::small(repository).built(), &to)
            .await;
        pushed.unwrap_or_else(|error| panic!("{repository}: {error:?}"));
    }
    let denied = fixture::image_ref(&peer, "elsewhere/app:1.0.0");
    let error = client.resolve_image(&denied).await.expect_err("denied");
    let evidence = harmony_core::Diagnostic::evidence(&error).join("");
    let expected = format!("has no login for `{}`", peer.host());
    assert!(evidence.contains(&expected), "{evidence}");
    // A refused login is not tried again with another.
    let denied = fixture::image_ref(&peer, "other/app:1.0.0");
    let error = client.resolve_image(&denied).await.expect_err("denied");
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn empty_fields_do_not_hide_a_login() {
    let peer = fixture::peer().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (user, password) = (RegistryPeer::USER, RegistryPeer::PASSWORD);
    let auth = login()["auth"].clone();
    let to = fixture::image_ref(&peer, "fleet/operator:0.1.0");
    for entry in [
        json!({"auth": "", "username": user, "password": password}),
        json!({"auth": auth, "identitytoken": ""}),
        json!({"auth": auth, "username": "", "password": ""}),
        json!({"auth": auth, "identitytoken": null, "email": ""}),
    ] {
        let config = json!({"auths": {peer.host().as_str(): entry}, "credsStore": ""}).to_string();
        fs::write(folder.path().join("config.json"), &config).expect("a file");
        let settings = settings(&peer, "DOCKER_CONFIG", folder.path());
        let client = fixture::client_in(Context::new(), &peer, settings);
        assert_eq!(
            client.resolve_image(&to).await.expect(&config),
            None,
            "{config}"
        );
    }
}

/// Pushes with this script as the helper; returns the output and how often the script ran.
async fn push_with_helper(peer: &RegistryPeer, script: &str) -> (std::process::Output, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("calls");
    let helper = folder.path().join("docker-credential-harmony-test");
    fs::write(
        &helper,
        format!("#!/bin/sh\necho called >>{}\n{script}\n", log.display()),
    )
    .expect("a script");
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).expect("a mode");
    let config = json!({
        "auths": {peer.host().as_str(): {}},
        "credHelpers": {peer.host().as_str(): "harmony-test"},
        "credsStore": "harmony-test-nonexistent",
    });
    fs::write(folder.path().join("config.json"), config.to_string()).expect("a file");
    let image = Image::new(&[fixture::layer(b"a"), fixture::layer(b"b")], None);
    let to = fixture::image_ref(peer, "fleet/by-helper:0.1.0");
    let path = std::env::var("PATH").expect("a PATH");
    let output = pusher(image.folder.path(), &image.digest, &to)
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .env("DOCKER_CONFIG", folder.path())
        .env("HARMONY_REGISTRY_CA", peer.ca_file())
        .envs(SECRETS.map(|name| (name, "s3cret")))
        .output()
        .await
        .expect("a pusher");
    let calls = fs::read_to_string(log).unwrap_or_default().lines().count();
    (output, calls)
}

/// Variables that are no business of a helper.
const SECRETS: [&str; 4] = [
    "HARMONY_SIGNING_KEY",
    "DATABASE_URL",
    "AWS_SECRET_ACCESS_KEY",
    "CARGO_REGISTRY_TOKEN",
];

#[tokio::test]
async fn a_helper_does_not_see_our_secrets() {
    let peer = fixture::peer().await;
    let folder = tempfile::tempdir().expect("a folder");
    let seen = folder.path().join("seen");
    let answer = json!({"Username": RegistryPeer::USER, "Secret": RegistryPeer::PASSWORD});
    // It does not read what it is asked for, either.
    let script = format!("env >{}; echo '{answer}'", seen.display());
    let (output, _) = push_with_helper(&peer, &script).await;
    assert!(output.status.success(), "{output:?}");
    let seen = fs::read_to_string(seen).expect("an environment");
    assert!(
        seen.contains("PATH=") && seen.contains("DOCKER_CONFIG="),
        "{seen}"
    );
    assert!(
        !seen.contains("s3cret") && !seen.contains("HARMONY"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_helper_is_not_looked_for_where_we_were_started() {
    let peer = fixture::peer().await;
    let folder = tempfile::tempdir().expect("a folder");
    let helper = folder.path().join("docker-credential-harmony-test");
    let answer = json!({"Username": RegistryPeer::USER, "Secret": RegistryPeer::PASSWORD});
    fs::write(&helper, format!("#!/bin/sh\necho '{answer}'\n")).expect("a script");
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).expect("a mode");
    let image = Image::small("by helper");
    let to = fixture::image_ref(&peer, "fleet/by-helper:0.1.0");
    for (path, works) in [
        (".:/usr/bin:/bin".to_owned(), false),
        (format!("{}:/usr/bin:/bin", folder.path().display()), true),
    ] {
        for store in [
            "harmony-test",
            "../harmony-test",
            "./docker-credential-harmony-test",
        ] {
            let config = json!({"credsStore": store}).to_string();
            fs::write(folder.path().join("config.json"), config).expect("a file");
            let output = pusher(image.folder.path(), &image.digest, &to)
                .env("PATH", &path)
                .env("DOCKER_CONFIG", folder.path())
                .env("HARMONY_REGISTRY_CA", peer.ca_file())
                .current_dir(folder.path())
                .output()
                .await
                .expect("a pusher");
            let is_run = works && store == "harmony-test";
            assert_eq!(
                output.status.success(),
                is_run,
                "{path} {store}: {output:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_credential_helper_is_asked_once() {
    let peer = fixture::peer().await;
    let answer = json!({"ServerURL": peer.host(), "Username": RegistryPeer::USER, "Secret": RegistryPeer::PASSWORD});
    let (output, calls) = push_with_helper(&peer, &format!("echo '{answer}'")).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(calls, 1);
}

#[tokio::test]
async fn a_helper_that_fails_or_hangs_is_named_and_does_not_hold_up_the_end() {
    let peer = fixture::peer().await;
    for (script, expected) in [
        (
            "echo 'credentials not found in native keychain'; exit 1",
            "which has no login for",
        ),
        ("echo 'token: s3cret'; exit 1", "which failed"),
        ("exec sleep 30", "did not answer within 5 s"),
        ("sleep 30 & exec sleep 30", "did not answer within 5 s"),
        (
            "echo '{\"Username\":\"\",\"Secret\":\"\"}'",
            "which has no login for",
        ),
        (
            "echo 'credentials not found in native keychain' >&2; exit 1",
            "which has no login for",
        ),
        ("echo hello", "an answer that cannot be parsed"),
    ] {
        let began = Instant::now();
        let (output, calls) = push_with_helper(&peer, script).await;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success());
        assert_eq!(calls, 1, "{script}");
        assert!(printed.contains(expected), "{script}: {printed}");
        assert!(
            printed.contains("docker-credential-harmony-test"),
            "{printed}"
        );
        assert!(!format!("{output:?}").contains("s3cret"), "{output:?}");
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn the_environment_comes_before_the_files() {
    let peer = fixture::peer().await;
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("config.json"), "{ not json").expect("a file");
    let image = Image::small("by environment");
    let to = fixture::image_ref(&peer, "fleet/by-environment:0.1.0");
    let output = pusher(image.folder.path(), &image.digest, &to)
        .env("DOCKER_CONFIG", folder.path())
        .env("HARMONY_REGISTRY_USER", RegistryPeer::USER)
        .env("HARMONY_REGISTRY_PASSWORD", "wrong")
        .env("HARMONY_REGISTRY_CA", peer.ca_file())
        .output()
        .await
        .expect("a pusher");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        printed.contains("from `HARMONY_REGISTRY_USER` and `HARMONY_REGISTRY_PASSWORD`"),
        "{printed}"
    );
}
