//! The way to Flux and back, what a version no longer has, by a controller of Flux, and a Flux that does not respond.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use harmony::core::approval::{Approver, NotApproved};
use harmony::core::async_trait;
use harmony::core::capability::KubernetesCluster;
use harmony::core::kubernetes::{KubeObject, ObjectRef};
use harmony::core::outcome::Subject;
use harmony::core::owner::Owner;
use harmony::kubernetes::delivery::FluxController;
use harmony::prelude::*;
use harmony::types::{Namespace, Version};
use serde_json::json;

use crate::gitops::{by_flux, install_flux, production};
use crate::handover::{Controller, there_and_back};
use crate::peer_app;
use crate::released::ReleaseRig;
use crate::stack::{discard, in_order, namespace_object, new_namespace, object, topology};

/// The object in which Flux reports on the delivery of `chart`.
///
/// # Errors
/// A name is not valid.
pub fn record_of(
    controller: FluxController,
    namespace: &Namespace,
    chart: &str,
) -> anyhow::Result<ObjectRef> {
    let (api_version, kind) = match controller {
        FluxController::Helm => ("helm.toolkit.fluxcd.io/v2", "HelmRelease"),
        FluxController::Kustomize => ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
    };
    object(api_version, kind, Some(namespace), chart)
}

/// Releases an app whose first version also has settings and data.
///
/// # Errors
/// It cannot be released.
pub async fn two_versions(rig: &ReleaseRig, folder: &Path) -> anyhow::Result<[Arc<AppSpec>; 2]> {
    let first = release(rig, folder, Version::new(1, 0, 0)).await?;
    let second = release(rig, folder, Version::new(2, 0, 0)).await?;
    Ok([first, second])
}

/// An app goes to a Flux with this controller and back.
///
/// # Errors
/// A delivery failed, or did something else.
pub async fn handed_over(rig: &ReleaseRig, flux_controller: FluxController) -> anyhow::Result<()> {
    let local = topology().await?;
    let (flux, namespace) = (new_namespace()?, new_namespace()?);
    install_flux(&local, &flux, flux_controller).await?;
    let controller = Controller {
        name: "Flux",
        delivery: by_flux(&flux, flux_controller),
        record: record_of(flux_controller, &namespace, "hello-web")?,
    };
    there_and_back(rig, &namespace, &controller).await?;
    discard(&namespace)?;
    discard(&flux)
}

/// Settings go after approval, data stays, and a Flux that does not run is named and does not continue later.
///
/// # Errors
/// A delivery failed, or did something else.
pub async fn deleted_with_approval_and_named_when_down(
    rig: &ReleaseRig,
    controller: FluxController,
    [first, second]: &[Arc<AppSpec>; 2],
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
    install_flux(&local, &flux, controller).await?;
    let gitops = || production(rig, by_flux(&flux, controller));
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
    anyhow::ensure!(asked.contains("settings"), "{asked}");
    anyhow::ensure!(!asked.contains("data"), "{asked}");
    anyhow::ensure!(local.get(&settings).await?.is_some(), "it is still there");
    let deployed = in_order(deploy(second), &gitops()).await;
    deployed.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    anyhow::ensure!(local.get(&settings).await?.is_none(), "Flux deleted it");
    anyhow::ensure!(local.get(&data).await?.is_some(), "its data would be lost");

    // A Flux that does not run is named, and does not continue when it runs again.
    let controllers = object("apps/v1", "StatefulSet", Some(&flux), "flux-controllers")?;
    local.delete(&controllers).await?;
    let down = in_order(deploy(first), &gitops()).await;
    let down = down.err().context("nobody delivers")?;
    anyhow::ensure!(down.code.to_string() == "H0361", "{down:#?}");
    let release = record_of(controller, &namespace, "test-delivered")?;
    let release = local.get(&release).await?.context("what Flux works on")?;
    anyhow::ensure!(release.body()["spec"]["suspend"] == true);
    install_flux(&local, &flux, controller).await?;
    let back = in_order(deploy(first), &gitops()).await;
    back.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    anyhow::ensure!(local.get(&settings).await?.is_some(), "it is back");
    // Flux uninstalls its chart, so it goes last.
    local.delete(&namespace_object(&namespace)?).await?;
    discard(&flux)?;
    local.delete(volume.reference()).await?;
    Ok(())
}

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
