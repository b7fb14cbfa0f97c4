//! Where a Score runs.

use async_trait::async_trait;

use crate::{Context, InterpretError, Outcome};

/// A place that Scores run against: a concrete struct composed of adapters, which implements the capabilities it has.
///
/// Topologies are known when a binary is compiled and picked when it runs, with a `match`; there is no
/// `Box<dyn Topology>`. A topology hands its capabilities to its adapters with one `#[delegate(...)]` line each.
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a topology",
    note = "implement `Topology` for the struct that composes your adapters"
)]
pub trait Topology: Send + Sync {
    /// The name a person knows it by, such as `local` or `ci`.
    fn name(&self) -> &str;

    /// What all adapters of this topology share: plan or apply, cancellation, events.
    fn context(&self) -> &Context;

    /// The same topology in planning mode: every adapter reads and none writes.
    ///
    /// An implementation rebuilds its adapters on [`Context::planning`], so that the transport itself refuses writes.
    #[must_use]
    fn into_planning(self) -> Self
    where
        Self: Sized;

    /// Prepares the topology: brings a local node up, checks that a registry answers. Idempotent; when planning it
    /// only says what it would do.
    ///
    /// # Errors
    /// What stands in the way, with the way out as a hint.
    async fn ensure_ready(&self) -> Result<Outcome, InterpretError>;
}
