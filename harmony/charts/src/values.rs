//! The values of a chart, which can differ between targets.

use std::collections::BTreeMap;
use std::fmt;

use harmony_types::Namespace;
use serde_json::{Map, Value};

use crate::error::{ChartError, Place, RenderError};
use crate::yaml;

const FILE: &str = "values.yaml";

/// The largest integer (and, negated, the smallest) that a float represents exactly. Helm reads numbers as floats, so a
/// larger one would change.
const MAX_EXACT: f64 = 9_007_199_254_740_991.0;

/// The content of a `values.yaml`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Values(Map<String, Value>);

/// The path of a value, such as `nats.url`. Each part consists of letters, digits and `_`, and does not start with a
/// digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValuePath(String);

/// The target namespace and the values of a chart by their dotted path. The default of a value determines its type.
#[derive(Debug, Clone, PartialEq)]
pub struct ChartValues {
    namespace: Namespace,
    values: Values,
}

/// A value of a [`ChartModel`](crate::ChartModel).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartValue {
    Text(String),
    /// A whole number that floating-point numbers can represent exactly, because Helm reads numbers as floating point.
    Number(i64),
    /// A boolean.
    Flag(bool),
}

impl Values {
    /// Parses a `values.yaml`.
    ///
    /// # Errors
    /// [`RenderError::File`] if it is not a mapping, or contains a number that Helm would change.
    pub(crate) fn read(values_yaml: &str) -> Result<Self, RenderError> {
        let refuse = |line, problem: String| RenderError::File {
            place: Place::line(FILE, line),
            problem,
        };
        let mut documents =
            yaml::documents(values_yaml).map_err(|error| refuse(error.line, error.problem))?;
        if let [_, second, ..] = documents.as_slice() {
            return Err(refuse(
                second.line,
                "there is a second document: the values must be a single mapping".into(),
            ));
        }
        let Some(document) = documents.pop() else {
            return Ok(Self::default());
        };
        check_numbers(&document.value)
            .map_err(|problem| refuse(document.line, format!("a value {problem}")))?;
        match document.value {
            Value::Object(map) => Ok(Self(map)),
            _ => Err(refuse(document.line, "the values are not a mapping".into())),
        }
    }

    /// Formats it as a `values.yaml`.
    pub(crate) fn to_yaml(&self) -> String {
        yaml::write(&Value::Object(self.0.clone()))
    }

    /// Overrides values with `replacements` (by dotted path).
    ///
    /// # Errors
    /// [`RenderError::Value`] for a path that does not exist, and for a number that Helm would change.
    pub(crate) fn replaced(
        &self,
        replacements: &BTreeMap<String, Value>,
    ) -> Result<Self, RenderError> {
        let mut values = Value::Object(self.0.clone());
        for (path, value) in replacements {
            if self.get(path).is_none() {
                return Err(RenderError::Value {
                    path: path.clone(),
                    problem: "is not one of this chart".into(),
                    help: self.known(),
                });
            }
            let place = path
                .split('.')
                .try_fold(&mut values, |at, key| at.get_mut(key))
                .ok_or_else(|| leads_through_another(path))?;
            merge(place, value);
            check_numbers(place).map_err(|problem| RenderError::Value {
                path: path.clone(),
                problem,
                help: "make it a string, which is not changed".into(),
            })?;
        }
        Ok(Self::of(values))
    }

    /// Only the values of a target, by dotted path, in the form of a Helm `-f` file.
    ///
    /// # Errors
    /// [`RenderError::Value`] when one path leads through another's value.
    pub(crate) fn of_target(values: &BTreeMap<String, Value>) -> Result<Self, RenderError> {
        let mut root = Value::Object(Map::new());
        for (path, value) in values {
            let mut at = &mut root;
            for key in path.split('.') {
                let Value::Object(map) = at else {
                    return Err(leads_through_another(path));
                };
                at = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
            }
            merge(at, value);
        }
        Ok(Self::of(root))
    }

    fn of(value: Value) -> Self {
        match value {
            Value::Object(map) => Self(map),
            _ => Self::default(),
        }
    }

    pub(crate) fn into_json(self) -> Value {
        Value::Object(self.0)
    }

    /// The value at a dotted path, which may be `null`; `None` if there is none.
    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        let (first, rest) = path
            .split_once('.')
            .map_or((path, None), |(first, rest)| (first, Some(rest)));
        let value = self.0.get(first)?;
        rest.map_or(Some(value), |rest| {
            rest.split('.')
                .try_fold(value, |at, key| at.as_object()?.get(key))
        })
    }

    /// Sets a value; `None` if one of the two paths leads through the other.
    fn set(&mut self, path: &ValuePath, value: Value) -> Option<()> {
        let (folder, name) = path.0.rsplit_once('.').unwrap_or(("", &path.0));
        let mut map = &mut self.0;
        for part in folder.split('.').filter(|part| !part.is_empty()) {
            let entry = map.entry(part).or_insert_with(|| Value::Object(Map::new()));
            map = entry.as_object_mut()?;
        }
        if map.get(name).is_some_and(Value::is_object) {
            return None;
        }
        map.insert(name.to_owned(), value);
        Some(())
    }

    /// Every value that is not a mapping, and every empty mapping, by path.
    fn leaves(&self) -> Vec<(String, &Value)> {
        fn collect<'a>(
            map: &'a Map<String, Value>,
            prefix: &str,
            leaves: &mut Vec<(String, &'a Value)>,
        ) {
            for (key, value) in map {
                let path = format!("{prefix}{key}");
                match value {
                    Value::Object(map) if !map.is_empty() => {
                        collect(map, &format!("{path}."), leaves);
                    }
                    value => leaves.push((path, value)),
                }
            }
        }
        let mut leaves = Vec::new();
        collect(&self.0, "", &mut leaves);
        leaves.sort_by(|(one, _), (other, _)| one.cmp(other));
        leaves
    }

    fn known(&self) -> String {
        let mut paths: Vec<_> = self.leaves().into_iter().map(|(path, _)| path).collect();
        if paths.is_empty() {
            return "the chart has no values: remove it".into();
        }
        let more = paths.len().saturating_sub(20);
        paths.truncate(20);
        let list = paths.join("`, `");
        match more {
            0 => format!("use one of `{list}`"),
            more => format!("use one of `{list}` and {more} more in its values.yaml"),
        }
    }
}

