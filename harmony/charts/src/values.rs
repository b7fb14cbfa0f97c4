//! The values of a chart: its `values.yaml`, and what a target puts in their place.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{Place, RenderError};
use crate::yaml;

const FILE: &str = "values.yaml";

/// The largest whole number, and with a minus the smallest, that floating point holds exactly.
const MAX_EXACT: f64 = 9_007_199_254_740_991.0;

/// What stands in a `values.yaml`, with `replacements` (by dotted path) in place of it.
///
/// # Errors
/// [`RenderError::File`] when it is no mapping, [`RenderError::Value`] for a path that it lacks.
pub(crate) fn merged(
    values_yaml: &str,
    replacements: &BTreeMap<String, Value>,
) -> Result<Value, RenderError> {
    let defaults = read(values_yaml)?;
    let mut values = defaults.clone();
    for (path, value) in replacements {
        if lookup(&defaults, path).is_none() {
            return Err(RenderError::Value {
                path: path.clone(),
                problem: "is not one of this chart".into(),
                help: known(&defaults),
            });
        }
        let place = path
            .split('.')
            .try_fold(&mut values, |at, key| at.get_mut(key));
        let Some(place) = place else {
            return Err(RenderError::Value {
                path: path.clone(),
                problem: "leads through another value of the target".into(),
                help: "leave one of the two out".into(),
            });
        };
        merge(place, value);
        check_numbers(place).map_err(|problem| RenderError::Value {
            path: path.clone(),
            problem,
            help: "make it a text, which is kept as it is".into(),
        })?;
    }
    Ok(values)
}

/// The mapping that a `-f` file of Helm has for values by dotted path.
///
/// # Errors
/// [`RenderError::Value`] when one path leads through another's value.
pub(crate) fn nested(values: &BTreeMap<String, Value>) -> Result<Value, RenderError> {
    let mut root = Value::Object(Map::new());
    for (path, value) in values {
        let mut at = &mut root;
        for key in path.split('.') {
            let Value::Object(map) = at else {
                return Err(RenderError::Value {
                    path: path.clone(),
                    problem: "leads through another value of the target".into(),
                    help: "leave one of the two out".into(),
                });
            };
            at = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
        }
        merge(at, value);
    }
    Ok(root)
}

/// The value at a dotted path; `None` when there is none. A `null` is a value.
pub(crate) fn lookup<'a>(values: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(values, |at, key| at.as_object()?.get(key))
}

fn read(values_yaml: &str) -> Result<Value, RenderError> {
    let refuse = |line, problem: String| RenderError::File {
        place: Place::line(FILE, line),
        problem,
    };
    let documents =
        yaml::documents(values_yaml).map_err(|error| refuse(error.line, error.problem))?;
    let document = match documents.as_slice() {
        [] => return Ok(Value::Object(Map::new())),
        [document] => document,
        [_, second, ..] => {
            return Err(refuse(
                second.line,
                "a second document: the values are one mapping".into(),
            ));
        }
    };
    if !document.value.is_object() {
        return Err(refuse(document.line, "the values are not a mapping".into()));
    }
    check_numbers(&document.value)
        .map_err(|problem| refuse(document.line, format!("a value {problem}")))?;
    Ok(document.value.clone())
}

/// A mapping into a mapping, anything else replaces.
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

/// Helm reads numbers as floating point; one that is not exact there would come out as another.
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
                    "is {number}, beyond what floating point holds exactly"
                ))
            }
        }
        Value::Array(items) => items.iter().try_for_each(check_numbers),
        Value::Object(map) => map.values().try_for_each(check_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

fn known(defaults: &Value) -> String {
    let mut paths = Vec::new();
    collect(defaults, "", &mut paths);
    if paths.is_empty() {
        return "the chart has no values: leave it out".into();
    }
    let more = paths.len().saturating_sub(20);
    paths.truncate(20);
    let list = paths.join("`, `");
    match more {
        0 => format!("name one of `{list}`"),
        more => format!("name one of `{list}` and {more} more in its values.yaml"),
    }
}

fn collect(value: &Value, path: &str, paths: &mut Vec<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let dot = if path.is_empty() { "" } else { "." };
                collect(value, &format!("{path}{dot}{key}"), paths);
            }
        }
        _ if path.is_empty() => {}
        _ => paths.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests;
