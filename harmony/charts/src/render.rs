//! Renders files and values for a namespace into objects. Pure.

use std::collections::{BTreeMap, BTreeSet};

use harmony_core::kubernetes::{ClusterCapabilities, KubeObject};
use harmony_types::Namespace;
use serde_json::Value;

use crate::chart::Chart;
use crate::error::{Place, RenderError};
use crate::hole::Problem;
use crate::hook::Hook;
use crate::scope::Scopes;
use crate::template;
use crate::values::Values;
use crate::yaml::{self, Document};

/// The objects of a chart within the format: those of `crds/` first, then those of `templates/`, by file name.
///
/// `replacements` are values by dotted path. Namespaced objects without a namespace get `namespace`.
///
/// # Errors
/// [`RenderError::Beyond`] for a chart that only `helm` can render, and what else is wrong with the chart or the values.
pub fn render(
    chart: &Chart,
    replacements: &BTreeMap<String, Value>,
    namespace: &Namespace,
) -> Result<Vec<KubeObject>, RenderError> {
    render_for(chart, replacements, namespace, None)
}

/// Like [`render`], for a cluster whose kinds are known.
pub(crate) fn render_for(
    chart: &Chart,
    replacements: &BTreeMap<String, Value>,
    namespace: &Namespace,
    cluster: Option<&ClusterCapabilities>,
) -> Result<Vec<KubeObject>, RenderError> {
    check_metadata(chart)?;
    check_files(chart)?;
    let values_yaml = match chart.file("values.yaml") {
        Some(_) => chart.text("values.yaml")?,
        None => "",
    };
    let values = Values::read(values_yaml)?.replaced(replacements)?;
    let mut found = Vec::new();
    for path in paths(chart).filter(|path| is_definition(path)) {
        found.extend(read(path, chart.text(path)?)?);
    }
    for path in paths(chart).filter(|path| is_template(path)) {
        let filled = template::fill(chart.text(path)?, &values, namespace).map_err(|error| {
            let place = Place::line(path, error.line);
            let hole = format!("`{}`", error.hole);
            match error.problem {
                Problem::Beyond => RenderError::Beyond { place, what: hole },
                Problem::Wrong(problem) => RenderError::File {
                    place,
                    problem: format!("{hole} {problem}"),
                },
            }
        })?;
        found.extend(read(path, &filled)?);
    }
    if let Some(hook) = found.iter().find(|found| hook(&found.body).is_some()) {
        return Err(RenderError::Beyond {
            place: hook.place.clone(),
            what: "an object with the annotation `helm.sh/hook`".into(),
        });
    }
    to_objects(found, namespace, cluster)
}

/// A rendered chart.
#[derive(Debug, Clone, PartialEq)]
pub struct ChartObjects {
    /// The objects to install.
    pub objects: Vec<KubeObject>,
    /// The hooks, in the order of the output.
    pub hooks: Vec<Hook>,
}

impl ChartObjects {
    /// A chart without hooks.
    pub fn without_hooks(objects: Vec<KubeObject>) -> Self {
        Self {
            objects,
            hooks: Vec::new(),
        }
    }
}

/// The objects in the output of `helm template`.
pub(crate) fn objects_of_output(
    output: &str,
    namespace: &Namespace,
    cluster: Option<&ClusterCapabilities>,
) -> Result<ChartObjects, RenderError> {
    let found = read("the output of helm", output)?;
    let scopes = Scopes::of(found.iter().map(|found| &found.body), cluster);
    let (hooks, parts): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|found| hook(&found.body).is_some());
    let mut objects = Vec::with_capacity(parts.len());
    for found in parts {
        objects.push(to_object(found, &scopes, namespace)?);
    }
    let mut read = Vec::with_capacity(hooks.len());
    for found in hooks {
        let place = found.place.clone();
        let (_, object) = to_object(found, &scopes, namespace)?;
        match Hook::of(&object).map_err(|problem| RenderError::File {
            place: place.clone(),
            problem,
        })? {
            Some(hook) => read.push((place, hook)),
            None => objects.push((place, object)),
        }
    }
    let hooks = read.iter().map(|(place, hook)| (place, &hook.object));
    refuse_twice(hooks)?;
    refuse_twice(objects.iter().map(|(place, object)| (place, object)))?;
    Ok(ChartObjects {
        objects: objects.into_iter().map(|(_, object)| object).collect(),
        hooks: read.into_iter().map(|(_, hook)| hook).collect(),
    })
}

struct Found {
    place: Place,
    body: Value,
}

fn check_metadata(chart: &Chart) -> Result<(), RenderError> {
    let metadata = chart.metadata()?;
    let beyond = |what: &str| RenderError::Beyond {
        place: Place::file("Chart.yaml"),
        what: what.into(),
    };
    let text = |key: &str| metadata[key].as_str();
    if text("apiVersion") != Some("v2") {
        return Err(beyond("an `apiVersion` other than `v2`"));
    }
    if text("type").is_some_and(|kind| kind != "application") {
        return Err(beyond("a `type` other than `application`"));
    }
    if metadata
        .get("dependencies")
        .is_some_and(|dependencies| !dependencies.is_null())
    {
        return Err(beyond("a list of `dependencies`"));
    }
    Ok(())
}

