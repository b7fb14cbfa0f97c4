//! Templates: Kubernetes objects with placeholders, written from a tree and filled with values.

use std::collections::BTreeMap;

use harmony_types::Namespace;
use serde_json::Value;

use crate::hole::{Hole, Problem};
use crate::values::Values;
use crate::yaml::{self, Node};

/// The maximum size of a filled template, in bytes.
const MAX_FILLED: usize = 16 * 1024 * 1024;

/// A JSON value in which some scalars are placeholders.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Hole(Hole),
    Scalar(Value),
    List(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
}

impl Tree {
    /// The text of a template.
    pub(crate) fn write(&self) -> String {
        self.node().to_string()
    }

    fn node(&self) -> Node {
        match self {
            Self::Hole(hole) => Node::Scalar(hole.to_string()),
            Self::Scalar(value) => Node::Scalar(without_holes(&yaml::scalar(value))),
            Self::List(items) => Node::List(items.iter().map(Self::node).collect()),
            Self::Map(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_by_key(|(key, _)| yaml::rank(key));
                let entries = entries.into_iter();
                Node::Map(
                    entries
                        .map(|(key, item)| (without_holes(&yaml::text(key)), item.node()))
                        .collect(),
                )
            }
        }
    }
}

/// A literal `{{`.
fn without_holes(text: &str) -> String {
    text.replace("{{", &Hole::Braces.to_string())
}

/// A placeholder that cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HoleError {
    /// Starts at 1.
    pub(crate) line: usize,
    /// The source text, shortened.
    pub(crate) hole: String,
    pub(crate) problem: Problem,
}

/// Fills all placeholders of a template. Line numbers stay the same, because no placeholder produces a line break.
pub(crate) fn fill(
    template: &str,
    values: &Values,
    namespace: &Namespace,
) -> Result<String, HoleError> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    let mut line = 1;
    while let Some(at) = rest.find("{{") {
        let (before, from_hole) = rest.split_at(at);
        filled.push_str(before);
        line += before.matches('\n').count();
        let refuse = |problem| HoleError {
            line,
            hole: excerpt(from_hole),
            problem,
        };
        let (hole, after) = Hole::read(from_hole).map_err(refuse)?;
        let text = hole.fill(values, namespace).map_err(refuse)?;
        if filled.len() + text.len() > MAX_FILLED {
            return Err(refuse(Problem::Wrong(format!(
                "makes the file larger than {MAX_FILLED} bytes"
            ))));
        }
        filled.push_str(&text);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The placeholder at the start of `text` for messages: to its end, or to the end of the line.
fn excerpt(text: &str) -> String {
    const LONGEST: usize = 100;
    let line = text.lines().next().unwrap_or_default();
    let end = line.find("}}").map_or(line.len(), |at| at + 2);
    let hole = &line[..end];
    match hole.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}...", &hole[..cut]),
        None => hole.to_owned(),
    }
}

#[cfg(test)]
mod tests;
