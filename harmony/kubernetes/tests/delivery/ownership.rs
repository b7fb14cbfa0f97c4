//! A delivery changes and removes what is its own, and nothing of others.

use harmony_core::Context;
use harmony_core::capability::continuous_delivery::DeliveryError;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::{ContinuousDelivery, HelmRegistry, KubernetesCluster};
use harmony_core::chart::DeployTarget;
use harmony_core::diagnostic::{FailureKind, Report};
use harmony_core::kubernetes::{KubeObject, ObjectRef};
use harmony_core::outcome::{Action, Change};
use harmony_kubernetes::DirectDelivery;
use harmony_types::Namespace;
use serde_json::{Value, json};

use crate::charts;
use crate::stage::{Stage, location, on_stage, reference};

/// Releases a chart of one template.
async fn release(stage: &Stage, name: &str, version: &str, template: &str) {
    let chart = charts::packaged(name, version, &[("templates/a.yaml", template)]);
    let to = reference(name, version);
    stage.registry.push_chart(&chart, &to).await.unwrap();
}

async fn deliver(
    stage: &Stage,
    name: &str,
    version: &str,
    namespace: &Namespace,
) -> Result<Vec<Change>, DeliveryError> {
    let delivery = DirectDelivery::new(
        Context::new(),
        stage.cluster.clone(),
        stage.registry.clone(),
        location(),
    );
    let target = DeployTarget::namespace(namespace.clone());
    let delivered = delivery.sync_to(&reference(name, version), &target).await?;
    Ok(delivered.changes)
}

fn is_unchanged(changes: &[Change]) -> bool {
    changes
        .iter()
        .all(|change| change.action == Action::Unchanged)
}

fn cluster_role(name: &str) -> ObjectRef {
    ObjectRef {
        api_version: "rbac.authorization.k8s.io/v1".into(),
        kind: "ClusterRole".into(),
        namespace: None,
        name: name.parse().unwrap(),
    }
}

#[tokio::test]
async fn a_chart_does_not_take_an_object_of_another_chart() {
    on_stage(|stage| async move {
        let namespace = stage.namespace.clone();
        let map = |name: &str, owner: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{owner: {owner}}}\n---\n");
        release(&stage, "first", "1.0.0", &(map("shared-settings", "first") + &map("first-only", "first"))).await;
        release(&stage, "first", "2.0.0", &map("first-only", "first")).await;
        release(&stage, "second", "1.0.0", &map("shared-settings", "second")).await;
        release(&stage, "third", "1.0.0", &map("shared-settings", "first")).await;
        deliver(&stage, "first", "1.0.0", &namespace).await.unwrap();
        for name in ["second", "third"] {
            let error = deliver(&stage, name, "1.0.0", &namespace).await.unwrap_err();
            let report = Report::of(&error);
            assert_eq!((report.code.to_string().as_str(), report.kind), ("H0350", FailureKind::Refused));
            assert_eq!(
                report.evidence,
                [format!("ConfigMap {namespace}/shared-settings belongs to chart:first@{namespace}")]
            );
            let inventory = format!("harmony-delivery-{name}");
            assert_eq!(stage.body("v1", "ConfigMap", &inventory).await, None, "half a deploy");
        }
        let settings = stage.body("v1", "ConfigMap", "shared-settings").await.unwrap();
        assert_eq!(settings["data"]["owner"], "first");
        assert!(is_unchanged(&deliver(&stage, "first", "1.0.0", &namespace).await.unwrap()));
        deliver(&stage, "first", "2.0.0", &namespace).await.unwrap();
        assert_eq!(stage.body("v1", "ConfigMap", "shared-settings").await, None);
        deliver(&stage, "second", "1.0.0", &namespace).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_somebody_made_by_hand_is_not_slipped_into() {
    on_stage(|stage| async move {
        let namespace = stage.namespace.clone();
        let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: by-hand}\ndata: {a: b}\n";
        release(&stage, "web", "1.0.0", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n").await;
        release(&stage, "web", "2.0.0", map).await;
        deliver(&stage, "web", "1.0.0", &namespace).await.unwrap();
        let body = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "by-hand" }, "data": { "a": "b" } });
        stage.create(body).await;
        let error = deliver(&stage, "web", "2.0.0", &namespace).await.unwrap_err();
        let DeliveryError::Cluster(ClusterError::OtherOwner { takeovers }) = &error else { panic!("{error:?}") };
        assert_eq!(takeovers[0].owner, "somebody");
        assert!(stage.body("v1", "ServiceAccount", "web").await.is_some());
    })
    .await;
}

