//! The chart format, held against `helm` itself and against the writer of the format.
//!
//! Needs `helm` (version 4; 3 does as well), named in HARMONY_HELM or on PATH.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod beyond;
mod charts;
mod model;
#[path = "../../src/treacherous.rs"]
mod treacherous;
mod yaml;

use std::collections::BTreeMap;

use harmony_charts::helm::{Helm, HelmChart, Lookups};
use harmony_charts::{Chart, RenderError, render};
use harmony_core::Context;
use harmony_core::chart::PackagedChart;
use harmony_core::kubernetes::KubeObject;
use harmony_types::Namespace;
use serde::Deserialize;
use serde_json::{Value, json};

use charts::packaged;

pub(crate) fn namespace() -> Namespace {
    "shop".parse().unwrap()
}

pub(crate) fn helm() -> Helm {
    Helm::find().expect(
        "this test needs helm: `go install helm.sh/helm/v4/cmd/helm@v4.3.1`, then put it on PATH or name it in HARMONY_HELM",
    )
}

pub(crate) fn run<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

pub(crate) fn by_helm(archive: &[u8], values: &Value) -> Result<Vec<KubeObject>, RenderError> {
    let chart = HelmChart {
        release: "release".into(),
        archive: archive.into(),
        lookups: Lookups::Refused,
        values: values.clone(),
        namespace: namespace(),
    };
    run(helm().template(&Context::new(), &chart, None)).map(|rendered| rendered.objects)
}

pub(crate) fn by_harmony(chart: &PackagedChart) -> Vec<KubeObject> {
    render(
        &Chart::from_archive(&chart.archive).unwrap(),
        &BTreeMap::new(),
        &namespace(),
    )
    .unwrap()
}

/// By name, without what the API server takes as "not set": Helm's values lose a null that a target sets.
pub(crate) fn comparable(objects: Vec<KubeObject>) -> BTreeMap<String, Value> {
    let body = |object: KubeObject| {
        let mut body = object.into_body();
        drop_nulls(&mut body);
        body
    };
    objects
        .into_iter()
        .map(|object| (object.reference().to_string(), body(object)))
        .collect()
}

pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[test]
fn every_form_of_a_hole_gives_what_helm_gives() {
    let values = r#"
text: "a \"b\"\n<c> & \u2028 ä😀 {{ .Values.text }}"
"yes": on
number: 3
large: 9007199254740991
float: 1.50
whole: 2.0
tiny: 1e-7
octal: 0644
under_1000: 1_000
flag: true
nothing: null
empty: ""
list: [1, "two", [], {}, null]
map: { key: { deep: v, other: 1 }, "yes": no }
nats: { url: "nats://nats:4222" }
"#;
    let template = r#"
apiVersion: v1
kind: ConfigMap
metadata:
  name: forms
  annotations:
    raw: http://web.{{ .Release.Namespace }}.svc/{{   .Release.Namespace   }}
    braces: "{{ "{{" }} .Values.x }} {{  "{{"  }}{{ "{{" }}"
    namespace: {{ .Release.Namespace | toJson }}
data:
  text: {{ .Values.text | toJson }}
  yes: {{ .Values.yes | toJson }}
  number: {{   .Values.number   |   toJson   }}
  large: {{ .Values.large | toJson }}
  float: {{ .Values.float | toJson }}
  whole: {{ .Values.whole | toJson }}
  tiny: {{ .Values.tiny | toJson }}
  octal: {{ .Values.octal | toJson }}
  under: {{ .Values.under_1000 | toJson }}
  flag: {{ .Values.flag | toJson }}
  nothing: {{ .Values.nothing | toJson }}
  empty: {{ .Values.empty | toJson }}
  list: {{ .Values.list | toJson }}
  map: {{ .Values.map | toJson }}
  deep: {{ .Values.map.key.deep | toJson }}
  printf: {{ printf "%s-%s-100%%-\"\\\n\r\t\u00e4 }} {{" .Values.nats.url .Release.Namespace | toJson }}
  printed: {{ printf "%s" .Values.text | toJson }}
  flow: [{{ .Values.number | toJson }}, {{ .Values.map | toJson }}, {{ .Values.text | toJson }}]
  block: |
    {{ .Release.Namespace }} and {{ .Values.number | toJson }}
    --- is no cut when it is indented
  folded: >-
    a {{ .Values.text | toJson }}
    b
--- # another
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: {{ printf "%s-reader" .Release.Namespace | toJson }} }
---
---
# nothing
"#;
    let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: fleets.example.com, annotations: {a: \"{{ not a hole }}\"}}\nspec: {group: example.com, scope: Cluster, names: {kind: Fleet}}\n";
    let files = [
        ("values.yaml", values),
        ("templates/forms.yaml", template),
        (
            "templates/fleet.yml",
            "apiVersion: example.com/v1\nkind: Fleet\nmetadata: {name: a}\n",
        ),
        ("crds/fleet.yaml", definition),
        ("templates/NOTES.txt", "{{ .Release.Name }}"),
    ];
    let chart = packaged("web", "1.0.0", &files);
    let ours = comparable(by_harmony(&chart));
    assert_eq!(ours.len(), 4);
    assert_eq!(
        ours,
        comparable(by_helm(&chart.archive, &json!({})).unwrap())
    );

    let target = BTreeMap::from([
        ("text".to_owned(), json!("other \u{2029}\t")),
        ("map.key".to_owned(), json!({ "deep": 2, "new": [true] })),
        ("list".to_owned(), json!({ "now": "a mapping" })),
        ("number".to_owned(), json!(null)),
        ("nats.url".to_owned(), json!("")),
    ]);
    let nested = json!({
        "text": "other \u{2029}\t", "map": { "key": { "deep": 2, "new": [true] } },
        "list": { "now": "a mapping" }, "number": null, "nats": { "url": "" },
    });
    let files = Chart::from_archive(&chart.archive).unwrap();
    let ours = render(&files, &target, &namespace()).unwrap();
    assert_eq!(
        comparable(ours),
        comparable(by_helm(&chart.archive, &nested).unwrap())
    );
}

/// The `data` that `helm template` prints, which is JSON, read by another library than ours.
pub(crate) fn helm_json(chart: &PackagedChart) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("chart.tgz");
    std::fs::write(&archive, &chart.archive).unwrap();
    let output = std::process::Command::new(helm().program())
        .args(["template", "release"])
        .arg(&archive)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let document = serde_yaml::Deserializer::from_str(&text).find_map(|document| {
        let value = Value::deserialize(document).unwrap();
        (!value.is_null()).then_some(value)
    });
    document.unwrap()["data"].clone()
}
