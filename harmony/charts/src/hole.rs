//! Holes: the part of Helm's template language that a chart of the format uses.
//!
//! ```text
//! hole      = "{{ " ( value " | toJson" | ".Release.Namespace" | literal ) " }}"
//! value     = reference | printf
//! printf    = "printf " string ( " " reference )+
//! reference = ".Release.Namespace" | ".Values" ( "." name )+
//! ```

use harmony_types::Namespace;
use serde_json::Value;

use crate::values;

/// The most that a template may become, in bytes, with its holes filled.
const MAX_FILLED: usize = 16 * 1024 * 1024;

/// A hole that cannot be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HoleError {
    /// Counted from 1.
    pub(crate) line: usize,
    /// As it stands in the template, shortened.
    pub(crate) hole: String,
    pub(crate) problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It is of a form that this module does not know.
    Beyond,
    /// It is wrong, and Helm would give an error or nonsense.
    Wrong(String),
}

/// The template with every hole filled. Line numbers stay: no hole gives a line break.
pub(crate) fn fill(
    template: &str,
    values: &Value,
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
        let mut reader = Reader(from_hole);
        let hole = reader.hole().ok_or_else(|| refuse(Problem::Beyond))?;
        let text = hole
            .give(values, namespace)
            .map_err(|problem| refuse(Problem::Wrong(problem)))?;
        if filled.len() + text.len() > MAX_FILLED {
            return Err(refuse(Problem::Wrong(format!(
                "makes the file larger than {MAX_FILLED} bytes"
            ))));
        }
        filled.push_str(&text);
        rest = reader.0;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The hole at the start of `text` as it is shown: to its end, or to the end of the line.
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

#[derive(Debug, PartialEq, Eq)]
enum Hole<'a> {
    /// `{{ .Release.Namespace }}`: as it is.
    Namespace,
    /// `{{ "{{" }}`: the two characters.
    Braces,
    /// `{{ reference | toJson }}`.
    Json(Reference<'a>),
    /// `{{ printf "format" references | toJson }}`.
    Printf {
        format: String,
        references: Vec<Reference<'a>>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reference<'a> {
    Namespace,
    /// The dotted path after `.Values.`.
    Value(&'a str),
}

impl Hole<'_> {
    fn give(&self, values: &Value, namespace: &Namespace) -> Result<String, String> {
        match self {
            Self::Namespace => Ok(namespace.to_string()),
            Self::Braces => Ok("{{".into()),
            Self::Json(reference) => Ok(go_json(&reference.read(values, namespace)?)),
            Self::Printf { format, references } => printf(format, references, values, namespace)
                .map(|text| go_json(&Value::String(text))),
        }
    }
}

impl Reference<'_> {
    fn read(self, values: &Value, namespace: &Namespace) -> Result<Value, String> {
        match self {
            Self::Namespace => Ok(Value::from(namespace.as_str())),
            Self::Value(path) => values::lookup(values, path)
                .cloned()
                .ok_or_else(|| format!("names `{path}`, which values.yaml lacks")),
        }
    }

    fn text(self, values: &Value, namespace: &Namespace) -> Result<String, String> {
        let kind = match self.read(values, namespace)? {
            Value::String(text) => return Ok(text),
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Array(_) => "a list",
            Value::Object(_) => "a mapping",
        };
        match self {
            Self::Value(path) => Err(format!(
                "puts `{path}` into a text, and that is {kind}: quote it in the values"
            )),
            Self::Namespace => Err("puts no text into a text".into()),
        }
    }
}

fn printf(
    format: &str,
    references: &[Reference<'_>],
    values: &Value,
    namespace: &Namespace,
) -> Result<String, String> {
    let mut text = String::new();
    let mut arguments = references.iter();
    let mut count = 0;
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' => match characters.next() {
                Some('%') => text.push('%'),
                Some('s') => {
                    count += 1;
                    if let Some(reference) = arguments.next() {
                        text.push_str(&reference.text(values, namespace)?);
                    }
                }
                Some(other) => {
                    return Err(format!(
                        "has `%{other}` in its text, where only `%s` and `%%` may stand"
                    ));
                }
                None => return Err("ends its text with `%`: write `%%`".into()),
            },
            other => text.push(other),
        }
    }
    if count != references.len() {
        return Err(format!(
            "has {count} times `%s` and {} references",
            references.len()
        ));
    }
    Ok(text)
}

/// What Helm's `toJson` writes, which is Go's `encoding/json`: `<`, `>`, `&` and two line breaks of Unicode escaped.
/// They can stand in texts only, so the whole is searched.
fn go_json(value: &Value) -> String {
    let json = value.to_string();
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Reads one hole; afterwards holds what follows it.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn hole(&mut self) -> Option<Hole<'a>> {
        self.take("{{")?;
        self.spaces()?;
        let hole = if self.take("\"{{\"").is_some() {
            Hole::Braces
        } else if self.take("printf").is_some() {
            self.printf()?
        } else {
            match self.reference()? {
                Reference::Namespace if self.end().is_some() => return Some(Hole::Namespace),
                reference => {
                    self.pipe_to_json()?;
                    Hole::Json(reference)
                }
            }
        };
        self.end()?;
        Some(hole)
    }

    fn printf(&mut self) -> Option<Hole<'a>> {
        self.spaces()?;
        let format = self.string()?;
        let mut references = Vec::new();
        loop {
            let before = self.0;
            self.spaces()?;
            let Some(reference) = self.reference() else {
                self.0 = before;
                break;
            };
            references.push(reference);
        }
        self.pipe_to_json()?;
        (!references.is_empty()).then_some(Hole::Printf { format, references })
    }

    fn pipe_to_json(&mut self) -> Option<()> {
        self.spaces()?;
        self.take("|")?;
        self.spaces()?;
        self.take("toJson")
    }

    /// Leaves everything as it is when this is not the end.
    fn end(&mut self) -> Option<()> {
        let mut reader = Reader(self.0);
        reader.spaces()?;
        reader.take("}}")?;
        self.0 = reader.0;
        Some(())
    }

    /// Leaves everything as it is when there is no reference, and nothing of a longer word.
    fn reference(&mut self) -> Option<Reference<'a>> {
        let length = self
            .0
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))?;
        let (word, rest) = self.0.split_at(length);
        let reference = if word == ".Release.Namespace" {
            Reference::Namespace
        } else {
            let path = word.strip_prefix(".Values.")?;
            path.split('.')
                .all(is_name)
                .then_some(Reference::Value(path))?
        };
        self.0 = rest;
        Some(reference)
    }

    fn string(&mut self) -> Option<String> {
        self.take("\"")?;
        let mut text = String::new();
        loop {
            let character = self.0.chars().next()?;
            self.0 = &self.0[character.len_utf8()..];
            match character {
                '"' => return Some(text),
                '\n' => return None,
                '\\' => text.push(self.escape()?),
                other => text.push(other),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let character = self.0.chars().next()?;
        self.0 = &self.0[character.len_utf8()..];
        Some(match character {
            '"' => '"',
            '\\' => '\\',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let digits = self.0.get(..4)?;
                if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return None;
                }
                self.0 = &self.0[4..];
                char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
            }
            _ => return None,
        })
    }

    /// One or more.
    fn spaces(&mut self) -> Option<()> {
        let rest = self.0.trim_start_matches(' ');
        (rest.len() < self.0.len()).then(|| self.0 = rest)
    }

    fn take(&mut self, word: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(word)?;
        Some(())
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests;
