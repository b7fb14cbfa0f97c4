//! Values as YAML that every parser reads in the same way.

use std::fmt::{self, Display, Formatter};

use serde_json::Value;

use super::json;
use super::plain::plain;

/// Keys that come first; the others are sorted by name.
const FIRST_KEYS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// The longest key that parsers accept without a `?`, which is 1024 for most; a character may have four bytes.
const LONGEST_KEY: usize = 250;

/// Formats a value as YAML: the same value has the same bytes, whatever the order of its map in memory.
pub fn write(value: &Value) -> String {
    Node::of(value).to_string()
}

/// A YAML document whose keys and scalars are written verbatim.
pub(crate) enum Node {
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Array(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(key, _)| rank(key));
                let entries = entries.into_iter();
                Self::Map(
                    entries
                        .map(|(key, value)| (text(key), Self::of(value)))
                        .collect(),
                )
            }
            other => Self::Scalar(scalar(other)),
        }
    }
}

/// The position of a key among others.
pub(crate) fn rank(key: &str) -> (usize, &str) {
    let first = FIRST_KEYS.iter().position(|name| *name == key);
    (first.unwrap_or(FIRST_KEYS.len()), key)
}

/// A value on one line; lists and mappings are written as JSON.
pub(crate) fn scalar(value: &Value) -> String {
    match value {
        Value::String(words) => text(words),
        other => json(other),
    }
}

/// A string, quoted unless every parser reads it unquoted.
pub(crate) fn text(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else {
        json(&Value::from(text))
    }
}

/// Begins with a letter or `/` and contains only characters without a meaning in YAML; no parser reads it as anything
/// but a string, in any letter case.
fn is_plain(text: &str) -> bool {
    let starts_plainly = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_plain_inside = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-/@+=: ".contains(c));
    let ends_plainly = !text.ends_with([' ', ':']) && !text.contains(": ");
    let is_text =
        |word: &str| matches!(plain(word.into()), Ok(Value::String(same)) if same == word);
    starts_plainly
        && is_plain_inside
        && ends_plainly
        && is_text(text)
        && is_text(&text.to_ascii_lowercase())
}

/// The whole document, with a line break at its end.
impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(items) if !items.is_empty() => self.block(0, f),
            Self::Map(entries) if !entries.is_empty() => self.block(0, f),
            small => {
                small.inline(f)?;
                f.write_str("\n")
            }
        }
    }
}

impl Node {
    /// A scalar, or an empty value.
    fn inline(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar(scalar) => scalar,
            Self::List(_) => "[]",
            Self::Map(_) => "{}",
        })
    }

    /// The lines of a non-empty value; the first begins at the current position, the others at `indent`.
    fn block(&self, indent: usize, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(entries) if !entries.is_empty() => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    start(index, indent, f)?;
                    if key.len() > LONGEST_KEY {
                        write!(f, "? {key}\n{:indent$}:", "")?;
                    } else {
                        write!(f, "{key}:")?;
                    }
                    value.after_key(indent, f)?;
                }
                Ok(())
            }
            Self::List(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    start(index, indent, f)?;
                    f.write_str("- ")?;
                    item.block(indent + 2, f)?;
                }
                Ok(())
            }
            small => {
                small.inline(f)?;
                f.write_str("\n")
            }
        }
    }

    /// A list is indented like its key, as `kubectl` and Helm write it.
    fn after_key(&self, indent: usize, f: &mut Formatter<'_>) -> fmt::Result {
        let (is_block, deeper) = match self {
            Self::Map(entries) => (!entries.is_empty(), indent + 2),
            Self::List(items) => (!items.is_empty(), indent),
            Self::Scalar(_) => (false, indent),
        };
        if is_block {
            write!(f, "\n{:deeper$}", "")?;
        } else {
            f.write_str(" ")?;
        }
        self.block(deeper, f)
    }
}

fn start(index: usize, indent: usize, f: &mut Formatter<'_>) -> fmt::Result {
    if index > 0 {
        write!(f, "{:indent$}", "")?;
    }
    Ok(())
}
