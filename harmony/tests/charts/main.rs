//! Third-party charts on a real cluster: the local node. Each test has a namespace of its own (`test-charts-...`), which
//! it removes.
//!
//! Needs `helm`, named in HARMONY_HELM or on PATH.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../../kubernetes/tests/cluster/image.rs"]
mod image;
mod repository;
mod stage;

use harmony::charts::helm::Lookups;
use harmony::scores::{HelmChartError, HelmChartScore, HelmSource};
use harmony_core::outcome::Action;
use harmony_core::verify::Checks;
use serde_json::{Value, json};

use repository::{Repository, archive};
use stage::{Stage, on_stage};

const HELPERS: &str = r#"
{{- define "shop.job" }}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .name }}
  annotations: {{ .annotations | toYaml | nindent 4 }}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 0
      containers:
        - name: app
          image: {{ .root.Values.image | quote }}
          args: [say, {{ .root.Chart.Version | quote }}, "0"]
{{- end }}
"#;

const HOOKS: &str = r#"
{{- range $name, $annotations := .Values.hooks }}
---
{{- include "shop.job" (dict "name" $name "annotations" $annotations "root" $) }}
{{- end }}
---
apiVersion: v1
kind: Pod
metadata: { name: check, annotations: { "helm.sh/hook": test } }
spec:
  restartPolicy: Never
  containers: [{ name: app, image: {{ .Values.image | quote }}, args: [say, tested, "0"] }]
"#;

const VALUES: &str = r#"
image: ""
replicaCount: 1
hooks:
  before: { helm.sh/hook: pre-install, helm.sh/hook-weight: "-5" }
  migrate: { helm.sh/hook: "pre-install,pre-upgrade" }
  after: { helm.sh/hook: "post-install", helm.sh/hook-delete-policy: "before-hook-creation,hook-succeeded" }
  upgraded: { helm.sh/hook: post-upgrade }
  farewell: { helm.sh/hook: "pre-delete,post-delete,post-rollback" }
"#;

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, labels: { app.kubernetes.io/managed-by: {{ .Release.Service }} } }
spec:
  replicas: {{ .Values.replicaCount }}
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{ name: web, image: {{ .Values.image | quote }}, args: [http, "8080"] }]
---
apiVersion: v1
kind: ConfigMap
metadata: { name: cluster }
data:
  version: {{ .Capabilities.KubeVersion.Version | quote }}
  jobs: {{ .Capabilities.APIVersions.Has "batch/v1/Job" | quote }}
"#;

const SUBCHART: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: {{ .Release.Name }}-sub }\ndata: { color: {{ .Values.color }} }\n";

/// The values that the tests set: those of a real app are a struct, too.
#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Values {
    image: String,
    replica_count: u32,
    sub: Sub,
}

#[derive(serde::Serialize)]
struct Sub {
    color: &'static str,
}

/// A definition with a group of this test only, because definitions belong to the whole cluster.
fn definition(stage: &Stage) -> String {
    let group = format!("{}.example.com", stage.namespace);
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("widgets.{group}") },
        "spec": { "group": group, "scope": "Namespaced", "names": { "kind": "Widget", "plural": "widgets" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema":
                { "type": "object", "properties": { "spec": { "type": "object", "properties": { "size": { "type": "integer" } } } } } } }] },
    })
    .to_string()
}

/// The chart `shop`, with a definition in `crds/`, hooks, a subchart, and what only that version has.
fn shop(stage: &Stage, version: &str, kube_version: &str, own: &str) -> Vec<u8> {
    let widget = format!(
        "apiVersion: {}.example.com/v1\nkind: Widget\nmetadata: {{ name: one }}\nspec: {{ size: 3 }}\n",
        stage.namespace
    );
    let metadata = format!(
        "apiVersion: v2\nname: shop\nversion: {version}\nkubeVersion: '{kube_version}'\ndependencies: [{{ name: sub, version: 0.1.0 }}]\n"
    );
    let definition = definition(stage);
    archive(
        "shop",
        &[
            ("Chart.yaml", &metadata),
            ("values.yaml", VALUES),
            ("crds/widget.yaml", &definition),
            ("templates/_helpers.tpl", HELPERS),
            ("templates/hooks.yaml", HOOKS),
            ("templates/web.yaml", WEB),
            ("templates/widget.yaml", &widget),
            (
                "templates/own.yaml",
                &format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {own} }}\n"),
            ),
            (
                "charts/sub/Chart.yaml",
                "apiVersion: v2\nname: sub\nversion: 0.1.0\n",
            ),
            ("charts/sub/values.yaml", "color: red\n"),
            ("charts/sub/templates/a.yaml", SUBCHART),
        ],
    )
}