#[tokio::test]
async fn an_object_of_the_whole_cluster_stays_while_another_namespace_has_it() {
    on_stage(|stage| async move {
        let a = stage.namespace.clone();
        let b: Namespace = format!("{a}-b").parse().unwrap();
        let role = cluster_role(a.as_str());
        let template = format!("apiVersion: {}\nkind: ClusterRole\nmetadata: {{name: {a}}}\nrules: [{{apiGroups: [\"\"], resources: [pods], verbs: [get]}}]\n", role.api_version);
        let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n";
        release(&stage, "web", "1.0.0", &format!("{template}---\n{map}")).await;
        release(&stage, "web", "2.0.0", map).await;
        let first = deliver(&stage, "web", "1.0.0", &a).await;
        let second = deliver(&stage, "web", "1.0.0", &b).await;
        let again = deliver(&stage, "web", "1.0.0", &a).await;
        let without = deliver(&stage, "web", "2.0.0", &a).await;
        let after_a = stage.cluster.get(&role).await;
        let last = deliver(&stage, "web", "2.0.0", &b).await;
        let after_b = stage.cluster.get(&role).await;
        for gone in [role, ObjectRef { kind: "Namespace".into(), api_version: "v1".into(), namespace: None, name: b.as_str().parse().unwrap() }] {
            stage.cluster.delete(&gone).await.unwrap();
        }
        first.unwrap();
        second.unwrap();
        assert!(is_unchanged(&again.unwrap()));
        let kept = without.unwrap();
        let kept = kept.iter().find(|change| change.subject.to_string().starts_with("ClusterRole")).unwrap();
        assert_eq!(kept.action, Action::Unchanged);
        assert!(kept.note.as_deref().unwrap().contains(&format!("it belongs to chart:web@{b}")), "{kept:?}");
        let live = after_a.unwrap().unwrap();
        assert_eq!(live.body()["metadata"]["managedFields"].as_array().unwrap().len(), 1, "given up");
        last.unwrap();
        assert_eq!(after_b.unwrap().map(KubeObject::into_body), None, "the last one removes it");
    })
    .await;
}

#[tokio::test]
async fn a_foreign_entry_in_the_list_is_refused() {
    on_stage(|stage| async move {
        let a = stage.namespace.clone();
        let b: Namespace = format!("{a}-b").parse().unwrap();
        let map =
            |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
        release(&stage, "web", "1.0.0", &map("web")).await;
        release(&stage, "web", "2.0.0", &map("other")).await;
        deliver(&stage, "web", "1.0.0", &a).await.unwrap();
        deliver(&stage, "web", "1.0.0", &b).await.unwrap();
        let entry =
            json!([{ "apiVersion": "v1", "kind": "ConfigMap", "namespace": b, "name": "web" }]);
        stage
            .edit(
                "harmony-delivery-web",
                json!({ "data": { "objects": entry.to_string() } }),
            )
            .await;
        let error = deliver(&stage, "web", "2.0.0", &a).await;
        let theirs = ObjectRef {
            namespace: Some(b.clone()),
            ..stage.named("v1", "ConfigMap", "web")
        };
        let found = stage.cluster.get(&theirs).await.unwrap();
        let namespace = ObjectRef {
            kind: "Namespace".into(),
            namespace: None,
            name: b.as_str().parse().unwrap(),
            ..theirs
        };
        stage.cluster.delete(&namespace).await.unwrap();
        let report = Report::of(&error.unwrap_err());
        assert_eq!(
            (report.code.to_string().as_str(), report.kind),
            ("H0354", FailureKind::Refused)
        );
        assert!(
            report.message.contains(&format!("lists ConfigMap {b}/web")),
            "{report:?}"
        );
        assert!(found.is_some());
        assert_eq!(
            stage.body("v1", "ConfigMap", "other").await,
            None,
            "half a deploy"
        );
    })
    .await;
}

