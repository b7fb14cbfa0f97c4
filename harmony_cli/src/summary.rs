//! Formats plans and results as text, with pure functions.

mod field;

use std::fmt::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use harmony_core::diagnostic::FailureKind;
use harmony_core::outcome::{Action, Change};
use harmony_core::{Mode, Outcome};
use harmony_types::printable;
use serde::Serialize;

/// The result of a Score, or of the preparation of the topology.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ScoreResult {
    /// The name of the Score, or of the topology.
    pub(crate) score: String,
    /// What it did or would do.
    pub(crate) outcome: Outcome,
}

/// The number of changes of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) create: usize,
    pub(crate) update: usize,
    pub(crate) delete: usize,
    pub(crate) unchanged: usize,
}

impl Counts {
    pub(crate) fn of<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Self {
        let mut counts = Self::default();
        for change in changes {
            *match change.action {
                Action::Create => &mut counts.create,
                Action::Update => &mut counts.update,
                Action::Delete => &mut counts.delete,
                Action::Unchanged => &mut counts.unchanged,
            } += 1;
        }
        counts
    }

    fn is_unchanged(self) -> bool {
        self.create + self.update + self.delete == 0
    }

    pub(crate) fn of_all(results: &[ScoreResult]) -> Self {
        Self::of(results.iter().flat_map(|result| &result.outcome.changes))
    }

