//! The events of a run, for progress bars, log lines and JSON.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::mpsc;

use crate::diagnostic::Report;
use crate::outcome::{Change, Outcome};

/// Something that happened during a run. `--json` serializes it as is; [`SCHEMA_VERSION`] is the version of the schema.
#[derive(Debug, Clone, Serialize)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
#[non_exhaustive]
pub enum Event {
    /// A Score has started.
    ScoreStarted {
        /// The name of the Score.
        score: String,
    },
    /// A Score has succeeded.
    ScoreFinished {
        /// The name of the Score.
        score: String,
        /// What it did or would do.
        outcome: Outcome,
    },
    /// A Score has failed.
    ScoreFailed {
        /// The name of the Score.
        score: String,
        /// The error.
        report: Report,
    },
    /// A step has started.
    StepStarted {
        /// Identifies the events of this step.
        step: StepId,
        /// The text for users.
        label: String,
    },
    /// A step has made progress.
    StepProgress {
        /// The step.
        step: StepId,
        /// The current activity, such as the crate that is being compiled.
        message: Option<String>,
        /// The progress, if it can be measured.
        position: Option<Position>,
    },
    /// A step has ended.
    StepFinished {
        /// The step.
        step: StepId,
        /// How it ended.
        end: StepEnd,
        /// The result, such as a digest; can be empty.
        message: String,
    },
    /// Something has changed; sent immediately after the change.
    Changed {
        /// The change.
        change: Change,
    },
    /// Something users should know although nothing failed.
    Warning {
        /// A complete sentence.
        message: String,
    },
}

/// The version of the JSON schema of events, plans and results. It increases when a field is removed or changes its
/// meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// Identifies a step within a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct StepId(u64);

/// The progress of a step that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Position {
    /// The amount done so far.
    pub done: u64,
    /// The total amount.
    pub total: u64,
    /// The unit of both.
    pub unit: Unit,
}

/// The unit of a [`Position`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Items: objects, checks, crates.
    Items,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepEnd {
    /// It succeeded.
    Done,
    /// There was nothing to do.
    Skipped,
    /// It was abandoned because of an error or a cancellation.
    Unfinished,
}

/// The receiver of the events of a run.
pub type Events = mpsc::UnboundedReceiver<Event>;

#[derive(Debug, Default)]
pub(crate) struct EventBus {
    listeners: Mutex<Vec<mpsc::UnboundedSender<Event>>>,
    next_step: AtomicU64,
}

impl EventBus {
    pub(crate) fn emit(&self, event: Event) {
        let mut listeners = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener.send(event.clone()).is_ok());
    }

    pub(crate) fn subscribe(&self) -> Events {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
        receiver
    }
}

/// A running step; see [`Context::step`](crate::Context::step).
#[derive(Debug)]
pub struct Step {
    id: StepId,
    bus: Arc<EventBus>,
    ended: bool,
}

impl Step {
    pub(crate) fn begin(bus: Arc<EventBus>, label: String) -> Self {
        let id = StepId(bus.next_step.fetch_add(1, Ordering::Relaxed));
        bus.emit(Event::StepStarted { step: id, label });
        Self {
            id,
            bus,
            ended: false,
        }
    }

    /// Sets the current activity.
    pub fn message(&self, message: impl Into<String>) {
        self.bus.emit(Event::StepProgress {
            step: self.id,
            message: Some(message.into()),
            position: None,
        });
    }

    /// Sets the progress.
    pub fn position(&self, done: u64, total: u64, unit: Unit) {
        let position = Some(Position { done, total, unit });
        self.bus.emit(Event::StepProgress {
            step: self.id,
            message: None,
            position,
        });
    }

    /// Ends the step successfully. `message` is the result and can be empty.
    pub fn done(self, message: impl Into<String>) {
        self.end(StepEnd::Done, message.into());
    }

    /// Ends the step because there was nothing to do. `message` is the reason.
    pub fn skipped(self, message: impl Into<String>) {
        self.end(StepEnd::Skipped, message.into());
    }

    fn end(mut self, end: StepEnd, message: String) {
        self.ended = true;
        self.bus.emit(Event::StepFinished {
            step: self.id,
            end,
            message,
        });
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            self.bus.emit(Event::StepFinished {
                step: self.id,
                end: StepEnd::Unfinished,
                message: String::new(),
            });
        }
    }
}
