//! Tests the whole way to production: a tag is released, verified in staging, and deployed to production by Argo CD, with
//! monitoring in both. What fails in staging leaves production as it is.

use std::time::Instant;

use harmony::configuration::DeliveryChoice;
use harmony::core::diagnostic::Report;
use harmony::prelude::*;
use harmony::scores::storage::Storage;
use harmony::types::Namespace;
use harmony_fleet_e2e::alert_server::AlertServer;
use harmony_fleet_e2e::gitops::{install_argocd, production as topology_of};
use harmony_fleet_e2e::monitored::{self, APP};
use harmony_fleet_e2e::released::{PULL_SECRET, ReleaseRig};
use harmony_fleet_e2e::stack::{discard, image_of, in_order, new_namespace, topology};

const CRATE: &str = "examples/rust_webapp/webapp";

/// The program of `examples/rust_webapp` with two targets, short intervals, and no volumes.
fn program(
    rig: &ReleaseRig,
    stages: [&Namespace; 2],
    receiver: &AlertServer,
) -> anyhow::Result<App> {
    let server = HttpServer {
        pull_secret: Some(PULL_SECRET.parse()?),
        ..monitored::server("/metrics")
    };
    let app = monitored::webapp(rig.root())?;
    let webhook = monitored::webhook(receiver)?;
    let [staging, production] = stages.map(Namespace::clone);
    Ok(App::of(app.serving(server.clone()))
        .to(DeployTarget::staging(staging))
        .to(DeployTarget::production(production))
        .monitored(move |app, target| {
            let rule = AlertRule::target_down();
            let score = monitored::monitoring(app, target, &server, rule, webhook.clone());
            MonitoringScore {
                pull_secret: server.pull_secret.clone(),
                storage: Storage::Pod,
                ..score
            }
        }))
}

/// What `--release --from-tag TAG --then-deploy` runs.
async fn run(program: &App, topology: &ProductionTopology) -> Result<Outcome, Report> {
    let mut scores: Vec<Box<dyn Score<ProductionTopology>>> = Vec::new();
    for app in program.apps() {
        scores.push(Box::new(ReleaseScore::of(&app)));
    }
    let released = Released::new(VersionChoice::OfSource);
    scores.extend(program.scores(Site::Production, &released));
    in_order(scores, topology).await
}

#[tokio::test]
async fn a_tag_becomes_a_monitored_production_deployment() -> anyhow::Result<()> {
    let local = topology().await?;
    let rig = ReleaseRig::start_for_pods().await?;
    let receiver = AlertServer::start().await?;
    let (argocd, staging, production) = (new_namespace()?, new_namespace()?, new_namespace()?);
    install_argocd(&local, &rig, &argocd).await?;
    rig.let_pull(&staging).await?;
    rig.let_pull(&production).await?;
    let by_argo = DeliveryChoice::ArgoCd {
        namespace: argocd.clone(),
    };
    let topology = topology_of(&rig, by_argo);
    let app = program(&rig, [&staging, &production], &receiver)?;

    let began = Instant::now();
    let deployed = run(&app, &topology).await;
    let deployed = deployed.map_err(|report| anyhow::anyhow!("{report}"))?;
    println!("from the tag to production: {:.1?}", began.elapsed());
    assert_eq!(
        deployed.checks.len(),
        2 * 5,
        "in each stage the app and the way of an alert: {:#?}",
        deployed.checks
    );
    let tests = receiver.statuses("HarmonyTest");
    let tests = tests.iter().filter(|status| *status == "firing").count();
    assert!(tests >= 2, "both stages sent a test alert");
    let good = image_of(APP, &production).await?;
    assert_eq!(image_of(APP, &staging).await?, good);

    let began = Instant::now();
    let again = run(&app, &topology).await;
    let again = again.map_err(|report| anyhow::anyhow!("{report}"))?;
    println!("again: {:.1?}", began.elapsed());
    assert!(
        again.is_unchanged(),
        "{:#?}",
        again.effective().collect::<Vec<_>>()
    );

    let main = rig.file(&format!("{CRATE}/src/main.rs"));
    std::fs::write(&main, "fn main() {\n    std::process::exit(7);\n}\n")?;
    rig.set_version(CRATE, &"0.1.1".parse()?)?;
    let broken = run(&app, &topology).await;
    let broken = broken.expect_err("the app ends at once");
    assert_eq!(broken.code.to_string(), "H0303", "{broken}");
    assert_ne!(image_of(APP, &staging).await?, good);
    assert_eq!(
        image_of(APP, &production).await?,
        good,
        "production is as it was"
    );
    for namespace in [staging, production, argocd] {
        discard(&namespace)?;
    }
    Ok(())
}
