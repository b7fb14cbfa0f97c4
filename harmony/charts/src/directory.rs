//! A chart in a directory of the project: its published files, with version and image set.

mod files;
mod ignore;
mod settings;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::chart::{Chart, ChartContext};
use crate::error::ChartError;
use crate::yaml;
use settings::{Problem, Setting};

/// Reads the published files below `root`, and sets the version and the image.
pub(crate) fn read(root: &Path, context: &ChartContext<'_>) -> Result<Chart, ChartError> {
    let mut files = files::read(root)?;
    let paths: Vec<_> = files.keys().cloned().collect();
    edit(&mut files, root, "Chart.yaml", |metadata| {
        check_name(metadata, context)?;
        check_dependencies(metadata, &paths)?;
        Ok(settings::of_metadata(context.version))
    })?;
    edit(&mut files, root, "values.yaml", |values| {
        settings::of_image(values, context.image, context.version)
    })?;
    Ok(Chart::from_files(context.unit.to_string(), files))
}

impl Chart {
    /// Reads a chart's directory as helm does: all files, except for those that `.helmignore` excludes.
    ///
    /// # Errors
    /// [`ChartError::File`] if a file cannot be read, or there is no `Chart.yaml` with a `name`.
    pub fn from_directory(root: &Path) -> Result<Self, ChartError> {
        let files = files::read_all(root)?;
        let refuse = |problem: &str| ChartError::File {
            path: root.join("Chart.yaml"),
            problem: problem.to_owned(),
            help: "use the directory of a chart; `helm create` creates an example".to_owned(),
            source: None,
        };
        let content = files.get("Chart.yaml");
        let content = content.ok_or_else(|| refuse("does not exist"))?;
        let text = std::str::from_utf8(content).map_err(|_| refuse("is not UTF-8"))?;
        let metadata = mapping(text).map_err(|problem| refuse(&problem.what))?;
        let name = metadata["name"].as_str();
        let name = name.ok_or_else(|| refuse("has no `name`"))?.to_owned();
        Ok(Self::from_files(name, files))
    }
}

/// Sets a few values of a YAML file, and leaves all other lines, including comments, unchanged.
fn edit(
    files: &mut BTreeMap<String, Vec<u8>>,
    root: &Path,
    name: &str,
    settings: impl FnOnce(&Value) -> Result<Vec<Setting>, Problem>,
) -> Result<(), ChartError> {
    let path = root.join(name);
    let refuse = |problem: Problem| ChartError::File {
        path: path.clone(),
        problem: problem.what,
        help: problem.help,
        source: None,
    };
    let content = files.get(name).ok_or_else(|| {
        refuse(Problem::new(
            "does not exist",
            "a chart needs a `Chart.yaml` and a `values.yaml`; `helm create` creates examples",
        ))
    })?;
    let text = std::str::from_utf8(content)
        .map_err(|_| refuse(Problem::new("is not UTF-8", "save it as UTF-8")))?;
    let before = mapping(text).map_err(refuse)?;
    let settings = settings(&before).map_err(refuse)?;
    let edited = settings::write(text, &before, &settings);
    // Whatever the style of the file, it must have its old content and the new settings.
    if mapping(&edited).ok() != Some(settings::applied(before, &settings)) {
        let names: Vec<_> = settings.iter().map(Setting::line).collect();
        return Err(refuse(Problem::new(
            format!(
                "does not have `{}` on lines of their own",
                names.join("`, `")
            ),
            "write each of them on one line, such as `name: \"\"`; indent the parts of a mapping",
        )));
    }
    files.insert(name.to_owned(), edited.into_bytes());
    Ok(())
}

fn mapping(text: &str) -> Result<Value, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = yaml::documents(text).map_err(|error| {
        Problem::new(
            format!("cannot be used: line {}: {}", error.line, error.problem),
            "correct that line",
        )
    })?;
    match (documents.pop(), documents.is_empty()) {
        (Some(document), true) if document.value.is_object() => Ok(document.value),
        _ => Err(Problem::new(
            "is not a mapping",
            "write it as `name: value` lines",
        )),
    }
}

/// A chart with another name could not be found by the name of its unit.
fn check_name(metadata: &Value, context: &ChartContext<'_>) -> Result<(), Problem> {
    let name = metadata["name"].as_str().unwrap_or_default();
    if name == context.unit.as_str() {
        return Ok(());
    }
    Err(Problem::new(
        format!("has the chart name `{name}`"),
        format!(
            "write `name: {}`: the chart, the image and the tag have the same name",
            context.unit
        ),
    ))
}

/// Helm fetches no dependency when it renders a chart: one that is not packed is missed at the deploy.
fn check_dependencies(metadata: &Value, paths: &[String]) -> Result<(), Problem> {
    let dependencies = metadata["dependencies"].as_array();
    let names = dependencies
        .into_iter()
        .flatten()
        .filter_map(|dependency| dependency["name"].as_str());
    for name in names {
        let folder = format!("charts/{name}/");
        let archive = format!("charts/{name}-");
        let is_published = paths.iter().any(|path| {
            path.starts_with(&folder)
                || (path.starts_with(&archive)
                    && Path::new(path)
                        .extension()
                        .is_some_and(|kind| kind == "tgz"))
        });
        if !is_published {
            return Err(Problem::new(
                format!(
                    "lists the dependency `{name}`, which is not among the published files of `charts/`"
                ),
                "run `helm dependency build`, and add the files of `charts/` to git",
            ));
        }
    }
    Ok(())
}
