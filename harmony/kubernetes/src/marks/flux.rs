//! How Flux marks what it applies.

use harmony_core::kubernetes::ObjectRef;
use harmony_types::{Namespace, ObjectName};
use serde_json::Value;

/// The API versions of Flux's own kinds.
pub(crate) const SOURCES: &str = "source.toolkit.fluxcd.io/v1";
pub(crate) const RELEASES: &str = "helm.toolkit.fluxcd.io/v2";
pub(crate) const KUSTOMIZATIONS: &str = "kustomize.toolkit.fluxcd.io/v1";

/// The field managers of everything that Flux applies for a HelmRelease, and for a Kustomization.
pub(crate) const HELM_MANAGER: &str = "helm-controller";
pub(crate) const KUSTOMIZE_MANAGER: &str = "kustomize-controller";

/// Whether a controller of Flux applies by this name.
pub(crate) fn is_manager(name: &str) -> bool {
    [HELM_MANAGER, KUSTOMIZE_MANAGER].contains(&name)
}

/// The field managers with which Harmony suspends what Flux works on, and protects an object from Flux.
pub(crate) const SUSPENDING: &str = "harmony-suspends-release";
pub(crate) const KEEPING: &str = "harmony-keeps-object";

/// The labels by which Flux marks the objects of a HelmRelease, and of a Kustomization.
pub(crate) const HELM_LABELS: OwnerLabels = OwnerLabels {
    name: "helm.toolkit.fluxcd.io/name",
    namespace: "helm.toolkit.fluxcd.io/namespace",
};
pub(crate) const KUSTOMIZE_LABELS: OwnerLabels = OwnerLabels {
    name: "kustomize.toolkit.fluxcd.io/name",
    namespace: "kustomize.toolkit.fluxcd.io/namespace",
};

/// Labels with the name and the namespace of what Flux applied an object for.
pub(crate) struct OwnerLabels {
    pub(crate) name: &'static str,
    pub(crate) namespace: &'static str,
}

impl OwnerLabels {
    /// Whether Flux applied the object for something of this name.
    pub(crate) fn are_of(&self, object: &Value, name: &str, namespace: &str) -> bool {
        let labels = &object["metadata"]["labels"];
        labels[self.name] == name && labels[self.namespace] == namespace
    }

    pub(crate) fn are_on(&self, object: &Value) -> bool {
        object["metadata"]["labels"][self.name].is_string()
    }
}

/// The source of a Kustomization has this in its name after that of the chart; a version never begins like this.
pub(crate) const OBJECTS: &str = "-objects-";

/// The label of a controller's workload with its name.
pub(crate) const COMPONENT: &str = "app.kubernetes.io/component";
/// Its value for a workload that runs all controllers of a delivery.
pub(crate) const TOGETHER: &str = "flux-controllers";

/// The reference to the HelmRelease of a chart in a namespace.
pub(crate) fn release(namespace: &Namespace, chart: ObjectName) -> ObjectRef {
    ObjectRef {
        api_version: RELEASES.into(),
        kind: "HelmRelease".into(),
        namespace: Some(namespace.clone()),
        name: chart,
    }
}

/// The reference to the Kustomization of a chart in a namespace.
pub(crate) fn kustomization(namespace: &Namespace, chart: ObjectName) -> ObjectRef {
    ObjectRef {
        api_version: KUSTOMIZATIONS.into(),
        kind: "Kustomization".into(),
        namespace: Some(namespace.clone()),
        name: chart,
    }
}
