//! The Kubernetes objects of Flux.

use std::collections::BTreeMap;

use harmony_core::kubernetes::{KubeObject, ObjectError};
use harmony_kubernetes::delivery::FluxController;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, ObjectFieldSelector, PodSpec, PodTemplateSpec, ServiceAccount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::super::controllers::{self, container, empty_volume, mount, variable};
use super::super::{confined, pull_secret};
use super::{FluxScore, kinds};

/// The name of the workload, and of its component: by that, a delivery finds its state when it does not respond.
const CONTROLLERS: &str = "flux-controllers";
const COMPONENT: &str = "app.kubernetes.io/component";

/// What the source-controller has pulled, inside the pod.
const STORAGE: &str = "127.0.0.1:9090";
const SOURCE_HEALTH: i32 = 9440;
const CONTROLLER_HEALTH: i32 = 9441;

/// The user of Flux's own images.
const USER: i64 = 65534;

pub(super) fn build(score: &FluxScore) -> Result<Vec<KubeObject>, ObjectError> {
    let mut objects = vec![controllers::namespace(&score.namespace)?];
    objects.extend(kinds::build(score.controller)?);
    let account = metadata(score);
    objects.extend(controllers::all_rights(&account)?);
    objects.push(KubeObject::new(&ServiceAccount {
        metadata: account,
        ..ServiceAccount::default()
    })?);
    objects.push(KubeObject::new(&workload(score))?);
    Ok(objects)
}

/// One replica: a StatefulSet never runs two of them at the same time.
fn workload(score: &FluxScore) -> StatefulSet {
    StatefulSet {
        metadata: metadata(score),
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(CONTROLLERS.into()),
            selector: LabelSelector {
                match_labels: Some(selector()),
                ..LabelSelector::default()
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(selector()),
                    ..ObjectMeta::default()
                }),
                spec: Some(PodSpec {
                    service_account_name: Some(CONTROLLERS.into()),
                    image_pull_secrets: score.pull_secret.as_ref().map(pull_secret::references),
                    security_context: Some(confined::pod(USER)),
                    // As in Flux's own manifests: what is being installed is completed.
                    termination_grace_period_seconds: Some(600),
                    volumes: Some(
                        ["artifacts", "source-tmp", "controller-tmp"]
                            .map(empty_volume)
                            .into(),
                    ),
                    containers: vec![source_controller(score), controller(score)],
                    ..PodSpec::default()
                }),
            },
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn source_controller(score: &FluxScore) -> Container {
    let own = [
        "--storage-path=/data".to_owned(),
        format!("--storage-addr={STORAGE}"),
        format!("--storage-adv-addr={STORAGE}"),
    ];
    Container {
        args: Some(arguments(score, SOURCE_HEALTH).chain(own).collect()),
        env: Some(vec![
            own_namespace(),
            variable("TUF_ROOT", "/tmp/.sigstore"),
            variable("HOME", "/tmp"),
        ]),
        volume_mounts: Some(vec![
            mount("artifacts", "/data"),
            mount("source-tmp", "/tmp"),
        ]),
        ..container(
            "source-controller",
            &score.source_controller,
            Some((SOURCE_HEALTH, "/readyz")),
        )
    }
}

fn controller(score: &FluxScore) -> Container {
    let mut args: Vec<String> = arguments(score, CONTROLLER_HEALTH).collect();
    if score.controller == FluxController::Kustomize {
        // How long it waits before it looks again for a source that is not ready.
        args.push("--requeue-dependency=5s".to_owned());
    }
    Container {
        args: Some(args),
        env: Some(vec![own_namespace(), variable("HOME", "/tmp")]),
        volume_mounts: Some(vec![mount("controller-tmp", "/tmp")]),
        ..container(
            score.controller.name(),
            &score.controller_image,
            Some((CONTROLLER_HEALTH, "/readyz")),
        )
    }
}

/// Those that both controllers have. There is no metrics endpoint, because both would use the same port.
fn arguments(score: &FluxScore, health: i32) -> impl Iterator<Item = String> {
    let objects = match &score.shard {
        Some(shard) => format!("sharding.fluxcd.io/key={shard}"),
        None => "!sharding.fluxcd.io/key".to_owned(),
    };
    [
        "--log-encoding=json".to_owned(),
        "--metrics-addr=0".to_owned(),
        format!("--health-addr=:{health}"),
        format!("--watch-label-selector={objects}"),
    ]
    .into_iter()
}

fn own_namespace() -> EnvVar {
    EnvVar {
        name: "RUNTIME_NAMESPACE".into(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: "metadata.namespace".into(),
                ..ObjectFieldSelector::default()
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn selector() -> BTreeMap<String, String> {
    BTreeMap::from([(COMPONENT.to_owned(), CONTROLLERS.to_owned())])
}

fn metadata(score: &FluxScore) -> ObjectMeta {
    let mut metadata = controllers::metadata("flux", &score.namespace, CONTROLLERS);
    metadata.labels.get_or_insert_default().extend(selector());
    metadata
}
