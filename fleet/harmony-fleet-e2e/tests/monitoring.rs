//! Tests the monitoring of an app that is released through BuildKit: the app is killed, the alert arrives at the receiver,
//! and so does its resolution. The same release made natively from another checkout changes nothing. A link that is broken
//! is named.

#[path = "../../../harmony/containers/tests/peers/buildkit_daemon.rs"]
#[allow(dead_code, reason = "the tests of the builders use all of it")]
mod buildkit_daemon;

use std::path::Path;
use std::time::Duration;

use buildkit_daemon::BuildKitDaemon;
use harmony::configuration::{BuilderChoice, DeliveryChoice};
use harmony::core::diagnostic::Report;
use harmony::prelude::*;
use harmony::scores::storage::Storage;
use harmony::types::Namespace;
use harmony_fleet_e2e::alert_server::AlertServer;
use harmony_fleet_e2e::kill::kill_twice;
use harmony_fleet_e2e::monitored::{self, APP};
use harmony_fleet_e2e::released::{PULL_SECRET, ReleaseRig};
use harmony_fleet_e2e::stack::{discard, in_order, new_namespace, topology};

const PATIENCE: Duration = Duration::from_secs(120);

/// The program of `examples/rust_webapp` in a checkout, with short intervals, and its metrics at this path.
fn program(
    checkout: &Path,
    namespace: &Namespace,
    receiver: &AlertServer,
    metrics: &str,
) -> anyhow::Result<App> {
    let pull_secret = Some(PULL_SECRET.parse()?);
    let server = HttpServer {
        pull_secret: pull_secret.clone(),
        ..monitored::server(metrics)
    };
    let webhook = monitored::webhook(receiver)?;
    let app = App::of(monitored::webapp(checkout)?.serving(server.clone()));
    let target = DeployTarget::namespace(namespace.clone());
    Ok(app.to(target).monitored(move |app, target| {
        let rule = AlertRule::target_down().lasting(Duration::from_secs(1));
        let score = monitored::monitoring(app, target, &server, rule, webhook.clone());
        MonitoringScore {
            storage: Storage::Pod,
            pull_secret: pull_secret.clone(),
            check_deadline: Duration::from_secs(12),
            ..score
        }
    }))
}

/// Releases the version in the checkout, as `--release` does.
async fn release(program: &App, topology: &ProductionTopology) -> anyhow::Result<Outcome> {
    let [app] = &program.apps()[..] else {
        anyhow::bail!("one app");
    };
    well(in_order(scores![ReleaseScore::of(app)], topology).await)
}

/// Deploys the release, as `harmony::main` does in production.
async fn deploy(program: &App, topology: &ProductionTopology) -> Result<Outcome, Report> {
    let released = Released::new(VersionChoice::OfSource);
    in_order(program.scores(Site::Production, &released), topology).await
}

fn well(result: Result<Outcome, Report>) -> anyhow::Result<Outcome> {
    result.map_err(|report| anyhow::anyhow!("{report:#?}"))
}

fn unchanged(outcome: &Outcome) {
    let changes: Vec<_> = outcome.effective().collect();
    assert!(outcome.is_unchanged(), "{changes:#?}");
}

#[tokio::test]
async fn a_released_app_that_is_killed_raises_an_alert_until_it_is_back() -> anyhow::Result<()> {
    let local = topology().await?;
    let rig = ReleaseRig::start().await?;
    let buildkit = BuildKitDaemon::start();
    let receiver = AlertServer::start().await?;
    let namespace = new_namespace()?;
    rig.let_pull(&namespace).await?;
    let app = program(rig.root(), &namespace, &receiver, "/metrics")?;

    let production = rig.production(
        BuilderChoice::BuildKit(buildkit.endpoint()),
        DeliveryChoice::Direct,
    );
    let made = release(&app, &production).await?;
    assert_eq!(
        made.effective().count(),
        6,
        "three images, a chart, its objects and the record: {made:#?}"
    );

    receiver.answer_with(403);
    let refused = deploy(&app, &production).await;
    let refused = refused.expect_err("nobody is told");
    assert_eq!(refused.code.to_string(), "H0707", "{refused}");
    let answer = refused.evidence.join("\n");
    assert!(
        answer.contains("403") && answer.contains("not for you"),
        "{refused}"
    );

    receiver.answer_with(200);
    let deployed = well(deploy(&app, &production).await)?;
    assert_eq!(deployed.checks.len(), 5, "{:?}", deployed.checks);
    let tests = || {
        let statuses = receiver.statuses("HarmonyTest");
        statuses.iter().filter(|status| *status == "firing").count()
    };
    let first = tests();
    assert!(first > 0, "the test alert arrived");
    assert!(receiver.statuses("TargetDown").is_empty());

    unchanged(&well(deploy(&app, &production).await)?);
    assert_eq!(tests(), first, "nobody is told again");

    kill_twice(&local, &namespace, APP).await?;
    receiver.told("TargetDown", "firing", PATIENCE).await?;
    receiver.told("TargetDown", "resolved", PATIENCE).await?;
    unchanged(&well(deploy(&app, &production).await)?);

    // Another machine: no daemon, and another directory.
    let elsewhere = rig.cloned()?;
    let same = program(elsewhere.path(), &namespace, &receiver, "/metrics")?;
    let native = rig.production(BuilderChoice::Native, DeliveryChoice::Direct);
    let sent = rig.registry.requests()?.len();
    unchanged(&release(&same, &native).await?);
    unchanged(&well(deploy(&same, &native).await)?);
    let requests = rig.registry.requests()?;
    let writes: Vec<_> = requests[sent..]
        .iter()
        .filter(|request| request.writes())
        .collect();
    assert!(writes.is_empty(), "{writes:?}");

    let blind = program(rig.root(), &namespace, &receiver, "/nothing")?;
    let blind = deploy(&blind, &production).await;
    let blind = blind.expect_err("nothing is scraped");
    assert_eq!(blind.code.to_string(), "H0704", "{blind}");
    assert!(blind.evidence.join("\n").contains("404"), "{blind}");
    discard(&namespace)
}
