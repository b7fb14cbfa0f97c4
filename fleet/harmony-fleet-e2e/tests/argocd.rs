//! Tests deliveries through Argo CD on a real node: a release, a broken one, a better one, and the way to Argo CD and back.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use harmony::configuration::DeliveryChoice;
use harmony::core::capability::checkup::Finding;
use harmony::core::capability::{Checkup, KubernetesCluster};
use harmony::core::kubernetes::ObjectRef;
use harmony::prelude::*;
use harmony::types::Namespace;
use harmony_fleet_e2e::gitops::{install_argocd, production as topology_of};
use harmony_fleet_e2e::released::ReleaseRig;
use harmony_fleet_e2e::stack::{image_of, in_order, namespace_object, new_namespace, topology};

const APP: &str = "hello-web";
const CRATE: &str = "examples/hello-web";

async fn release(rig: &ReleaseRig, app: &Arc<AppSpec>) -> anyhow::Result<()> {
    let released = in_order(scores![ReleaseScore::of(app)], &rig.ci()?).await;
    released.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    Ok(())
}

/// A deploy to production, which Argo CD is slow to fail.
fn deploy(app: &Arc<AppSpec>, production: &Namespace) -> DeployScore {
    DeployScore::of(app, DeployTarget::production(production.clone()))
        .with_ready_deadline(Duration::from_secs(90))
}

async fn uid(object: &ObjectRef) -> anyhow::Result<String> {
    let found = topology().await?.get(object).await?;
    let found = found.with_context(|| format!("{object} exists"))?;
    let uid = found.body()["metadata"]["uid"].as_str();
    Ok(uid.context("it has a UID")?.to_owned())
}

#[tokio::test]
async fn argo_cd_delivers_what_was_released_and_gives_it_back() -> anyhow::Result<()> {
    let local = topology().await?;
    let rig = ReleaseRig::start_for_pods().await?;
    let (argocd, production) = (new_namespace()?, new_namespace()?);
    rig.let_pull(&production).await?;
    install_argocd(&local, &rig, &argocd).await?;
    let by_argo = DeliveryChoice::ArgoCd {
        namespace: argocd.clone(),
    };
    let direct = topology_of(&rig, DeliveryChoice::Direct);
    let gitops = topology_of(&rig, by_argo);
    let findings = gitops.examine(&[]).await;
    let is_there = |finding: &&Finding| finding.part == "Argo CD" && !finding.is_failed();
    assert!(
        findings.iter().any(|finding| is_there(&finding)),
        "{findings:#?}"
    );
    let app = rig.hello_web()?;
    let deployment = ObjectRef {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        namespace: Some(production.clone()),
        name: APP.parse()?,
    };

    // Directly at first.
    release(&rig, &app).await?;
    let deployed = in_order(scores![deploy(&app, &production)], &direct).await;
    deployed.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    let first = image_of(APP, &production).await?;
    let same = uid(&deployment).await?;

    // Through Argo CD from now on: the same objects, the same image.
    let moved = in_order(scores![deploy(&app, &production)], &gitops).await;
    let moved = moved.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert_eq!(moved.checks.len(), 1, "{moved:#?}");
    assert_eq!(image_of(APP, &production).await?, first);
    assert_eq!(uid(&deployment).await?, same, "nothing was created again");
    let again = in_order(scores![deploy(&app, &production)], &gitops).await;
    let again = again.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert!(
        again.is_unchanged(),
        "{:#?}",
        again.effective().collect::<Vec<_>>()
    );

    // A release that does not run has the same error as with a direct delivery.
    let main = rig.file(&format!("{CRATE}/src/main.rs"));
    let works = std::fs::read_to_string(&main)?;
    std::fs::write(&main, "fn main() {\n    std::process::exit(7);\n}\n")?;
    rig.set_version(CRATE, &"0.1.1".parse()?)?;
    release(&rig, &app).await?;
    let broken = in_order(scores![deploy(&app, &production)], &gitops).await;
    let broken = broken.expect_err("the app ends at once");
    assert_eq!(broken.code.to_string(), "H0303", "{broken:#?}");

    // The next one replaces it.
    std::fs::write(&main, works.replace("hello:", "hello again:"))?;
    rig.set_version(CRATE, &"0.1.2".parse()?)?;
    release(&rig, &app).await?;
    let better = in_order(scores![deploy(&app, &production)], &gitops).await;
    better.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    let now = image_of(APP, &production).await?;
    assert_ne!(now, first);

    // And back: still the same objects, and no Application is left.
    let back = in_order(scores![deploy(&app, &production)], &direct).await;
    back.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert_eq!(uid(&deployment).await?, same);
    assert_eq!(image_of(APP, &production).await?, now);
    let application = ObjectRef {
        api_version: "argoproj.io/v1alpha1".into(),
        kind: "Application".into(),
        namespace: Some(argocd.clone()),
        name: format!("{production}.{APP}").parse()?,
    };
    assert!(local.get(&application).await?.is_none());
    let again = in_order(scores![deploy(&app, &production)], &direct).await;
    assert!(again.is_ok_and(|outcome| outcome.is_unchanged()));

    for namespace in [production, argocd] {
        local.delete(&namespace_object(&namespace)?).await?;
    }
    Ok(())
}
