//! Tests a pipeline from a tag to production: released, verified in staging, then deployed to production.

use std::sync::Arc;

use anyhow::Context as _;
use harmony::core::capability::KubernetesCluster;
use harmony::core::composite;
use harmony::core::diagnostic::Report;
use harmony::core::kubernetes::ObjectRef;
use harmony::prelude::*;
use harmony::types::Namespace;
use harmony_fleet_e2e::released::{PULL_SECRET, ReleaseRig};
use harmony_fleet_e2e::stack::{namespace_object, new_namespace, topology};

const CRATE: &str = "examples/hello-web";

/// Runs the pipeline of the example in separate namespaces.
async fn run(
    rig: &ReleaseRig,
    staging: &Namespace,
    production: &Namespace,
) -> anyhow::Result<Result<Outcome, Report>> {
    let server = HttpServer {
        pull_secret: Some(PULL_SECRET.parse()?),
        ..HttpServer::on(8080)
    };
    let app = AppSpec {
        project_root: rig.root().to_path_buf(),
        ..AppSpec::rust(env!("CARGO_MANIFEST_DIR"), "hello-web")?
    };
    let app = Arc::new(app.serving(server));
    let scores: Vec<Box<dyn Score<CiTopology>>> = scores![
        ReleaseScore::of(&app),
        DeployScore::of(&app, DeployTarget::staging(staging.clone())),
        DeployScore::of(&app, DeployTarget::production(production.clone())),
    ];
    let pipeline = composite::in_order(scores);
    let outcome = pipeline.execute(&Inventory::autoload(), &rig.ci()?).await;
    Ok(outcome.map_err(|error| error.report()))
}

async fn image(namespace: &Namespace) -> anyhow::Result<String> {
    let deployment = ObjectRef {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        namespace: Some(namespace.clone()),
        name: "hello-web".parse()?,
    };
    let found = topology().await?.get(&deployment).await?;
    let found = found.context("the app is deployed")?;
    let image = found
        .body()
        .pointer("/spec/template/spec/containers/0/image");
    let image = image.and_then(|image| image.as_str());
    Ok(image.context("a container has an image")?.to_owned())
}

#[tokio::test]
async fn a_release_that_fails_in_staging_never_reaches_production() -> anyhow::Result<()> {
    let local = topology().await?;
    let rig = ReleaseRig::start().await?;
    let (staging, production) = (new_namespace()?, new_namespace()?);
    rig.let_pull(&staging).await?;
    rig.let_pull(&production).await?;

    let first = run(&rig, &staging, &production).await?;
    let first = first.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert_eq!(
        first.checks.len(),
        2,
        "both stages are verified: {first:#?}"
    );
    let good = image(&production).await?;
    assert_eq!(
        image(&staging).await?,
        good,
        "production gets what staging verified"
    );

    let main = rig.file(&format!("{CRATE}/src/main.rs"));
    let works = std::fs::read_to_string(&main)?;
    std::fs::write(
        &main,
        "fn main() {\n    println!(\"no config\");\n    std::process::exit(7);\n}\n",
    )?;
    rig.set_version(CRATE, &"0.1.1".parse()?)?;
    let broken = run(&rig, &staging, &production).await?;
    let broken = broken.expect_err("the app ends at once");
    assert_eq!(broken.code.to_string(), "H0303", "{broken:#?}");
    assert_ne!(image(&staging).await?, good, "staging has the new version");
    assert_eq!(image(&production).await?, good, "production is as it was");

    std::fs::write(&main, works.replace("hello:", "hello again:"))?;
    rig.set_version(CRATE, &"0.1.2".parse()?)?;
    let repaired = run(&rig, &staging, &production).await?;
    let repaired = repaired.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert_eq!(repaired.checks.len(), 2);
    let better = image(&production).await?;
    assert_ne!(better, good);
    assert_eq!(image(&staging).await?, better);

    let again = run(&rig, &staging, &production).await?;
    let again = again.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert!(
        again.is_unchanged(),
        "{:#?}",
        again.effective().collect::<Vec<_>>()
    );
    for namespace in [staging, production] {
        local.delete(&namespace_object(&namespace)?).await?;
    }
    Ok(())
}
