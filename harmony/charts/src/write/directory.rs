//! A chart that lies in a directory of the project.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Chart, ChartContext, ChartError, files};

/// Reads the published files below `root` and sets version and image.
pub(super) fn read(root: &Path, context: &ChartContext<'_>) -> Result<Chart, ChartError> {
    let mut files = files::read(root)?;
    let version = context.version.to_string();
    edit(
        &mut files,
        root,
        "Chart.yaml",
        &[
            ("version", version.as_str()),
            ("appVersion", version.as_str()),
        ],
    )?;
    check_name(&files, root, context)?;
    let image = context.image.to_string();
    edit(
        &mut files,
        root,
        "values.yaml",
        &[("image", image.as_str())],
    )?;
    Ok(Chart { files })
}

/// Sets top-level keys of a YAML file and leaves every other line, comments included, as it is.
fn edit(
    files: &mut BTreeMap<String, Vec<u8>>,
    root: &Path,
    name: &str,
    settings: &[(&str, &str)],
) -> Result<(), ChartError> {
    let path = root.join(name);
    let refuse = |problem: String, help: String| ChartError::File {
        path: path.clone(),
        problem,
        help,
        source: None,
    };
    let Some(content) = files.get(name) else {
        return Err(refuse(
            "does not exist".to_owned(),
            "a chart has a `Chart.yaml` and a `values.yaml`: `helm create` shows how they look"
                .to_owned(),
        ));
    };
    let mut text = String::from_utf8(content.clone())
        .map_err(|_| refuse("is not UTF-8".to_owned(), "save it as UTF-8".to_owned()))?;
    for (key, value) in settings {
        text = set_line(&text, key, value).ok_or_else(|| {
            refuse(
                format!("has no line `{key}: ...` at its top level"),
                format!("add the line `{key}: \"\"`: the release writes the value there"),
            )
        })?;
    }
    let parsed = parse(&text, &path)?;
    for (key, value) in settings {
        if parsed.get(*key).and_then(Value::as_str) != Some(*value) {
            return Err(refuse(
                format!("has a value of `{key}` that does not fit on its line"),
                format!("write it as the one line `{key}: \"\"`"),
            ));
        }
    }
    files.insert(name.to_owned(), text.into_bytes());
    Ok(())
}

fn set_line(text: &str, key: &str, value: &str) -> Option<String> {
    let start = format!("{key}:");
    let mut found = false;
    let mut result = String::with_capacity(text.len() + value.len());
    for line in text.split_inclusive('\n') {
        if !found && line.starts_with(&start) {
            found = true;
            result.extend([key, ": \"", value, "\"\n"]);
        } else {
            result.push_str(line);
        }
    }
    found.then_some(result)
}

/// A chart of another name could not be found again under the name of its unit.
fn check_name(
    files: &BTreeMap<String, Vec<u8>>,
    root: &Path,
    context: &ChartContext<'_>,
) -> Result<(), ChartError> {
    let path = root.join("Chart.yaml");
    let text = files
        .get("Chart.yaml")
        .map(|content| String::from_utf8_lossy(content))
        .unwrap_or_default();
    let parsed = parse(&text, &path)?;
    let name = parsed
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if name == context.unit.as_str() {
        return Ok(());
    }
    Err(ChartError::File {
        path,
        problem: format!("names the chart `{name}`"),
        help: format!(
            "write `name: {}`: chart, image and tag share the unit's name",
            context.unit
        ),
        source: None,
    })
}

pub(super) fn parse(text: &str, path: &Path) -> Result<Value, ChartError> {
    let refuse = |problem: String| ChartError::File {
        path: PathBuf::from(path),
        problem,
        help: "mend the file".to_owned(),
        source: None,
    };
    // by way of the YAML value, which refuses a key that is there twice
    let value: serde_yaml::Value =
        serde_yaml::from_str(text).map_err(|error| refuse(format!("is not YAML: {error}")))?;
    serde_json::to_value(value).map_err(|error| refuse(format!("has no JSON form: {error}")))
}
