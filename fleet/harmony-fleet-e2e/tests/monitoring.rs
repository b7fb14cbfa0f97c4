//! Tests the monitoring of an app: the app is killed, the alert arrives at the receiver, and so does its resolution. A
//! link that is broken is named.

use std::time::Duration;

use harmony::core::capability::KubernetesCluster;
use harmony::core::diagnostic::Report;
use harmony::core::kubernetes::ObjectRef;
use harmony::prelude::*;
use harmony::scores::monitoring::Timing;
use harmony::types::Namespace;
use harmony_fleet_e2e::alert_server::AlertServer;
use harmony_fleet_e2e::checkout::Checkout;
use harmony_fleet_e2e::stack::{in_order, namespace_object, new_namespace, topology};

const APP: &str = "rust-webapp";
const PATIENCE: Duration = Duration::from_secs(120);

/// The program of `examples/rust_webapp` with short intervals, and its metrics at this path.
fn program(
    checkout: &Checkout,
    namespace: &Namespace,
    receiver: &AlertServer,
    metrics: &str,
) -> anyhow::Result<App> {
    let server = HttpServer::on(8080)
        .with_health_path("/health")
        .with_metrics(metrics);
    let app = AppSpec {
        project_root: checkout.root().to_path_buf(),
        ..AppSpec::rust(env!("CARGO_MANIFEST_DIR"), APP)?
    };
    let webhook = WebhookReceiver::new(receiver.url().parse()?);
    let app = App::of(app.serving(server.clone()));
    let target = DeployTarget::namespace(namespace.clone());
    Ok(app.to(target).monitored(move |app, target| {
        let second = Duration::from_secs(1);
        let score = MonitoringScore::of(app, target)
            .scrape(server.target(&app.unit, &target.namespace))
            .alert(AlertRule::target_down().lasting(second))
            .notify(webhook.clone())
            .with_timing(Timing {
                scrape: second,
                group_wait: Duration::ZERO,
                group_interval: second,
                ..Timing::default()
            });
        MonitoringScore {
            check_deadline: Duration::from_secs(12),
            ..score
        }
    }))
}

/// Runs the program as `harmony::main` does on this machine.
async fn run(program: &App, topology: &K8sAnywhereTopology) -> Result<Outcome, Report> {
    let scores = program.scores(Site::ThisMachine, &WorkTree::new());
    in_order(scores, topology).await
}

fn well(result: Result<Outcome, Report>) -> anyhow::Result<Outcome> {
    result.map_err(|report| anyhow::anyhow!("{report}"))
}

#[tokio::test]
async fn an_app_that_is_killed_raises_an_alert_until_it_is_back() -> anyhow::Result<()> {
    let topology = topology().await?;
    let checkout = Checkout::take().await?;
    let receiver = AlertServer::start().await?;
    let namespace = new_namespace()?;
    let app = program(&checkout, &namespace, &receiver, "/metrics")?;

    receiver.answer_with(403);
    let refused = run(&app, &topology).await.expect_err("nobody is told");
    assert_eq!(refused.code.to_string(), "H0707", "{refused}");
    let answer = refused.evidence.join("\n");
    assert!(
        answer.contains("403") && answer.contains("not for you"),
        "{refused}"
    );

    receiver.answer_with(200);
    let deployed = well(run(&app, &topology).await)?;
    assert_eq!(deployed.checks.len(), 5, "{:?}", deployed.checks);
    let tests = || {
        let statuses = receiver.statuses("HarmonyTest");
        statuses.iter().filter(|status| *status == "firing").count()
    };
    let first = tests();
    assert!(first > 0, "the test alert arrived");
    assert!(receiver.statuses("TargetDown").is_empty());

    let again = well(run(&app, &topology).await)?;
    assert!(
        again.is_unchanged(),
        "{:?}",
        again.effective().collect::<Vec<_>>()
    );
    assert_eq!(tests(), first, "nobody is told again");

    let deployment = ObjectRef {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        namespace: Some(namespace.clone()),
        name: APP.parse()?,
    };
    topology.delete(&deployment).await?;
    receiver.told("TargetDown", "firing", PATIENCE).await?;
    well(run(&app, &topology).await)?;
    receiver.told("TargetDown", "resolved", PATIENCE).await?;

    let blind = program(&checkout, &namespace, &receiver, "/nothing")?;
    let blind = run(&blind, &topology)
        .await
        .expect_err("nothing is scraped");
    assert_eq!(blind.code.to_string(), "H0704", "{blind}");
    assert!(blind.evidence.join("\n").contains("404"), "{blind}");
    topology.delete(&namespace_object(&namespace)?).await?;
    Ok(())
}
