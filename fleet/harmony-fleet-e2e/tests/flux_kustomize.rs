//! Tests deliveries through Flux's kustomize-controller on a real node: as with the helm-controller, and the way from one to
//! the other.

use std::sync::Arc;

use anyhow::Context as _;
use futures_util::try_join;
use harmony::core::capability::KubernetesCluster;
use harmony::core::kubernetes::KubeObject;
use harmony::kubernetes::delivery::FluxController;
use harmony::prelude::*;
use harmony::release::{ChartError, ChartModel, ChartSource, ChartValues};
use harmony::types::{ImageRef, ReleaseUnit};
use harmony_fleet_e2e::flux_cases::{
    deleted_with_approval_and_named_when_down, handed_over, record_of, two_versions,
};
use harmony_fleet_e2e::gitops::{by_flux, install_flux, production};
use harmony_fleet_e2e::released::ReleaseRig;
use harmony_fleet_e2e::stack::{
    discard, in_order, namespace_object, new_namespace, object, topology,
};
use serde_json::json;

const CONTROLLER: FluxController = FluxController::Kustomize;

/// One test, because only one can have the checkout at a time.
#[tokio::test]
async fn the_kustomize_controller_delivers_what_was_released_and_gives_it_back()
-> anyhow::Result<()> {
    let rig = ReleaseRig::start_for_pods().await?;
    let folder = tempfile::tempdir()?;
    let versions = two_versions(&rig, folder.path()).await?;
    let greeter = AppSpec {
        chart: ChartSource::from_score(Greeting),
        ..(*versions[0]).clone()
    };
    let greeter = Arc::new(AppSpec {
        unit: ReleaseUnit::new("test".parse()?, "greeter".parse()?)?,
        ..greeter
    });
    let released = in_order(scores![ReleaseScore::of(&greeter)], &rig.ci()?).await;
    released.map_err(|report| anyhow::anyhow!("{report}"))?;
    // Each has a Flux of its own.
    try_join!(
        handed_over(&rig, CONTROLLER),
        between_controllers(&rig, &versions[1]),
        with_values(&rig, &greeter),
        deleted_with_approval_and_named_when_down(&rig, CONTROLLER, &versions)
    )?;
    Ok(())
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

/// The values of a target, and a name that only a target has.
async fn with_values(rig: &ReleaseRig, app: &Arc<AppSpec>) -> anyhow::Result<()> {
    let local = topology().await?;
    let (flux, namespace) = (new_namespace()?, new_namespace()?);
    install_flux(&local, &flux, CONTROLLER).await?;
    let gitops = production(rig, by_flux(&flux, CONTROLLER));
    let with = |values: [(&str, &str); 2]| {
        let values = values.map(|(path, value)| (path.to_owned(), value.into()));
        let target = DeployTarget::namespace(namespace.clone()).with_values(values.into());
        scores![DeployScore::of(app, target)]
    };
    let greeting = object("v1", "ConfigMap", Some(&namespace), "greeting")?;
    for value in ["hello", "it's: \"{0}\" ${HOME} # 007", "no"] {
        let deployed = in_order(with([("greeting", value), ("name", "greeting")]), &gitops).await;
        deployed.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
        let found = local.get(&greeting).await?.context("the ConfigMap")?;
        let body = found.body();
        assert_eq!(body["data"]["text"], value);
        assert_eq!(body["metadata"]["annotations"]["example.com/text"], value);
        assert_eq!(body["data"]["place"], format!("{value} in {namespace}"));
    }
    let renamed = in_order(with([("greeting", "hello"), ("name", "another")]), &gitops).await;
    let renamed = renamed.err().context("Kustomize cannot add an object")?;
    assert_eq!(renamed.code.to_string(), "H0364", "{renamed:#?}");
    assert!(local.get(&greeting).await?.is_some(), "it is still there");
    local.delete(&namespace_object(&namespace)?).await?;
    discard(&flux)
}

/// A chart with a greeting.
#[derive(Debug)]
struct Greeting;

impl ChartModel for Greeting {
    fn description(&self) -> String {
        "An app for tests".into()
    }

    fn values(&self) -> Result<ChartValues, ChartError> {
        let namespace = "default".parse().expect("a valid name");
        let values = ChartValues::new(namespace).with("name", "greeting")?;
        values.with("greeting", "nothing")
    }

    fn objects(
        &self,
        values: &ChartValues,
        image: &ImageRef,
    ) -> Result<Vec<KubeObject>, ChartError> {
        let (text, namespace) = (values.text("greeting")?, values.namespace());
        Ok(vec![KubeObject::from_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": values.text("name")?, "namespace": namespace.as_str(),
                "annotations": { "example.com/text": text },
            },
            "data": { "text": text, "image": image.to_string(), "place": format!("{text} in {namespace}") },
        }))?])
    }
}
