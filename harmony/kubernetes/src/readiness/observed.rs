//! A snapshot of the cluster.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

/// One awaited object and its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The live object; `None` if it does not exist.
    pub object: Option<&'a Value>,
    /// Whether its kind has a status that a controller fills in.
    pub has_status: bool,
    /// Everything else in its namespace.
    pub around: &'a Surroundings,
}

/// The objects of a namespace that decide about readiness.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub pods: Vec<Arc<Pod>>,
    /// The revisions of Deployments.
    pub replica_sets: Vec<Arc<ReplicaSet>>,
    /// The revisions of StatefulSets and DaemonSets.
    pub revisions: Vec<Arc<ControllerRevision>>,
    /// Events: only hints where a status field exists.
    pub events: Vec<Arc<Event>>,
    /// The endpoints of Services.
    pub endpoints: Vec<Arc<EndpointSlice>>,
    /// The workloads that are awaited together with the object.
    pub workloads: Vec<Value>,
    /// Whether custom resources are awaited together with the object: their controllers may create pods.
    pub has_custom_resources: bool,
    /// What the backends of an Ingress may name; `None` if no Ingress is awaited.
    pub services: Option<Vec<Arc<Service>>>,
    /// The classes that an Ingress may name; `None` if no Ingress is awaited, or they cannot be listed.
    pub ingress_classes: Option<Vec<Arc<IngressClass>>>,
}

impl Surroundings {
    /// The pods that are controlled by the object with this uid.
    pub(super) fn pods_of<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a Arc<Pod>> {
        self.pods
            .iter()
            .filter(move |pod| is_owned_by(&pod.metadata, owner))
    }

    /// The events about the object with this uid, latest first.
    pub(super) fn events_of(&self, uid: &str) -> Vec<&Arc<Event>> {
        let about = self.events.iter();
        let mut about: Vec<_> = about
            .filter(|event| event.involved_object.uid.as_deref() == Some(uid))
            .collect();
        about.sort_by_key(|event| std::cmp::Reverse(event_time(event)));
        about
    }
}

/// Whether the object is controlled by the one with this uid.
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
