//! What every adapter of a topology carries: plan or apply, cancellation, events.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::approval::{Approval, Approver, NotApproved, Takeover};
pub use crate::cancelled::Cancelled;
use crate::event::{Event, EventBus, Events, Step};
use crate::outcome::Subject;

/// Whether a run writes. Adapters decide by it; Scores and Interprets never ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Read, and say what would change.
    Plan,
    /// Make it so.
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

/// Shared by the adapters of one topology; cheap to clone. A clone cancels with, and reports to, its original.
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
    /// A context that applies, with nobody listening yet.
    pub fn new() -> Self {
        Self {
            mode: Mode::Apply,
            cancel: CancellationToken::new(),
            events: Arc::default(),
            approval: Approval::default(),
        }
    }

    /// The same run in planning mode: cancellation and listeners are shared with `self`.
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

    /// True when nothing may be written.
    pub fn is_planning(&self) -> bool {
        self.mode == Mode::Plan
    }

    /// Cancelled by Ctrl-C and SIGTERM; whoever waits selects on it.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancel
    }

    /// An early way out for code between two steps.
    ///
    /// # Errors
    /// [`Cancelled`] once the run was cancelled.
    pub fn check_cancelled(&self) -> Result<(), Cancelled> {
        if self.cancel.is_cancelled() {
            Err(Cancelled)
        } else {
            Ok(())
        }
    }

    /// Runs `work` until it ends or the run is cancelled; cancelled work is dropped at its current await.
    ///
    /// # Errors
    /// [`Cancelled`] when the run was cancelled first.
    pub async fn unless_cancelled<F: Future>(&self, work: F) -> Result<F::Output, Cancelled> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Cancelled),
            output = work => Ok(output),
        }
    }

    /// Has deletions of this run and its clones approved by `approver`; the first one stays.
    pub fn set_approver(&self, approver: Arc<dyn Approver>) {
        self.approval.set(approver);
    }

    /// Asks for consent to everything a step is about to delete. An adapter that removes what a Score no longer holds
    /// (and nobody asked it by name to remove) calls this once, before the first write of that step. Planning, an empty
    /// list and a run without an approver need no consent.
    ///
    /// # Errors
    /// [`NotApproved`]: the step must end without having written.
    pub async fn approve_deletions(&self, deletions: &[Subject]) -> Result<(), NotApproved> {
        if self.is_planning() {
            return Ok(());
        }
        self.approval.ask(deletions).await
    }

    /// Asks for consent to take over objects that belong to somebody else. Unlike deletions this always needs an
    /// approver: without one the answer is no. Planning asks nobody, and says no.
    ///
    /// # Errors
    /// [`Cancelled`] when the run was cancelled while it was asked.
    pub async fn approve_takeovers(&self, takeovers: &[Takeover]) -> Result<bool, Cancelled> {
        if self.is_planning() {
            return Ok(false);
        }
        self.approval.ask_about_takeovers(takeovers).await
    }

    /// Tells all listeners.
    pub fn emit(&self, event: Event) {
        self.events.emit(event);
    }

    /// Every event from now on, without loss and without holding up the sender.
    pub fn subscribe(&self) -> Events {
        self.events.subscribe()
    }

    /// Begins a step that a person can watch, such as `build image harmony-fleet-operator`.
    ///
    /// A step that is dropped without [`Step::done`] is reported as not finished.
    pub fn step(&self, label: impl Into<String>) -> Step {
        Step::begin(Arc::clone(&self.events), label.into())
    }
}
