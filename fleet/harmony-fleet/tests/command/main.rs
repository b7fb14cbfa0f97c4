//! Tests the command with a real fleet: nats-server, the operator's library, the agent's library.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panic"
)]

mod deployments;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::time::Duration;

use harmony_fleet_adapters_nats::testing::TestNats;
use harmony_reconciler_contracts::{DeviceInfo, HeartbeatInterval};
use support::{eventually, harmony_fleet, save_context, start_operator};
use tokio_util::sync::CancellationToken;

fn start_agent(nats: &TestNats, id: &str, state: &Path, stop: &CancellationToken) {
    let settings = harmony_fleet_agent::Settings {
        nats: nats.options(id).unwrap(),
        tenant: "acme".parse().unwrap(),
        device: id.parse().unwrap(),
        interval: HeartbeatInterval::from_seconds(1).unwrap(),
        info: DeviceInfo {
            agent_version: "0.1.0".into(),
            labels: "site=lyon".parse().unwrap(),
            ..DeviceInfo::default()
        },
        podman: harmony_fleet_agent::PodmanSettings::new("/nowhere"),
        state_dir: state.join(id),
    };
    let stop = stop.clone();
    tokio::spawn(async move {
        harmony_fleet_agent::run(&settings, stop).await.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_are_listed_and_pinged() {
    let mut nats = TestNats::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let context = folder.path().join("context.json");
    save_context(&nats, &context);
    let (all, pump) = (CancellationToken::new(), CancellationToken::new());

    let (code, _, stderr) = harmony_fleet(&context, &["devices"]).await;
    assert_eq!(code, 1);
    assert!(
        stderr.contains("no operator of tenant `acme` is running") && stderr.contains("hint: "),
        "{stderr}"
    );

    start_operator(&nats, &all);
    eventually("an empty list", async || {
        harmony_fleet(&context, &["devices"]).await.0 == 0
    })
    .await;
    let (_, stdout, _) = harmony_fleet(&context, &["devices"]).await;
    assert!(stdout.contains("No device has registered yet"), "{stdout}");
    let (code, _, stderr) = harmony_fleet(&context, &["ping", "pump-1"]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("no device has registered yet"), "{stderr}");

    start_agent(&nats, "pump-1", folder.path(), &pump);
    start_agent(&nats, "valve-1", folder.path(), &all);
    eventually("both are online", async || {
        harmony_fleet(&context, &["devices"])
            .await
            .1
            .matches(" online ")
            .count()
            == 2
    })
    .await;
    let (_, stdout, _) = harmony_fleet(&context, &["devices"]).await;
    assert!(
        stdout.starts_with("DEVICE   PRESENCE  LAST-SEEN  AGENT  LABELS\npump-1   online"),
        "{stdout}"
    );
    assert!(stdout.contains("0.1.0  site=lyon"), "{stdout}");
    let (_, stdout, _) = harmony_fleet(&context, &["devices", "--json"]).await;
    assert!(stdout.contains("\"presence\": \"online\""), "{stdout}");

    let (code, stdout, stderr) = harmony_fleet(&context, &["ping", "pump-1", "--count", "2"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(stdout.matches("pump-1 answered in ").count(), 2, "{stdout}");
    assert!(stdout.contains("2 of 2 answered"), "{stdout}");

    let (code, _, stderr) = harmony_fleet(&context, &["ping", "pump-2"]).await;
    assert_eq!(code, 1);
    assert!(
        stderr.contains("device `pump-2` does not exist") && stderr.contains("`pump-1`, `valve-1`"),
        "{stderr}"
    );

    pump.cancel();
    eventually("it is offline", async || {
        harmony_fleet(&context, &["devices"])
            .await
            .1
            .contains("offline")
    })
    .await;
    let (code, _, stderr) = harmony_fleet(&context, &["ping", "pump-1"]).await;
    assert_eq!(code, 1);
    assert!(
        stderr.contains("it is offline, last seen: ") && stderr.contains("power and network"),
        "{stderr}"
    );

    all.cancel();
    nats.kill();
    let (code, _, stderr) = harmony_fleet(&context, &["devices"]).await;
    assert_eq!(code, 1);
    assert!(
        stderr.contains(&format!("cannot reach NATS at `{}`", nats.url())),
        "{stderr}"
    );
}

#[tokio::test]
async fn wrong_settings_are_usage_errors_with_a_way_out() {
    let nats = TestNats::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let context = folder.path().join("context.json");
    let (code, _, stderr) = harmony_fleet(&context, &["devices"]).await;
    assert_eq!(code, 2);
    assert!(
        stderr.contains("--nats-url") && stderr.contains("context.json"),
        "{stderr}"
    );

    std::fs::write(&context, "{}").unwrap();
    let (code, _, stderr) = harmony_fleet(&context, &["devices"]).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("is damaged"), "{stderr}");

    let password = folder.path().join("password");
    std::fs::write(&password, "wr0ng\n").unwrap();
    let (code, _, stderr) = harmony_fleet(
        &context,
        &[
            "devices",
            "--nats-url",
            &nats.url(),
            "--user",
            "fleet",
            "--password-file",
            &password.display().to_string(),
        ],
    )
    .await;
    assert_eq!(code, 1);
    assert!(
        stderr.contains("rejected user `fleet`") && !stderr.contains("wr0ng"),
        "{stderr}"
    );

    for arguments in [
        &["ping", "Pump_1"][..],
        &["ping"],
        &["frobnicate"],
        &["ping", "a", "--count", "0"],
    ] {
        assert_eq!(
            harmony_fleet(&context, arguments).await.0,
            2,
            "{arguments:?}"
        );
    }
}

#[tokio::test]
async fn help_documents_the_exit_codes_and_completions_are_printed() {
    let nowhere = Path::new("/nonexistent/context.json");
    let (code, stdout, _) = harmony_fleet(nowhere, &["--help"]).await;
    assert_eq!(code, 0);
    assert!(
        stdout.starts_with("List the devices of a fleet"),
        "{stdout}"
    );
    assert!(stdout.contains("Exit codes:\n  0  success\n"), "{stdout}");
    for shell in ["bash", "zsh", "fish"] {
        let (code, stdout, _) = harmony_fleet(nowhere, &["completions", shell]).await;
        assert!(code == 0 && stdout.contains("harmony-fleet"), "{shell}");
    }
}
