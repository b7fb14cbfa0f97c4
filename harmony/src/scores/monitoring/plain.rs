//! Prometheus and Alertmanager run by the Score itself.

mod config;
mod names;
mod objects;

use harmony_core::kubernetes::{KubeObject, ObjectError, ObjectRef};
use harmony_core::verify::ServicePort;
use harmony_types::ResourceName;

use super::images::MonitoringImages;
use super::proof::Endpoints;
use super::receiver::SecretValues;
use super::{MonitoringScore, target};
use names::{ALERTMANAGER, ALERTMANAGER_PORT, PROMETHEUS, PROMETHEUS_PORT, part_name};

pub(super) use config::{groups as rule_groups, rules_file};

/// The configuration files, without secrets.
pub(super) fn files(score: &MonitoringScore) -> [(&'static str, String); 3] {
    [
        ("prometheus.yml", config::prometheus(score)),
        ("rules.yml", config::rules_file(score)),
        (
            "alertmanager.yml",
            config::alertmanager(score, &SecretValues::default()),
        ),
    ]
}

/// All objects, and those that must become ready.
pub(super) fn build(
    score: &MonitoringScore,
    images: &MonitoringImages,
    secrets: &SecretValues,
) -> Result<(Vec<KubeObject>, Vec<ObjectRef>), ObjectError> {
    let mut objects = objects::build(score, images, secrets)?;
    let running = objects.iter().map(|object| object.reference().clone());
    let running = running.collect();
    for target in &score.targets {
        objects.push(target::ScrapeTarget::service(target)?);
    }
    for dashboard in &score.dashboards {
        objects.push(dashboard.object(&score.name, &score.namespace)?);
    }
    Ok((objects, running))
}

/// Where Prometheus and Alertmanager answer.
pub(super) fn endpoints(score: &MonitoringScore) -> Result<Endpoints, ObjectError> {
    let service = |part: &str, port| {
        let name = part_name(score, part);
        let service = ResourceName::parse(&name).map_err(|source| ObjectError::InvalidName {
            field: "metadata.name",
            kind: "Service".into(),
            source,
        })?;
        Ok::<_, ObjectError>((
            ServicePort {
                service: service.clone(),
                port,
            },
            ObjectRef {
                api_version: "apps/v1".into(),
                kind: "StatefulSet".into(),
                namespace: Some(score.namespace.clone()),
                name: service.into(),
            },
        ))
    };
    let (prometheus, _) = service(PROMETHEUS, PROMETHEUS_PORT)?;
    let (alertmanager, workload) = service(ALERTMANAGER, ALERTMANAGER_PORT)?;
    Ok(Endpoints {
        prometheus: (score.namespace.clone(), prometheus),
        alertmanager: (score.namespace.clone(), alertmanager),
        alertmanager_workload: workload,
    })
}
