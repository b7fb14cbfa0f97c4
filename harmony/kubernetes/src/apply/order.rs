//! The order in which kinds are applied, so that dependencies come first.

use harmony_core::kubernetes::ObjectRef;

use crate::marks::INVENTORY_PREFIX;

/// Objects of the same rank are applied at the same time, lower ranks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Namespace,
    /// The inventory of the delivery: an object is listed before it exists.
    Inventory,
    /// New kinds. Later ranks wait until they are served.
    Definition,
    /// Accounts, rights and limits of workloads.
    Identity,
    Permission,
    /// What pods read.
    Configuration,
    Network,
    Workload,
    /// Includes custom resources: their controllers are already being started.
    Rest,
}

/// The rank of an object's kind. Kinds outside the built-in API groups come last.
pub(crate) fn rank(object: &ObjectRef) -> Rank {
    let group = object
        .api_version
        .rsplit_once('/')
        .map_or("", |(group, _)| group);
    match (group, object.kind.as_str()) {
        ("", "Namespace") => Rank::Namespace,
        ("", "ConfigMap") if object.name.as_str().starts_with(INVENTORY_PREFIX) => Rank::Inventory,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Rank::Definition,
        ("", "ServiceAccount" | "ResourceQuota" | "LimitRange")
        | ("scheduling.k8s.io", "PriorityClass")
        | ("storage.k8s.io", "StorageClass") => Rank::Identity,
        ("rbac.authorization.k8s.io", _) => Rank::Permission,
        ("", "ConfigMap" | "Secret" | "PersistentVolume" | "PersistentVolumeClaim") => {
            Rank::Configuration
        }
        ("", "Service" | "Endpoints") | ("discovery.k8s.io" | "networking.k8s.io", _) => {
            Rank::Network
        }
        ("", "Pod" | "ReplicationController") | ("apps" | "batch", _) => Rank::Workload,
        _ => Rank::Rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_comes_first() {
        let object = |api_version: &str, kind: &str| ObjectRef {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: None,
            name: "a".parse().unwrap(),
        };
        let wanted = [
            object("v1", "Namespace"),
            object("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
            object("v1", "ServiceAccount"),
            object("rbac.authorization.k8s.io/v1", "RoleBinding"),
            object("v1", "Secret"),
            object("v1", "Service"),
            object("apps/v1", "Deployment"),
            object("example.com/v1", "Deployment"),
        ];
        let mut sorted = wanted.to_vec();
        sorted.reverse();
        sorted.sort_by_key(rank);
        assert_eq!(sorted, wanted);
    }
}
