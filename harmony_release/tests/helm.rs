//! The chart that is derived from a model, rendered by Helm itself: it must be the objects of the model.
//!
//! Needs `helm` (version 4; 3 does as well), named in HARMONY_HELM or on PATH.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use harmony_charts::derive;
use harmony_core::capability::oci_registry::RegistryLocation;
use harmony_core::kubernetes::KubeObject;
use harmony_core::{Inventory, Score as _};
use harmony_release::{
    AppSpec, ChartContext, ChartError, ChartModel, ChartSource, ChartValues, ReleaseScore,
};
use harmony_types::{Digest, ImageRef, ReleaseUnit, Version};
use serde::Deserialize;
use serde_json::{Value, json};

/// Everything that a hole can be, and text that a template or a YAML parser could take for something else.
struct Shop;

const TREACHEROUS: [&str; 16] = [
    "yes",
    "NO",
    "on",
    "1_000",
    "12:30",
    "014",
    "null",
    "~",
    "{{ .Values.nope }}",
    "}}",
    "a\nb\n",
    "  a",
    "\"'\\",
    "ä€😀",
    "2026-01-01",
    "100% %s",
];

impl ChartModel for Shop {
    fn description(&self) -> String {
        "A shop: {{ nothing }} to see, yes".into()
    }

    fn values(&self) -> Result<ChartValues, ChartError> {
        ChartValues::new("default".parse().unwrap())
            .with("nats.url", "nats://nats:4222")?
            .with("nats.secret", "yes")?
            .with("greeting", "{{ hello }} \"100%\" \\ 12:30\nä")?
            .with("replicas", 3)?
            .with("debug", true)
    }

    fn objects(
        &self,
        values: &ChartValues,
        image: &ImageRef,
    ) -> Result<Vec<KubeObject>, ChartError> {
        let namespace = values.namespace();
        let words: BTreeMap<String, &str> = TREACHEROUS
            .iter()
            .enumerate()
            .map(|(index, word)| (format!("word-{index}"), *word))
            .collect();
        let objects = [
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace.as_str() } }),
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": "words", "namespace": namespace.as_str(), "annotations": { "yes": "no" } },
                "data": words,
            }),
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": { "name": "web", "namespace": namespace.as_str() },
                "spec": {
                    "replicas": values.number("replicas")?,
                    "paused": values.flag("debug")?,
                    "selector": { "matchLabels": { "app": "web" } },
                    "empty": [], "none": {},
                    "template": { "spec": { "containers": [{
                        "image": image.to_string(),
                        "args": [
                            values.text("nats.url")?, values.text("nats.secret")?, values.text("greeting")?,
                            format!("web.{namespace}.svc"),
                            format!("%s \"{}\" in {namespace}: 100% \\ \t\n", values.text("greeting")?),
                        ],
                    }] } },
                },
            }),
        ];
        Ok(objects
            .into_iter()
            .map(KubeObject::from_value)
            .collect::<Result<_, _>>()?)
    }
}

fn helm() -> PathBuf {
    let named = std::env::var_os("HARMONY_HELM").map(PathBuf::from);
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .map(|directory| directory.join("helm"))
            .find(|file| file.is_file())
    };
    named.or_else(on_path).expect(
        "this test needs helm: `go install helm.sh/helm/v4/cmd/helm@v4.3.1`, then put it on PATH or name it in HARMONY_HELM",
    )
}

/// What `helm template` makes of the chart.
fn render(chart: &std::path::Path, namespace: &str, extra: &[&str]) -> Vec<Value> {
    let output = Command::new(helm())
        .args(["template", "release", "--namespace", namespace])
        .args(extra)
        .arg(chart)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| {
            serde_json::to_value(serde_yaml::Value::deserialize(document).unwrap()).unwrap()
        })
        .filter(|document| !document.is_null())
        .collect()
}

fn sorted(objects: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    objects
        .into_iter()
        .map(|object| {
            (
                format!("{}/{}", object["kind"], object["metadata"]["name"]),
                object,
            )
        })
        .collect()
}

/// The objects of the model without its namespace, which the delivery creates.
fn wanted(values: &ChartValues, image: &ImageRef) -> BTreeMap<String, Value> {
    let objects = Shop.objects(values, image).unwrap();
    sorted(
        objects
            .into_iter()
            .map(KubeObject::into_body)
            .filter(|object| object["kind"] != "Namespace"),
    )
}

#[test]
fn helm_renders_the_objects_of_the_score() {
    let unit = ReleaseUnit::new("shop".parse().unwrap(), "web".parse().unwrap()).unwrap();
    let version = Version::new(1, 2, 3);
    let registry = RegistryLocation::new("registry.example.com".parse().unwrap(), None).unwrap();
    let image = registry
        .image(&unit, &version)
        .with_digest(Digest::sha256_from_bytes([7; 32]));
    let context = ChartContext {
        unit: &unit,
        version: &version,
        image: &image,
    };
    let chart = derive(&Shop, &context).unwrap();

    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("shop-web");
    for (path, content) in chart.files() {
        let file = directory.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }

    let defaults = |namespace: &str| {
        ChartValues::new(namespace.parse().unwrap())
            .with("nats.url", "nats://nats:4222")
            .unwrap()
            .with("nats.secret", "yes")
            .unwrap()
            .with("greeting", "{{ hello }} \"100%\" \\ 12:30\nä")
            .unwrap()
            .with("replicas", 3)
            .unwrap()
            .with("debug", true)
            .unwrap()
    };
    let rendered = render(&directory, "production", &[]);
    assert_eq!(sorted(rendered), wanted(&defaults("production"), &image));

    let set = [
        "--set-string",
        "nats.url=on",
        "--set",
        "replicas=1000000",
        "--set",
        "debug=false",
    ];
    let changed = defaults("other")
        .with("nats.url", "on")
        .unwrap()
        .with("replicas", 1_000_000)
        .unwrap()
        .with("debug", false)
        .unwrap();
    assert_eq!(
        sorted(render(&directory, "other", &set)),
        wanted(&changed, &image)
    );

    let lint = Command::new(helm())
        .arg("lint")
        .arg(&directory)
        .output()
        .unwrap();
    assert!(
        lint.status.success(),
        "{}",
        String::from_utf8_lossy(&lint.stdout)
    );
}

#[tokio::test]
async fn helm_reads_the_archive_of_a_release() {
    let (project, registry) = (common::Project::new(), tempfile::tempdir().unwrap());
    let topology = common::DirectoryTopology::new(registry.path());
    let app = AppSpec {
        chart: ChartSource::from_score(Shop),
        ..project.app()
    };
    let release = ReleaseScore::of(&std::sync::Arc::new(app));
    let outcome = release
        .interpret(&Inventory::autoload(), &topology)
        .await
        .unwrap();
    let archive = registry.path().join("shop-web-1.2.3.tgz");
    let stored = registry
        .path()
        .join("charts/team/charts/shop-web/1.2.3.content");
    std::fs::copy(stored, &archive).unwrap();

    let objects = sorted(render(&archive, "production", &[]));
    let containers = &objects["\"Deployment\"/\"web\""]["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers[0]["image"], outcome.records[0]["image"]);

    let shown = Command::new(helm())
        .args(["show", "chart"])
        .arg(&archive)
        .output()
        .unwrap();
    assert!(
        shown.status.success(),
        "{}",
        String::from_utf8_lossy(&shown.stderr)
    );
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(
        text.contains("version: 1.2.3") && text.contains("name: shop-web"),
        "{text}"
    );
}
