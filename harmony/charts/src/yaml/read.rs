//! The documents of a text, with the lines where they begin.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::{Map, Value};

use super::is_same_everywhere;
use super::plain::plain;

/// A document that is not empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The line where its content begins, starting at 1.
    pub line: usize,
    /// The value.
    pub value: Value,
}

/// Text that is not YAML, or YAML that parsers read differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlError {
    /// Starts at 1.
    pub line: usize,
    /// The problem, without the place.
    pub problem: String,
}

/// The maximum number of nodes of a text, with aliases expanded: nested aliases can double the size with every line.
const MAX_NODES: usize = 1_000_000;

/// The maximum size of a text in bytes, with aliases expanded.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The maximum nesting depth.
pub(super) const MAX_DEPTH: usize = 100;

/// All documents of `text` that are not null, in order.
///
/// Refuses, besides invalid YAML: duplicate keys, tags other than `!!str`, directives and `...`, keys that are not
/// scalars, and characters that YAML 1.1 and 1.2 read differently.
pub fn documents(text: &str) -> Result<Vec<Document>, YamlError> {
    check_text(text)?;
    let mut builder = Builder::default();
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(scan_error)?;
        builder.take(event, &span)?;
    }
    Ok(builder.documents)
}

fn scan_error(error: ScanError) -> YamlError {
    YamlError {
        line: error.marker().line(),
        problem: format!("is not YAML: {}", error.info()),
    }
}

/// What the library would read differently than Go does.
fn check_text(text: &str) -> Result<(), YamlError> {
    for (index, line) in text.split('\n').enumerate() {
        let refuse = |problem: String| {
            Err(YamlError {
                line: index + 1,
                problem,
            })
        };
        if let Some(odd) = line
            .chars()
            .find(|character| !is_same_everywhere(*character))
        {
            return refuse(format!(
                "the character U+{:04X} is interpreted differently by YAML parsers: write it as an escape in \
                 double quotes",
                u32::from(odd)
            ));
        }
        // Helm splits a file at every line that begins with `---`, whatever follows.
        if line
            .strip_prefix("---")
            .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(char::is_whitespace))
        {
            return refuse("starts with `---`, where Helm splits the file: indent the line".into());
        }
        if line.trim_end() == "..." {
            return refuse("`...` ends a document only for some parsers: write `---`".into());
        }
        if line.starts_with('%') {
            return refuse(
                "a directive is interpreted differently by YAML parsers: remove it".into(),
            );
        }
    }
    Ok(())
}

#[derive(Default)]
struct Builder {
    documents: Vec<Document>,
    open: Vec<Collection>,
    anchors: BTreeMap<usize, Anchored>,
    size: Size,
}

/// The size with aliases expanded.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

/// What an alias refers to.
struct Anchored {
    value: Value,
    size: Size,
}

struct Collection {
    items: Items,
    anchor: usize,
    line: usize,
    before: Size,
}

enum Items {
    List(Vec<Value>),
    Map {
        entries: Map<String, Value>,
        /// The explicit keys: all but those merged by `<<`.
        written: BTreeSet<String>,
        key: Option<Key>,
    },
}

enum Key {
    Text(String),
    /// `<<`: merges the entries of another map.
    Merge,
}

