//! The Kubernetes objects of Argo CD.

use std::collections::BTreeMap;

use harmony_core::kubernetes::{KubeObject, ObjectError};
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, PodSpec, PodTemplateSpec, Secret, ServiceAccount,
    Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use rand::Rng as _;
use rand::distr::Alphanumeric;

use super::super::controllers::{self, container, empty_volume, mount, strings, variable};
use super::super::{confined, pull_secret};
use super::{ArgoCdScore, kinds};

/// The name of the workload, by which its state is found when it does not respond.
const CONTROLLER: &str = "argocd-application-controller";
/// Certificate authorities of registries, as Argo CD names the ConfigMap.
const AUTHORITIES: &str = "argocd-tls-certs-cm";

const CONTROLLER_PORT: i32 = 8082;
const RENDERER_PORT: i32 = 8084;
const HEALTH: &str = "/healthz";
/// The addresses of the renderer and the cache, inside the pod.
const RENDERER: &str = "127.0.0.1:8081";
const CACHE: &str = "127.0.0.1:6379";

/// About 190 bits.
const KEY_LENGTH: usize = 32;

/// The user of Argo CD's own image.
const USER: i64 = 999;

/// The namespace, and a Secret that is created once: the key with which Argo CD's API server signs sessions. The controller
/// refuses to run without it.
pub(super) fn first(score: &ArgoCdScore) -> Result<(KubeObject, KubeObject), ObjectError> {
    let key: Vec<u8> = rand::rng()
        .sample_iter(Alphanumeric)
        .take(KEY_LENGTH)
        .collect();
    let secret = Secret {
        metadata: metadata(score, "argocd-secret"),
        type_: Some("Opaque".into()),
        data: Some(BTreeMap::from([(
            "server.secretkey".to_owned(),
            ByteString(key),
        )])),
        ..Secret::default()
    };
    Ok((
        controllers::namespace(&score.namespace)?,
        KubeObject::new(&secret)?,
    ))
}

pub(super) fn build(score: &ArgoCdScore) -> Result<Vec<KubeObject>, ObjectError> {
    let mut objects = kinds::build(&score.namespace)?;
    for (name, data) in settings(score) {
        objects.push(KubeObject::new(&ConfigMap {
            metadata: metadata(score, name),
            data: Some(data),
            ..ConfigMap::default()
        })?);
    }
    let account = metadata(score, CONTROLLER);
    objects.extend(controllers::all_rights(&account)?);
    objects.push(KubeObject::new(&ServiceAccount {
        metadata: account,
        ..ServiceAccount::default()
    })?);
    objects.push(KubeObject::new(&workload(score))?);
    Ok(objects)
}

/// The ConfigMaps that Argo CD reads at start and while it runs. Some have to exist although they are empty.
fn settings(score: &ArgoCdScore) -> Vec<(&'static str, BTreeMap<String, String>)> {
    let map = |entries: &[(&str, &str)]| {
        let entries = entries.iter();
        entries
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    vec![
        (
            "argocd-cm",
            map(&[
                ("admin.enabled", "false"),
                ("application.resourceTrackingMethod", "annotation"),
            ]),
        ),
        ("argocd-cmd-params-cm", map(&[])),
        ("argocd-rbac-cm", map(&[])),
        ("argocd-ssh-known-hosts-cm", map(&[])),
        ("argocd-gpg-keys-cm", map(&[])),
        (AUTHORITIES, score.authorities.clone()),
    ]
}

fn workload(score: &ArgoCdScore) -> StatefulSet {
    StatefulSet {
        metadata: metadata(score, CONTROLLER),
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(CONTROLLER.into()),
            selector: LabelSelector {
                match_labels: Some(selector()),
                ..LabelSelector::default()
            },
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(selector()),
                    annotations: Some(BTreeMap::from([(
                        confined::CONFIG_MARK.to_owned(),
                        settings_mark(score),
                    )])),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(score)),
            },
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

fn pod(score: &ArgoCdScore) -> PodSpec {
    let authorities = Volume {
        name: "authorities".into(),
        config_map: Some(ConfigMapVolumeSource {
            name: AUTHORITIES.into(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    PodSpec {
        service_account_name: Some(CONTROLLER.into()),
        image_pull_secrets: score.pull_secret.as_ref().map(pull_secret::references),
        security_context: Some(confined::pod(USER)),
        volumes: Some(vec![
            authorities,
            empty_volume("tmp"),
            empty_volume("renderer-tmp"),
            empty_volume("cache-tmp"),
        ]),
        containers: vec![controller(score), renderer(score), cache(score)],
        ..PodSpec::default()
    }
}

fn controller(score: &ArgoCdScore) -> Container {
    Container {
        args: Some(strings(&[
            "--repo-server",
            RENDERER,
            "--repo-server-plaintext",
            "--redis",
            CACHE,
        ])),
        env: Some(vec![
            variable("ARGOCD_CONTROLLER_REPLICAS", "1"),
            variable("HOME", "/tmp"),
        ]),
        volume_mounts: Some(vec![mount("tmp", "/tmp")]),
        ..container(CONTROLLER, &score.image, Some((CONTROLLER_PORT, HEALTH)))
    }
}

fn renderer(score: &ArgoCdScore) -> Container {
    Container {
        args: Some(strings(&[
            "--disable-tls",
            "--address",
            "127.0.0.1",
            "--port",
            "8081",
            "--redis",
            CACHE,
        ])),
        env: Some(vec![
            variable("ARGOCD_GPG_ENABLED", "false"),
            variable("HOME", "/tmp"),
        ]),
        volume_mounts: Some(vec![
            mount("renderer-tmp", "/tmp"),
            VolumeMount {
                read_only: Some(true),
                ..mount("authorities", "/app/config/tls")
            },
        ]),
        ..container(
            "argocd-repo-server",
            &score.image,
            Some((RENDERER_PORT, HEALTH)),
        )
    }
}

fn cache(score: &ArgoCdScore) -> Container {
    Container {
        args: Some(strings(&[
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            "/tmp",
        ])),
        volume_mounts: Some(vec![mount("cache-tmp", "/tmp")]),
        ..container("redis-server", &score.redis, None)
    }
}

/// Changes with the settings that are read only at start.
fn settings_mark(score: &ArgoCdScore) -> String {
    let settings = settings(score).into_iter();
    confined::mark(settings.flat_map(|(name, data)| {
        let pairs = data.into_iter().flat_map(|(key, value)| [key, value]);
        std::iter::once(name.to_owned()).chain(pairs)
    }))
}

fn selector() -> BTreeMap<String, String> {
    BTreeMap::from([("app.kubernetes.io/name".to_owned(), CONTROLLER.to_owned())])
}

/// Argo CD reads only settings with the label `part-of`.
fn metadata(score: &ArgoCdScore, name: &str) -> ObjectMeta {
    controllers::metadata("argocd", &score.namespace, name)
}
