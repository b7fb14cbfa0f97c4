//! Tests deliveries through Flux's kustomize-controller on a real node: as with the helm-controller, and the way from one to
//! the other.

use std::sync::Arc;

use anyhow::Context as _;
use futures_util::try_join;
use harmony::core::capability::KubernetesCluster;
use harmony::kubernetes::delivery::FluxController;
use harmony::prelude::*;
use harmony_fleet_e2e::flux_cases::{
    deleted_with_approval_and_named_when_down, record_of, two_versions,
};
use harmony_fleet_e2e::gitops::{by_flux, install_flux, production};
use harmony_fleet_e2e::handover::{Controller, there_and_back};
use harmony_fleet_e2e::released::ReleaseRig;
use harmony_fleet_e2e::stack::{
    discard, in_order, namespace_object, new_namespace, object, topology,
};

const CONTROLLER: FluxController = FluxController::Kustomize;

/// One test, because only one can have the checkout at a time.
#[tokio::test]
async fn the_kustomize_controller_delivers_what_was_released_and_gives_it_back()
-> anyhow::Result<()> {
    let rig = ReleaseRig::start_for_pods().await?;
    let folder = tempfile::tempdir()?;
    let versions = two_versions(&rig, folder.path()).await?;
    // Each has a Flux of its own.
    try_join!(
        handed_over(&rig),
        between_controllers(&rig, &versions[1]),
        deleted_with_approval_and_named_when_down(&rig, CONTROLLER, &versions)
    )?;
    Ok(())
}

async fn handed_over(rig: &ReleaseRig) -> anyhow::Result<()> {
    let local = topology().await?;
    let (flux, namespace) = (new_namespace()?, new_namespace()?);
    install_flux(&local, &flux, CONTROLLER).await?;
    let controller = Controller {
        name: "Flux",
        delivery: by_flux(&flux, CONTROLLER),
        record: record_of(CONTROLLER, &namespace, "hello-web")?,
    };
    there_and_back(rig, &namespace, &controller).await?;
    discard(&namespace)?;
    discard(&flux)
}

/// Each controller leaves no fields and no objects of its own when the other one delivers.
async fn between_controllers(rig: &ReleaseRig, app: &Arc<AppSpec>) -> anyhow::Result<()> {
    let local = topology().await?;
    let namespace = new_namespace()?;
    rig.let_pull(&namespace).await?;
    let both = [
        (FluxController::Helm, new_namespace()?),
        (FluxController::Kustomize, new_namespace()?),
    ];
    for (controller, flux) in &both {
        install_flux(&local, flux, *controller).await?;
    }
    let web = object("apps/v1", "Deployment", Some(&namespace), "web")?;
    let mut uid = None;
    let [helm, kustomize] = &both;
    for ((controller, flux), (other, _)) in
        [(helm, kustomize), (kustomize, helm), (helm, kustomize)]
    {
        let gitops = production(rig, by_flux(flux, *controller));
        let score = || {
            scores![DeployScore::of(
                app,
                DeployTarget::namespace(namespace.clone())
            )]
        };
        let deployed = in_order(score(), &gitops).await;
        deployed.map_err(|report| anyhow::anyhow!("{controller:?}: {report:#?}"))?;
        let again = in_order(score(), &gitops).await;
        let again = again.map_err(|report| anyhow::anyhow!("{controller:?}: {report:#?}"))?;
        assert!(again.is_unchanged(), "{controller:?}: {again:#?}");
        let live = local.get(&web).await?.context("the Deployment")?;
        let live = live.into_body();
        let metadata = &live["metadata"];
        let managers = metadata["managedFields"].to_string();
        assert!(managers.contains(controller.name()), "{managers}");
        assert!(!managers.contains(other.name()), "{managers}");
        let marks = metadata["labels"].to_string() + &metadata["annotations"].to_string();
        let of_helm = marks.contains("meta.helm.sh");
        assert_eq!(of_helm, *controller == FluxController::Helm, "{marks}");
        let record = record_of(*other, &namespace, "test-delivered")?;
        assert!(local.get(&record).await?.is_none(), "{record} is left");
        let same = uid.get_or_insert(metadata["uid"].clone());
        assert_eq!(*same, metadata["uid"], "it was created again");
    }
    // Flux uninstalls its chart, so it goes last.
    local.delete(&namespace_object(&namespace)?).await?;
    for (_, flux) in both {
        discard(&flux)?;
    }
    Ok(())
}
