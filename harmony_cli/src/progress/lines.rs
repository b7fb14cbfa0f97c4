//! Progress as plain lines: the start and end of each step, and regular updates.

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

/// A step that is shorter than this gets a single line.
const BRIEF: Duration = Duration::from_millis(400);

/// The time between two lines for the same step.
const EVERY: Duration = Duration::from_secs(5);

/// A step without news for this long is reported as still running.
const SILENCE: Duration = Duration::from_secs(30);

/// Converts events to lines. Pure: the time is an argument.
pub(super) struct Lines {
    began: Instant,
    mode: Mode,
    steps: BTreeMap<StepId, Step>,
}

struct Step {
    label: String,
    began: Instant,
    /// The time of its last line; `None` before the first one.
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

    /// The lines for `event`; empty if there is nothing to show.
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
            // shown as part of the result of the Score
            _ => String::new(),
        }
    }

    /// The lines that are due because time has passed.
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

/// A short reason for the failure of a Score. The complete error is shown at the end.
pub(super) fn why(report: &Report) -> String {
    match report.kind {
        FailureKind::Failed | FailureKind::Usage => format!("failed ({})", report.code),
        FailureKind::Refused => format!("refused ({})", report.code),
        FailureKind::Cancelled => "cancelled".into(),
    }
}

/// A description of how a step ended.
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
