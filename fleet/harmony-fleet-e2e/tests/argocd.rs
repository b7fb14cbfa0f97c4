//! Tests deliveries through Argo CD on a real node: a release, a broken one, a better one, and the way to Argo CD and back.

use harmony::configuration::DeliveryChoice;
use harmony_fleet_e2e::gitops::install_argocd;
use harmony_fleet_e2e::handover::{Controller, there_and_back};
use harmony_fleet_e2e::released::ReleaseRig;
use harmony_fleet_e2e::stack::{discard, new_namespace, object, topology};

#[tokio::test]
async fn argo_cd_delivers_what_was_released_and_gives_it_back() -> anyhow::Result<()> {
    let local = topology().await?;
    let rig = ReleaseRig::start_for_pods().await?;
    let (argocd, production) = (new_namespace()?, new_namespace()?);
    install_argocd(&local, &rig, &argocd).await?;
    let controller = Controller {
        name: "Argo CD",
        delivery: DeliveryChoice::ArgoCd {
            namespace: argocd.clone(),
        },
        record: object(
            "argoproj.io/v1alpha1",
            "Application",
            Some(&argocd),
            &format!("{production}.hello-web"),
        )?,
    };
    there_and_back(&rig, &production, &controller).await?;
    for namespace in [production, argocd] {
        discard(&namespace)?;
    }
    Ok(())
}
