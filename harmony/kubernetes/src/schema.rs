//! Parses the server's messages about objects that do not match their schema, in all their forms, into one list of
//! fields.

use harmony_core::capability::kubernetes_cluster::FieldFault;
use kube::core::response::Status;
use serde_json::Value;

use crate::field_path::{child, entry};

/// Whether the object's kind is built in, not a custom resource.
pub(crate) fn is_builtin(body: &Value) -> bool {
    let version = body["apiVersion"].as_str().unwrap_or_default();
    match version.split_once('/') {
        None => true,
        Some((group, _)) => !group.contains('.') || group.ends_with(".k8s.io"),
    }
}

/// `a number`, as messages say it.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// The invalid fields; `None` if the answer is not about the object's schema.
///
/// Values are left out, because they may be secrets.
pub(crate) fn faults(status: &Status) -> Option<Vec<FieldFault>> {
    let message = status.message.as_str();
    if message.contains("admission webhook") || message.contains("failed calling webhook") {
        return None;
    }
    if let Some(rest) = after(message, "failed to create typed patch object (") {
        return Some(typed(rest));
    }
    if let Some(rest) = after(message, "strict decoding error: ") {
        return Some(rest.split(", ").map(strict).collect());
    }
    if let Some(rest) = after(message, "json: cannot unmarshal ") {
        return Some(vec![unmarshal(rest)]);
    }
    // The conversion from JSON to the server's types, after schema validation succeeded.
    if message.starts_with("failed to convert new object (")
        || message.contains("error decoding from json")
    {
        let reason = message
            .rsplit("unable to convert unstructured object to ")
            .next();
        let reason = reason
            .and_then(|rest| rest.split_once(": "))
            .map_or(message, |(_, reason)| reason);
        return Some(vec![conversion(reason)]);
    }
    match status.code {
        422 => {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            let named: Vec<FieldFault> = causes
                .map(|cause| invalid(&cause.field, &cause.message))
                .collect();
            if named.is_empty() {
                return Some(vec![invalid("", message)]);
            }
            Some(named)
        }
        400 if !message.contains("does not support dry run") => {
            Some(vec![fault("", message.to_owned(), "")])
        }
        _ => None,
    }
}

fn after<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    message.find(start).map(|at| &message[at + start.len()..])
}

fn fault(path: &str, problem: impl Into<String>, fix: &str) -> FieldFault {
    FieldFault {
        path: path.trim_start_matches('.').to_owned(),
        problem: problem.into(),
        fix: fix.to_owned(),
    }
}

/// `shop/web; apps/v1, Kind=Deployment): errors:\n  .spec.replicas: expected numeric (int or float), got string`
fn typed(rest: &str) -> Vec<FieldFault> {
    let rest = rest.split_once("): ").map_or(rest, |(_, rest)| rest);
    let rest = rest.strip_prefix("errors:").unwrap_or(rest);
    let lines = rest.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(typed_line).collect()
}

/// A path may contain a colon in a list key, so search for the reasons instead.
fn typed_line(line: &str) -> FieldFault {
    const REASONS: [&str; 5] = [
        ": expected ",
        ": field not declared in schema",
        ": duplicate entries for key ",
        ": element ",
        ": ",
    ];
    let at = REASONS.iter().find_map(|reason| line.find(reason));
    let Some(at) = at else {
        return fault("", line, "");
    };
    let (path, reason) = (&line[..at], &line[at + 2..]);
    if reason.starts_with("field not declared") {
        return fault(path, "is not a field of this kind", CHECK_SPELLING);
    }
    if let Some(key) = reason.strip_prefix("duplicate entries for key ") {
        let key = key.trim_start_matches('[').trim_end_matches(']');
        let problem = format!("has more than one entry with {key}");
        return fault(path, problem, "keep one entry of each name");
    }
    if let Some((wanted, got)) = reason
        .strip_prefix("expected ")
        .and_then(|rest| rest.split_once(", got "))
    {
        let wanted = wanted_name(wanted);
        let fix = match wanted {
            "a string" => "quote the value, so that YAML reads it as a string",
            "a number" | "a boolean" => "remove the quotes around the value",
            _ => "",
        };
        return fault(
            path,
            format!("{}, but must be {wanted}", got_name(got)),
            fix,
        );
    }
    fault(path, reason, "")
}

