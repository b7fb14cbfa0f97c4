//! Taking what is deployed from a work tree, without a release.

use ambassador::delegatable_trait;

use super::oci_registry::RegistryLocation;

/// Takes images and charts of work trees: a machine of one's own, or a registry that somebody names for it.
///
/// Others read a CI job's registry and trust that each version there is a commit, so a CI topology lacks this
/// capability: publishing a work tree to it does not compile.
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` takes releases only, not work trees",
    label = "this topology lacks the capability `WorkTrees`",
    note = "release a commit with `ReleaseScore` and deploy that release with `Released`, or deploy the work tree to a topology \
            that takes it, such as `K8sAnywhereTopology`"
)]
pub trait WorkTrees: Send + Sync {
    /// Where images and charts of work trees go.
    fn work_trees(&self) -> &RegistryLocation;
}
