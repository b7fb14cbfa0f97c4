//! Tests deliveries through Flux's helm-controller on a real node: a release, a broken one, a better one, and the way to Flux
//! and back; what a version no longer has; and a Flux that does not respond.

use futures_util::try_join;
use harmony::kubernetes::delivery::FluxController;
use harmony_fleet_e2e::flux_cases::{
    deleted_with_approval_and_named_when_down, record_of, two_versions,
};
use harmony_fleet_e2e::gitops::{by_flux, install_flux};
use harmony_fleet_e2e::handover::{Controller, there_and_back};
use harmony_fleet_e2e::released::ReleaseRig;
use harmony_fleet_e2e::stack::{discard, new_namespace, topology};

const CONTROLLER: FluxController = FluxController::Helm;

/// One test, because only one can have the checkout at a time.
#[tokio::test]
async fn flux_delivers_what_was_released_and_gives_it_back() -> anyhow::Result<()> {
    let rig = ReleaseRig::start_for_pods().await?;
    let folder = tempfile::tempdir()?;
    let versions = two_versions(&rig, folder.path()).await?;
    // Each has a Flux of its own.
    try_join!(
        handed_over(&rig),
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
