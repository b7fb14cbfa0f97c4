//! An app whose container behaves as its arguments say, for tests of deliveries.

#[path = "../../../harmony/kubernetes/tests/cluster/peer_program.rs"]
#[expect(clippy::unwrap_used, reason = "a part of the tests")]
mod peer_program;

use std::path::Path;
use std::sync::Arc;

use harmony::containers::Prebuilt;
use harmony::core::image::ImageSource;
use harmony::core::kubernetes::{KubeObject, ObjectError};
use harmony::core::verify::Checks;
use harmony::release::{AppSpec, ChartSource, VersionSource};
use harmony::types::{ImageRef, Namespace, ReleaseUnit, Version};
use serde_json::{Value, json};

use crate::released::PULL_SECRET;

/// The port of `http`.
pub const PORT: u16 = 8080;

/// The arguments of a container that serves `/ok`.
pub const SERVE: [&str; 2] = ["http", "8080"];

/// Compiles the program of the image into `folder`.
pub fn program(folder: &Path) -> Prebuilt {
    Prebuilt::new(peer_program::compile(folder))
}

/// The app `test-NAME` with this version and these objects. `root` is a checkout, which a release needs.
///
/// # Errors
/// The name is not valid.
pub fn app<F>(
    name: &str,
    version: Version,
    root: &Path,
    program: &Prebuilt,
    checks: Checks,
    objects: F,
) -> anyhow::Result<Arc<AppSpec>>
where
    F: Fn(&Namespace, &ImageRef) -> Result<Vec<KubeObject>, ObjectError> + Send + Sync + 'static,
{
    let unit = ReleaseUnit::new("test".parse()?, name.parse()?)?;
    let image = ImageSource::Buildable(Arc::new(program.clone()));
    Ok(Arc::new(AppSpec {
        version: VersionSource::Fixed(version),
        chart: ChartSource::from_objects("An app for tests", objects),
        smoke: checks,
        ..AppSpec::image_only(unit, root.to_path_buf(), image)
    }))
}

/// A Deployment `web` with one container `web`, which is ready when it serves `/ok`.
pub fn deployment(image: &str, args: &[&str]) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": {
                    "imagePullSecrets": [{ "name": PULL_SECRET }],
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{
                        "name": "web", "image": image, "args": args, "ports": [{ "containerPort": PORT }],
                        "readinessProbe": { "httpGet": { "path": "/ok", "port": PORT }, "periodSeconds": 1 },
                    }],
                },
            },
        },
    })
}

/// The objects with their namespace; an object of the kind Namespace is it.
///
/// # Errors
/// An object is not valid.
pub fn in_namespace(
    bodies: Vec<Value>,
    namespace: &Namespace,
) -> Result<Vec<KubeObject>, ObjectError> {
    let placed = bodies.into_iter().map(|mut body| {
        let field = if body["kind"] == "Namespace" {
            "name"
        } else {
            "namespace"
        };
        body["metadata"][field] = namespace.as_str().into();
        KubeObject::from_value(body)
    });
    placed.collect()
}
