//! The state that all adapters of a topology share: plan or apply, cancellation, events.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::approval::{Approval, Approver, NotApproved, Pin, PinAnswer, Takeover};
pub use crate::cancelled::Cancelled;
use crate::event::{Event, EventBus, Events, Step};
use crate::outcome::Subject;

/// Whether a run writes. Adapters check the mode; Scores and Interprets do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Read only, and report what would change.
    Plan,
    /// Make the changes.
    Apply,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plan => "plan",
            Self::Apply => "apply",
        })
    }
}

/// Shared by the adapters of one topology, and cheap to clone. Clones share cancellation and events with the original.
#[derive(Debug, Clone)]
pub struct Context {
    mode: Mode,
    cancel: CancellationToken,
    events: Arc<EventBus>,
    approval: Approval,
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl Context {
    /// A context for applying, without listeners.
    pub fn new() -> Self {
        Self {
            mode: Mode::Apply,
            cancel: CancellationToken::new(),
            events: Arc::default(),
            approval: Approval::default(),
        }
    }

    /// The same run in planning mode, with the same cancellation and listeners.
    #[must_use]
    pub fn planning(&self) -> Self {
        Self {
            mode: Mode::Plan,
            ..self.clone()
        }
    }

    /// Plan or apply.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns true if nothing may be written.
    pub fn is_planning(&self) -> bool {
        self.mode == Mode::Plan
    }

    /// Cancelled by Ctrl-C and SIGTERM. Code that waits selects on it.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Returns an error if the run was cancelled. Call it between two steps.
    ///
    /// # Errors
    /// [`Cancelled`] if the run was cancelled.
    pub fn check_cancelled(&self) -> Result<(), Cancelled> {
        if self.cancel.is_cancelled() {
            Err(Cancelled)
        } else {
            Ok(())
        }
    }

    /// Runs `work` until it completes or the run is cancelled. Cancelled work is dropped at its current await point.
    ///
    /// # Errors
    /// [`Cancelled`] if the run was cancelled first.
    pub async fn unless_cancelled<F: Future>(&self, work: F) -> Result<F::Output, Cancelled> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Cancelled),
            output = work => Ok(output),
        }
    }

    /// Sets the approver of this run and its clones. Only the first call has an effect.
    pub fn set_approver(&self, approver: Arc<dyn Approver>) {
        self.approval.set(approver);
    }

    /// Asks for approval of everything that a step is about to delete. An adapter that deletes objects that a Score no
    /// longer contains calls this once, before the first write of the step. Objects that the user asked to delete by
    /// name need no approval, and neither do plans, empty lists, and runs without an approver.
    ///
    /// # Errors
    /// [`NotApproved`]: the step must end without writing anything.
    pub async fn approve_deletions(&self, deletions: &[Subject]) -> Result<(), NotApproved> {
        if self.is_planning() {
            return Ok(());
        }
        self.approval.ask(deletions).await
    }

    /// Asks for approval to take over objects of other owners. Unlike deletions, this always needs an approver; without
    /// one, the answer is no. While planning, nobody is asked and the answer is no.
    ///
    /// # Errors
    /// [`Cancelled`] if the run was cancelled while waiting for the answer.
    pub async fn approve_takeovers(&self, takeovers: &[Takeover]) -> Result<bool, Cancelled> {
        if self.is_planning() {
            return Ok(false);
        }
        self.approval.ask_about_takeovers(takeovers).await
    }

    /// Approves in advance that the digests of new content of others are recorded, also by a plan.
    pub fn record_pins(&self) {
        self.approval.record_pins();
    }

    /// Asks whether the digest of new content of others may be recorded. As with takeovers, this needs an approver,
    /// and nobody is asked while planning.
    ///
    /// # Errors
    /// [`Cancelled`] if the run was cancelled while waiting for the answer.
    pub async fn approve_pin(&self, pin: &Pin) -> Result<PinAnswer, Cancelled> {
        if self.approval.records_pins() {
            return Ok(PinAnswer::Record);
        }
        if self.is_planning() {
            return Ok(PinAnswer::Planned);
        }
        Ok(match self.approval.ask_about_pin(pin).await? {
            true => PinAnswer::Record,
            false => PinAnswer::Refuse,
        })
    }

    /// Sends an event to all listeners.
    pub fn emit(&self, event: Event) {
        self.events.emit(event);
    }

    /// Subscribes to all events from now on, without losing any and without blocking the sender.
    pub fn subscribe(&self) -> Events {
        self.events.subscribe()
    }

    /// Starts a step that users can watch, such as `build image harmony-fleet-operator`.
    ///
    /// A step that is dropped without [`Step::done`] is reported as unfinished.
    pub fn step(&self, label: impl Into<String>) -> Step {
        Step::begin(Arc::clone(&self.events), label.into())
    }
}
