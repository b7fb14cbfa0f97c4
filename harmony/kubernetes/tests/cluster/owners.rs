//! What one owner applied, another one does not overwrite.

use std::sync::Arc;

use harmony_core::approval::{Approver, NotApproved, Takeover};
use harmony_core::capability::KubernetesCluster;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::context::Cancelled;
use harmony_core::diagnostic::{FailureKind, Report};
use harmony_core::outcome::{Action, Subject};
use harmony_core::owner::Owner;
use harmony_core::{Context, async_trait};
use serde_json::{Value, json};

use crate::stage::{Stage, actions, config_map, connected, in_namespace, object};

fn other(stage: &Stage) -> Owner {
    Owner::score("other", &stage.namespace)
}

async fn body(stage: &Stage, kind: &str, name: &str) -> Value {
    let reference = stage.reference("v1", kind, name);
    stage
        .cluster
        .get(&reference)
        .await
        .unwrap()
        .unwrap()
        .into_body()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_another_owner_is_refused_by_name_before_anything_is_written() {
    in_namespace(|stage| async move {
        stage.apply([config_map("settings", "first")]).await;
        let mut more = config_map("settings", "first");
        more["data"]["more"] = json!("x");
        for theirs in [config_map("settings", "second"), more] {
            let objects = stage.objects([config_map("beside", "x"), theirs]);
            let error = stage.cluster.apply(&other(&stage), &objects).await.unwrap_err();
            let report = Report::of(&error);
            assert_eq!((report.code.to_string().as_str(), report.kind), ("H0350", FailureKind::Refused));
            let namespace = &stage.namespace;
            assert_eq!(
                report.message,
                format!("ConfigMap {namespace}/settings belongs to score:test@{namespace} and would be overwritten")
            );
            assert!(stage.cluster.get(objects[0].reference()).await.unwrap().is_none(), "half a deploy");
            let planned = stage.planning().await.apply(&other(&stage), &objects).await.unwrap_err();
            assert!(matches!(planned, ClusterError::OtherOwner { .. }), "{planned:?}");
        }
        assert_eq!(body(&stage, "ConfigMap", "settings").await["data"], json!({ "key": "first" }));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_owners_want_alike_is_shared() {
    in_namespace(|stage| async move {
        let wanted = || stage.objects([config_map("settings", "same")]);
        stage
            .cluster
            .apply(&stage.owner(), &wanted())
            .await
            .unwrap();
        let shared = stage
            .cluster
            .apply(&other(&stage), &wanted())
            .await
            .unwrap();
        assert_eq!(actions(&shared), [Action::Unchanged]);
        let again = stage
            .cluster
            .apply(&stage.owner(), &wanted())
            .await
            .unwrap();
        assert_eq!(actions(&again), [Action::Unchanged]);
        let changed = stage.objects([config_map("settings", "mine")]);
        let error = stage
            .cluster
            .apply(&stage.owner(), &changed)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ClusterError::OtherOwner { .. }),
            "{error:?}"
        );
    })
    .await;
}

/// Agrees to everything.
#[derive(Debug)]
struct Agrees;

#[async_trait]
impl Approver for Agrees {
    async fn approve(&self, _: &[Subject]) -> Result<(), NotApproved> {
        Ok(())
    }

    async fn approve_takeovers(&self, takeovers: &[Takeover]) -> Result<bool, Cancelled> {
        assert_eq!(takeovers.len(), 1);
        Ok(true)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_consent_an_object_changes_hands_as_a_whole() {
    in_namespace(|stage| async move {
        let mut first = config_map("settings", "first");
        first["data"]["gone"] = json!("x");
        stage.apply([first.clone()]).await;
        let context = Context::new();
        context.set_approver(Arc::new(Agrees));
        let cluster = connected(&context).await;
        let theirs = stage.objects([config_map("settings", "second")]);
        let changes = cluster.apply(&other(&stage), &theirs).await.unwrap();
        assert_eq!(actions(&changes), [Action::Update]);
        assert_eq!(
            body(&stage, "ConfigMap", "settings").await["data"],
            json!({ "key": "second" })
        );
        // It is theirs alone now.
        let again = stage.cluster.apply(&other(&stage), &theirs).await.unwrap();
        assert_eq!(actions(&again), [Action::Unchanged]);
        let error = stage
            .cluster
            .apply(&stage.owner(), &stage.objects([first]))
            .await
            .unwrap_err();
        assert!(
            matches!(error, ClusterError::OtherOwner { .. }),
            "{error:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_everybodys_and_keeps_what_others_set() {
    in_namespace(|stage| async move {
        let name = format!("{}-shared", stage.namespace);
        let namespace = |labels: Value| {
            object(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } }))
        };
        let strict = namespace(json!({ "pod-security.kubernetes.io/enforce": "restricted" }));
        stage.cluster.apply(&stage.owner(), std::slice::from_ref(&strict)).await.unwrap();
        let bare = stage.cluster.apply(&other(&stage), &[namespace(json!({}))]).await;
        let own = stage.cluster.apply(&other(&stage), &[namespace(json!({ "team": "shop" }))]).await;
        let found = stage.cluster.get(strict.reference()).await.unwrap().unwrap();
        let clash = namespace(json!({ "pod-security.kubernetes.io/enforce": "privileged" }));
        let clash = stage.cluster.apply(&other(&stage), &[clash]).await;
        stage.cluster.delete(strict.reference()).await.unwrap();
        assert_eq!(actions(&bare.unwrap()), [Action::Unchanged]);
        assert_eq!(actions(&own.unwrap()), [Action::Update]);
        let labels = &found.body()["metadata"]["labels"];
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
        assert_eq!(labels["team"], "shop");
        assert!(matches!(clash, Err(ClusterError::Conflict { .. })), "{clash:?}");
    })
    .await;
}

/// What versions before owners applied, all as one manager.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_version_applied_is_ours() {
    in_namespace(|stage| async move {
        let file = tempfile::NamedTempFile::new().unwrap();
        let old = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" },
            "data": { "key": "old", "gone": "x" } });
        std::fs::write(file.path(), old.to_string()).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        stage.somebody_else(&["apply", "--server-side", "--field-manager=harmony", "-f", &path]);

        let mut same = config_map("settings", "old");
        same["data"]["gone"] = json!("x");
        assert_eq!(actions(&stage.apply([same.clone()]).await), [Action::Unchanged]);
        let managers = |body: &Value| -> Vec<String> {
            let entries = body["metadata"]["managedFields"].as_array().unwrap();
            entries.iter().map(|entry| entry["manager"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(managers(&body(&stage, "ConfigMap", "settings").await), [stage.owner().manager()]);

        let reference = stage.reference("v1", "ConfigMap", "settings");
        stage.cluster.delete(&reference).await.unwrap();
        stage.somebody_else(&["apply", "--server-side", "--field-manager=harmony", "-f", &path]);
        let planned = stage.planning().await.apply(&stage.owner(), &stage.objects([config_map("settings", "new")])).await.unwrap();
        let changes = stage.apply([config_map("settings", "new")]).await;
        assert_eq!(changes, planned);
        assert_eq!(actions(&changes), [Action::Update]);
        let found = body(&stage, "ConfigMap", "settings").await;
        assert_eq!(found["data"], json!({ "key": "new" }), "a field that is no longer wanted stayed");
        assert_eq!(managers(&found), [stage.owner().manager()]);
        assert_eq!(actions(&stage.apply([config_map("settings", "new")]).await), [Action::Unchanged]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_object_that_was_looked_at_is_deleted() {
    in_namespace(|stage| async move {
        stage.apply([config_map("settings", "one")]).await;
        let reference = stage.reference("v1", "ConfigMap", "settings");
        let looked_at = stage.cluster.get(&reference).await.unwrap().unwrap();
        stage.cluster.delete(&reference).await.unwrap();
        stage.apply([config_map("settings", "two")]).await;
        let change = stage.cluster.delete_observed(&looked_at).await.unwrap();
        assert_eq!(change.action, Action::Unchanged);
        assert_eq!(
            body(&stage, "ConfigMap", "settings").await["data"]["key"],
            "two"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_takes_the_place_of_another_one_removes_what_only_that_one_had() {
    in_namespace(|stage| async move {
        let argo = json!({ "annotations": { "argocd.argoproj.io/tracking-id": "shop.web:/ConfigMap:shop/settings" } });
        let flux = json!({ "labels": { "helm.toolkit.fluxcd.io/name": "web" } });
        let of = |marks: &Value, key: &str| {
            let mut wanted = config_map("settings", "x");
            for (kind, marks) in marks.as_object().unwrap() {
                wanted["metadata"][kind] = marks.clone();
            }
            wanted["data"] = json!({ key: "x" });
            stage.objects([wanted])
        };
        let mut last: Option<&str> = None;
        for (manager, marks) in [
            ("argocd-controller", &argo),
            ("helm-controller", &flux),
            ("argocd-controller", &argo),
        ] {
            // The controller itself leaves alone what is not its own.
            let applied = of(marks, manager);
            let told = Owner::controller(manager, &stage.namespace);
            stage.cluster.apply(&told, &applied).await.unwrap();
            let found = body(&stage, "ConfigMap", "settings").await;
            if let Some(last) = last {
                assert_eq!(found["data"][last], "x", "{manager}");
            }
            let successor = Owner::successor(manager, &stage.namespace);
            stage.cluster.apply(&successor, &applied).await.unwrap();
            let found = body(&stage, "ConfigMap", "settings").await;
            assert_eq!(found["data"], json!({ manager: "x" }));
            for kind in ["labels", "annotations"] {
                assert_eq!(found["metadata"][kind], marks[kind], "{manager}");
            }
            last = Some(manager);
        }
    })
    .await;
}
