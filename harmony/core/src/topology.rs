//! Where a Score runs.

use async_trait::async_trait;

use crate::{Context, InterpretError, Outcome};

/// A place where Scores run: a concrete struct of adapters that implements the capabilities it has.
///
/// The topologies of a program are fixed at compile time and selected at run time with a `match`; there is no `Box<dyn
/// Topology>`. A topology delegates its capabilities to its adapters, with one `#[delegate(...)]` line each.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a topology",
    note = "implement `Topology` for the struct that composes your adapters"
)]
pub trait Topology: Send + Sync {
    /// The name for users, such as `local` or `ci`.
    fn name(&self) -> &str;

    /// The state that all adapters of this topology share: plan or apply, cancellation, events.
    fn context(&self) -> &Context;

    /// The same topology in planning mode, in which adapters only read.
    ///
    /// Implementations recreate their adapters with [`Context::planning`], so that the clients themselves refuse
    /// writes.
    #[must_use]
    fn into_planning(self) -> Self
    where
        Self: Sized;

    /// Prepares the topology, for example by starting a local node. Idempotent. While planning, it only reports what it
    /// would do.
    ///
    /// # Errors
    /// The problem, with its solution as a hint.
    async fn ensure_ready(&self) -> Result<Outcome, InterpretError>;
}
