//! The values of a chart: what may differ from target to target.

use std::collections::BTreeMap;
use std::fmt;

use harmony_types::Namespace;
use serde_json::{Map, Value};

use super::ChartError;

/// The target namespace and the values of a chart by dotted path. Their kinds are fixed by their defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChartValues {
    namespace: Namespace,
    values: BTreeMap<ValuePath, ChartValue>,
}

/// The path of a value, such as `nats.url`; each part is of letters, digits and `_` and does not begin with a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValuePath(String);

/// What a value may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChartValue {
    /// Any text.
    Text(String),
    /// A whole number that Helm, which reads numbers as floating point, keeps exact.
    Number(i64),
    /// A switch.
    Flag(bool),
}

impl ChartValues {
    /// No value yet, for this namespace.
    pub fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            values: BTreeMap::new(),
        }
    }

    /// With a value; one of that path is replaced.
    ///
    /// # Errors
    /// [`ChartError::Value`] when the path is not one, leads through another value, or the number is too large.
    pub fn with(mut self, path: &str, value: impl Into<ChartValue>) -> Result<Self, ChartError> {
        let refuse = |problem: String| ChartError::Value {
            path: path.to_owned(),
            problem,
        };
        let value = value.into();
        if let ChartValue::Number(number) = value
            && number.unsigned_abs() > ChartValue::MAX_NUMBER
        {
            return Err(refuse(format!(
                "is {number}, beyond what floating point holds exactly"
            )));
        }
        let key = ValuePath::parse(path)?;
        if let Some(other) = self.values.keys().find(|other| key.overlaps(other)) {
            return Err(refuse(format!(
                "cannot be beside `{other}`: one leads through the other"
            )));
        }
        self.values.insert(key, value);
        Ok(self)
    }

    /// The namespace that the objects go to.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// A text by its path.
    ///
    /// # Errors
    /// [`ChartError::Value`] when there is none.
    pub fn text(&self, path: &str) -> Result<&str, ChartError> {
        match self.get(path) {
            Some(ChartValue::Text(text)) => Ok(text),
            other => Err(mismatch(path, "a text", other)),
        }
    }

    /// A number by its path.
    ///
    /// # Errors
    /// [`ChartError::Value`] when there is none.
    pub fn number(&self, path: &str) -> Result<i64, ChartError> {
        match self.get(path) {
            Some(ChartValue::Number(number)) => Ok(*number),
            other => Err(mismatch(path, "a number", other)),
        }
    }

    /// A flag by its path.
    ///
    /// # Errors
    /// [`ChartError::Value`] when there is none.
    pub fn flag(&self, path: &str) -> Result<bool, ChartError> {
        match self.get(path) {
            Some(ChartValue::Flag(flag)) => Ok(*flag),
            other => Err(mismatch(path, "a flag", other)),
        }
    }

    /// Every value, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&ValuePath, &ChartValue)> {
        self.values.iter()
    }

    /// As the nested mapping of a `values.yaml`.
    pub fn to_json(&self) -> Value {
        let mut root = Map::new();
        for (path, value) in &self.values {
            let mut parts: Vec<_> = path.0.split('.').collect();
            let last = parts.pop().unwrap_or_default();
            let mut map = &mut root;
            for part in parts {
                let entry = map.entry(part).or_insert_with(|| Value::Object(Map::new()));
                let Value::Object(inner) = entry else {
                    unreachable!("`with` refuses a path that leads through a value")
                };
                map = inner;
            }
            map.insert(last.to_owned(), value.to_json());
        }
        Value::Object(root)
    }

    pub(super) fn in_namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    pub(super) fn replace(&mut self, path: &ValuePath, value: ChartValue) {
        self.values.insert(path.clone(), value);
    }

    fn get(&self, path: &str) -> Option<&ChartValue> {
        self.values.get(&ValuePath(path.to_owned()))
    }
}

fn mismatch(path: &str, wanted: &str, found: Option<&ChartValue>) -> ChartError {
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
    /// Reads a dotted path.
    ///
    /// # Errors
    /// [`ChartError::Value`].
    pub fn parse(text: &str) -> Result<Self, ChartError> {
        let is_name = |part: &str| {
            let mut bytes = part.bytes();
            bytes
                .next()
                .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
                && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if text.split('.').all(is_name) {
            return Ok(Self(text.to_owned()));
        }
        Err(ChartError::Value {
            path: text.to_owned(),
            problem: "is not a dotted path of names".to_owned(),
        })
    }

    /// The path as it is written in a template, after `.Values.`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether one of the two leads through the other.
    fn overlaps(&self, other: &Self) -> bool {
        let leads_to = |long: &str, short: &str| {
            long.strip_prefix(short)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        leads_to(&self.0, &other.0) || leads_to(&other.0, &self.0)
    }
}

impl fmt::Display for ValuePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ChartValue {
    /// The largest number, and the smallest with a minus: 2^53 - 1.
    pub const MAX_NUMBER: u64 = (1 << 53) - 1;

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Number(number) => Value::from(*number),
            Self::Flag(flag) => Value::from(*flag),
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
