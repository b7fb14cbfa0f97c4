//! Publishing the content of a work tree without a release.

use ambassador::delegatable_trait;

use super::oci_registry::RegistryLocation;

/// Accepts images and charts of work trees: your own machine, or a registry that is configured for this purpose.
///
/// Other users read the registry of a CI job and expect that each version in it is a commit. So a CI topology lacks
/// this capability, and publishing a work tree to it does not compile.
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` accepts only releases, not work trees",
    label = "this topology lacks the capability `WorkTrees`",
    note = "release a commit with `ReleaseScore` and deploy that release with `Released`, or deploy the work tree to a \
     topology that accepts it, such as `K8sAnywhereTopology`"
)]
pub trait WorkTrees: Send + Sync {
    /// The location for images and charts of work trees.
    fn work_trees(&self) -> &RegistryLocation;
}