/// A value, with the context that decides where it is allowed.
struct Node {
    value: Value,
    line: usize,
    /// A plain `<<`.
    is_merge: bool,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), YamlError> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let size = Size {
                    nodes: 1,
                    bytes: text.len(),
                };
                self.count(size, line)?;
                let is_merge = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
                let value = scalar(text, style, tag.as_deref())
                    .map_err(|problem| YamlError { line, problem })?;
                self.remember(anchor, &value, size);
                self.add(Node {
                    value,
                    line,
                    is_merge,
                })
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(Items::List(Vec::new()), anchor, tag.as_deref(), "seq", line)
            }
            Event::MappingStart(_, anchor, tag) => {
                let items = Items::Map {
                    entries: Map::new(),
                    written: BTreeSet::new(),
                    key: None,
                };
                self.begin(items, anchor, tag.as_deref(), "map", line)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => {
                let Some(anchored) = self.anchors.get(&id) else {
                    let problem = "an alias is inside of the node that it refers to".into();
                    return Err(YamlError { line, problem });
                };
                // counted first: the copy is what must not grow
                let size = anchored.size;
                self.count(size, line)?;
                let value = self.anchors[&id].value.clone();
                self.add(Node {
                    value,
                    line,
                    is_merge: false,
                })
            }
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        items: Items,
        anchor: usize,
        tag: Option<&Tag>,
        expected: &str,
        line: usize,
    ) -> Result<(), YamlError> {
        if let Some(tag) = tag
            && tag.core_suffix() != Some(expected)
        {
            return Err(YamlError {
                line,
                problem: format!("the tag `{tag}` is not supported"),
            });
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(YamlError {
                line,
                problem: format!("is nested deeper than {MAX_DEPTH}"),
            });
        }
        let before = self.size;
        let size = Size { nodes: 1, bytes: 0 };
        self.count(size, line)?;
        self.open.push(Collection {
            items,
            anchor,
            line,
            before,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), YamlError> {
        let Some(collection) = self.open.pop() else {
            return Ok(());
        };
        let value = match collection.items {
            Items::List(items) => Value::Array(items),
            Items::Map { entries, .. } => Value::Object(entries),
        };
        let size = Size {
            nodes: self.size.nodes - collection.before.nodes,
            bytes: self.size.bytes - collection.before.bytes,
        };
        self.remember(collection.anchor, &value, size);
        self.add(Node {
            value,
            line: collection.line,
            is_merge: false,
        })
    }

    fn remember(&mut self, anchor: usize, value: &Value, size: Size) {
        if anchor > 0 {
            let value = value.clone();
            self.anchors.insert(anchor, Anchored { value, size });
        }
    }

    fn count(&mut self, size: Size, line: usize) -> Result<(), YamlError> {
        self.size.nodes = self.size.nodes.saturating_add(size.nodes);
        self.size.bytes = self.size.bytes.saturating_add(size.bytes);
        let refuse = |problem| Err(YamlError { line, problem });
        if self.size.nodes > MAX_NODES {
            return refuse(format!("expands to more than {MAX_NODES} values"));
        }
        if self.size.bytes > MAX_BYTES {
            return refuse(format!("expands to more than {MAX_BYTES} bytes of text"));
        }
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), YamlError> {
        let Node {
            value,
            line,
            is_merge,
        } = node;
        let refuse = |problem: String| YamlError { line, problem };
        match self.open.last_mut().map(|collection| &mut collection.items) {
            None => {
                if !value.is_null() {
                    self.documents.push(Document { line, value });
                }
            }
            Some(Items::List(items)) => items.push(value),
            Some(Items::Map {
                entries,
                written,
                key,
            }) => match key.take() {
                None if is_merge => *key = Some(Key::Merge),
                None => {
                    let text = key_text(value).map_err(refuse)?;
                    if !written.insert(text.clone()) {
                        return Err(refuse(format!("the key `{text}` occurs twice")));
                    }
                    *key = Some(Key::Text(text));
                }
                Some(Key::Text(text)) => {
                    entries.insert(text, value);
                }
                Some(Key::Merge) => merge(entries, value).map_err(refuse)?,
            },
        }
        Ok(())
    }
}

/// In order, as Go does it: later entries win, even over an earlier explicit key.
fn merge(entries: &mut Map<String, Value>, value: Value) -> Result<(), String> {
    match value {
        Value::Object(other) => {
            entries.extend(other);
            Ok(())
        }
        // The first of a list wins.
        Value::Array(others) => others.into_iter().rev().try_for_each(|other| match other {
            Value::Object(_) => merge(entries, other),
            _ => Err("the value of the merge key `<<` is not a mapping".into()),
        }),
        _ => Err("the value of the merge key `<<` is not a mapping".into()),
    }
}

fn key_text(key: Value) -> Result<String, String> {
    match key {
        Value::String(text) => Ok(text),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) if !number.is_f64() => Ok(number.to_string()),
        other => Err(format!("the key `{other}` is not a string: quote it")),
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    match tag {
        Some(tag) if tag.core_suffix() == Some("str") => Ok(Value::String(text.into_owned())),
        Some(tag) => Err(format!("the tag `{tag}` is not supported")),
        None if style == ScalarStyle::Plain => plain(text),
        None => Ok(Value::String(text.into_owned())),
    }
}
