//! What is wanted ([`Score`]) and the act of bringing it about ([`Interpret`]).

use std::fmt::Debug;

use async_trait::async_trait;
use tracing::Instrument;

use crate::event::Event;
use crate::{InterpretError, Inventory, Outcome, Topology};

/// A declarative description of one deployable thing or one act, such as "release this app" or "run NATS there".
///
/// A Score is pure data: creating, cloning and printing it does nothing. What it needs of the world it says as bounds
/// on `T`, the topology:
///
/// ```
/// # use harmony_core::{async_trait, capability::OciRegistry, Interpret, InterpretError, Inventory, Outcome, Score, Topology};
/// #[derive(Debug, Clone)]
/// struct RegistryNameScore;
///
/// impl<T: Topology + OciRegistry> Score<T> for RegistryNameScore {
///     fn name(&self) -> String {
///         "registry-name".into()
///     }
///     fn create_interpret(&self) -> Box<dyn Interpret<T>> {
///         Box::new(self.clone())
///     }
/// }
///
/// #[async_trait]
/// impl<T: Topology + OciRegistry> Interpret<T> for RegistryNameScore {
///     async fn execute(&self, _: &Inventory, topology: &T) -> Result<Outcome, InterpretError> {
///         Ok(Outcome::unchanged().with_note(topology.registry_url().to_string()))
///     }
/// }
/// ```
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a Score that the topology `{T}` can run",
    label = "not a Score for `{T}`",
    note = "a Score is implemented for topologies with the capabilities it needs, or for one topology only: \
            implement the missing capability on `{T}`, or run the Score on a topology that has it"
)]
pub trait Score<T: Topology>: Debug + Send + Sync {
    /// The name a person filters and reads by, such as `fleet-operator`; unique within one run.
    fn name(&self) -> String;

    /// The execution of this Score. Creating it does nothing.
    ///
    /// A Score made of others returns [`composite::in_order`](crate::composite::in_order) of its [`parts`](Self::parts).
    fn create_interpret(&self) -> Box<dyn Interpret<T>>;

    /// The Scores that this one is made of, in the order they run; empty for a Score that does its work itself.
    ///
    /// A command line lists, filters, plans and reports each part by its own name.
    fn parts(&self) -> Vec<Box<dyn Score<T>>> {
        Vec::new()
    }

    /// Runs the Score: in a span of its name, with its start and end as events, and not at all once the run was
    /// cancelled.
    ///
    /// # Errors
    /// What [`Interpret::execute`] returned, or `H0001` when the run was cancelled before it began.
    async fn interpret(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        let name = self.name();
        let context = topology.context();
        context
            .check_cancelled()
            .map_err(|cancelled| InterpretError::new(&name, cancelled))?;
        context.emit(Event::ScoreStarted {
            score: name.clone(),
        });
        let interpret = self.create_interpret();
        let span = tracing::info_span!("score", name = %name, mode = %context.mode());
        let result = interpret
            .execute(inventory, topology)
            .instrument(span)
            .await;
        context.emit(match &result {
            Ok(outcome) => Event::ScoreFinished {
                score: name,
                outcome: outcome.clone(),
            },
            Err(error) => Event::ScoreFailed {
                score: name,
                report: error.report(),
            },
        });
        result
    }
}

/// The execution of a Score against an [`Inventory`] and a topology.
///
/// # Guarantees an implementation gives
/// - **Idempotent**: run again without a change of its Score it changes nothing and says so.
/// - **Interruptible**: it may be cancelled or killed at any await; running again converges.
/// - **Mode-blind**: it does not ask whether it plans or applies. The topology's adapters know, and return the
///   [`Change`](crate::outcome::Change) they made or would make.
#[async_trait]
pub trait Interpret<T: Topology>: Send + Sync {
    /// Does it.
    ///
    /// # Errors
    /// A typed error of the operation that failed, wrapped with the Score's name.
    async fn execute(&self, inventory: &Inventory, topology: &T)
    -> Result<Outcome, InterpretError>;
}

/// Boxes Scores of different types into the list that a run takes: `scores![nats, operator]`.
#[macro_export]
macro_rules! scores {
    ($($score:expr),* $(,)?) => {
        vec![$(::std::boxed::Box::new($score) as ::std::boxed::Box<dyn $crate::Score<_>>),*]
    };
}