fn leads_through_another(path: &str) -> RenderError {
    RenderError::Value {
        path: path.to_owned(),
        problem: "conflicts with another value of the target".into(),
        help: "remove one of the two".into(),
    }
}

/// Maps are merged, anything else is replaced.
fn merge(place: &mut Value, value: &Value) {
    match (place, value) {
        (Value::Object(place), Value::Object(value)) => {
            for (key, value) in value {
                merge(place.entry(key).or_insert(Value::Null), value);
            }
        }
        (place, value) => *place = value.clone(),
    }
}

fn check_numbers(value: &Value) -> Result<(), String> {
    match value {
        Value::Number(number) => {
            let exact = number
                .as_f64()
                .is_some_and(|float| float.abs() <= MAX_EXACT);
            if exact {
                Ok(())
            } else {
                Err(format!(
                    "is {number}, which floating-point numbers cannot represent exactly"
                ))
            }
        }
        Value::Array(items) => items.iter().try_for_each(check_numbers),
        Value::Object(map) => map.values().try_for_each(check_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

/// A character that does not survive a placeholder: Helm's `toJson` does not escape it, and YAML parsers interpret it
/// differently.
pub(crate) fn unwritable(text: &str) -> Option<char> {
    text.chars().find(|character| {
        let is_escaped = matches!(character, '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}');
        !is_escaped && !yaml::is_same_everywhere(*character)
    })
}

impl ChartValues {
    /// No values yet, for this namespace.
    pub fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            values: Values::default(),
        }
    }

    /// Adds a value, or replaces the value with this path.
    ///
    /// # Errors
    /// [`ChartError::Value`] if the path is invalid or leads through another value, the number is too large, or the
    /// string contains a character that a template cannot write.
    pub fn with(mut self, path: &str, value: impl Into<ChartValue>) -> Result<Self, ChartError> {
        let refuse = |problem: String| ChartError::Value {
            path: path.to_owned(),
            problem,
        };
        let key = ValuePath::parse(path)
            .ok_or_else(|| refuse("is not a dotted path of names".to_owned()))?;
        let value = Value::from(value.into());
        check_numbers(&value).map_err(refuse)?;
        if let Some(odd) = value.as_str().and_then(unwritable) {
            let code = u32::from(odd);
            return Err(refuse(format!(
                "has the character U+{code:04X}, which a template cannot write"
            )));
        }
        self.values.set(&key, value).ok_or_else(|| {
            refuse("leads through another value, or another leads through it".to_owned())
        })?;
        Ok(self)
    }

    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The string with this path.
    ///
    /// # Errors
    /// [`ChartError::Value`] if there is none.
    pub fn text(&self, path: &str) -> Result<&str, ChartError> {
        let value = self.values.get(path);
        let text = value.and_then(Value::as_str);
        text.ok_or_else(|| mismatch(path, "a text", value))
    }

    /// The number with this path.
    ///
    /// # Errors
    /// [`ChartError::Value`] if there is none.
    pub fn number(&self, path: &str) -> Result<i64, ChartError> {
        let value = self.values.get(path);
        let number = value.and_then(Value::as_i64);
        number.ok_or_else(|| mismatch(path, "a number", value))
    }

    /// The boolean with this path.
    ///
    /// # Errors
    /// [`ChartError::Value`] if there is none.
    pub fn flag(&self, path: &str) -> Result<bool, ChartError> {
        let value = self.values.get(path);
        let flag = value.and_then(Value::as_bool);
        flag.ok_or_else(|| mismatch(path, "a flag", value))
    }

    /// All values, by path: strings, numbers and booleans.
    pub fn iter(&self) -> impl Iterator<Item = (ValuePath, &Value)> {
        let leaves = self.values.leaves().into_iter();
        leaves.map(|(path, value)| (ValuePath(path), value))
    }

    /// The nested mapping for `values.yaml`.
    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    pub(crate) fn in_namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// Replaces an existing value by another one of the same kind.
    pub(crate) fn replace(&mut self, path: &ValuePath, value: Value) {
        // a path that exists leads through no other
        let _ = self.values.set(path, value);
    }
}

fn mismatch(path: &str, wanted: &str, found: Option<&Value>) -> ChartError {
    let problem = match found {
        None => "does not exist".to_owned(),
        Some(_) => format!("is not {wanted}"),
    };
    ChartError::Value {
        path: path.to_owned(),
        problem,
    }
}

impl ValuePath {
    /// Parses a dotted path; `None` if it is invalid.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = |part: &str| {
            let mut bytes = part.bytes();
            bytes
                .next()
                .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        text.split('.').all(is_name).then(|| Self(text.to_owned()))
    }

    /// The path in a template, after `.Values.`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ValuePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ChartValue> for Value {
    fn from(value: ChartValue) -> Self {
        match value {
            ChartValue::Text(text) => Self::from(text),
            ChartValue::Number(number) => Self::from(number),
            ChartValue::Flag(flag) => Self::from(flag),
        }
    }
}

impl From<&str> for ChartValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for ChartValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for ChartValue {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<i32> for ChartValue {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for ChartValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

#[cfg(test)]
mod tests;
