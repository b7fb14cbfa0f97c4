//! Tests deliveries through Flux on a real node: a release, a broken one, a better one, and the way to Flux and back; what a
//! version no longer has; and a Flux that does not respond.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use futures_util::try_join;
use harmony::core::approval::{Approver, NotApproved};
use harmony::core::async_trait;
use harmony::core::capability::KubernetesCluster;
use harmony::core::kubernetes::KubeObject;
use harmony::core::outcome::Subject;
use harmony::core::owner::Owner;
use harmony::prelude::*;
use harmony::types::{Namespace, Version};
use harmony_fleet_e2e::gitops::{by_flux, install_flux, production};
use harmony_fleet_e2e::handover::{Controller, there_and_back};
use harmony_fleet_e2e::peer_app;
use harmony_fleet_e2e::released::ReleaseRig;
use harmony_fleet_e2e::stack::{
    discard, in_order, namespace_object, new_namespace, object, topology,
};
use serde_json::json;

/// One test, because only one can have the checkout at a time.
#[tokio::test]
async fn flux_delivers_what_was_released_and_gives_it_back() -> anyhow::Result<()> {
    let rig = ReleaseRig::start_for_pods().await?;
    let folder = tempfile::tempdir()?;
    let first = release(&rig, folder.path(), Version::new(1, 0, 0)).await?;
    let second = release(&rig, folder.path(), Version::new(2, 0, 0)).await?;
    // Each has a Flux of its own.
    try_join!(
        handed_over(&rig),
        deleted_with_approval_and_named_when_down(&rig, &first, &second)
    )?;
    Ok(())
}

async fn handed_over(rig: &ReleaseRig) -> anyhow::Result<()> {
    let local = topology().await?;
    let (flux, namespace) = (new_namespace()?, new_namespace()?);
    install_flux(&local, &flux).await?;
    let controller = Controller {
        name: "Flux",
        delivery: by_flux(&flux),
        record: object(RELEASES, "HelmRelease", Some(&namespace), "hello-web")?,
    };
    there_and_back(rig, &namespace, &controller).await?;
    discard(&namespace)?;
    discard(&flux)
}

async fn deleted_with_approval_and_named_when_down(
    rig: &ReleaseRig,
    first: &Arc<AppSpec>,
    second: &Arc<AppSpec>,
) -> anyhow::Result<()> {
    let local = topology().await?;
    let (flux, namespace) = (new_namespace()?, new_namespace()?);
    rig.let_pull(&namespace).await?;
    let volume = KubeObject::from_value(json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": volume(&namespace) },
        "spec": {
            "capacity": { "storage": "1Mi" }, "accessModes": ["ReadWriteOnce"], "storageClassName": "",
            "claimRef": { "namespace": namespace.as_str(), "name": "data" },
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": { "path": "/tmp" },
        },
    }))?;
    let somebody = Owner::score("volumes", &namespace);
    local
        .apply(&somebody, std::slice::from_ref(&volume))
        .await?;
    install_flux(&local, &flux).await?;
    let gitops = || production(rig, by_flux(&flux));
    let deploy = |app: &Arc<AppSpec>| {
        let target = DeployTarget::namespace(namespace.clone());
        scores![DeployScore::of(app, target)]
    };
    let deployed = in_order(deploy(first), &gitops()).await;
    deployed.map_err(|report| anyhow::anyhow!("{report:#?}"))?;

    // The second version has neither the settings nor the data. Nobody is asked about the data, which is kept.
    let settings = object("v1", "ConfigMap", Some(&namespace), "settings")?;
    let data = object("v1", "PersistentVolumeClaim", Some(&namespace), "data")?;
    let careful = gitops();
    careful.context().set_approver(Arc::new(Declines));
    let declined = in_order(deploy(second), &careful).await;
    let declined = declined.err().context("the deletion was declined")?;
    let asked = format!("{declined:?}");
    assert!(asked.contains("settings"), "{asked}");
    assert!(!asked.contains("data"), "{asked}");
    assert!(local.get(&settings).await?.is_some(), "it is still there");
    let deployed = in_order(deploy(second), &gitops()).await;
    deployed.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert!(local.get(&settings).await?.is_none(), "Flux deleted it");
    assert!(local.get(&data).await?.is_some(), "its data would be lost");

    // A Flux that does not run is named, and does not continue when it runs again.
    let controllers = object("apps/v1", "StatefulSet", Some(&flux), "flux-controllers")?;
    local.delete(&controllers).await?;
    let down = in_order(deploy(first), &gitops()).await;
    let down = down.err().context("nobody delivers")?;
    assert_eq!(down.code.to_string(), "H0361", "{down:#?}");
    let release = object(RELEASES, "HelmRelease", Some(&namespace), "test-delivered")?;
    let release = local.get(&release).await?.context("the HelmRelease")?;
    assert_eq!(release.body()["spec"]["suspend"], true);
    install_flux(&local, &flux).await?;
    let back = in_order(deploy(first), &gitops()).await;
    back.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert!(local.get(&settings).await?.is_some(), "it is back");
    // Flux uninstalls its chart, so it goes last.
    local.delete(&namespace_object(&namespace)?).await?;
    discard(&flux)?;
    local.delete(volume.reference()).await?;
    Ok(())
}

const RELEASES: &str = "helm.toolkit.fluxcd.io/v2";

/// Approves no deletion.
#[derive(Debug)]
struct Declines;

#[async_trait]
impl Approver for Declines {
    async fn approve(&self, deletions: &[Subject]) -> Result<(), NotApproved> {
        let deletions = deletions.to_vec();
        Err(NotApproved::Declined { deletions })
    }
}

/// An app whose first version also has settings and data.
async fn release(
    rig: &ReleaseRig,
    folder: &Path,
    version: Version,
) -> anyhow::Result<Arc<AppSpec>> {
    let program = peer_app::program(folder);
    let is_first = version == Version::new(1, 0, 0);
    let app = peer_app::app(
        "delivered",
        version,
        rig.root(),
        &program,
        Checks::readiness_alone(),
        move |namespace, image| {
            let mut objects = vec![peer_app::deployment(&image.to_string(), &peer_app::SERVE)];
            if is_first {
                objects.push(json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" } }));
                objects.push(json!({
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "data" },
                    "spec": {
                        "storageClassName": "", "volumeName": volume(namespace), "accessModes": ["ReadWriteOnce"],
                        "resources": { "requests": { "storage": "1Mi" } },
                    },
                }));
            }
            peer_app::in_namespace(objects, namespace)
        },
    )?;
    let released = in_order(scores![ReleaseScore::of(&app)], &rig.ci()?).await;
    released.map_err(|report| anyhow::anyhow!("{report}"))?;
    Ok(app)
}

/// Where the data of the app is. The local node makes no volumes by itself.
fn volume(namespace: &Namespace) -> String {
    format!("{namespace}-data")
}
