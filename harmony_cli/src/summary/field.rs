//! Formats a field that differs: on one line if it fits, otherwise as two values below each other. For multi-line
//! values, only the lines that differ are shown.

use std::collections::BTreeMap;
use std::fmt::Write;

use harmony_core::outcome::FieldChange;

/// If the line `path: before -> after` is longer than this, it is split.
const WIDTH: usize = 100;

/// The maximum number of lines of each value.
const LINES: usize = 20;

/// Adds the lines for `field` to `text`, indented below their change.
pub(super) fn write(text: &mut String, field: &FieldChange) {
    let before = plain(&field.before.to_string());
    let after = plain(&field.after.to_string());
    let path = plain(&field.path);
    let length = path.len() + before.len() + after.len();
    if length <= WIDTH && !before.contains('\n') && !after.contains('\n') {
        let _ = writeln!(text, "      {path}: {before} -> {after}");
        return;
    }
    let _ = writeln!(text, "      {path}:");
    for (sign, lines) in [
        ('-', only_in(&before, &after)),
        ('+', only_in(&after, &before)),
    ] {
        for line in lines.iter().take(LINES) {
            let _ = writeln!(text, "        {sign} {line}");
        }
        if lines.len() > LINES {
            let _ = writeln!(
                text,
                "        {sign} and {} more lines",
                lines.len() - LINES
            );
        }
    }
}

/// The lines of `one` that are not in `other`, counting duplicates. If only the order of the lines differs, all lines.
fn only_in<'a>(one: &'a str, other: &str) -> Vec<&'a str> {
    let mut spare: BTreeMap<&str, usize> = BTreeMap::new();
    for line in other.lines() {
        *spare.entry(line).or_default() += 1;
    }
    let lacking: Vec<&str> = one
        .lines()
        .filter(|line| match spare.get_mut(line) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
        .collect();
    let same_lines = lacking.is_empty() && one.lines().count() == other.lines().count();
    if same_lines {
        one.lines().collect()
    } else {
        lacking
    }
}

/// Untrusted values must not control the terminal.
fn plain(text: &str) -> String {
    harmony_types::printable::text(text)
}

#[cfg(test)]
mod tests {
    use harmony_core::outcome::FieldValue;

    use super::*;

    fn written(before: &str, after: &str) -> String {
        let field = FieldChange {
            path: "data.config".into(),
            before: FieldValue::Known(before.into()),
            after: FieldValue::Known(after.into()),
        };
        let mut text = String::new();
        write(&mut text, &field);
        text
    }

    #[test]
    fn short_values_stand_on_one_line_and_long_ones_under_one_another() {
        assert_eq!(written("a", "b"), "      data.config: a -> b\n");
        let (long, other) = ("x".repeat(60), "y".repeat(60));
        assert_eq!(
            written(&long, &other),
            format!("      data.config:\n        - {long}\n        + {other}\n")
        );
    }

    #[test]
    fn of_several_lines_only_those_that_differ_are_shown() {
        assert_eq!(
            written("port: 1\nsame\nlast\n", "port: 2\nsame\nlast\nmore\n"),
            "      data.config:\n        - port: 1\n        + port: 2\n        + more\n"
        );
        assert_eq!(
            written("a\nb", "b\na"),
            "      data.config:\n        - a\n        - b\n        + b\n        + a\n"
        );
    }

    #[test]
    fn a_long_text_is_cut_and_its_control_sequences_are_left_out() {
        let many: String = (0..25)
            .map(|line| format!("\u{1b}[31mline {line}\n"))
            .fold(String::new(), |all, one| all + &one);
        let text = written("", &many);
        assert!(
            text.ends_with("        + line 19\n        + and 5 more lines\n"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'));
    }
}
