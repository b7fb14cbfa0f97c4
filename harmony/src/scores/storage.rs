//! Where a workload keeps its data.

use std::collections::BTreeMap;

use harmony_types::ResourceName;
use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, PersistentVolumeClaim, PersistentVolumeClaimSpec, Volume,
    VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Where a workload keeps its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In the pod; deleted with the pod. For laptops and tests.
    Pod,
    /// In a persistent volume that outlives the pod.
    Volume {
        /// The size as a Kubernetes quantity: `10Gi`.
        size: String,
        /// The storage class; `None` for the cluster's default.
        class: Option<ResourceName>,
    },
}

/// The name of the volume in pods and claims.
pub(super) const VOLUME: &str = "data";

impl Storage {
    /// The volume of a pod, if the data is in the pod.
    pub(super) fn pod_volume(&self) -> Option<Volume> {
        (*self == Self::Pod).then(|| Volume {
            name: VOLUME.into(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        })
    }

    /// The claims of a StatefulSet, if the data is in a persistent volume.
    pub(super) fn claims(&self) -> Option<Vec<PersistentVolumeClaim>> {
        let Self::Volume { size, class } = self else {
            return None;
        };
        Some(vec![PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some(VOLUME.into()),
                ..ObjectMeta::default()
            },
            spec: Some(PersistentVolumeClaimSpec {
                access_modes: Some(vec!["ReadWriteOnce".into()]),
                storage_class_name: class.as_ref().map(ToString::to_string),
                resources: Some(VolumeResourceRequirements {
                    requests: Some(BTreeMap::from([(
                        "storage".to_owned(),
                        Quantity(size.clone()),
                    )])),
                    ..VolumeResourceRequirements::default()
                }),
                ..PersistentVolumeClaimSpec::default()
            }),
            ..PersistentVolumeClaim::default()
        }])
    }
}
