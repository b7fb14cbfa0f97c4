//! What is known of a cluster at one moment.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

/// One awaited object, and what stands around it.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The object as it is; `None` when it is not there.
    pub object: Option<&'a Value>,
    /// Whether its kind has a status that a controller fills.
    pub has_status: bool,
    /// Everything else of its namespace.
    pub around: &'a Surroundings,
}

/// The objects of a namespace from which readiness is told.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// All pods.
    pub pods: Vec<Arc<Pod>>,
    /// The revisions of Deployments.
    pub replica_sets: Vec<Arc<ReplicaSet>>,
    /// The revisions of StatefulSets and DaemonSets.
    pub revisions: Vec<Arc<ControllerRevision>>,
    /// Events: hints, never the only proof where a status field exists.
    pub events: Vec<Arc<Event>>,
    /// Where Services lead.
    pub endpoints: Vec<Arc<EndpointSlice>>,
    /// The workloads that are awaited with the object.
    pub workloads: Vec<Value>,
    /// Whether custom resources are awaited with the object: the programs behind them may make pods.
    pub has_custom_resources: bool,
    /// What the backends of an Ingress may name; `None` where no Ingress is awaited.
    pub services: Option<Vec<Arc<Service>>>,
    /// The classes that an Ingress may name; `None` where no Ingress is awaited, or they may not be listed.
    pub ingress_classes: Option<Vec<Arc<IngressClass>>>,
}

impl Surroundings {
    /// The pods that the object with this uid controls.
    pub(super) fn pods_of<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a Arc<Pod>> {
        self.pods
            .iter()
            .filter(move |pod| is_owned_by(&pod.metadata, owner))
    }

    /// The events about the object with this uid, the latest first.
    pub(super) fn events_of(&self, uid: &str) -> Vec<&Arc<Event>> {
        let about = self.events.iter();
        let mut about: Vec<_> = about
            .filter(|event| event.involved_object.uid.as_deref() == Some(uid))
            .collect();
        about.sort_by_key(|event| std::cmp::Reverse(event_time(event)));
        about
    }
}

/// Whether the controller of an object has this uid.
pub(super) fn is_owned_by(metadata: &ObjectMeta, owner: &str) -> bool {
    let owners = metadata.owner_references.iter().flatten();
    owners
        .into_iter()
        .any(|reference| reference.controller == Some(true) && reference.uid == owner)
}

pub(super) fn uid(metadata: &ObjectMeta) -> &str {
    metadata.uid.as_deref().unwrap_or_default()
}

pub(super) fn name(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

pub(super) fn label<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(key).map(String::as_str)
}

/// When an event was last seen.
pub(super) fn event_time(event: &Event) -> Option<Timestamp> {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref());
    let times = [
        series.map(|time| time.0),
        event.last_timestamp.as_ref().map(|time| time.0),
        event.event_time.as_ref().map(|time| time.0),
        event.first_timestamp.as_ref().map(|time| time.0),
        event
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0),
    ];
    times.into_iter().flatten().next()
}