    /// `2 created, 1 deleted, 3 unchanged`, or for a plan `2 to create, 1 to delete, 3 unchanged`, or `no changes`.
    pub(crate) fn in_words(self, mode: Mode) -> String {
        let words = match mode {
            Mode::Apply => ["created", "updated", "deleted"],
            Mode::Plan => ["to create", "to update", "to delete"],
        };
        let effective = [self.create, self.update, self.delete];
        let mut parts: Vec<String> = effective
            .iter()
            .zip(words)
            .filter(|(count, _)| **count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        if parts.is_empty() {
            return "no changes".into();
        }
        if self.unchanged > 0 {
            parts.push(format!("{} unchanged", self.unchanged));
        }
        parts.join(", ")
    }
}

/// What an apply would do, Score by Score. Unchanged subjects are only counted.
pub(crate) fn plan(results: &[ScoreResult]) -> String {
    let mut text = String::new();
    for result in results {
        changes(&mut text, result, Mode::Plan);
        for check in &result.outcome.checks {
            let _ = writeln!(text, "  ? check  {check}");
        }
    }
    let _ = writeln!(
        text,
        "plan: {}",
        Counts::of_all(results).in_words(Mode::Plan)
    );
    text
}

/// What an apply did: the changes, the totals, and information for the user's next step.
pub(crate) fn applied(results: &[ScoreResult], elapsed: Duration) -> String {
    let mut text = String::new();
    for result in results {
        if !result.outcome.is_unchanged() {
            changes(&mut text, result, Mode::Apply);
        }
    }
    text.push_str(&Counts::of_all(results).in_words(Mode::Apply));
    let checks: usize = results
        .iter()
        .map(|result| result.outcome.checks.len())
        .sum();
    let _ = match checks {
        0 => Ok(()),
        1 => write!(text, "; 1 check passed"),
        checks => write!(text, "; {checks} checks passed"),
    };
    let _ = writeln!(text, " ({})", seconds(elapsed));
    let mut notes = results
        .iter()
        .flat_map(|result| &result.outcome.notes)
        .peekable();
    if notes.peek().is_some() {
        text.push('\n');
    }
    for note in notes {
        text.push_str(&printable::text(note));
        text.push('\n');
    }
    text
}

/// How far a failed apply got; empty if no Score was completed. The progress output shows what the failed Score did.
pub(crate) fn stopped(results: &[ScoreResult], scores: usize, kind: FailureKind) -> String {
    // the first result is the preparation of the topology, which may still have been running
    let finished = results.get(1..).unwrap_or_default();
    let done = finished.len();
    if done == 0 {
        return String::new();
    }
    let counts = Counts::of_all(finished);
    let word = if kind == FailureKind::Refused {
        "refused"
    } else {
        "stopped"
    };
    let so_far = if counts.is_unchanged() {
        "no changes so far".to_owned()
    } else {
        format!("changes so far: {}", counts.in_words(Mode::Apply))
    };
    format!("{word} after {done} of {scores} Scores; {so_far}\n")
}

fn changes(text: &mut String, result: &ScoreResult, mode: Mode) {
    let counts = Counts::of(&result.outcome.changes).in_words(mode);
    let heading = Style::new().bold();
    let _ = writeln!(text, "{heading}{}{heading:#}: {counts}", result.score);
    for change in result.outcome.effective() {
        let (sign, color) = match change.action {
            Action::Create => ('+', AnsiColor::Green),
            Action::Update => ('~', AnsiColor::Yellow),
            Action::Delete => ('-', AnsiColor::Red),
            Action::Unchanged => (' ', AnsiColor::White),
        };
        let style = color.on_default();
        let _ = write!(
            text,
            "  {style}{sign} {:<6}{style:#} {}",
            change.action.to_string(),
            printable::line(&change.subject.to_string())
        );
        if let Some(note) = &change.note {
            let _ = write!(text, " ({})", printable::line(note));
        }
        text.push('\n');
        for field in &change.fields {
            field::write(text, field);
        }
    }
}

/// `0.4 s`, `12.3 s`, `3 min 05 s`.
pub(crate) fn seconds(elapsed: Duration) -> String {
    let whole = elapsed.as_secs();
    if whole < 60 {
        format!("{:.1} s", elapsed.as_secs_f64())
    } else {
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use harmony_core::outcome::{FieldChange, FieldValue, Subject};

    use super::*;

    fn change(action: Action, name: &str) -> Change {
        Change::new(action, Subject::File(name.into()))
    }

    fn results() -> Vec<ScoreResult> {
        let update = change(Action::Update, "b").with_fields(vec![
            FieldChange {
                path: "data.port".into(),
                before: FieldValue::Known(4222.into()),
                after: FieldValue::Known(4223.into()),
            },
            FieldChange {
                path: "data.password".into(),
                before: FieldValue::Absent,
                after: FieldValue::Redacted,
            },
        ]);
        let mut nats = Outcome::from(vec![
            change(Action::Create, "a").with_note("1.2 MiB"),
            update,
            change(Action::Unchanged, "c"),
            change(Action::Delete, "d"),
        ])
        .with_note("nats is at 127.0.0.1:4222");
        nats.checks.push("NATS answers".into());
        vec![
            ScoreResult {
                score: "topology local".into(),
                outcome: change(Action::Unchanged, "node").into(),
            },
            ScoreResult {
                score: "nats".into(),
                outcome: nats,
            },
        ]
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_plan_lists_what_would_change_and_counts_the_rest() {
        assert_eq!(
            plain(&plan(&results())),
            "\
topology local: no changes
nats: 1 to create, 1 to update, 1 to delete, 1 unchanged
  + create file a (1.2 MiB)
  ~ update file b
      data.port: 4222 -> 4223
      data.password: (not set) -> (hidden)
  - delete file d
  ? check  NATS answers
plan: 1 to create, 1 to update, 1 to delete, 2 unchanged
"
        );
    }

    #[test]
    fn a_plan_without_changes_says_so() {
        assert_eq!(
            plain(&plan(&results()[..1])),
            "topology local: no changes\nplan: no changes\n"
        );
    }

    #[test]
    fn an_apply_ends_with_what_a_person_wants_to_know_next() {
        assert_eq!(
            plain(&applied(&results(), Duration::from_millis(61_500))),
            "\
nats: 1 created, 1 updated, 1 deleted, 1 unchanged
  + create file a (1.2 MiB)
  ~ update file b
      data.port: 4222 -> 4223
      data.password: (not set) -> (hidden)
  - delete file d
1 created, 1 updated, 1 deleted, 2 unchanged; 1 check passed (1 min 01 s)

nats is at 127.0.0.1:4222
"
        );
    }

    #[test]
    fn an_apply_without_changes_is_one_line() {
        assert_eq!(
            plain(&applied(&results()[..1], Duration::from_millis(840))),
            "no changes (0.8 s)\n"
        );
    }

    #[test]
    fn what_was_done_before_the_end_is_told() {
        let stopped = |count, kind| stopped(&results()[..count], 3, kind);
        assert_eq!(stopped(1, FailureKind::Failed), "");
        assert_eq!(
            stopped(2, FailureKind::Refused),
            "refused after 1 of 3 Scores; changes so far: 1 created, 1 updated, 1 deleted, 1 unchanged\n"
        );
    }
}
