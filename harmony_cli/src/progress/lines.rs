//! Progress as plain lines: the start and the end of each step, and now and then where it is.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use harmony_core::Mode;
use harmony_core::diagnostic::{FailureKind, Report};
use harmony_core::event::{Event, Position, StepEnd, StepId, Unit};
use harmony_types::printable;
use indicatif::HumanBytes;

use crate::render;
use crate::summary::{Counts, seconds};

/// A step that ends sooner than this gets one line, not two.
const BRIEF: Duration = Duration::from_millis(400);

/// Between two lines of one step that goes on.
const EVERY: Duration = Duration::from_secs(5);

/// After so long without a word a step is said to be still running.
const SILENCE: Duration = Duration::from_secs(30);

/// Turns events into lines. Pure: it is told the time.
pub(super) struct Lines {
    began: Instant,
    mode: Mode,
    steps: BTreeMap<StepId, Step>,
}

struct Step {
    label: String,
    began: Instant,
    /// When its last line was; `None` before its first.
    printed: Option<Instant>,
    message: Option<String>,
    position: Option<Position>,
    news: bool,
}

impl Lines {
    pub(super) fn new(began: Instant, mode: Mode) -> Self {
        Self {
            began,
            mode,
            steps: BTreeMap::new(),
        }
    }

    /// The lines that `event` is worth now; empty when it is not.
    pub(super) fn show(&mut self, event: &Event, now: Instant) -> String {
        match event {
            Event::ScoreStarted { score } => self.line(now, &format!("score {score}")),
            Event::ScoreFinished { score, outcome } => {
                let counts = Counts::of(&outcome.changes).in_words(self.mode);
                self.line(now, &format!("score {score}: {counts}"))
            }
            Event::ScoreFailed { score, report } => {
                let text = format!("score {score}: {}", why(report));
                self.line(now, &text)
            }
            Event::StepStarted { step, label } => {
                let state = Step {
                    label: label.clone(),
                    began: now,
                    printed: None,
                    message: None,
                    position: None,
                    news: false,
                };
                self.steps.insert(*step, state);
                String::new()
            }
            Event::StepProgress {
                step,
                message,
                position,
            } => {
                if let Some(step) = self.steps.get_mut(step) {
                    step.news = true;
                    step.message = message.clone().or(step.message.take());
                    step.position = position.or(step.position);
                }
                self.tick(now)
            }
            Event::StepFinished { step, end, message } => {
                let Some(step) = self.steps.remove(step) else {
                    return String::new();
                };
                let took = now.duration_since(step.began);
                let text = format!("{}: {}", step.label, ending(*end, message, took));
                self.line(now, &text)
            }
            Event::Warning { message } => render::warning(message),
            // shown as part of the score's result
            _ => String::new(),
        }
    }

    /// The lines that are due because time went by.
    pub(super) fn tick(&mut self, now: Instant) -> String {
        let mut due = Vec::new();
        for step in self.steps.values_mut() {
            let Some(printed) = step.printed else {
                if now.duration_since(step.began) >= BRIEF {
                    due.push(step.label.clone());
                    step.printed = Some(now);
                }
                continue;
            };
            let since = now.duration_since(printed);
            if step.news && since >= EVERY {
                due.push(format!("{}: {}", step.label, step.where_it_is()));
            } else if since >= SILENCE {
                let runs = now.duration_since(step.began).as_secs();
                due.push(format!("{}: still running after {runs} s", step.label));
            } else {
                continue;
            }
            step.printed = Some(now);
            step.news = false;
        }
        due.iter().map(|text| self.line(now, text)).collect()
    }

    fn line(&self, now: Instant, text: &str) -> String {
        let elapsed = now.duration_since(self.began).as_secs_f64();
        format!("[{elapsed:6.1}s] {}\n", printable::line(text))
    }
}

impl Step {
    fn where_it_is(&self) -> String {
        let mut text = String::new();
        if let Some(position) = self.position {
            let _ = match position.unit {
                Unit::Bytes => write!(
                    text,
                    "{} of {}",
                    HumanBytes(position.done),
                    HumanBytes(position.total)
                ),
                Unit::Items => write!(text, "{} of {}", position.done, position.total),
            };
        }
        if let Some(message) = &self.message {
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(message);
        }
        text
    }
}

/// Why a score ended badly, in a few words: the whole error is shown at the end.
pub(super) fn why(report: &Report) -> String {
    match report.kind {
        FailureKind::Failed | FailureKind::Usage => format!("failed ({})", report.code),
        FailureKind::Refused => format!("refused ({})", report.code),
        FailureKind::Cancelled => "cancelled".into(),
    }
}

/// How a step ended, in words.
pub(super) fn ending(end: StepEnd, message: &str, took: Duration) -> String {
    let word = match (end, message) {
        (StepEnd::Done, "") => "done",
        (StepEnd::Skipped, "") => "nothing to do",
        (StepEnd::Unfinished, "") => "not finished",
        (_, message) => message,
    };
    if took < Duration::from_millis(100) {
        word.to_owned()
    } else {
        format!("{word} ({})", seconds(took))
    }
}

#[cfg(test)]
mod tests;