fn check_files(chart: &Chart) -> Result<(), RenderError> {
    let is_beyond = |path: &&str| {
        path.starts_with("charts/")
            || path.starts_with("crds/") && !is_definition(path)
            || path.starts_with("templates/")
                && !is_template(path)
                && *path != "templates/NOTES.txt"
    };
    match paths(chart).find(is_beyond) {
        None => Ok(()),
        Some(path) => Err(RenderError::Beyond {
            place: Place::file(path),
            what: "this file".into(),
        }),
    }
}

fn paths(chart: &Chart) -> impl Iterator<Item = &str> {
    chart.files().map(|(path, _)| path)
}

fn is_definition(path: &str) -> bool {
    path.starts_with("crds/") && is_yaml(path)
}

/// Helm ignores templates whose name begins with `_`.
fn is_template(path: &str) -> bool {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    path.starts_with("templates/") && is_yaml(path) && !name.starts_with('_')
}

fn is_yaml(path: &str) -> bool {
    matches!(path.rsplit_once('.'), Some((_, "yaml" | "yml")))
}

fn read(path: &str, text: &str) -> Result<Vec<Found>, RenderError> {
    let documents = yaml::documents(text).map_err(|error| RenderError::File {
        place: Place::line(path, error.line),
        problem: error.problem,
    })?;
    let mut found = Vec::new();
    for Document { line, value } in documents {
        let place = Place::line(path, line);
        match value {
            Value::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List") => {
                let Some(Value::Array(items)) = list.remove("items") else {
                    return Err(RenderError::File {
                        place,
                        problem: "is a List without `items`".into(),
                    });
                };
                found.extend(items.into_iter().map(|body| Found {
                    place: place.clone(),
                    body,
                }));
            }
            body => found.push(Found { place, body }),
        }
    }
    match found.iter().find(|found| !found.body.is_object()) {
        None => Ok(found),
        Some(odd) => Err(RenderError::File {
            place: odd.place.clone(),
            problem: "is not a Kubernetes object: it is not a mapping".into(),
        }),
    }
}

fn hook(body: &Value) -> Option<&Value> {
    body.pointer("/metadata/annotations/helm.sh~1hook")
}

fn to_objects(
    found: Vec<Found>,
    namespace: &Namespace,
    cluster: Option<&ClusterCapabilities>,
) -> Result<Vec<KubeObject>, RenderError> {
    let scopes = Scopes::of(found.iter().map(|found| &found.body), cluster);
    let mut objects = Vec::with_capacity(found.len());
    for found in found {
        objects.push(to_object(found, &scopes, namespace)?);
    }
    refuse_twice(objects.iter().map(|(place, object)| (place, object)))?;
    Ok(objects.into_iter().map(|(_, object)| object).collect())
}

fn to_object(
    found: Found,
    scopes: &Scopes,
    namespace: &Namespace,
) -> Result<(Place, KubeObject), RenderError> {
    let Found { place, mut body } = found;
    let refuse = |problem: String| RenderError::File {
        place: place.clone(),
        problem,
    };
    set_namespace(&mut body, scopes, namespace).map_err(refuse)?;
    let object = KubeObject::from_value(body).map_err(|error| refuse(error.to_string()))?;
    Ok((place, object))
}

fn refuse_twice<'a>(
    objects: impl Iterator<Item = (&'a Place, &'a KubeObject)>,
) -> Result<(), RenderError> {
    let mut names = BTreeSet::new();
    for (place, object) in objects {
        if !names.insert(object.reference()) {
            return Err(RenderError::File {
                place: place.clone(),
                problem: format!("{} occurs twice", object.reference()),
            });
        }
    }
    Ok(())
}

/// Cluster-scoped objects have none; others have their own or the target's.
fn set_namespace(body: &mut Value, scopes: &Scopes, namespace: &Namespace) -> Result<(), String> {
    let text = |key: &str| body[key].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion").to_owned(), text("kind").to_owned());
    let is_namespaced = scopes.is_namespaced(&api_version, &kind);
    let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Ok(());
    };
    match is_namespaced {
        Some(true) => {}
        Some(false) => {
            metadata.remove("namespace");
            return Ok(());
        }
        // The kind is not known yet: keep what the chart says, and let the cluster decide.
        None => return Ok(()),
    }
    match metadata.get("namespace") {
        None | Some(Value::Null) => {
            metadata.insert("namespace".into(), namespace.as_str().into());
        }
        Some(Value::String(text)) if text.is_empty() => {
            metadata.insert("namespace".into(), namespace.as_str().into());
        }
        Some(Value::String(_)) => {}
        Some(other) => {
            return Err(format!(
                "`metadata.namespace` is `{other}`, which is not a string: quote it"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
