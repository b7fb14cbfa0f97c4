//! Tests deliveries through Flux's helm-controller on a real node: a release, a broken one, a better one, and the way to Flux
//! and back; what a version no longer has; and a Flux that does not respond.

use futures_util::try_join;
use harmony::kubernetes::delivery::FluxController;
use harmony_fleet_e2e::flux_cases::{
    deleted_with_approval_and_named_when_down, handed_over, two_versions,
};
use harmony_fleet_e2e::released::ReleaseRig;

const CONTROLLER: FluxController = FluxController::Helm;

/// One test, because only one can have the checkout at a time.
#[tokio::test]
async fn flux_delivers_what_was_released_and_gives_it_back() -> anyhow::Result<()> {
    let rig = ReleaseRig::start_for_pods().await?;
    let folder = tempfile::tempdir()?;
    let versions = two_versions(&rig, folder.path()).await?;
    // Each has a Flux of its own.
    try_join!(
        handed_over(&rig, CONTROLLER),
        deleted_with_approval_and_named_when_down(&rig, CONTROLLER, &versions)
    )?;
    Ok(())
}
