//! A cluster for each stage.

use crate::chart::Stage;

/// Knows which cluster is for which stage.
///
/// [`AtStage`](crate::at_stage::AtStage) runs a Score on the cluster of a stage.
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` does not know its clusters by stage",
    label = "this topology lacks the capability `Stages`",
    note = "if `{Self}` has one cluster for all stages, write `impl Stages for {Self} {{}}`"
)]
pub trait Stages: Sized + Send + Sync {
    /// The same topology with the cluster for targets of this stage as its own: in the same mode, of the same run. `None`
    /// if there is one cluster for all stages. Contacts nothing.
    fn at_stage(&self, stage: Stage) -> Option<Self> {
        let _ = stage;
        None
    }
}
