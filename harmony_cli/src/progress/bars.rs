//! Progress on a terminal: a spinner or a bar for each running step, and a line for each completed one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use harmony_core::Mode;
use harmony_core::event::{Event, Position, StepEnd, StepId, Unit};
use harmony_types::printable;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::lines::{ending, why};
use crate::summary::Counts;
use crate::{output, render};

/// The terminal while bars may be visible. All other output goes through it, so that the two do not overwrite each
/// other.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    bars: Option<MultiProgress>,
}

impl Screen {
    pub(crate) fn new(with_bars: bool) -> Self {
        let bars = with_bars.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self { bars }
    }

    /// Writes to stderr.
    pub(crate) fn message(&self, text: &str) {
        self.suspend(|| output::message(text));
    }

    /// Hides the bars while `work` uses the terminal.
    pub(crate) fn suspend<R>(&self, work: impl FnOnce() -> R) -> R {
        match &self.bars {
            Some(bars) => bars.suspend(work),
            None => work(),
        }
    }

    /// Removes the bars permanently.
    pub(crate) fn clear(&self) {
        if let Some(bars) = &self.bars {
            // a terminal that is gone needs no clearing
            let _ = bars.clear();
        }
    }
}

/// Draws events.
pub(super) struct Bars {
    screen: Screen,
    mode: Mode,
    steps: BTreeMap<StepId, Step>,
}

struct Step {
    bar: ProgressBar,
    label: String,
    began: Instant,
    counted: bool,
}

const SPINNER: &str = "{spinner:.cyan} {prefix} {elapsed:.dim} {wide_msg:.dim}";
const BAR_BYTES: &str =
    "{spinner:.cyan} {prefix} [{bar:24.cyan}] {bytes}/{total_bytes} {elapsed:.dim} {wide_msg:.dim}";
const BAR_ITEMS: &str =
    "{spinner:.cyan} {prefix} [{bar:24.cyan}] {pos}/{len} {elapsed:.dim} {wide_msg:.dim}";
const REDRAW: Duration = Duration::from_millis(120);

impl Bars {
    pub(super) fn new(screen: Screen, mode: Mode) -> Self {
        Self {
            screen,
            mode,
            steps: BTreeMap::new(),
        }
    }

    pub(super) fn show(&mut self, event: &Event) {
        match event {
            Event::ScoreStarted { score } => {
                let bold = Style::new().bold();
                self.screen.message(&format!("{bold}{score}{bold:#}\n"));
            }
            Event::ScoreFinished { score, outcome } => {
                let counts = Counts::of(&outcome.changes).in_words(self.mode);
                self.ended(StepEnd::Done, &format!("{score}: {counts}"));
            }
            Event::ScoreFailed { score, report } => {
                let text = format!("{score}: {}", why(report));
                self.ended(StepEnd::Unfinished, &text);
            }
            Event::StepStarted { step, label } => self.begin(*step, label),
            Event::StepProgress {
                step,
                message,
                position,
            } => self.progress(*step, message.as_deref(), *position),
            Event::StepFinished { step, end, message } => {
                if let Some(step) = self.steps.remove(step) {
                    step.bar.finish_and_clear();
                    let how = ending(*end, message, step.began.elapsed());
                    self.ended(*end, &format!("{}: {how}", step.label));
                }
            }
            Event::Warning { message } => self.screen.message(&render::warning(message)),
            // shown as part of the result of the Score
            _ => {}
        }
    }

    pub(super) fn finish(&mut self) {
        for step in self.steps.values() {
            step.bar.finish_and_clear();
        }
        self.steps.clear();
        self.screen.clear();
        // separates the progress from the result
        self.screen.message("\n");
    }

    fn begin(&mut self, id: StepId, label: &str) {
        let Some(bars) = &self.screen.bars else {
            return;
        };
        let bar = bars.add(ProgressBar::new_spinner());
        bar.set_style(style(SPINNER));
        bar.set_prefix(printable::line(label));
        bar.enable_steady_tick(REDRAW);
        let step = Step {
            bar,
            label: label.to_owned(),
            began: Instant::now(),
            counted: false,
        };
        self.steps.insert(id, step);
    }

    fn progress(&mut self, id: StepId, message: Option<&str>, position: Option<Position>) {
        let Some(step) = self.steps.get_mut(&id) else {
            return;
        };
        if let Some(message) = message {
            step.bar.set_message(printable::line(message));
        }
        if let Some(position) = position {
            if !step.counted {
                step.counted = true;
                step.bar.set_style(style(match position.unit {
                    Unit::Bytes => BAR_BYTES,
                    Unit::Items => BAR_ITEMS,
                }));
            }
            step.bar.set_length(position.total);
            step.bar.set_position(position.done);
        }
    }

    fn ended(&self, end: StepEnd, text: &str) {
        let (sign, color) = match end {
            StepEnd::Done => ('✓', AnsiColor::Green),
            StepEnd::Skipped => ('-', AnsiColor::BrightBlack),
            StepEnd::Unfinished => ('✗', AnsiColor::Red),
        };
        let color = color.on_default();
        self.screen.message(&format!(
            "{color}{sign}{color:#} {}\n",
            printable::line(text)
        ));
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .progress_chars("=> ")
}
