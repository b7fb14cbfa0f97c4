//! Placeholders: the parts of a template that are replaced by values. They are the part of Helm's template language
//! that the format uses.
//!
//! ```text
//! hole      = "{{ " ( value " | toJson" | ".Release.Namespace" | literal ) " }}"
//! value     = reference | printf
//! printf    = "printf " string ( " " reference )+
//! reference = ".Release.Namespace" | ".Values" ( "." name )+
//! ```
//!
//! A placeholder is written with [`Display`](fmt::Display), in the form that [`Hole::read`] reads.

use std::fmt::{self, Write as _};

use harmony_types::Namespace;
use serde_json::Value;

use crate::values::{ValuePath, Values};

/// A placeholder, which is filled when the chart is rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hole {
    /// `{{ .Release.Namespace }}`: the unquoted namespace, within other text.
    Namespace,
    /// `{{ "{{" }}`: the two characters.
    Braces,
    /// `{{ reference | toJson }}`: one value, or the quoted namespace.
    Whole(Reference),
    /// `{{ printf "text" references | toJson }}`: a quoted string that contains references.
    Text(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Literal(String),
    Reference(Reference),
}

/// What a placeholder refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// The namespace of the release.
    Namespace,
    Value(ValuePath),
}

/// Why a placeholder cannot be read or filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The form is not known to this module.
    Beyond,
    /// It is invalid; Helm would return an error or nonsense.
    Wrong(String),
}

impl Hole {
    /// The placeholder at the start of `text`, and the rest of the text.
    pub(crate) fn read(text: &str) -> Result<(Self, &str), Problem> {
        let mut reader = Reader(text);
        let hole = reader.hole().ok_or(Problem::Beyond)?;
        Ok((hole.map_err(Problem::Wrong)?, reader.0))
    }

    /// The text that replaces it; it contains no line break.
    pub(crate) fn fill(&self, values: &Values, namespace: &Namespace) -> Result<String, Problem> {
        let value = match self {
            Self::Namespace => return Ok(namespace.to_string()),
            Self::Braces => return Ok("{{".into()),
            Self::Whole(reference) => reference.value(values, namespace)?,
            Self::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Literal(literal) => text.push_str(literal),
                        Piece::Reference(reference) => {
                            text.push_str(&reference.text(values, namespace)?);
                        }
                    }
                }
                Value::String(text)
            }
        };
        Ok(go_json(&value))
    }
}

impl Reference {
    fn value(&self, values: &Values, namespace: &Namespace) -> Result<Value, Problem> {
        match self {
            Self::Namespace => Ok(Value::from(namespace.as_str())),
            Self::Value(path) => values.get(path.as_str()).cloned().ok_or_else(|| {
                Problem::Wrong(format!("refers to `{path}`, which is not in values.yaml"))
            }),
        }
    }

    fn text(&self, values: &Values, namespace: &Namespace) -> Result<String, Problem> {
        let kind = match self.value(values, namespace)? {
            Value::String(text) => return Ok(text),
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Array(_) => "a list",
            Value::Object(_) => "a mapping",
        };
        let name = match self {
            Self::Namespace => "the namespace",
            Self::Value(path) => path.as_str(),
        };
        Err(Problem::Wrong(format!(
            "inserts `{name}` into a string, but its value is {kind}: quote it in the values"
        )))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace => f.write_str(".Release.Namespace"),
            Self::Value(path) => write!(f, ".Values.{path}"),
        }
    }
}

/// The text in the template.
impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace => f.write_str("{{ .Release.Namespace }}"),
            Self::Braces => f.write_str("{{ \"{{\" }}"),
            Self::Whole(reference) => write!(f, "{{{{ {reference} | toJson }}}}"),
            Self::Text(pieces) => {
                f.write_str("{{ printf \"")?;
                for piece in pieces {
                    match piece {
                        Piece::Literal(text) => write_escaped(text, f)?,
                        Piece::Reference(_) => f.write_str("%s")?,
                    }
                }
                f.write_str("\"")?;
                for piece in pieces {
                    if let Piece::Reference(reference) = piece {
                        write!(f, " {reference}")?;
                    }
                }
                f.write_str(" | toJson }}")
            }
        }
    }
}

/// Escapes text for a Go string literal in a `printf` format.
fn write_escaped(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for character in text.chars() {
        match character {
            '%' => f.write_str("%%")?,
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
            other => f.write_char(other)?,
        }
    }
    Ok(())
}

/// The output of Helm's `toJson`, which is Go's `encoding/json`: `<`, `>`, `&` and two Unicode line breaks are escaped.
/// They can only occur in strings, so the whole output is searched.
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

/// Reads one placeholder and moves behind it.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    /// `None` if it is outside of the format, an error if it is invalid.
    fn hole(&mut self) -> Option<Result<Hole, String>> {
        self.take("{{")?;
        self.spaces()?;
        let hole = if self.take("\"{{\"").is_some() {
            Ok(Hole::Braces)
        } else if self.take("printf").is_some() {
            self.printf()?
        } else {
            match self.reference()? {
                Reference::Namespace if self.end().is_some() => return Some(Ok(Hole::Namespace)),
                reference => {
                    self.pipe_to_json()?;
                    Ok(Hole::Whole(reference))
                }
            }
        };
        self.end()?;
        Some(hole)
    }

    fn printf(&mut self) -> Option<Result<Hole, String>> {
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
        (!references.is_empty()).then(|| pieces(&format, references).map(Hole::Text))
    }

    fn pipe_to_json(&mut self) -> Option<()> {
        self.spaces()?;
        self.take("|")?;
        self.spaces()?;
        self.take("toJson")
    }

    /// Does nothing if this is not the end.
    fn end(&mut self) -> Option<()> {
        let mut reader = Reader(self.0);
        reader.spaces()?;
        reader.take("}}")?;
        self.0 = reader.0;
        Some(())
    }

    /// Does nothing if there is no reference, or if it is part of a longer word.
    fn reference(&mut self) -> Option<Reference> {
        let length = self
            .0
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'))?;
        let (word, rest) = self.0.split_at(length);
        let reference = if word == ".Release.Namespace" {
            Reference::Namespace
        } else {
            let path = word.strip_prefix(".Values.")?;
            Reference::Value(ValuePath::parse(path)?)
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

/// The format string of a `printf`, with its references filled in.
fn pieces(format: &str, references: Vec<Reference>) -> Result<Vec<Piece>, String> {
    let given = references.len();
    let mut references = references.into_iter();
    let mut count = 0;
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' => match characters.next() {
                Some('%') => literal.push('%'),
                Some('s') => {
                    count += 1;
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.extend(references.next().map(Piece::Reference));
                }
                Some(other) => {
                    return Err(format!(
                        "contains `%{other}`, but only `%s` and `%%` are allowed"
                    ));
                }
                None => return Err("ends with `%`: write `%%`".into()),
            },
            other => literal.push(other),
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    if count != given {
        return Err(format!("has {count} `%s`, but {given} references"));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests;