fn wanted_name(expected: &str) -> &str {
    match expected {
        "string" => "a string",
        "boolean" | "bool" => "a boolean",
        "list" => "a list",
        "map" => "a mapping",
        other if other.starts_with("numeric") => "a number",
        other => other,
    }
}

/// A value in the notation of the server's implementation: `&value.valueUnstructured{Value:true}`.
fn got_name(got: &str) -> &'static str {
    let inner = after(got, "Value:").map(|inner| inner.trim_end_matches('}'));
    match (got, inner) {
        ("string", _) => "is a string",
        ("bool" | "boolean", _) | (_, Some("true" | "false")) => "is a boolean",
        (_, Some("<nil>")) | ("null" | "nil" | "<nil>", _) => "is null",
        (_, Some(inner)) if inner.starts_with("map[") => "is a mapping",
        (_, Some(inner)) if inner.starts_with('[') => "is a list",
        (_, Some(inner)) if inner.parse::<f64>().is_ok() => "is a number",
        (got, None) if got.starts_with("&{map[") => "is a mapping",
        (got, None) if got.starts_with("&{[") => "is a list",
        (got, None) if got.starts_with("&{") => "is of another type",
        (_, Some(_)) => "is of another type",
        _ if got.contains("int") || got.contains("float") => "is a number",
        _ if got.contains("map") => "is a mapping",
        _ if got.contains("list") || got.contains("[]") => "is a list",
        _ => "is of another type",
    }
}

const CHECK_SPELLING: &str = "check the spelling: `kubectl explain` lists the fields of a kind";

/// `unknown field "spec.selectors"`
fn strict(problem: &str) -> FieldFault {
    let name = problem.split('"').nth(1).unwrap_or_default();
    if problem.starts_with("unknown field") {
        return fault(name, "is not a field of this kind", CHECK_SPELLING);
    }
    if problem.starts_with("duplicate field") {
        return fault(name, "is set twice", "keep one of the two");
    }
    fault("", problem, "")
}

/// `number into Go struct field ObjectMeta.metadata.labels of type string`
fn unmarshal(rest: &str) -> FieldFault {
    let (got, rest) = rest.split_once(" into Go ").unwrap_or((rest, ""));
    let field = after(rest, "struct field ").and_then(|rest| rest.split_once(" of type "));
    let (path, wanted) = field.unwrap_or(("", rest));
    let path = path.split_once('.').map_or("", |(_, path)| path);
    let got = match got.split(' ').next().unwrap_or_default() {
        "bool" => "is a boolean",
        "number" => "is a number",
        "string" => "is a string",
        "array" => "is a list",
        "object" => "is a mapping",
        _ => "is of another type",
    };
    let (wanted, fix) = match wanted {
        "string" => (
            "a string",
            "quote the value, so that YAML reads it as a string",
        ),
        "bool" => ("a boolean", "remove the quotes around the value"),
        text if text.starts_with("int") || text.starts_with("float") => {
            ("a number", "remove the quotes around the value")
        }
        text if text.starts_with("map") => ("a mapping", ""),
        text if text.starts_with("[]") => ("a list", ""),
        _ => ("of another type", ""),
    };
    fault(path, format!("{got}, but must be {wanted}"), fix)
}

fn conversion(reason: &str) -> FieldFault {
    let reason = reason.trim_start_matches("error decoding from json: ");
    if reason.contains("illegal base64") {
        return fault(
            "",
            "a value of `data` is not base64",
            "encode the value with base64",
        );
    }
    if reason.contains("quantities must match") {
        return fault(
            "",
            UNREADABLE_QUANTITY,
            "write quantities such as `100m`, `2`, `64Mi` or `1Gi`",
        );
    }
    if reason.contains("cannot unmarshal") {
        return unmarshal(after(reason, "cannot unmarshal ").unwrap_or(reason));
    }
    fault("", reason, "")
}

