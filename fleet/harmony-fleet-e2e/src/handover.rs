//! An app is delivered directly, then by a controller of the cluster, and directly again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use harmony::configuration::DeliveryChoice;
use harmony::core::capability::checkup::Finding;
use harmony::core::capability::{Checkup, KubernetesCluster};
use harmony::core::kubernetes::ObjectRef;
use harmony::prelude::*;
use harmony::types::Namespace;

use crate::gitops::production;
use crate::released::ReleaseRig;
use crate::stack::{image_of, in_order, object, topology};

const APP: &str = "hello-web";
const CRATE: &str = "examples/hello-web";

/// A controller of the cluster that delivers.
#[derive(Debug, Clone)]
pub struct Controller {
    /// Its name in the findings of `doctor`.
    pub name: &'static str,
    pub delivery: DeliveryChoice,
    /// What exists while it delivers the app.
    pub record: ObjectRef,
}

/// Delivers the app to `namespace`: directly, by the controller, a release that does not run, a better one, and directly
/// again. No object is created a second time.
///
/// # Errors
/// A delivery failed, or did something else.
pub async fn there_and_back(
    rig: &ReleaseRig,
    namespace: &Namespace,
    controller: &Controller,
) -> anyhow::Result<()> {
    rig.let_pull(namespace).await?;
    let direct = production(rig, DeliveryChoice::Direct);
    let gitops = production(rig, controller.delivery.clone());
    let findings = gitops.examine(&[]).await;
    let is_there = |finding: &Finding| finding.part == controller.name && !finding.is_failed();
    anyhow::ensure!(findings.iter().any(is_there), "{findings:#?}");
    let app = rig.hello_web()?;
    let deployment = object("apps/v1", "Deployment", Some(namespace), APP)?;

    // Directly at first.
    release(rig, &app).await?;
    deploy(&app, namespace, &direct).await?;
    let first = image_of(APP, namespace).await?;
    let same = uid(&deployment).await?;

    // By the controller from now on: the same objects, the same image.
    let moved = deploy(&app, namespace, &gitops).await?;
    anyhow::ensure!(moved.checks.len() == 1, "{moved:#?}");
    anyhow::ensure!(image_of(APP, namespace).await? == first);
    anyhow::ensure!(uid(&deployment).await? == same, "it was created again");
    anyhow::ensure!(exists(&controller.record).await?);
    let again = deploy(&app, namespace, &gitops).await?;
    anyhow::ensure!(
        again.is_unchanged(),
        "{:#?}",
        again.effective().collect::<Vec<_>>()
    );

    // A release that does not run has the same error as with a direct delivery.
    let main = rig.file(&format!("{CRATE}/src/main.rs"));
    let works = std::fs::read_to_string(&main)?;
    std::fs::write(&main, "fn main() {\n    std::process::exit(7);\n}\n")?;
    rig.set_version(CRATE, &"0.1.1".parse()?)?;
    release(rig, &app).await?;
    let broken = in_order(scores![score(&app, namespace)], &gitops).await;
    let broken = broken.err().context("the app ends at once")?;
    anyhow::ensure!(broken.code.to_string() == "H0303", "{broken:#?}");

    // The next one replaces it.
    std::fs::write(&main, works.replace("hello:", "hello again:"))?;
    rig.set_version(CRATE, &"0.1.2".parse()?)?;
    release(rig, &app).await?;
    deploy(&app, namespace, &gitops).await?;
    let now = image_of(APP, namespace).await?;
    anyhow::ensure!(now != first, "{now} is not new");

    // And back: still the same objects, and nothing of the controller is left.
    deploy(&app, namespace, &direct).await?;
    anyhow::ensure!(uid(&deployment).await? == same, "it was created again");
    anyhow::ensure!(image_of(APP, namespace).await? == now);
    anyhow::ensure!(!exists(&controller.record).await?);
    let again = deploy(&app, namespace, &direct).await?;
    anyhow::ensure!(
        again.is_unchanged(),
        "{:#?}",
        again.effective().collect::<Vec<_>>()
    );
    Ok(())
}

async fn release(rig: &ReleaseRig, app: &Arc<AppSpec>) -> anyhow::Result<()> {
    let released = in_order(scores![ReleaseScore::of(app)], &rig.ci()?).await;
    released.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    Ok(())
}

/// A deploy to production, which a controller may be slow to fail.
fn score(app: &Arc<AppSpec>, namespace: &Namespace) -> DeployScore {
    DeployScore::of(app, DeployTarget::production(namespace.clone()))
        .with_ready_deadline(Duration::from_secs(90))
}

async fn deploy(
    app: &Arc<AppSpec>,
    namespace: &Namespace,
    topology: &ProductionTopology,
) -> anyhow::Result<Outcome> {
    let deployed = in_order(scores![score(app, namespace)], topology).await;
    deployed.map_err(|report| anyhow::anyhow!("{report:#?}"))
}

async fn uid(object: &ObjectRef) -> anyhow::Result<String> {
    let found = topology().await?.get(object).await?;
    let found = found.with_context(|| format!("{object} exists"))?;
    let uid = found.body()["metadata"]["uid"].as_str();
    Ok(uid.context("it has a UID")?.to_owned())
}

async fn exists(object: &ObjectRef) -> anyhow::Result<bool> {
    Ok(topology().await?.get(object).await?.is_some())
}
