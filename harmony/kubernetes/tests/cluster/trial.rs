//! Everything is tried before the first write.

use harmony_core::capability::KubernetesCluster;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::diagnostic::{FailureKind, Report};
use harmony_core::outcome::Action;
use serde_json::{Value, json};

use crate::stage::{Stage, actions, config_map, deployment, in_namespace, object, service};

/// The report of an apply that must be refused, and of the plan of it, which must be refused alike.
async fn refused(stage: &Stage, bodies: impl IntoIterator<Item = Value>) -> Report {
    let objects = stage.objects(bodies);
    let planned = stage.planning().await.apply(&stage.owner(), &objects).await;
    let applied = stage.cluster.apply(&stage.owner(), &objects).await;
    let report = Report::of(&applied.unwrap_err());
    assert_eq!(
        Report::of(&planned.unwrap_err()),
        report,
        "a plan is what is done"
    );
    for text in ["Status {", "ApiError", "valueUnstructured", "typed patch"] {
        assert!(!format!("{report:?}").contains(text), "{report:?}");
    }
    for object in &objects {
        let found = stage.cluster.get(object.reference()).await.unwrap();
        assert!(found.is_none(), "{} was written", object.reference());
    }
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_no_text_is_refused_before_anything_is_written() {
    in_namespace(|stage| async move {
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "database" },
            "stringData": { "user": "shop", "port": 5432, "tls": true } });
        let report = refused(&stage, [config_map("beside", "fast"), secret]).await;
        assert_eq!((report.code.to_string().as_str(), report.kind), ("H0355", FailureKind::Refused));
        assert_eq!(
            report.evidence,
            [
                "stringData.port: is a number, but must be a string",
                "stringData.tls: is a boolean, but must be a string",
            ]
        );
        assert!(report.hints[0].contains("quote the value"), "{report:?}");

        let settings = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings",
            "labels": { "scrape": true, "app.kubernetes.io/version": 1.0 } }, "data": { "mode": "fast" } });
        let report = refused(&stage, [config_map("beside", "fast"), settings]).await;
        assert_eq!(report.evidence.len(), 2, "{report:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_schema_refuses_is_told_by_path_reason_and_fix_before_anything_is_written() {
    in_namespace(|stage| async move {
        let with = |fields: Value| {
            let mut web = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "spec": {
                "replicas": 0, "selector": { "matchLabels": { "app": "web" } },
                "template": { "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [
                    { "name": "web", "image": "registry.invalid/web:1" }] } } } });
            let container = &mut web["spec"]["template"]["spec"]["containers"][0];
            for (key, value) in fields.as_object().unwrap() {
                container[key] = value.clone();
            }
            web
        };
        let twice = json!({ "env": [
            { "name": "MODE", "value": "fast" }, { "name": "LEVEL", "value": "info" }, { "name": "MODE", "value": "slow" }] });
        let misspelt = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
            "spec": { "selectors": { "app": "web" }, "ports": [{ "port": 80 }] } });
        let of_pods = |key: &str, value: Value| {
            let mut web = with(json!({}));
            web["spec"]["template"]["spec"][key] = value;
            web
        };
        let mut other_label = with(json!({}));
        other_label["spec"]["template"]["metadata"]["labels"] = json!({ "app": "other" });
        for (body, path, words) in [
            (with(twice), "spec.template.spec.containers[name=\"web\"].env", "more than one entry with name=\"MODE\""),
            (misspelt, "spec.selectors", "not a field of this kind"),
            (with(json!({ "ports": "80" })), "spec.template.spec.containers[name=\"web\"].ports", "must be a list"),
            (with(json!({ "resources": { "limits": { "cpu": "lots" } } })), "spec.template.spec.containers[web].resources.limits.cpu", "quantity"),
            (with(json!({ "imagePullPolicy": "Sometimes" })), "spec.template.spec.containers[0].imagePullPolicy", "Unsupported value"),
            (other_label, "spec.template.metadata.labels", "`selector` does not match template `labels`"),
            (with(json!({ "ports": [{ "containerPort": 80 }, { "containerPort": 80 }] })),
                "spec.template.spec.containers[name=\"web\"].ports", "more than one entry"),
            (with(json!({ "volumeMounts": [{ "name": "a", "mountPath": "/a" }, { "name": "b", "mountPath": "/a" }] })),
                "spec.template.spec.containers[name=\"web\"].volumeMounts", "more than one entry"),
            (with(json!({ "volumeMounts": [{ "name": "a", "mountPath": "/a" }] })),
                "spec.template.spec.containers[0].volumeMounts[0].name", "Not found"),
            (of_pods("volumes", json!([{ "name": "a", "emptyDir": {} }, { "name": "a", "emptyDir": {} }])),
                "spec.template.spec.volumes", "more than one entry with name=\"a\""),
            (of_pods("containers", json!([{ "name": "a", "image": "a" }, { "name": "a", "image": "a" }])),
                "spec.template.spec.containers", "more than one entry with name=\"a\""),
            (of_pods("initContainers", json!([{ "name": "web", "image": "a" }])), "spec.template.spec.initContainers[0].name", "duplicate value"),
            (with(json!({ "env": [{ "name": "ON", "value": true }] })), "spec.template.spec.containers[web].env[ON].value", "is a boolean"),
            (with(json!({ "env": [{ "name": "N", "value": 1.5 }] })), "spec.template.spec.containers[web].env[N].value", "is a number"),
            (json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "n" }, "data": { "port": 5432 } }), "data.port", "is a number"),
            (json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "n" }, "data": { "port": 5432 } }), "data.port", "is a number"),
            (json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "n", "annotations": { "on": true } } }),
                "metadata.annotations.on", "is a boolean"),
            (json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "n" }, "spec": { "ports": [
                { "name": "a", "port": 80 }, { "name": "a", "port": 81 }] } }), "spec.ports[1].name", "duplicate value"),
        ] {
            let report = refused(&stage, [config_map("beside", "fast"), body]).await;
            assert_eq!(report.code.to_string(), "H0355", "{report:?}");
            assert!(report.evidence.iter().any(|line| line.starts_with(&format!("{path}:")) && line.contains(words)), "{report:?}");
            assert!(!report.hints.is_empty());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_cannot_change_is_refused_before_anything_is_written() {
    in_namespace(|stage| async move {
        let crew = |role: &str| {
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "crew" },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
                "subjects": [{ "kind": "ServiceAccount", "name": "default", "namespace": stage.namespace }] })
        };
        stage.apply([config_map("settings", "fast"), crew("view")]).await;
        let objects = stage.objects([config_map("settings", "slow"), crew("edit")]);
        let error = stage.cluster.apply(&stage.owner(), &objects).await.unwrap_err();
        let report = Report::of(&error);
        assert_eq!(report.code.to_string(), "H0355");
        assert_eq!(report.evidence, ["roleRef: cannot change roleRef"]);
        assert!(report.hints[0].contains("delete the object first"), "{report:?}");
        let settings = stage.cluster.get(objects[0].reference()).await.unwrap().unwrap();
        assert_eq!(settings.body()["data"]["key"], "fast", "half a deploy");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_cannot_change_is_refused_with_what_to_do() {
    in_namespace(|stage| async move {
        let template = json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [
            { "name": "web", "image": "registry.invalid/web:1" }] } });
        let workload = |kind: &str, selector: &str, fields: Value| {
            let mut template = template.clone();
            template["metadata"]["labels"] = json!({ "app": selector });
            let mut workload = json!({ "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": "web" },
                "spec": { "replicas": 0, "selector": { "matchLabels": { "app": selector } }, "template": template } });
            for (key, value) in fields.as_object().unwrap() {
                workload["spec"][key] = value.clone();
            }
            workload
        };
        let volumes = |size: &str| json!({ "serviceName": "web", "volumeClaimTemplates": [{ "metadata": { "name": "data" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": size } } } }] });
        let job = |image: &str| {
            let mut template = template.clone();
            template["spec"]["restartPolicy"] = json!("Never");
            template["spec"]["containers"][0]["image"] = json!(image);
            json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "migrate" },
                "spec": { "suspend": true, "template": template } })
        };
        let claim = |size: &str| json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "data" },
            "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": { "requests": { "storage": size } } } });
        let service = |address: Value| json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "peers" },
            "spec": { "clusterIP": address, "selector": { "app": "web" }, "ports": [{ "port": 80 }] } });
        let secret = |kind: &str| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "key" }, "type": kind });
        let fixed = |value: &str| {
            let mut map = config_map("fixed", value);
            map["immutable"] = json!(true);
            map
        };
        for (first, second, what, advice) in [
            (workload("Deployment", "web", json!({})), workload("Deployment", "other", json!({})), "Deployment", "delete the object first"),
            (workload("StatefulSet", "web", volumes("1Gi")), workload("StatefulSet", "web", volumes("2Gi")), "StatefulSet", "--cascade=orphan"),
            (job("registry.invalid/web:1"), job("registry.invalid/web:2"), "Job", "give the new one another name"),
            (claim("2Gi"), claim("1Gi"), "PersistentVolumeClaim", "can only be enlarged"),
            (service(json!("None")), service(json!("10.0.0.77")), "Service", "delete the object first"),
            (secret("Opaque"), secret("example.com/other"), "Secret", "delete the object first"),
            (fixed("a"), fixed("b"), "ConfigMap", "delete the object first"),
        ] {
            stage.apply([config_map("settings", "fast"), first]).await;
            let objects = stage.objects([config_map("settings", "slow"), second]);
            let error = stage.cluster.apply(&stage.owner(), &objects).await.unwrap_err();
            let report = Report::of(&error);
            assert_eq!(report.code.to_string(), "H0355", "{what}: {report:?}");
            assert!(report.hints.iter().any(|hint| hint.contains(advice)), "{what}: {report:?}");
            let settings = stage.cluster.get(objects[0].reference()).await.unwrap().unwrap();
            assert_eq!(settings.body()["data"]["key"], "fast", "{what}: half a deploy");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_asks_for_it_is_made_anew() {
    in_namespace(|stage| async move {
        let job = async |word: &str, policy: &str| {
            let mut template =
                deployment("migrate", &["say", word, "0"]).await["spec"]["template"].clone();
            template["spec"]["restartPolicy"] = json!(policy);
            json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "migrate",
                "annotations": { "argocd.argoproj.io/sync-options": "Force=true,Replace=true" } },
                "spec": { "template": template } })
        };
        let reference = stage.reference("batch/v1", "Job", "migrate");
        stage.deploy([job("one", "Never").await], 60).await.unwrap();
        let first = stage.cluster.get(&reference).await.unwrap().unwrap();
        let planned = stage.planning().await;
        let second = stage.objects([job("two", "Never").await]);
        let planned = planned.apply(&stage.owner(), &second).await.unwrap();
        let changes = stage.cluster.apply(&stage.owner(), &second).await.unwrap();
        assert_eq!(changes, planned);
        assert_eq!(actions(&changes), [Action::Update]);
        let note = changes[0].note.as_deref().unwrap_or_default();
        assert!(note.contains("deleted and created again"), "{note}");
        let found = stage.cluster.get(&reference).await.unwrap().unwrap();
        assert_ne!(
            found.body()["metadata"]["uid"],
            first.body()["metadata"]["uid"]
        );
        assert_eq!(
            actions(&stage.apply([job("two", "Never").await]).await),
            [Action::Unchanged]
        );
        // One that is wrong in itself stays what it was.
        let wrong = stage.objects([job("three", "Sometimes").await]);
        let refused = stage
            .cluster
            .apply(&stage.owner(), &wrong)
            .await
            .unwrap_err();
        assert!(
            matches!(refused, ClusterError::Invalid { .. }),
            "{refused:?}"
        );
        let kept = stage.cluster.get(&reference).await.unwrap().unwrap();
        assert_eq!(
            kept.body()["metadata"]["uid"],
            found.body()["metadata"]["uid"]
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_tried_although_their_namespace_comes_with_them() {
    in_namespace(|stage| async move {
        let missing = format!("{}-new", stage.namespace);
        let placed = |mut body: Value| {
            body["metadata"]["namespace"] = json!(missing);
            object(&body)
        };
        let namespace = object(
            &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": missing } }),
        );
        let bad = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
            "spec": { "selectors": { "app": "web" }, "ports": [{ "port": 80 }] } });
        let objects = [
            namespace.clone(),
            placed(config_map("beside", "fast")),
            placed(bad),
        ];
        let error = stage
            .cluster
            .apply(&stage.owner(), &objects)
            .await
            .unwrap_err();
        assert!(matches!(error, ClusterError::Invalid { .. }), "{error:?}");
        assert!(
            stage
                .cluster
                .get(namespace.reference())
                .await
                .unwrap()
                .is_none(),
            "half a deploy"
        );

        let good = [
            namespace.clone(),
            placed(config_map("beside", "fast")),
            placed(service("web", json!(80))),
        ];
        let planned = stage
            .planning()
            .await
            .apply(&stage.owner(), &good)
            .await
            .unwrap();
        let changes = stage.cluster.apply(&stage.owner(), &good).await;
        stage.cluster.delete(namespace.reference()).await.unwrap();
        assert_eq!(changes.unwrap(), planned);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_tried_says_so_in_the_plan() {
    in_namespace(|stage| async move {
        let group = format!("{}.example.com", stage.namespace);
        let definition = json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("things.{group}") }, "spec": { "group": group, "scope": "Namespaced",
            "names": { "kind": "Thing", "plural": "things", "singular": "thing", "listKind": "ThingList" },
            "versions": [{ "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object" } } }] } });
        let thing = json!({ "apiVersion": format!("{group}/v1"), "kind": "Thing", "metadata": { "name": "a", "namespace": stage.namespace } });
        let objects = [object(&definition), object(&thing)];
        let planned = stage.planning().await.apply(&stage.owner(), &objects).await.unwrap();
        assert_eq!(actions(&planned), [Action::Create; 2]);
        assert_eq!(planned[1].note.as_deref(), Some("not checked: its kind is defined by the same run"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_would_not_be_stored_is_refused() {
    in_namespace(|stage| async move {
        let claim = json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "data" }, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1024Ki" } },
            "dataSource": { "apiGroup": "example.com", "kind": "Backup", "name": "x" } } });
        let report = refused(&stage, [config_map("beside", "fast"), claim.clone()]).await;
        assert_eq!((report.code.to_string().as_str(), report.kind), ("H0356", FailureKind::Refused));
        assert_eq!(report.evidence, ["spec.dataSource: would not be stored"]);
        let mut whole = claim;
        whole["spec"].as_object_mut().unwrap().remove("dataSource");
        let changes = stage.apply([whole]).await;
        assert_eq!(changes[0].note, None, "another way to write a quantity is no change");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_a_controller_fills_stay_its_own() {
    in_namespace(|stage| async move {
        let view = stage.namespace.to_string();
        let label = format!("{view}.example.com/aggregate");
        let cluster_role = |name: String, fields: Value| {
            let mut role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": name } });
            for (key, value) in fields.as_object().unwrap() {
                if key == "labels" { role["metadata"]["labels"] = value.clone(); } else { role[key] = value.clone(); }
            }
            object(&role)
        };
        let roles = [
            cluster_role(view.clone(), json!({ "rules": [], "aggregationRule": {
                "clusterRoleSelectors": [{ "matchLabels": { label.clone(): "true" } }] } })),
            cluster_role(format!("{view}-pods"), json!({ "labels": { label: "true" },
                "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }] })),
        ];
        let first = stage.cluster.apply(&stage.owner(), &roles).await;
        let mut filled = false;
        for _ in 0..50 {
            let found = stage.cluster.get(roles[0].reference()).await.unwrap().unwrap();
            filled = found.body()["rules"].as_array().is_some_and(|rules| !rules.is_empty());
            if filled { break; }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let second = stage.cluster.apply(&stage.owner(), &roles).await;
        for role in &roles { stage.cluster.delete(role.reference()).await.unwrap(); }
        assert!(filled);
        assert_eq!(actions(&first.unwrap()), [Action::Create; 2]);
        assert_eq!(actions(&second.unwrap()), [Action::Unchanged; 2]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_autoscaler_decided_is_left_to_it() {
    in_namespace(|stage| async move {
        let mut web = deployment("web", &["sleep"]).await;
        web["spec"]["replicas"] = json!(1);
        let scaler = json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "web" },
            "spec": { "minReplicas": 2, "maxReplicas": 3,
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
                "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 } } }] } });
        stage.apply([web.clone(), scaler.clone()]).await;
        let reference = stage.reference("apps/v1", "Deployment", "web");
        let mut replicas = Value::Null;
        for _ in 0..400 {
            replicas = stage.cluster.get(&reference).await.unwrap().unwrap().body()["spec"]["replicas"].clone();
            if replicas == 2 { break; }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(replicas, 2, "the autoscaler did not act");
        let changes = stage.apply([web, scaler]).await;
        assert_eq!(actions(&changes), [Action::Unchanged; 2]);
        assert!(changes[0].note.as_deref().unwrap_or_default().contains("spec.replicas is managed by kube-controller-manager"), "{changes:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_in_another_order_is_applied() {
    in_namespace(|stage| async move {
        let with = async |names: [&'static str; 2]| {
            let mut web = deployment("web", &["sleep"]).await;
            let init = names.map(|name| json!({ "name": name, "image": "registry.invalid/x:1" }));
            web["spec"]["replicas"] = json!(0);
            web["spec"]["template"]["spec"]["initContainers"] = json!(init);
            web
        };
        stage.apply([with(["a", "b"]).await]).await;
        let changes = stage.apply([with(["b", "a"]).await]).await;
        assert_eq!(actions(&changes), [Action::Update], "{changes:?}");
        assert_eq!(
            changes[0].fields[0].path,
            "spec.template.spec.initContainers"
        );
        let stored = stage
            .cluster
            .get(&stage.reference("apps/v1", "Deployment", "web"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            stored.body()["spec"]["template"]["spec"]["initContainers"][0]["name"],
            "b"
        );
        assert_eq!(
            actions(&stage.apply([with(["b", "a"]).await]).await),
            [Action::Unchanged]
        );
    })
    .await;
}
