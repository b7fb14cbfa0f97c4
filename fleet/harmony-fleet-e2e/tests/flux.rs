//! Tests deliveries through Flux on a real node: a release, a broken one, a better one, and the way to Flux and back.

use harmony::core::capability::KubernetesCluster;
use harmony::core::kubernetes::ObjectRef;
use harmony_fleet_e2e::gitops::{by_flux, install_flux};
use harmony_fleet_e2e::handover::{Controller, there_and_back};
use harmony_fleet_e2e::released::ReleaseRig;
use harmony_fleet_e2e::stack::{namespace_object, new_namespace, topology};

#[tokio::test]
async fn flux_delivers_what_was_released_and_gives_it_back() -> anyhow::Result<()> {
    let local = topology().await?;
    let rig = ReleaseRig::start_for_pods().await?;
    let (flux, production) = (new_namespace()?, new_namespace()?);
    install_flux(&local, &flux).await?;
    let controller = Controller {
        name: "Flux",
        delivery: by_flux(&flux),
        record: ObjectRef {
            api_version: "helm.toolkit.fluxcd.io/v2".into(),
            kind: "HelmRelease".into(),
            namespace: Some(production.clone()),
            name: "hello-web".parse()?,
        },
    };
    there_and_back(&rig, &production, &controller).await?;
    for namespace in [production, flux] {
        local.delete(&namespace_object(&namespace)?).await?;
    }
    Ok(())
}
