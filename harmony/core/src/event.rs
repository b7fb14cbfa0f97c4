//! What happens during a run, for whoever shows it: progress bars, log lines, JSON.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::mpsc;

use crate::diagnostic::Report;
use crate::outcome::{Change, Outcome};

/// One thing that happened. Serialised as it is by `--json`; the schema's version is [`SCHEMA_VERSION`].
#[derive(Debug, Clone, Serialize)]
#[serde(
    tag = "event",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
#[non_exhaustive]
pub enum Event {
    /// A Score began.
    ScoreStarted {
        /// Its name.
        score: String,
    },
    /// A Score ended well.
    ScoreFinished {
        /// Its name.
        score: String,
        /// What it did, or would do.
        outcome: Outcome,
    },
    /// A Score failed.
    ScoreFailed {
        /// Its name.
        score: String,
        /// Why.
        report: Report,
    },
    /// A step began.
    StepStarted {
        /// Joins the events of one step.
        step: StepId,
        /// What a person reads.
        label: String,
    },
    /// A step moved on.
    StepProgress {
        /// Which step.
        step: StepId,
        /// Where it is now, such as the crate that compiles.
        message: Option<String>,
        /// How far it is, when that can be counted.
        position: Option<Position>,
    },
    /// A step ended.
    StepFinished {
        /// Which step.
        step: StepId,
        /// How it ended.
        end: StepEnd,
        /// What came of it, such as a digest; empty when there is nothing to say.
        message: String,
    },
    /// Something changed, as soon as it did.
    Changed {
        /// What.
        change: Change,
    },
    /// Something a person should know although nothing failed.
    Warning {
        /// A whole sentence.
        message: String,
    },
}

/// The version of the JSON form of events, plans and results. Grows when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// Names one step within one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct StepId(u64);

/// How far a countable step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Done so far.
    pub done: u64,
    /// Of how many.
    pub total: u64,
    /// What is counted.
    pub unit: Unit,
}

/// What a [`Position`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things: objects, checks, crates.
    Items,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepEnd {
    /// It did its work.
    Done,
    /// There was nothing to do.
    Skipped,
    /// It was given up: an error or a cancellation says why.
    Unfinished,
}

/// The receiving end of the events of a run.
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

    /// Says where the step is now.
    pub fn message(&self, message: impl Into<String>) {
        self.bus.emit(Event::StepProgress {
            step: self.id,
            message: Some(message.into()),
            position: None,
        });
    }

    /// Says how far the step is.
    pub fn position(&self, done: u64, total: u64, unit: Unit) {
        let position = Some(Position { done, total, unit });
        self.bus.emit(Event::StepProgress {
            step: self.id,
            message: None,
            position,
        });
    }

    /// The step did its work; `message` says what came of it and may be empty.
    pub fn done(self, message: impl Into<String>) {
        self.end(StepEnd::Done, message.into());
    }

    /// There was nothing to do; `message` says why.
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
