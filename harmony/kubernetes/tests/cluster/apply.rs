//! Apply writes what differs, and only that.

use std::time::{Duration, Instant};

use harmony_core::capability::KubernetesCluster;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::diagnostic::Diagnostic;
use harmony_core::kubernetes::ObjectQuery;
use harmony_core::outcome::{Action, FieldValue};
use harmony_core::owner::Owner;
use harmony_core::{Context, Mode};
use harmony_kubernetes::Cluster;
use serde_json::{Value, json};

use crate::stage::{actions, config_map, deployment, in_namespace, object, service};

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_created_left_alone_updated_and_healed() {
    in_namespace(|stage| async move {
        let web = deployment("web", &["sleep"]).await;
        let all = || {
            [
                web.clone(),
                service("web", json!("main")),
                config_map("settings", "one"),
            ]
        };
        let changes = stage.apply(all()).await;
        let order: Vec<_> = changes
            .iter()
            .map(|change| change.subject.to_string())
            .collect();
        let name = |kind: &str, name: &str| format!("{kind} {}/{name}", stage.namespace);
        assert_eq!(
            order,
            [
                name("ConfigMap", "settings"),
                name("Service", "web"),
                name("Deployment", "web")
            ]
        );
        assert_eq!(actions(&changes), [Action::Create; 3]);
        assert_eq!(actions(&stage.apply(all()).await), [Action::Unchanged; 3]);

        let mut changed = web.clone();
        changed["spec"]["template"]["spec"]["containers"][0]["args"] = json!(["http", "8080"]);
        changed["spec"]["revisionHistoryLimit"] = json!(1);
        let changes = stage.apply([changed.clone()]).await;
        assert_eq!(changes[0].action, Action::Update);
        let fields: Vec<_> = changes[0]
            .fields
            .iter()
            .map(|field| field.path.as_str())
            .collect();
        assert_eq!(
            fields,
            [
                "spec.revisionHistoryLimit",
                "spec.template.spec.containers[app].args[0]",
                "spec.template.spec.containers[app].args[1]",
            ]
        );
        // A field that is no longer wanted goes back to its default.
        let changes = stage.apply([web.clone()]).await;
        assert!(changes[0].fields.iter().any(|field| {
            field.path == "spec.revisionHistoryLimit" && field.after == FieldValue::Known(json!(10))
        }));

        // Drift in what is ours is healed, and what is not ours is left alone.
        stage.somebody_else(&["label", "configmap", "settings", "their=own"]);
        assert_eq!(actions(&stage.apply(all()).await), [Action::Unchanged; 3]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_manager_owns_is_a_conflict_that_names_it() {
    in_namespace(|stage| async move {
        stage.apply([config_map("settings", "ours")]).await;
        let patch = r#"{"data":{"key":"theirs"}}"#;
        stage.somebody_else(&[
            "patch",
            "configmap",
            "settings",
            "--field-manager=rival",
            "-p",
            patch,
        ]);
        let error = stage
            .cluster
            .apply(
                &stage.owner(),
                &stage.objects([config_map("settings", "ours")]),
            )
            .await
            .unwrap_err();
        let ClusterError::Conflict { object, owners } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(object.name.as_str(), "settings");
        assert_eq!(owners, &["rival: .data.key"]);
        assert!(!error.hints().is_empty());
        // Taking over what the other wants is no conflict, and heals by agreement.
        assert_eq!(
            actions(&stage.apply([config_map("settings", "theirs")]).await),
            [Action::Unchanged]
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_in_a_field_of_ours_is_seen_and_never_told_as_unchanged() {
    in_namespace(|stage| async move {
        stage.apply([config_map("settings", "ours")]).await;
        // Whoever forces a value through becomes an owner of the field; an update by our own name does not.
        stage.somebody_else(&[
            "patch",
            "configmap",
            "settings",
            "--field-manager=harmony",
            "-p",
            r#"{"data":{"key":"drifted"}}"#,
        ]);
        let result = stage
            .cluster
            .apply(
                &stage.owner(),
                &stage.objects([config_map("settings", "ours")]),
            )
            .await;
        match result {
            Ok(changes) => assert_eq!(actions(&changes), [Action::Update]),
            Err(ClusterError::Conflict { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_tells_what_an_apply_would_do_and_writes_nothing() {
    in_namespace(|stage| async move {
        let planning = stage.planning().await;
        let wanted = stage.objects([
            config_map("settings", "one"),
            deployment("web", &["sleep"]).await,
        ]);
        assert_eq!(
            actions(&planning.apply(&stage.owner(), &wanted).await.unwrap()),
            [Action::Create; 2]
        );
        assert!(
            stage
                .cluster
                .get(wanted[0].reference())
                .await
                .unwrap()
                .is_none()
        );
        stage.cluster.apply(&stage.owner(), &wanted).await.unwrap();
        assert_eq!(
            actions(&planning.apply(&stage.owner(), &wanted).await.unwrap()),
            [Action::Unchanged; 2]
        );

        let changed = stage.objects([config_map("settings", "two")]);
        let planned = planning.apply(&stage.owner(), &changed).await.unwrap();
        assert_eq!(planned[0].fields[0].path, "data.key");
        assert_eq!(
            stage
                .cluster
                .get(wanted[0].reference())
                .await
                .unwrap()
                .unwrap()
                .body()["data"]["key"],
            "one"
        );
        let applied = stage.cluster.apply(&stage.owner(), &changed).await.unwrap();
        assert_eq!(planned, applied, "the plan was right");

        let planned = planning.delete(wanted[0].reference()).await.unwrap();
        assert_eq!(planned.action, Action::Delete);
        assert!(
            stage
                .cluster
                .get(wanted[0].reference())
                .await
                .unwrap()
                .is_some()
        );
        assert!(
            planning
                .wait_ready(&[wanted[1].reference().clone()], Duration::ZERO)
                .await
                .is_ok()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_reaches_into_what_is_not_there_yet() {
    in_namespace(|stage| async move {
        let planning = stage.planning().await;
        let missing = format!("{}-missing", stage.namespace);
        let mut map = config_map("settings", "one");
        map["metadata"]["namespace"] = json!(missing);
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": missing } });
        let group = format!("{}.example.com", stage.namespace);
        let thing = json!({ "apiVersion": format!("{group}/v1"), "kind": "Thing", "metadata": { "name": "a", "namespace": missing } });
        let objects = [object(&thing), object(&map), object(&definition(&group)), object(&namespace)];
        let planned = planning.apply(&stage.owner(), &objects).await.unwrap();
        assert_eq!(actions(&planned), [Action::Create; 4]);
        assert!(planned[0].subject.to_string().starts_with("Namespace"));
        assert!(stage.cluster.get(objects[3].reference()).await.unwrap().is_none());
        let unknown = planning.apply(&stage.owner(), &objects[..1]).await.unwrap_err();
        assert!(matches!(unknown, ClusterError::UnknownKind { .. }), "{unknown:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_and_its_objects_go_in_one_apply() {
    in_namespace(|stage| async move {
        let group = format!("{}.example.com", stage.namespace);
        let definition = object(&definition(&group));
        let thing = json!({ "apiVersion": format!("{group}/v1"), "kind": "Thing", "metadata": { "name": "a" } });
        let thing = stage.objects([thing]);
        let objects = [thing[0].clone(), definition.clone()];
        let first = stage.cluster.apply(&stage.owner(), &objects).await;
        let second = stage.cluster.apply(&stage.owner(), &objects).await;
        let awaited = stage.cluster.wait_ready(&[definition.reference().clone()], Duration::from_secs(10)).await;
        stage.cluster.delete(definition.reference()).await.unwrap();
        assert_eq!(actions(&first.unwrap()), [Action::Create; 2]);
        assert_eq!(actions(&second.unwrap()), [Action::Unchanged; 2]);
        awaited.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_applied_and_never_shown() {
    in_namespace(|stage| async move {
        let secret = |value: &str| {
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "login" }, "stringData": { "password": value } })
        };
        stage.apply([secret("first-canary")]).await;
        assert_eq!(actions(&stage.apply([secret("first-canary")]).await), [Action::Unchanged]);
        let changes = stage.apply([secret("second-canary")]).await;
        assert_eq!(changes[0].action, Action::Update);
        let shown = format!("{changes:?}{}", serde_json::to_string(&changes).unwrap());
        for hidden in ["first-canary", "second-canary", "Y2FuYXJ5", "c2Vjb25k"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_object_names_its_fields() {
    in_namespace(|stage| async move {
        let mut broken = deployment("web", &["sleep"]).await;
        broken["spec"]["selector"]["matchLabels"] = json!({ "app": "other" });
        let error = stage.cluster.apply(&stage.owner(), &stage.objects([broken])).await.unwrap_err();
        let ClusterError::Invalid { fields, .. } = &error else { panic!("{error:?}") };
        assert!(fields[0].path == "spec.template.metadata.labels", "{fields:?}");
        let nowhere = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a", "namespace": "test-cluster-nowhere" } });
        let error = stage.cluster.apply(&stage.owner(), &[object(&nowhere)]).await.unwrap_err();
        assert!(error.to_string().contains("namespaces \"test-cluster-nowhere\" not found"), "{error}");
        let unknown = stage.objects([json!({ "apiVersion": "example.com/v1", "kind": "Nothing", "metadata": { "name": "a" } })]);
        let error = stage.cluster.apply(&stage.owner(), &unknown).await.unwrap_err();
        assert!(matches!(error, ClusterError::UnknownKind { .. }), "{error:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_objects_take_less_than_a_second_when_nothing_changed() {
    in_namespace(|stage| async move {
        let all = || (0..20).map(|number| config_map(&format!("settings-{number}"), "x"));
        stage.apply(all()).await;
        let began = Instant::now();
        let changes = stage.apply(all()).await;
        let took = began.elapsed();
        assert_eq!(actions(&changes), [Action::Unchanged; 20]);
        assert!(took < Duration::from_secs(1), "{took:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_listed_by_kind_namespace_and_labels() {
    in_namespace(|stage| async move {
        let named = |name: &str, colour: &str| {
            let mut map = config_map(name, "text");
            map["metadata"]["labels"] = json!({ "colour": colour, "shape": "round" });
            map
        };
        stage
            .apply([named("b", "red"), named("a", "red"), named("c", "blue")])
            .await;
        let red = ObjectQuery {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: Some(stage.namespace.clone()),
            labels: [("colour", "red"), ("shape", "round")]
                .map(|(label, value)| (label.to_owned(), value.to_owned()))
                .into(),
        };
        let expected = ["a", "b"].map(|name| stage.reference("v1", "ConfigMap", name));
        assert_eq!(stage.cluster.list(&red).await.unwrap(), expected);
        let namespaces = ObjectQuery {
            kind: "Namespace".into(),
            namespace: None,
            labels: [].into(),
            ..red.clone()
        };
        let listed = stage.cluster.list(&namespaces).await.unwrap();
        assert!(
            listed
                .iter()
                .any(|found| found.name.as_str() == stage.namespace.as_str())
        );
        let unknown = ObjectQuery {
            kind: "Unicorn".into(),
            ..red
        };
        assert_eq!(stage.cluster.list(&unknown).await.unwrap(), []);
        let gone = stage.reference("v1", "ConfigMap", "nothing");
        assert_eq!(
            stage.cluster.delete(&gone).await.unwrap().action,
            Action::Unchanged
        );
    })
    .await;
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_told_soon_and_by_its_address() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let context = Context::new();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let error = Cluster::connect(&context, &kubeconfig, None)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClusterError::Kubeconfig { .. }),
        "{error:?}"
    );
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts:\n- name: a\n  context: {{cluster: a, user: a}}\nclusters:\n- name: a\n  cluster: {{server: \"https://{free}\"}}\nusers:\n- name: a\n  user: {{}}\n"
    );
    std::fs::write(&kubeconfig, text).unwrap();
    let began = Instant::now();
    let error = Cluster::connect(&context, &kubeconfig, None)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ClusterError::Unreachable { endpoint, .. } if endpoint.contains(&free.to_string())),
        "{error:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    let error = Cluster::connect(&context, &kubeconfig, Some("other"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ClusterError::Kubeconfig { context: Some(context), .. } if context == "other"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_cluster_that_does_not_exist_yet_can_be_planned_for() {
    let context = Context::new();
    let objects = [object(
        &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "a" } }),
    )];
    let owner = Owner::score("test", &"test".parse().unwrap());
    let planned = Cluster::absent(&context.planning(), "local node");
    assert_eq!(context.planning().mode(), Mode::Plan);
    assert_eq!(
        actions(&planned.apply(&owner, &objects).await.unwrap()),
        [Action::Create]
    );
    assert!(planned.get(objects[0].reference()).await.unwrap().is_none());
    let applied = Cluster::absent(&context, "local node")
        .apply(&owner, &objects)
        .await
        .unwrap_err();
    assert!(
        matches!(&applied, ClusterError::Unreachable { endpoint, .. } if endpoint == "local node")
    );
}

fn definition(group: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("things.{group}") },
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": { "kind": "Thing", "plural": "things", "singular": "thing", "listKind": "ThingList" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
            }],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_have_names_of_their_own_rule() {
    in_namespace(|stage| async move {
        let role = |name: &str, verb: &str| {
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": { "name": name },
                "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": [verb] }],
            })
        };
        for name in ["Trial_Metrics:Reader", "who? #1 [of ^2]", "rôle"] {
            assert_eq!(
                actions(&stage.apply([role(name, "get")]).await),
                [Action::Create]
            );
            assert_eq!(
                actions(&stage.apply([role(name, "get")]).await),
                [Action::Unchanged]
            );
            let changes = stage.apply([role(name, "list")]).await;
            assert_eq!(actions(&changes), [Action::Update], "{name}");
            let reference = object(&role(name, "list")).reference().clone();
            let reference = harmony_core::kubernetes::ObjectRef {
                namespace: Some(stage.namespace.clone()),
                ..reference
            };
            let deleted = stage.cluster.delete(&reference).await.unwrap();
            assert_eq!(deleted.action, Action::Delete, "{name}");
            assert!(stage.cluster.get(&reference).await.unwrap().is_none());
        }
    })
    .await;
}
