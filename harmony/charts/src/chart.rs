//! A chart: its files.

use std::collections::BTreeMap;

use harmony_types::{ImageRef, ReleaseUnit, Version};
use serde_json::{Value, json};

use crate::error::{Place, RenderError};
use crate::values::ChartValues;
use crate::yaml;

/// The input for a chart.
#[derive(Debug, Clone, Copy)]
pub struct ChartContext<'a> {
    /// The name of the chart and the image.
    pub unit: &'a ReleaseUnit,
    /// The version of the chart, the image and the app.
    pub version: &'a Version,
    /// The image by digest, which the chart must refer to.
    pub image: &'a ImageRef,
}

/// A chart: its files, by their path below its directory (`templates/web.yaml`).
#[derive(Clone, PartialEq, Eq)]
pub struct Chart {
    name: String,
    files: BTreeMap<String, Vec<u8>>,
}

/// The fields of `Chart.yaml` except for the name and the version, which are those of the release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChartMetadata {
    /// One sentence for users who search for a chart.
    pub description: String,
}

/// A file in `templates/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The path below `templates/`, such as `10-deployment-web.yaml`.
    pub path: String,
    /// Kubernetes objects with placeholders.
    pub text: String,
}

impl Chart {
    /// A chart with these parts, and with the name and version in `context`.
    pub fn new(
        context: &ChartContext<'_>,
        metadata: &ChartMetadata,
        values: &ChartValues,
        templates: Vec<Template>,
    ) -> Self {
        let mut chart_yaml = json!({
            "apiVersion": "v2",
            "appVersion": context.version.to_string(),
            "name": context.unit.as_str(),
            "type": "application",
            "version": context.version.to_string(),
        });
        if !metadata.description.is_empty() {
            chart_yaml["description"] = metadata.description.clone().into();
        }
        let mut files = BTreeMap::from([
            ("Chart.yaml".to_owned(), yaml::write(&chart_yaml)),
            ("values.yaml".to_owned(), values.values().to_yaml()),
        ]);
        let templates = templates.into_iter();
        files.extend(templates.map(|file| (format!("templates/{}", file.path), file.text)));
        let files = files.into_iter();
        Self {
            name: context.unit.to_string(),
            files: files
                .map(|(path, text)| (path, text.into_bytes()))
                .collect(),
        }
    }

    /// Creates a chart of these files; `name` is the name of its directory.
    pub fn from_files(name: impl Into<String>, files: BTreeMap<String, Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            files,
        }
    }

    /// The name of its directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The content of a file, by its path in the chart.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// All files, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let files = self.files.iter();
        files.map(|(path, content)| (path.as_str(), content.as_slice()))
    }

    /// A file as text, without a byte order mark, as Helm reads it.
    pub(crate) fn text(&self, path: &str) -> Result<&str, RenderError> {
        let content = self.file(path).ok_or_else(|| RenderError::File {
            place: Place::file(path),
            problem: "this file is missing".into(),
        })?;
        let text = std::str::from_utf8(content).map_err(|error| {
            let line = 1 + content
                .iter()
                .take(error.valid_up_to())
                .filter(|byte| **byte == b'\n')
                .count();
            RenderError::File {
                place: Place::line(path, line),
                problem: "is not UTF-8".into(),
            }
        })?;
        Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
    }

    /// Its `Chart.yaml`, a mapping with the name of its directory.
    pub(crate) fn metadata(&self) -> Result<Value, RenderError> {
        const FILE: &str = "Chart.yaml";
        let mut documents =
            yaml::documents(self.text(FILE)?).map_err(|error| RenderError::File {
                place: Place::line(FILE, error.line),
                problem: error.problem,
            })?;
        let refuse = |problem: String| RenderError::File {
            place: Place::file(FILE),
            problem,
        };
        let metadata = match (documents.pop(), documents.is_empty()) {
            (Some(document), true) if document.value.is_object() => document.value,
            _ => return Err(refuse("is not a mapping".into())),
        };
        match metadata["name"].as_str() {
            Some(name) if name == self.name => Ok(metadata),
            Some(name) => Err(refuse(format!(
                "has the chart name `{name}`, but its directory is `{}`",
                self.name
            ))),
            None => Err(refuse("has no `name`".into())),
        }
    }
}

/// Only the name and the number of files, since contents are long.
impl std::fmt::Debug for Chart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chart({}, {} files)", self.name, self.files.len())
    }
}
