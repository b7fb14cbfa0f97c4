//! How Argo CD marks what it applies.

use harmony_types::Namespace;

/// The API version of Argo CD's own kinds.
pub(crate) const API_VERSION: &str = "argoproj.io/v1alpha1";

/// The annotation by which Argo CD recognises the objects of an Application.
pub(crate) const TRACKING: &str = "argocd.argoproj.io/tracking-id";

/// The field manager of everything that Argo CD applies.
pub(crate) const MANAGER: &str = "argocd-controller";

/// The name of the Application for a chart in a namespace. A namespace has no dots, so that two pairs never share a name.
pub(crate) fn name(namespace: &Namespace, chart: &str) -> String {
    format!("{namespace}.{chart}")
}

/// The Application in a tracking annotation.
pub(crate) fn of_tracking(id: &str) -> &str {
    id.split(':').next().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_application_is_the_first_part_of_the_annotation() {
        assert_eq!(of_tracking("shop.web:apps/Deployment:shop/web"), "shop.web");
    }
}