#[tokio::test]
async fn a_first_delivery_that_is_refused_leaves_nothing_behind() {
    on_stage(|stage| async move {
        let namespace = stage.namespace.clone();
        let beside = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: beside}\n---\n";
        let bad = [
            "apiVersion: v1\nkind: Secret\nmetadata: {name: database}\nstringData: {user: shop, port: 5432, tls: true}\n",
            "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selectors: {app: web}, ports: [{port: 80}]}\n",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, labels: {scrape: true}}\n",
        ];
        for (number, bad) in bad.iter().enumerate() {
            let version = format!("1.0.{number}");
            release(&stage, "web", &version, &format!("{beside}{bad}")).await;
            let error = deliver(&stage, "web", &version, &namespace).await.unwrap_err();
            let report = Report::of(&error);
            assert_eq!((report.code.to_string().as_str(), report.kind), ("H0355", FailureKind::Refused), "{report:?}");
            assert_eq!(stage.body("v1", "Namespace", namespace.as_str()).await, None, "half a deploy");
        }
    })
    .await;
}

/// A delivery of a version that knew one manager for all.
#[tokio::test]
async fn what_an_earlier_version_delivered_goes_on() {
    on_stage(|stage| async move {
        let namespace = stage.namespace.clone();
        let map = |name: &str| {
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: b}}\n---\n"
            )
        };
        release(&stage, "web", "1.0.0", &(map("one") + &map("two"))).await;
        release(&stage, "web", "2.0.0", &map("one")).await;
        deliver(&stage, "web", "1.0.0", &namespace).await.unwrap();
        for name in ["one", "two", "harmony-delivery-web"] {
            stage.rename_managers(name, "harmony").await;
        }
        assert!(is_unchanged(
            &deliver(&stage, "web", "1.0.0", &namespace).await.unwrap()
        ));
        for name in ["one", "two", "harmony-delivery-web"] {
            let body: Value = stage.body("v1", "ConfigMap", name).await.unwrap();
            assert_eq!(
                body["metadata"]["managedFields"][0]["manager"],
                format!("harmony/chart:web@{namespace}"),
                "{name}"
            );
            stage.rename_managers(name, "harmony").await;
        }
        deliver(&stage, "web", "2.0.0", &namespace).await.unwrap();
        assert_eq!(stage.body("v1", "ConfigMap", "two").await, None);
    })
    .await;
}

/// Staging has the next version, production the last one.
#[tokio::test]
async fn two_versions_of_a_chart_share_their_definitions() {
    on_stage(|stage| async move {
        let a = stage.namespace.clone();
        let b: Namespace = format!("{a}-b").parse().unwrap();
        let definition = |field: &str| format!("apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: things.{a}.example}}\nspec:\n  group: {a}.example\n  scope: Namespaced\n  names: {{kind: Thing, plural: things, singular: thing, listKind: ThingList}}\n  versions:\n    - {{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object, properties: {{{field}: {{type: string}}}}}}}}}}\n");
        release(&stage, "web", "1.0.0", &definition("one")).await;
        release(&stage, "web", "2.0.0", &definition("two")).await;
        let first = deliver(&stage, "web", "1.0.0", &a).await;
        let second = deliver(&stage, "web", "2.0.0", &b).await;
        let again = deliver(&stage, "web", "2.0.0", &b).await;
        let gone = [
            ("apiextensions.k8s.io/v1", "CustomResourceDefinition", format!("things.{a}.example")),
            ("v1", "Namespace", b.to_string()),
        ];
        for (api_version, kind, name) in gone {
            let object = ObjectRef { api_version: api_version.into(), kind: kind.into(), namespace: None, name: name.parse().unwrap() };
            stage.cluster.delete(&object).await.unwrap();
        }
        first.unwrap();
        let second = second.unwrap();
        let change = second.iter().find(|change| change.subject.to_string().starts_with("CustomResource")).unwrap();
        assert_eq!(change.action, Action::Update);
        assert_eq!(change.note, Some(format!("shared with chart:web@{a}")));
        assert!(is_unchanged(&again.unwrap()));
    })
    .await;
}
