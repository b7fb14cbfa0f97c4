//! Holes: what stands in a template where a value will be.

use std::fmt::Write;

use serde_json::Value;

use super::values::{ChartValue, ChartValues, ValuePath};

/// Something that is filled when the chart is rendered; always a whole YAML scalar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hole {
    /// One value or the namespace, as it is.
    Whole(Reference),
    /// A text with references in it.
    Text(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    Reference(Reference),
}

/// What a hole refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// The namespace of the release.
    Namespace,
    /// A value.
    Value(ValuePath),
}

impl Reference {
    fn template(&self) -> String {
        match self {
            Self::Namespace => ".Release.Namespace".to_owned(),
            Self::Value(path) => format!(".Values.{path}"),
        }
    }

    fn fill(&self, values: &ChartValues) -> Option<Value> {
        match self {
            Self::Namespace => Some(Value::from(values.namespace().as_str())),
            Self::Value(path) => values
                .iter()
                .find(|(other, _)| *other == path)
                .map(|(_, value)| value.to_json()),
        }
    }
}

impl Hole {
    /// As it stands in a template.
    pub(super) fn template(&self) -> String {
        match self {
            Self::Whole(reference) => format!("{{{{ {} | toJson }}}}", reference.template()),
            Self::Text(pieces) => {
                let mut format = String::new();
                let mut references = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Literal(text) => push_escaped(&mut format, text),
                        Piece::Reference(reference) => {
                            format.push_str("%s");
                            references.push(' ');
                            references.push_str(&reference.template());
                        }
                    }
                }
                format!("{{{{ printf \"{format}\"{references} | toJson }}}}")
            }
        }
    }

    /// What the hole gives for `values`; `None` for a reference to a value that there is not.
    pub(super) fn fill(&self, values: &ChartValues) -> Option<Value> {
        match self {
            Self::Whole(reference) => reference.fill(values),
            Self::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Literal(literal) => text.push_str(literal),
                        Piece::Reference(reference) => {
                            text.push_str(reference.fill(values)?.as_str()?);
                        }
                    }
                }
                Some(Value::from(text))
            }
        }
    }

    /// Reads the marks in `text` back: `None` when it has none.
    pub(super) fn read(text: &str, marks: &[(String, Reference)]) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((at, mark, reference)) = next_mark(rest, marks) {
            if at > 0 {
                pieces.push(Piece::Literal(rest[..at].to_owned()));
            }
            pieces.push(Piece::Reference(reference.clone()));
            rest = &rest[at + mark.len()..];
        }
        if pieces.is_empty() {
            return None;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        Some(match pieces.as_slice() {
            [Piece::Reference(reference)] => Self::Whole(reference.clone()),
            _ => Self::Text(pieces),
        })
    }
}

fn next_mark<'a>(
    text: &str,
    marks: &'a [(String, Reference)],
) -> Option<(usize, &'a str, &'a Reference)> {
    marks
        .iter()
        .filter_map(|(mark, reference)| Some((text.find(mark.as_str())?, mark.as_str(), reference)))
        .min_by_key(|(at, ..)| *at)
}

/// A Go string literal within a `printf` format.
fn push_escaped(format: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '%' => format.push_str("%%"),
            '"' => format.push_str("\\\""),
            '\\' => format.push_str("\\\\"),
            '\n' => format.push_str("\\n"),
            '\r' => format.push_str("\\r"),
            '\t' => format.push_str("\\t"),
            control if control.is_control() => {
                // writing to a String cannot fail
                let _ = write!(format, "\\u{:04x}", u32::from(control));
            }
            other => format.push(other),
        }
    }
}

/// The kind of marked value that stands for `value` in call number `index`: text that survives wherever a name may
/// stand, numbers that fit 32 bits. A flag cannot be marked and stays.
pub(super) fn mark_of(value: &ChartValue, index: usize) -> ChartValue {
    match value {
        ChartValue::Text(_) => ChartValue::Text(format!("harmony-hole-{index}-end")),
        ChartValue::Number(_) => {
            ChartValue::Number(1_900_000_000 + i64::try_from(index).unwrap_or_default())
        }
        ChartValue::Flag(flag) => ChartValue::Flag(*flag),
    }
}
