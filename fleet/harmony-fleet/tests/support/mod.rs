//! What the tests of the command share: an operator, and short ways to run the command.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use assert_cmd::Command;
use async_trait::async_trait;
use harmony_fleet_adapters_nats::FleetContext;
use harmony_fleet_adapters_nats::testing::TestNats;
use harmony_fleet_domain::{FleetDevice, FleetReflector, FleetState, ReflectError, Reflected};
use tokio_util::sync::CancellationToken;

/// These tests are about the command; other tests cover Kubernetes.
struct Nowhere;

#[async_trait]
impl FleetReflector for Nowhere {
    async fn reflect(&self, _: &[FleetDevice]) -> Result<Reflected, ReflectError> {
        Ok(Reflected::default())
    }
}

pub(crate) fn start_operator(nats: &TestNats, stop: &CancellationToken) {
    let settings = harmony_fleet_operator::Settings {
        nats: nats.options("operator").unwrap(),
        tenant: "acme".parse().unwrap(),
        namespace: None,
        health_addr: "127.0.0.1:0".parse().unwrap(),
        resync: Duration::from_secs(60),
        forget_after: FleetState::FORGET_AFTER,
    };
    let stop = stop.clone();
    tokio::spawn(async move {
        harmony_fleet_operator::run(&settings, &Nowhere, stop)
            .await
            .unwrap();
    });
}

/// The folder with the programs to use instead of those next to the tests.
pub(crate) fn programs() -> Option<PathBuf> {
    std::env::var_os("HARMONY_FLEET_PROGRAMS").map(PathBuf::from)
}

/// Runs the command with a context file and without any other settings of this machine.
pub(crate) async fn harmony_fleet(context: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = match programs() {
        Some(folder) => Command::new(folder.join("harmony-fleet")),
        None => Command::cargo_bin("harmony-fleet").unwrap(),
    };
    command
        .env_clear()
        .env("FLEET_CONTEXT", context)
        .args(arguments);
    let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..300 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("did not happen within 30 s: {what}");
}

pub(crate) fn save_context(nats: &TestNats, path: &Path) {
    let context = FleetContext {
        nats_url: nats.url(),
        tenant: "acme".parse().unwrap(),
        user: nats.user().into(),
        password: nats.password().into(),
        authority: None,
    };
    context.save(path).unwrap();
}
