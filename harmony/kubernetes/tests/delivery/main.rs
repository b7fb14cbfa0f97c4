//! Direct delivery to a real cluster: the local node, or the one that `HARMONY_TEST_KUBECONFIG` names.
//!
//! Each test delivers into a namespace of its own (`test-delivery-...`), which it removes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod charts;
mod ownership;
mod stage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use harmony_core::Context;
use harmony_core::capability::continuous_delivery::DeliveryError;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::{ContinuousDelivery, HelmRegistry, KubernetesCluster};
use harmony_core::diagnostic::{Diagnostic, Report};
use harmony_core::outcome::{Action, Change, Subject};
use harmony_kubernetes::DirectDelivery;
use harmony_types::Namespace;
use serde_json::json;

use stage::{CutOff, location, on_stage, reference};

/// `create ConfigMap web/settings` without the namespace.
fn told(changes: &[Change], namespace: &Namespace) -> Vec<String> {
    let text = |change: &Change| {
        format!("{} {}", change.action, change.subject).replace(&format!("{namespace}/"), "")
    };
    changes.iter().map(text).collect()
}

fn names(there: &BTreeMap<String, String>) -> Vec<&str> {
    there.keys().map(String::as_str).collect()
}

const FIRST_THERE: [&str; 8] = [
    "ConfigMap harmony-delivery-site",
    "ConfigMap old",
    "ConfigMap settings",
    "Deployment web",
    "PersistentVolumeClaim data",
    "Secret kept-by-hand",
    "Service web",
    "ServiceAccount old",
];

const SECOND_THERE: [&str; 8] = [
    "ConfigMap harmony-delivery-site",
    "ConfigMap new",
    "ConfigMap settings",
    "Deployment web",
    "PersistentVolumeClaim data",
    "Role new",
    "Secret kept-by-hand",
    "Service web",
];