/// Finds invalid quantities that the server reported without a path.
pub(crate) fn locate_quantities(wanted: &Value, faults: &mut [FieldFault]) {
    for fault in faults {
        if fault.path.is_empty() && fault.problem == UNREADABLE_QUANTITY {
            let mut found = Vec::new();
            quantities("", wanted, &mut found);
            fault.path = found.join(", ");
        }
    }
}

const UNREADABLE_QUANTITY: &str = "a quantity cannot be read";

/// The paths of values that should be quantities but are not.
fn quantities(path: &str, value: &Value, found: &mut Vec<String>) {
    const MAPS: [&str; 4] = ["limits", "requests", "hard", "capacity"];
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = child(path, key);
                match value {
                    Value::Object(amounts) if MAPS.contains(&key.as_str()) => {
                        let bad = amounts.iter().filter(|(_, amount)| !is_quantity(amount));
                        found.extend(bad.map(|(name, _)| child(&path, name)));
                    }
                    value if key == "sizeLimit" && !is_quantity(value) => found.push(path),
                    value => quantities(&path, value, found),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                quantities(&entry(path, index, item), item, found);
            }
        }
        _ => {}
    }
}

/// What the regular expression in the server's message accepts.
fn is_quantity(value: &Value) -> bool {
    let Some(text) = value.as_str() else {
        return value.is_number();
    };
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !(c.is_ascii_digit() || c == '.'));
    let (digits, suffix) = unsigned.split_at(end.unwrap_or(unsigned.len()));
    let exponent = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    !digits.is_empty() && exponent.chars().all(|c| c.is_ascii_digit())
}

const FIXED_HINT: &str = "this cannot be changed in an existing object: delete the object first, or give the new one another name";

/// Whether the fault is only that the object exists and the field cannot change.
pub(crate) fn is_fixed(fault: &FieldFault) -> bool {
    fault.fix == FIXED_HINT
}

/// Says for kinds that need more care than that what to do about a field that cannot change.
pub(crate) fn advise(kind: &str, faults: &mut [FieldFault]) {
    let advice = match kind {
        "Job" => {
            "a Job cannot be changed: give the new one another name, delete the old one first, or make it a hook of its \
             chart (`helm.sh/hook`), which is created again for each run"
        }
        "StatefulSet" => {
            "this cannot be changed in an existing StatefulSet: delete it first with `kubectl delete --cascade=orphan`, which \
             keeps its pods and volumes"
        }
        "PersistentVolumeClaim" => {
            "a claim can only be enlarged: keep the other fields, or create a claim with another name and copy the data"
        }
        _ => return,
    };
    for fault in faults.iter_mut().filter(|fault| is_fixed(fault)) {
        advice.clone_into(&mut fault.fix);
    }
}

/// A field of the right type with a value that is not allowed.
fn invalid(path: &str, message: &str) -> FieldFault {
    const FIXED: [&str; 9] = [
        "immutable",
        "cannot change",
        "may not change",
        "may not be changed",
        "cannot be changed",
        "fields other than",
        "are forbidden",
        "can not be less than",
        "can not be unset",
    ];
    let problem = without_value(message);
    let fix = if FIXED.iter().any(|words| message.contains(words)) {
        FIXED_HINT
    } else {
        ""
    };
    fault(path, problem, fix)
}

/// `Invalid value: {"a":"b"}: field is immutable`, without the value.
fn without_value(message: &str) -> String {
    for start in ["Invalid value: ", "Duplicate value: "] {
        let Some(rest) = message.strip_prefix(start) else {
            continue;
        };
        let words = start.trim_end_matches(": ").to_lowercase();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let end = match values.next() {
            Some(Ok(_)) => values.byte_offset(),
            _ => rest.find(": ").unwrap_or(rest.len()),
        };
        let reason = rest[end..].trim_start_matches(": ");
        return if reason.is_empty() {
            words
        } else {
            reason.to_owned()
        };
    }
    message.to_owned()
}

#[cfg(test)]
mod tests;
