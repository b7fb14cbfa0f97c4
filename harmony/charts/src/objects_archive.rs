//! The objects of a chart as an archive, for controllers in a cluster that cannot render charts.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::GzDecoder;
use harmony_core::chart::{PackagedChart, PackagedObjects};
use harmony_core::kubernetes::KubeObject;
use harmony_types::Namespace;
use serde_json::Value;
use tar::Archive;

use crate::archive::{sorted, write_archive};
use crate::chart::Chart;
use crate::error::{ChartError, RenderError};
use crate::{render, yaml};

/// The only file of the archive.
const FILE: &str = "objects.yaml";

/// The namespace for rendering. Objects in it get none; a target replaces it wherever else it occurs.
const STAND_IN: &str = "default";

/// The objects of a chart with its own values; `None` for a chart that only `helm` can render, which may have other objects
/// each time.
///
/// # Errors
/// The objects do not fit into an archive.
pub fn package_objects(chart: &PackagedChart) -> Result<Option<PackagedObjects>, ChartError> {
    let namespace: Namespace = STAND_IN.parse().expect("a valid name");
    let rendered = Chart::from_archive(&chart.archive)
        .and_then(|files| render::render(&files, &BTreeMap::new(), &namespace));
    let Ok(objects) = rendered else {
        return Ok(None);
    };
    let mut text = String::new();
    for object in objects {
        text.push_str("---\n");
        text.push_str(&yaml::write(&sorted(without_namespace(object))));
    }
    let files = [(FILE.to_owned(), text.as_bytes())];
    let archive = write_archive(files.into_iter(), chart.created)
        .map_err(|source| ChartError::Archive { source })?;
    Ok(Some(PackagedObjects {
        archive: archive.into(),
        created: chart.created,
    }))
}

fn without_namespace(object: KubeObject) -> Value {
    let mut body = object.into_body();
    if body["metadata"]["namespace"] == STAND_IN
        && let Some(metadata) = body["metadata"].as_object_mut()
    {
        metadata.remove("namespace");
    }
    body
}

/// The objects in an archive, in its order.
///
/// # Errors
/// [`RenderError::Archive`] for what [`package_objects`] did not write.
pub fn read_objects(packaged: &PackagedObjects) -> Result<Vec<Value>, RenderError> {
    let refuse = |problem: String| RenderError::Archive { problem };
    let unpacked = GzDecoder::new(&*packaged.archive).take(Chart::MAX_SIZE);
    let mut text = None;
    let mut archive = Archive::new(unpacked);
    let unreadable =
        |error: std::io::Error| refuse(format!("is not a gzipped tar archive: {error}"));
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        if &*entry.path_bytes() == FILE.as_bytes() {
            let mut content = String::new();
            entry.read_to_string(&mut content).map_err(unreadable)?;
            text = Some(content);
        }
    }
    let text = text.ok_or_else(|| refuse(format!("has no `{FILE}`")))?;
    let documents = yaml::documents(&text)
        .map_err(|error| refuse(format!("{}: {}", error.line, error.problem)))?;
    Ok(documents
        .into_iter()
        .map(|document| document.value)
        .collect())
}

#[cfg(test)]
mod tests {
    use harmony_core::kubernetes::KubeObject;
    use harmony_types::Version;
    use serde_json::json;

    use super::*;
    use crate::{ChartContext, ChartSource, package};

    fn chart(namespace_inside: bool) -> PackagedChart {
        let objects = move |namespace: &Namespace, image: &harmony_types::ImageRef| {
            let mut web = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": "web", "namespace": namespace.as_str() },
                "data": { "image": image.to_string(), "number": "007" },
            });
            if namespace_inside {
                web["data"]["host"] = format!("web.{namespace}.svc").into();
            }
            let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": { "name": "web" }, "rules": [] });
            [web, role]
                .into_iter()
                .map(KubeObject::from_value)
                .collect()
        };
        let source = ChartSource::from_objects("An app", objects);
        let unit = harmony_types::ReleaseUnit::new("shop".parse().unwrap(), "web".parse().unwrap())
            .unwrap();
        let (version, image) = (
            Version::new(1, 0, 0),
            "r.example.com/web@sha256:".to_owned() + &"ab".repeat(32),
        );
        let context = ChartContext {
            unit: &unit,
            version: &version,
            image: &image.parse().unwrap(),
        };
        package(&source, std::path::Path::new("."), &context, 7)
            .unwrap()
            .unwrap()
    }

    #[test]
    fn objects_come_back_without_a_namespace_and_with_the_same_bytes() {
        let packaged = package_objects(&chart(true)).unwrap().unwrap();
        assert_eq!(package_objects(&chart(true)).unwrap().unwrap(), packaged);
        let objects = read_objects(&packaged).unwrap();
        let [role, web] = objects.as_slice() else {
            panic!("{objects:?}")
        };
        let (role, web) = if role["kind"] == "ClusterRole" {
            (role, web)
        } else {
            (web, role)
        };
        assert_eq!(role["kind"], "ClusterRole");
        assert_eq!(web["metadata"], json!({ "name": "web" }));
        assert_eq!(web["data"]["number"], "007");
        assert_eq!(web["data"]["host"], "web.default.svc");
    }

    #[test]
    fn other_archives_are_refused() {
        for archive in [&b"nothing"[..], &write_archive([].into_iter(), 0).unwrap()] {
            let packaged = PackagedObjects {
                archive: archive.into(),
                created: 0,
            };
            assert!(matches!(
                read_objects(&packaged),
                Err(RenderError::Archive { .. })
            ));
        }
    }
}
