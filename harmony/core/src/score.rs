//! The description of the desired state ([`Score`]) and its execution ([`Interpret`]).

use std::fmt::Debug;

use async_trait::async_trait;
use tracing::Instrument;

use crate::event::Event;
use crate::{InterpretError, Inventory, Outcome, Topology};

/// A declarative description of one deployable thing or one action, such as "release this app" or "run NATS there".
///
/// A Score is plain data: creating, cloning or printing it has no effect. The capabilities that it needs are trait
/// bounds on the topology `T`:
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
    /// The name for display and filtering, such as `fleet-operator`; unique within a run.
    fn name(&self) -> String;

    /// Creates the execution of this Score, without any other effect.
    ///
    /// A composite Score returns [`composite::in_order`](crate::composite::in_order) of its [`parts`](Self::parts).
    fn create_interpret(&self) -> Box<dyn Interpret<T>>;

    /// The parts of a composite Score, in the order in which they run; empty for other Scores.
    ///
    /// The command line lists, filters, plans and reports each part by its own name.
    fn parts(&self) -> Vec<Box<dyn Score<T>>> {
        Vec::new()
    }

    /// Runs the Score in a tracing span with its name, and emits events at its start and end. Does nothing if the run
    /// has been cancelled.
    ///
    /// # Errors
    /// The error of [`Interpret::execute`], or `H0001` if the run was cancelled before it started.
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

/// A boxed Score is a Score, so a Score that wraps another can wrap one from a list.
impl<T: Topology> Score<T> for Box<dyn Score<T>> {
    fn name(&self) -> String {
        (**self).name()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        (**self).create_interpret()
    }

    fn parts(&self) -> Vec<Box<dyn Score<T>>> {
        (**self).parts()
    }
}

/// The execution of a Score with an [`Inventory`] and a topology.
///
/// # Guarantees an implementation gives
/// - **Idempotent**: a second run without a change to the Score changes nothing, and reports this.
/// - **Interruptible**: it can be cancelled or killed at any await point. The next run completes the work.
/// - **Independent of the mode**: it does not check whether it plans or applies. The adapters of the topology know, and
///   return the [`Change`](crate::outcome::Change) that they made or would make.
#[async_trait]
pub trait Interpret<T: Topology>: Send + Sync {
    /// Executes the Score.
    ///
    /// # Errors
    /// The typed error of the operation that failed, wrapped with the name of the Score.
    async fn execute(&self, inventory: &Inventory, topology: &T)
    -> Result<Outcome, InterpretError>;
}

/// Creates the list of Scores for a run from Scores of different types: `scores![nats, operator]`.
#[macro_export]
macro_rules! scores {
    ($($score:expr),* $(,)?) => {
        vec![$(::std::boxed::Box::new($score) as ::std::boxed::Box<dyn $crate::Score<_>>),*]
    };
}
