//! How Flux marks what it applies.

use harmony_core::kubernetes::ObjectRef;
use harmony_types::{Namespace, ObjectName};

/// The API versions of Flux's own kinds.
pub(crate) const SOURCES: &str = "source.toolkit.fluxcd.io/v1";
pub(crate) const RELEASES: &str = "helm.toolkit.fluxcd.io/v2";

/// The field manager of everything that Flux applies for a HelmRelease.
pub(crate) const MANAGER: &str = "helm-controller";

/// The field managers with which Harmony suspends a HelmRelease, and protects an object from Helm.
pub(crate) const SUSPENDING: &str = "harmony-suspends-release";
pub(crate) const KEEPING: &str = "harmony-keeps-object";

/// The labels by which Flux marks the objects of a HelmRelease.
pub(crate) const NAME_LABEL: &str = "helm.toolkit.fluxcd.io/name";
pub(crate) const NAMESPACE_LABEL: &str = "helm.toolkit.fluxcd.io/namespace";

/// The label of a controller's workload with its name.
pub(crate) const COMPONENT: &str = "app.kubernetes.io/component";
/// Its value for a workload that runs all controllers of a delivery.
pub(crate) const TOGETHER: &str = "flux-controllers";

/// The reference to the HelmRelease of a chart in a namespace.
pub(crate) fn reference(namespace: &Namespace, chart: ObjectName) -> ObjectRef {
    ObjectRef {
        api_version: RELEASES.into(),
        kind: "HelmRelease".into(),
        namespace: Some(namespace.clone()),
        name: chart,
    }
}
