//! Which kinds are namespaced, without asking a cluster.

use std::collections::BTreeMap;

use harmony_core::kubernetes::ClusterCapabilities;
use serde_json::Value;

/// The cluster-scoped kinds of the API server, by API group. All other kinds of these groups are namespaced. From the
/// API reference of Kubernetes 1.25 to 1.37.
const CLUSTER_KINDS: &[(&str, &[&str])] = &[
    (
        "",
        &["ComponentStatus", "Namespace", "Node", "PersistentVolume"],
    ),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    ("apps", &[]),
    (
        "authentication.k8s.io",
        &["SelfSubjectReview", "TokenReview"],
    ),
    (
        "authorization.k8s.io",
        &[
            "SelfSubjectAccessReview",
            "SelfSubjectRulesReview",
            "SubjectAccessReview",
        ],
    ),
    ("autoscaling", &[]),
    ("batch", &[]),
    (
        "certificates.k8s.io",
        &["CertificateSigningRequest", "ClusterTrustBundle"],
    ),
    ("coordination.k8s.io", &[]),
    ("discovery.k8s.io", &[]),
    ("events.k8s.io", &[]),
    (
        "flowcontrol.apiserver.k8s.io",
        &["FlowSchema", "PriorityLevelConfiguration"],
    ),
    ("internal.apiserver.k8s.io", &["StorageVersion"]),
    (
        "networking.k8s.io",
        &["IPAddress", "IngressClass", "ServiceCIDR"],
    ),
    ("node.k8s.io", &["RuntimeClass"]),
    ("policy", &["PodSecurityPolicy"]),
    (
        "rbac.authorization.k8s.io",
        &["ClusterRole", "ClusterRoleBinding"],
    ),
    (
        "resource.k8s.io",
        &["DeviceClass", "DeviceTaintRule", "ResourceSlice"],
    ),
    ("scheduling.k8s.io", &["PriorityClass"]),
    (
        "storage.k8s.io",
        &[
            "CSIDriver",
            "CSINode",
            "StorageClass",
            "VolumeAttachment",
            "VolumeAttributesClass",
        ],
    ),
    ("storagemigration.k8s.io", &["StorageVersionMigration"]),
];

/// The scopes of kinds that a chart itself defines, in addition to those of the API server.
#[derive(Debug, Default)]
pub(crate) struct Scopes {
    defined: BTreeMap<(String, String), bool>,
}

impl Scopes {
    /// Reads the definitions among the objects of a chart, in addition to what the cluster knows.
    pub(crate) fn of<'a>(
        objects: impl IntoIterator<Item = &'a Value>,
        cluster: Option<&ClusterCapabilities>,
    ) -> Self {
        let known = cluster
            .iter()
            .flat_map(|cluster| &cluster.kinds)
            .map(|known| {
                let group = group_of(&known.api_version).to_owned();
                ((group, known.kind.clone()), known.is_namespaced)
            });
        let definitions = objects
            .into_iter()
            .filter(|object| object["kind"] == "CustomResourceDefinition")
            .filter_map(|definition| {
                let spec = definition.get("spec")?;
                let group = spec["group"].as_str()?;
                let kind = spec["names"]["kind"].as_str()?;
                Some((
                    (group.to_owned(), kind.to_owned()),
                    spec["scope"] == "Namespaced",
                ))
            });
        Self {
            // The chart's own definition will be the one in the cluster.
            defined: known.chain(definitions).collect(),
        }
    }

    /// Whether an object of that `apiVersion` and `kind` is namespaced; `None` for a kind that neither the API server,
    /// nor the chart, nor the cluster defines. The name of a kind says nothing.
    pub(crate) fn is_namespaced(&self, api_version: &str, kind: &str) -> Option<bool> {
        let group = group_of(api_version);
        if let Some((_, cluster_kinds)) = CLUSTER_KINDS.iter().find(|(known, _)| *known == group) {
            return Some(!cluster_kinds.contains(&kind));
        }
        let key = (group.to_owned(), kind.to_owned());
        self.defined.get(&key).copied()
    }
}

fn group_of(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

#[cfg(test)]
mod tests {
    use harmony_core::kubernetes::KnownKind;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_scope_is_known_or_defined_and_never_guessed() {
        let known = |kind: &str, is_namespaced| KnownKind {
            api_version: "db.example.com/v1".into(),
            kind: kind.into(),
            is_namespaced,
        };
        let definition = |kind: &str, scope: &str| {
            json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "spec": { "group": "example.com", "scope": scope, "names": { "kind": kind } },
            })
        };
        let definitions = [
            definition("Fleet", "Cluster"),
            definition("ClusterThing", "Namespaced"),
        ];
        let cluster = ClusterCapabilities {
            version: "v1.34.0".into(),
            kinds: vec![
                known("Cluster", true),
                known("Flavour", false),
                known("Fleet", true),
            ],
        };
        let scopes = Scopes::of(&definitions, Some(&cluster));
        for (api_version, kind, is_namespaced) in [
            ("v1", "ConfigMap", true),
            ("v1", "Namespace", false),
            ("apps/v1", "Deployment", true),
            ("rbac.authorization.k8s.io/v1", "Role", true),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", false),
            ("networking.k8s.io/v1", "IngressClass", false),
            ("example.com/v1", "Fleet", false),
            ("example.com/v1", "ClusterThing", true),
            ("db.example.com/v1", "Cluster", true),
            ("db.example.com/v1", "Flavour", false),
        ] {
            assert_eq!(
                scopes.is_namespaced(api_version, kind),
                Some(is_namespaced),
                "{api_version} {kind}"
            );
        }
        assert_eq!(
            scopes.is_namespaced("cert-manager.io/v1", "ClusterIssuer"),
            None
        );
    }
}