#[tokio::test]
async fn a_chart_is_delivered_once_and_then_left_alone() {
    on_stage(|stage| async move {
        let planned = stage.plan("1.0.0", &stage.target()).await.unwrap();
        assert_eq!(
            stage
                .body("v1", "Namespace", stage.namespace.as_str())
                .await,
            None,
            "a plan wrote"
        );

        let changes = stage.sync("1.0.0", &stage.target()).await.unwrap();
        assert!(
            changes.iter().all(|change| change.action == Action::Create),
            "{changes:?}"
        );
        let namespace = &stage.namespace;
        assert_eq!(
            told(&planned, namespace),
            told(&changes, namespace),
            "a plan is what is done"
        );
        assert_eq!(
            told(&changes, namespace)[..2],
            [
                format!("create Namespace {namespace}"),
                "create ConfigMap harmony-delivery-site".into()
            ]
        );
        assert_eq!(changes.len(), 2 + 7);
        let there = stage.there().await;
        assert_eq!(names(&there), FIRST_THERE);
        let settings = stage.body("v1", "ConfigMap", "settings").await.unwrap();
        assert_eq!(
            settings["data"],
            json!({ "greeting": "hello", "url": format!("http://web.{namespace}.svc") })
        );

        let again = stage.sync("1.0.0", &stage.target()).await.unwrap();
        assert!(
            again
                .iter()
                .all(|change| change.action == Action::Unchanged),
            "{again:?}"
        );
        assert_eq!(again.len(), changes.len());
        assert_eq!(stage.there().await, there, "nothing was written");
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_removes_what_only_the_old_version_had() {
    on_stage(|stage| async move {
        let namespace = stage.namespace.clone();
        stage.sync("1.0.0", &stage.target()).await.unwrap();
        let before = stage.there().await;

        let planned = stage.plan("2.0.0", &stage.target()).await.unwrap();
        assert_eq!(stage.there().await, before, "a plan wrote");
        let changes = stage.sync("2.0.0", &stage.target()).await.unwrap();
        assert_eq!(
            told(&planned, &namespace),
            told(&changes, &namespace),
            "a plan is what is done"
        );
        let told = told(&changes, &namespace);
        for expected in [
            "update ConfigMap harmony-delivery-site",
            "unchanged ConfigMap settings",
            "create ConfigMap new",
            "create Role new",
            "delete ConfigMap old",
            "delete ServiceAccount old",
            "unchanged Secret kept-by-hand",
            "unchanged PersistentVolumeClaim data",
        ] {
            assert!(
                told.iter().any(|line| line == expected),
                "{expected} in {told:?}"
            );
        }
        let noted = |name: &str| {
            let change = changes
                .iter()
                .find(|change| change.subject.to_string().ends_with(name))
                .unwrap();
            change.note.clone().unwrap()
        };
        assert!(
            noted("/data").contains("its data would be lost"),
            "{}",
            noted("/data")
        );
        assert!(noted("/kept-by-hand").contains("helm.sh/resource-policy"));
        assert_eq!(names(&stage.there().await), SECOND_THERE);
        let (state, listed) = stage.listed().await.unwrap();
        assert_eq!((state.as_str(), listed.len()), ("applied", 5));

        let again = stage.sync("2.0.0", &stage.target()).await.unwrap();
        assert!(
            again
                .iter()
                .all(|change| change.action == Action::Unchanged),
            "{again:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn what_lost_its_label_is_not_removed() {
    on_stage(|stage| async move {
        stage.sync("1.0.0", &stage.target()).await.unwrap();
        stage
            .edit(
                "old",
                json!({ "metadata": { "labels": { "harmony.dev/delivery": null } } }),
            )
            .await;
        let changes = stage.sync("2.0.0", &stage.target()).await.unwrap();
        let subject = Subject::from(stage.named("v1", "ConfigMap", "old"));
        let old = changes
            .iter()
            .find(|change| change.subject == subject)
            .unwrap();
        assert_eq!(old.action, Action::Unchanged);
        assert!(
            old.note
                .as_deref()
                .unwrap()
                .contains("does not carry the chart's label")
        );
        assert!(stage.body("v1", "ConfigMap", "old").await.is_some());
        assert!(stage.body("v1", "ServiceAccount", "old").await.is_none());
    })
    .await;
}

#[tokio::test]
async fn drift_is_mended_and_a_foreign_owner_is_named() {
    on_stage(|stage| async move {
        stage.sync("1.0.0", &stage.target()).await.unwrap();
        stage
            .edit("settings", json!({ "data": { "greeting": null } }))
            .await;
        stage
            .cluster
            .delete(&stage.named("v1", "ConfigMap", "old"))
            .await
            .unwrap();
        let changes = stage.sync("1.0.0", &stage.target()).await.unwrap();
        let mended = told(&changes, &stage.namespace);
        let mended: Vec<_> = mended
            .iter()
            .filter(|line| !line.starts_with("unchanged"))
            .collect();
        assert_eq!(
            mended,
            ["update ConfigMap settings", "create ConfigMap old"]
        );
        assert_eq!(names(&stage.there().await), FIRST_THERE);

        stage
            .edit("settings", json!({ "data": { "greeting": "mine" } }))
            .await;
        let error = stage.sync("1.0.0", &stage.target()).await.unwrap_err();
        let DeliveryError::Cluster(ClusterError::Conflict { owners, .. }) = &error else {
            panic!("{error:?}")
        };
        assert!(
            owners
                .iter()
                .any(|owner| owner.contains("somebody") && owner.contains("greeting")),
            "{owners:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn values_of_the_target_replace_the_charts() {
    on_stage(|stage| async move {
        stage.sync("1.0.0", &stage.target()).await.unwrap();
        let target = stage.target_with(json!({ "greeting": "yes: \"{{ 1 }}\"" }));
        let changes = stage.sync("1.0.0", &target).await.unwrap();
        let effective: Vec<_> = changes
            .iter()
            .filter(|change| change.action != Action::Unchanged)
            .collect();
        assert_eq!(effective.len(), 1, "{effective:?}");
        assert_eq!(effective[0].fields[0].path, "data.greeting");
        assert_eq!(
            stage.body("v1", "ConfigMap", "settings").await.unwrap()["data"]["greeting"],
            "yes: \"{{ 1 }}\""
        );

        let before = stage.there().await;
        let error = stage
            .sync("1.0.0", &stage.target_with(json!({ "greting": "x" })))
            .await
            .unwrap_err();
        let report = Report::of(&error);
        assert!(
            report.causes[0].contains("the value `greting` is not one of this chart"),
            "{report:?}"
        );
        assert!(report.hints[0].contains("`greeting`"), "{report:?}");
        assert_eq!(error.code().to_string(), "H0330");
        assert_eq!(stage.there().await, before, "nothing was written");
    })
    .await;
}

/// Cut off after every single write in turn; the next delivery always gets to the same end.
#[tokio::test]
async fn a_delivery_that_is_killed_anywhere_is_continued() {
    on_stage(|stage| async move {
        let mut cuts = 0;
        for writes in 0.. {
            stage.sync("1.0.0", &stage.target()).await.unwrap();
            assert!(stage.there().await.contains_key("ConfigMap old"));
            let cut = CutOff {
                cluster: stage.cluster.clone(),
                left: Arc::new(AtomicU32::new(writes)),
            };
            let delivery =
                DirectDelivery::new(Context::new(), cut, stage.registry.clone(), location());
            let result = delivery
                .sync_to(&reference("site", "2.0.0"), &stage.target())
                .await;
            let (_, listed) = stage.listed().await.unwrap();
            let there = stage.there().await;
            for object in there
                .keys()
                .filter(|name| !name.contains("harmony-delivery"))
            {
                let is_kept = matches!(
                    object.as_str(),
                    "Secret kept-by-hand" | "PersistentVolumeClaim data"
                );
                assert!(
                    listed.contains(object) || is_kept && result.is_ok(),
                    "{object} is lost after {writes} writes"
                );
            }
            stage.sync("2.0.0", &stage.target()).await.unwrap();
            let there = stage.there().await;
            assert_eq!(names(&there), SECOND_THERE, "after {writes} writes");
            match result {
                Ok(_) => break,
                Err(DeliveryError::Cluster(ClusterError::Unreachable { .. })) => cuts += 1,
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(cuts >= 8, "only {cuts} cuts");
    })
    .await;
}

#[tokio::test]
async fn two_charts_share_a_namespace() {
    on_stage(|stage| async move {
        let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n";
        let other = charts::packaged("other", "1.0.0", &[("templates/a.yaml", object)]);
        stage
            .registry
            .push_chart(&other, &reference("other", "1.0.0"))
            .await
            .unwrap();
        stage.sync("1.0.0", &stage.target()).await.unwrap();
        let delivery = DirectDelivery::new(
            Context::new(),
            stage.cluster.clone(),
            stage.registry.clone(),
            location(),
        );
        delivery
            .sync_to(&reference("other", "1.0.0"), &stage.target())
            .await
            .unwrap();
        stage.sync("2.0.0", &stage.target()).await.unwrap();
        assert!(stage.body("v1", "ConfigMap", "other").await.is_some());
        assert!(
            stage
                .body("v1", "ConfigMap", "harmony-delivery-other")
                .await
                .is_some()
        );
    })
    .await;
}

#[tokio::test]
async fn waiting_is_for_the_charts_own_workloads() {
    on_stage(|stage| async move {
        let delivery = DirectDelivery::new(
            Context::new(),
            stage.cluster.clone(),
            stage.registry.clone(),
            location(),
        );
        let chart = reference("site", "2.0.0");
        let delivered = delivery.sync_to(&chart, &stage.target()).await.unwrap();
        let service = stage
            .cluster
            .delete(&stage.named("v1", "Service", "web"))
            .await
            .unwrap();
        assert_eq!(
            service.action,
            Action::Delete,
            "a service of nobody would not become ready"
        );
        let error = delivery
            .wait_ready(&delivered, Duration::from_secs(3))
            .await
            .unwrap_err();
        assert!(matches!(error, DeliveryError::Cluster(_)), "{error:?}");

        let target = stage.target_with(json!({ "replicas": 1 }));
        let delivered = delivery.sync_to(&chart, &target).await.unwrap();
        let error = delivery
            .wait_ready(&delivered, Duration::from_secs(5))
            .await
            .unwrap_err();
        let DeliveryError::Cluster(ClusterError::NotReady(_)) = error else {
            panic!("{error:?}")
        };
    })
    .await;
}

#[tokio::test]
async fn a_chart_that_is_not_there_yet_can_be_planned() {
    on_stage(|stage| async move {
        let planned = stage.plan("9.0.0", &stage.target()).await.unwrap();
        assert_eq!(planned.len(), 1);
        assert_eq!(planned[0].to_string(), "create chart oci://registry.example.com/team/site:9.0.0 (its objects are known after the release)");
        let error = stage.sync("9.0.0", &stage.target()).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Chart { .. }), "{error:?}");
        assert_eq!(stage.body("v1", "Namespace", stage.namespace.as_str()).await, None, "nothing was written");
    })
    .await;
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_not_overwritten() {
    on_stage(|stage| async move {
        stage.sync("1.0.0", &stage.target()).await.unwrap();
        stage
            .edit(
                "harmony-delivery-site",
                json!({ "data": { "objects": "gone" } }),
            )
            .await;
        let error = stage.sync("2.0.0", &stage.target()).await.unwrap_err();
        let report = Report::of(&error);
        assert!(
            report.message.contains("harmony-delivery-site has no list"),
            "{report:?}"
        );
        assert!(
            report.hints[0].contains("kubectl delete configmap"),
            "{report:?}"
        );
        assert!(stage.body("v1", "ConfigMap", "old").await.is_some());
    })
    .await;
}

/// Hooks that need no program: what they do is in `tests/cluster/hooks.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn hooks_of_a_chart_run_around_its_objects_and_are_none_of_them() {
    const HOOKS: &str = r#"
{{- range $name, $events := dict "before" "pre-install,pre-upgrade" "later" "post-upgrade" "gone" "pre-delete" "back" "post-rollback" }}
---
apiVersion: v1
kind: ConfigMap
metadata: { name: {{ $name }}, annotations: { "helm.sh/hook": {{ $events | quote }} } }
data: { version: {{ $.Chart.Version | quote }} }
{{- end }}
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { version: {{ .Chart.Version | quote }} }
"#;
    on_stage(|stage| async move {
        let delivery = DirectDelivery::new(
            Context::new(),
            stage.cluster.clone(),
            stage.registry.clone(),
            location(),
        );
        let there = async || {
            let mut found = Vec::new();
            for name in ["back", "before", "gone", "later", "settings"] {
                if let Some(body) = stage.body("v1", "ConfigMap", name).await {
                    found.push(format!(
                        "{name} {}",
                        body["data"]["version"].as_str().unwrap()
                    ));
                }
            }
            found
        };
        for (version, expected) in [
            ("1.0.0", vec!["before 1.0.0", "settings 1.0.0"]),
            (
                "2.0.0",
                vec!["before 2.0.0", "later 2.0.0", "settings 2.0.0"],
            ),
        ] {
            let chart = charts::packaged("hooked", version, &[("templates/a.yaml", HOOKS)]);
            let at = reference("hooked", version);
            stage.registry.push_chart(&chart, &at).await.unwrap();
            let delivered = delivery.sync_to(&at, &stage.target()).await.unwrap();
            assert!(!there().await.contains(&format!("later {version}")));
            delivery
                .wait_ready(&delivered, Duration::from_secs(30))
                .await
                .unwrap();
            assert_eq!(there().await, expected);
            let list = stage
                .body("v1", "ConfigMap", "harmony-delivery-hooked")
                .await
                .unwrap();
            let objects = list["data"]["objects"].as_str().unwrap();
            assert!(
                objects.contains("settings") && !objects.contains("before"),
                "{objects}"
            );
            // as it was
            let again = delivery.sync_to(&at, &stage.target()).await.unwrap();
            assert!(
                again
                    .changes
                    .iter()
                    .all(|change| change.action == Action::Unchanged),
                "{:?}",
                again.changes
            );
        }
    })
    .await;
}
