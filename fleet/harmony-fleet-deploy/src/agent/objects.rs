//! The Kubernetes objects of an agent in a pod.

use std::path::Path;

use harmony::core::kubernetes::{KubeObject, ObjectError};
use harmony::scores::pull_secret;
use harmony_fleet_domain::settings;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, ExecAction, HostPathVolumeSource, PodSpec, PodTemplateSpec,
    Probe, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::{FleetAgentScore, FleetAgentTarget};
use crate::certificates;
use crate::credentials::{self, Role};
use crate::place;
use crate::pod::{self, FleetSecrets};

/// The folder with the socket of podman.
const PODMAN: &str = "/run/podman";
/// The state directory of the agent.
const STATE: &str = "/var/lib/harmony-fleet-agent";

/// `podman` is the socket of podman on the node of the pod, if the device can run containers.
pub(super) fn build(
    score: &FleetAgentScore,
    podman: Option<&Path>,
) -> Result<Vec<KubeObject>, ObjectError> {
    let FleetAgentTarget::Pod {
        namespace,
        image,
        pull_secret,
        ..
    } = &score.target;
    let name = score.workload();
    let mut labels = place::labels(place::AGENT);
    labels.insert(
        "app.kubernetes.io/instance".into(),
        score.device.to_string(),
    );
    let secrets = FleetSecrets {
        users: credentials::SECRET.into(),
        tls: certificates::SECRET.into(),
    };
    let (credentials, credentials_mount) = pod::credentials_volume(&secrets, Role::Agent);
    let mut env = pod::nats_env(&score.nats_url, Role::Agent);
    env.extend([
        pod::env(settings::DEVICE_ID, score.device.to_string()),
        pod::env(settings::TENANT, score.tenant.to_string()),
        pod::env(settings::STATE_DIR, STATE),
        pod::env(settings::HEARTBEAT_SECONDS, "5"),
    ]);
    let state = Volume {
        name: "state".into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    let state_mount = VolumeMount {
        name: "state".into(),
        mount_path: STATE.into(),
        ..VolumeMount::default()
    };
    let (mut volumes, mut mounts) = (
        vec![credentials, state],
        vec![credentials_mount, state_mount],
    );
    if let Some((folder, socket)) =
        podman.and_then(|podman| Some((podman.parent()?, podman.file_name()?)))
    {
        env.push(pod::env(
            settings::PODMAN_SOCKET,
            Path::new(PODMAN).join(socket).display().to_string(),
        ));
        volumes.push(Volume {
            name: "podman".into(),
            host_path: Some(HostPathVolumeSource {
                path: folder.display().to_string(),
                type_: None,
            }),
            ..Volume::default()
        });
        mounts.push(VolumeMount {
            name: "podman".into(),
            mount_path: PODMAN.into(),
            ..VolumeMount::default()
        });
    }
    let container = Container {
        name: "agent".into(),
        image: Some(image.to_string()),
        env: Some(env),
        readiness_probe: Some(Probe {
            exec: Some(ExecAction {
                command: Some(vec![
                    "/usr/local/bin/harmony-fleet-agent".into(),
                    "status".into(),
                ]),
            }),
            period_seconds: Some(2),
            ..Probe::default()
        }),
        resources: Some(pod::requests("10m", "16Mi")),
        security_context: Some(pod::confined()),
        volume_mounts: Some(mounts),
        ..Container::default()
    };
    let deployment = Deployment {
        metadata: pod::metadata(&name, namespace, &labels),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            // A device must have only one agent, even while it is replaced.
            strategy: Some(DeploymentStrategy {
                type_: Some("Recreate".into()),
                rolling_update: None,
            }),
            selector: LabelSelector {
                match_labels: Some(labels.clone()),
                ..LabelSelector::default()
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels),
                    ..ObjectMeta::default()
                }),
                spec: Some(PodSpec {
                    automount_service_account_token: Some(false),
                    image_pull_secrets: pull_secret.as_ref().map(pull_secret::references),
                    termination_grace_period_seconds: Some(10),
                    containers: vec![container],
                    volumes: Some(volumes),
                    ..PodSpec::default()
                }),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    };
    Ok(vec![
        pod::namespace(namespace)?,
        KubeObject::new(&deployment)?,
    ])
}