async fn score(stage: &Stage, source: impl Into<HelmSource>) -> HelmChartScore {
    let values = Values {
        image: stage.image().await,
        replica_count: 1,
        sub: Sub { color: "green" },
    };
    HelmChartScore::new(
        "shop".parse().unwrap(),
        stage.namespace.clone(),
        source,
        Checks::readiness_alone(),
    )
    .with_values(&values)
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_is_pinned_installed_upgraded_and_pruned() {
    on_stage(|stage| async move {
        let repository = Repository::start();
        repository.publish(
            "shop",
            "v1.0.0",
            shop(&stage, "v1.0.0", ">=1.25.0-0", "old"),
        );
        repository.publish(
            "shop",
            "2.0.0+build.3",
            shop(&stage, "2.0.0+build.3", ">=1.25.0-0", "new"),
        );
        repository.publish("shop", "3.0.0", shop(&stage, "3.0.0", ">=1.99.0-0", "new"));
        let at = |version: &str| {
            stage
                .lock()
                .repository(&repository.url(), "shop", version)
                .unwrap()
        };

        // Nobody approves the digest: neither a plan nor an apply writes anything.
        let first = score(&stage, at("1.0.0")).await;
        let planned = stage.plan(&first).await.unwrap();
        let note = planned
            .iter()
            .find_map(|change| change.note.clone())
            .unwrap();
        assert!(
            note.starts_with("would record shop 1.0.0 of http://127.0.0.1:"),
            "{note}"
        );
        assert_eq!(stage.apply(&first).await.unwrap_err(), "H0518");
        assert_eq!(stage.lock_text(), "");
        assert_eq!(
            stage
                .object("v1", "Namespace", stage.namespace.as_str())
                .await,
            None
        );

        // Installed: the definition before its object, hooks around the objects, the test at the end.
        stage.record_pins();
        let changes = stage.apply(&first).await.unwrap();
        assert!(
            stage
                .lock_text()
                .contains("name = \"shop\"\nversion = \"1.0.0\"\ndigest = \"sha256:")
        );
        for wanted in [
            "create Job before: runs as pre-install hook",
            "create Job migrate: runs as pre-install hook",
            "create Job after: runs as post-install hook",
            "create Widget one",
            "create ConfigMap old",
        ] {
            assert!(
                changes.iter().any(|change| change.starts_with(wanted)),
                "{wanted}: {changes:#?}"
            );
        }
        for (kind, name, there) in [
            ("Job", "before", true),
            ("Job", "migrate", true),
            ("Job", "after", false),
            ("Job", "upgraded", false),
            ("Job", "farewell", false),
            ("Pod", "check", true),
        ] {
            let api = if kind == "Job" { "batch/v1" } else { "v1" };
            assert_eq!(
                stage.object(api, kind, name).await.is_some(),
                there,
                "{kind} {name}"
            );
        }
        let cluster = stage.object("v1", "ConfigMap", "cluster").await.unwrap();
        assert_eq!(cluster["data"]["jobs"], "true");
        assert!(
            cluster["data"]["version"]
                .as_str()
                .unwrap()
                .starts_with("v1."),
            "{cluster}"
        );
        let sub = stage.object("v1", "ConfigMap", "shop-sub").await.unwrap();
        assert_eq!(sub["data"]["color"], "green");
        let listed = stage
            .object("v1", "ConfigMap", "harmony-delivery-shop")
            .await
            .unwrap();
        assert_eq!(
            (&listed["data"]["state"], &listed["data"]["version"]),
            (&json!("applied"), &json!("1.0.0"))
        );

        // Again, with the digest compiled in: nothing changes, and the server is not asked.
        let asked = repository.requests();
        let compiled = stage
            .compiled_lock()
            .repository(&repository.url(), "shop", "1.0.0")
            .unwrap();
        let again = stage.actions(&score(&stage, compiled).await).await;
        assert!(
            again.iter().all(|action| *action == Action::Unchanged),
            "{again:?}"
        );
        assert_eq!(repository.requests(), asked);

        // Upgraded: other hooks, and what only the old version had is gone, but not the definition.
        let changes = stage
            .apply(&score(&stage, at("2.0.0+build.3")).await)
            .await
            .unwrap();
        for wanted in [
            "update Job migrate: runs as pre-upgrade hook",
            "create Job upgraded",
            "create ConfigMap new",
            "delete ConfigMap old",
        ] {
            assert!(
                changes.iter().any(|change| change.starts_with(wanted)),
                "{wanted}: {changes:#?}"
            );
        }
        assert_eq!(stage.object("v1", "ConfigMap", "old").await, None);
        assert!(stage.object("v1", "ConfigMap", "new").await.is_some());

        // A version for another Kubernetes is refused before anything is written.
        let before = stage
            .object("v1", "ConfigMap", "harmony-delivery-shop")
            .await;
        assert_eq!(
            stage
                .apply(&score(&stage, at("3.0.0")).await)
                .await
                .unwrap_err(),
            "H0331"
        );
        assert_eq!(
            stage
                .object("v1", "ConfigMap", "harmony-delivery-shop")
                .await,
            before
        );

        // A chart that is no longer in the Score keeps its definition, and so do its objects' data.
        let bare = archive(
            "shop",
            &[("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 4.0.0\n")],
        );
        repository.publish("shop", "4.0.0", bare);
        stage
            .apply(&score(&stage, at("4.0.0")).await)
            .await
            .unwrap();
        assert_eq!(stage.object("apps/v1", "Deployment", "web").await, None);
        let definition = format!("widgets.{}.example.com", stage.namespace);
        let kept = stage
            .object(
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                &definition,
            )
            .await;
        assert!(kept.is_some());
        stage.remove_definition(&definition).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_fails_ends_the_deploy_before_the_objects() {
    on_stage(|stage| async move {
        let values = VALUES.replace(
            "before: { helm.sh/hook: pre-install",
            "before: { helm.sh/hook: pre-rollbak",
        );
        let files = |values: &str, helpers: &str| {
            archive(
                "shop",
                &[
                    ("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n"),
                    ("values.yaml", values),
                    ("templates/_helpers.tpl", helpers),
                    ("templates/hooks.yaml", HOOKS),
                    ("templates/web.yaml", WEB),
                ],
            )
        };
        // An unknown event is refused by name, before anything is written.
        let directory = |archive: Vec<u8>| {
            let folder = tempfile::tempdir().unwrap();
            tar::Archive::new(flate2::read::GzDecoder::new(&*archive))
                .unpack(folder.path())
                .unwrap();
            let source = HelmSource::directory(folder.path().join("shop"));
            (folder, source)
        };
        let (_unknown, source) = directory(files(&values, HELPERS));
        let error = stage.failure(&score(&stage, source).await).await;
        assert_eq!(error.code.to_string(), "H0330");
        assert!(
            error
                .causes
                .iter()
                .any(|cause| cause.contains("`helm.sh/hook: pre-rollbak`")),
            "{error:?}"
        );
        assert_eq!(
            stage
                .object("v1", "Namespace", stage.namespace.as_str())
                .await,
            None
        );

        let failing = HELPERS.replace(
            "\"0\"]",
            "{{ if eq .name \"migrate\" }}\"3\"{{ else }}\"0\"{{ end }}]",
        );
        let (_failing, source) = directory(files(VALUES, &failing));
        let error = stage.failure(&score(&stage, source).await).await;
        assert_eq!(error.code.to_string(), "H0318");
        assert!(
            error
                .message
                .starts_with("the pre-install,pre-upgrade hook Job"),
            "{error:?}"
        );
        assert!(
            error.evidence.iter().any(|line| line.trim() == "1.0.0"),
            "{error:?}"
        );
        assert_eq!(stage.object("apps/v1", "Deployment", "web").await, None);
        assert!(stage.object("batch/v1", "Job", "before").await.is_some());

        let (_fixed, source) = directory(files(VALUES, HELPERS));
        stage.apply(&score(&stage, source).await).await.unwrap();
        assert!(stage.object("apps/v1", "Deployment", "web").await.is_some());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_of_a_registry_is_found_under_its_tag_and_held_to_its_digest() {
    on_stage(|stage| async move {
        let peer = harmony_registry::testing::RegistryPeer::start_with(
            harmony_registry::testing::Protection::Open,
        )
        .await
        .unwrap();
        let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n";
        let metadata = "apiVersion: v2\nname: shop\nversion: 1.2.3+build.5\n";
        let chart = archive(
            "shop",
            &[("Chart.yaml", metadata), ("templates/a.yaml", template)],
        );
        stage.helm_push(&chart, peer.host());
        let url = format!("oci://{}/team/shop", peer.host());
        let source = stage.lock().oci(&url, "1.2.3+build.5").unwrap();
        stage.record_pins();
        let score = |source| {
            HelmChartScore::new(
                "shop".parse().unwrap(),
                stage.namespace.clone(),
                source,
                Checks::readiness_alone(),
            )
        };
        stage.apply(&score(source)).await.unwrap();
        let digest = stage::sha256(&chart);
        assert!(stage.lock_text().contains(&digest), "{}", stage.lock_text());

        // Another chart under the same tag; the digest in the lock file is that of the first one.
        let other = archive(
            "shop",
            &[
                ("Chart.yaml", metadata),
                ("templates/a.yaml", &template.replace("name: a", "name: b")),
            ],
        );
        stage.helm_push(&other, peer.host());
        Stage::forget(&digest);
        let source = stage.compiled_lock().oci(&url, "1.2.3+build.5").unwrap();
        let error = stage.failure(&score(source)).await;
        assert_eq!(error.code.to_string(), "H0517");
        assert_eq!(
            error.evidence,
            [
                format!("in charts.lock: {digest}"),
                format!("downloaded:     {}", stage::sha256(&other)),
            ]
        );
        let missing = stage.lock().oci(&url, "9.9.9").unwrap();
        assert_eq!(stage.apply(&score(missing)).await.unwrap_err(), "H0208");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_repository_does_not_have_is_told() {
    on_stage(|stage| async move {
        let repository = Repository::start();
        let chart = archive(
            "shop",
            &[("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n")],
        );
        repository.publish("shop", "1.0.0", chart.clone());
        repository.publish("shop", "1.1.0", chart);
        stage.record_pins();
        let url = repository.url();
        let score = |name: &str, version: &str| {
            let source = stage.lock().repository(&url, name, version).unwrap();
            HelmChartScore::new(
                "shop".parse().unwrap(),
                stage.namespace.clone(),
                source,
                Checks::readiness_alone(),
            )
        };
        let error = stage.failure(&score("shop", "2.0.0")).await;
        assert_eq!(
            (error.code.to_string().as_str(), &error.evidence[..]),
            ("H0523", &["latest versions: 1.0.0, 1.1.0".to_owned()][..])
        );
        let error = stage.failure(&score("shp", "2.0.0")).await;
        assert_eq!(error.evidence, ["charts of this repository: shop"]);
        // The archive is that of another version.
        let error = stage.failure(&score("shop", "1.1.0")).await;
        assert!(
            error
                .causes
                .iter()
                .any(|cause| cause.contains("contains the chart `shop 1.0.0`")),
            "{error:?}"
        );
        // The index has another digest.
        repository.damage("shop", "1.0.0");
        assert_eq!(
            stage
                .failure(&score("shop", "1.0.0"))
                .await
                .code
                .to_string(),
            "H0524"
        );
        assert_eq!(stage.lock_text(), "");
    })
    .await;
}

#[test]
fn values_are_a_mapping_and_lookups_are_refused_by_default() {
    let chart = || HelmSource::directory("/nonexistent");
    let score = HelmChartScore::new(
        "a".parse().unwrap(),
        "a".parse().unwrap(),
        chart(),
        Checks::readiness_alone(),
    );
    assert_eq!(score.lookups, Lookups::Refused);
    let values = score
        .clone()
        .with_values(&Sub { color: "red" })
        .unwrap()
        .values;
    assert_eq!(values, json!({ "color": "red" }));
    for wrong in [json!(3), json!([1]), Value::Null] {
        let error = score.clone().with_values(&wrong).unwrap_err();
        assert!(matches!(error, HelmChartError::Values { .. }), "{error}");
    }
    assert_eq!(score.with_empty_lookups().lookups, Lookups::Empty);
}
