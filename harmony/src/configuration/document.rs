//! The file as a list of values with their lines.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};

/// The values of a file by their dotted keys.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) values: BTreeMap<String, Entry>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// A text or a boolean, as text.
    Text(String),
    Boolean(bool),
    /// A section without keys; one with keys is only seen through its keys.
    EmptySection,
    /// Anything else, for people: `a number`.
    Other(&'static str),
}

impl Document {
    /// Parses TOML. What cannot be parsed is added to `problems`; the rest is read.
    pub(super) fn parse(text: &str, problems: &mut Vec<Problem>) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        problems.extend(errors.iter().map(|error| {
            let line = error.span().map_or(1, |span| line(text, span.start));
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            Problem::new(Place::Line(line), format!("not valid TOML: {message}"), "")
        }));
        let mut document = Self::default();
        document.add(text, "", table.get_ref());
        document
    }

    fn add(&mut self, text: &str, section: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = match section {
                "" => key.get_ref().to_string(),
                section => format!("{section}.{}", key.get_ref()),
            };
            let line = line(text, key.span().start);
            match value.get_ref() {
                DeValue::Table(inner) if !inner.is_empty() => self.add(text, &path, inner),
                value => {
                    let content = content(value);
                    self.values.insert(path, Entry { line, content });
                }
            }
        }
    }
}

fn content(value: &DeValue<'_>) -> Content {
    match value {
        DeValue::String(text) => Content::Text(text.to_string()),
        DeValue::Boolean(value) => Content::Boolean(*value),
        DeValue::Table(_) => Content::EmptySection,
        DeValue::Integer(_) | DeValue::Float(_) => Content::Other("a number"),
        DeValue::Datetime(_) => Content::Other("a date"),
        DeValue::Array(list) => Content::Other(match list.iter().next().map(Spanned::get_ref) {
            Some(DeValue::Table(_)) => "a list of sections",
            _ => "a list",
        }),
    }
}

fn line(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}
