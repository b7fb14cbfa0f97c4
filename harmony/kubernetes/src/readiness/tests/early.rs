//! What can be told before the deadline, and what must not be told too soon.

use super::*;
use crate::readiness::budget::extended;

fn service(spec: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "web", "namespace": "site", "uid": "svc" }, "spec": spec,
    })
}

fn workload(replicas: i64, labels: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "site" },
        "spec": { "replicas": replicas, "template": { "metadata": { "labels": labels } } },
    })
}

fn labelled(mut pod: Value) -> Value {
    pod["metadata"]["labels"] = json!({ "app": "web" });
    pod
}

fn slice(ports: Value) -> Vec<Arc<k8s_openapi::api::discovery::v1::EndpointSlice>> {
    vec![typed(json!({
        "metadata": { "name": "web-1", "labels": { "kubernetes.io/service-name": "web" } },
        "addressType": "IPv4", "ports": ports,
        "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": true } }],
    }))]
}

#[test]
fn a_service_of_a_workload_without_replicas_is_ready() {
    for cluster_ip in [json!("10.1.1.1"), json!("None")] {
        let mut stage = Stage::new(service(
            json!({ "clusterIP": cluster_ip, "selector": { "app": "web" }, "ports": [{ "port": 80 }] }),
        ));
        stage.around.workloads = vec![workload(0, json!({ "app": "web" }))];
        assert!(matches!(stage.look(), Progress::Ready));
        stage.around.workloads = vec![workload(1, json!({ "app": "web" }))];
        assert!(matches!(stage.look(), Progress::Waiting { .. }));
    }
}

#[test]
fn a_service_that_selects_nothing_fails_before_the_deadline_and_names_the_labels_there_are() {
    let mut stage = Stage::new(service(
        json!({ "selector": { "app": "wbe" }, "ports": [{ "port": 80 }] }),
    ));
    stage.around.workloads = vec![workload(1, json!({ "app": "web" }))];
    assert_fails(
        &mut stage,
        FailureClass::NotReady,
        15,
        "Service site/web selects nothing: no pod and no workload has the labels app=wbe",
        "Deployment web has app=web",
    );
}

#[test]
fn a_service_needs_endpoints_with_all_its_ports() {
    let spec =
        json!({ "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": "http" }] });
    let mut stage = Stage::new(service(spec));
    stage.set_pods(vec![labelled(ready_pod("a", "new"))]);
    stage.around.endpoints = slice(json!([]));
    assert_fails(
        &mut stage,
        FailureClass::NotReady,
        5,
        "Service site/web refers to the port `http`, which no container of its pods has",
        "the pods have no named port",
    );
    stage.around.endpoints = slice(json!([{ "name": "", "port": 8080 }]));
    assert!(matches!(stage.look(), Progress::Ready));

    let two = json!({ "selector": { "app": "web" }, "ports": [{ "name": "a", "port": 80 }, { "name": "b", "port": 81 }] });
    let mut stage = Stage::new(service(two));
    stage.set_pods(vec![labelled(ready_pod("a", "new"))]);
    stage.around.endpoints = slice(json!([{ "name": "a", "port": 80 }]));
    assert!(matches!(stage.look(), Progress::Waiting { .. }));
    stage.around.endpoints =
        slice(json!([{ "name": "a", "port": 80 }, { "name": "b", "port": 81 }]));
    assert!(matches!(stage.look(), Progress::Ready));
}

#[test]
fn services_without_selector_and_external_names_wait_for_nothing() {
    for spec in [
        json!({ "ports": [{ "port": 80 }] }),
        json!({ "type": "ExternalName", "externalName": "db.example.com" }),
    ] {
        assert!(matches!(Stage::new(service(spec)).look(), Progress::Ready));
    }
}

fn ingress(class: Option<&str>) -> Stage {
    let mut stage = Stage::new(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "web", "namespace": "site" },
        "spec": { "ingressClassName": class, "rules": [{ "http": { "paths": [{
            "path": "/", "pathType": "Prefix", "backend": { "service": { "name": "web", "port": { "number": 80 } } },
        }]}}]},
    }));
    stage.around.services = Some(vec![typed(service(json!({ "ports": [{ "port": 80 }] })))]);
    stage.around.ingress_classes = Some(vec![typed(json!({ "metadata": { "name": "edge" } }))]);
    stage
}

#[test]
fn an_ingress_needs_its_class_and_its_backends() {
    assert!(matches!(ingress(Some("edge")).look(), Progress::Ready));
    assert_fails(
        &mut ingress(Some("nginx")),
        FailureClass::MissingReference,
        5,
        "Ingress site/web has the class `nginx`, which does not exist",
        "classes: edge",
    );
    assert_fails(
        &mut ingress(None),
        FailureClass::MissingReference,
        5,
        "Ingress site/web has no class, and the cluster has no default one",
        "classes: edge",
    );
    let mut stage = ingress(Some("edge"));
    stage.around.services = Some(Vec::new());
    assert_fails(
        &mut stage,
        FailureClass::MissingReference,
        5,
        "Ingress site/web refers to the Service `web`, which does not exist",
        "does not exist",
    );
    let mut stage = ingress(Some("edge"));
    stage.around.services = Some(vec![typed(service(json!({ "ports": [{ "port": 81 }] })))]);
    assert_fails(
        &mut stage,
        FailureClass::MissingReference,
        5,
        "Ingress site/web refers to the port 80 of the Service `web`, which does not exist",
        "port 80",
    );
    // whoever may not list the classes is not refused for them
    let mut stage = ingress(Some("nginx"));
    stage.around.ingress_classes = None;
    assert!(matches!(stage.look(), Progress::Ready));
}

#[test]
fn a_paused_deployment_is_told_at_once() {
    let mut held = deployment();
    held["spec"]["paused"] = json!(true);
    held["metadata"]["annotations"] = json!({});
    assert_fails(
        &mut Stage::new(held),
        FailureClass::NotReady,
        0,
        "Deployment site/web is paused, so its rollout does not start",
        "spec.paused is true",
    );
}

#[test]
fn a_kind_whose_status_nobody_writes_is_ready_after_a_grace() {
    let watch = json!({
        "apiVersion": "mon.example.com/v1", "kind": "Watch", "metadata": { "name": "web", "namespace": "site" },
    });
    let mut stage = Stage::new(watch);
    assert!(matches!(stage.look(), Progress::Waiting { .. }));
    assert!(matches!(stage.after(14), Progress::Waiting { .. }));
    assert!(matches!(stage.after(1), Progress::Ready));
    assert!(stage.tracker.note().unwrap().contains("has no status"));
}

fn job(spec: Value, status: Value) -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "migrate", "namespace": "site", "uid": "j" },
        "spec": spec, "status": status,
    })
}

#[test]
fn a_job_that_was_complete_stays_complete_when_it_is_removed() {
    let complete = json!({ "conditions": [{ "type": "Complete", "status": "True" }] });
    let mut stage = Stage::new(job(json!({}), complete));
    assert!(matches!(stage.look(), Progress::Ready));
    stage.object = None;
    assert!(matches!(stage.after(60), Progress::Ready));

    // removed for its age between two looks
    let mut stage = Stage::new(job(json!({ "ttlSecondsAfterFinished": 0 }), json!({})));
    assert!(matches!(stage.look(), Progress::Waiting { .. }));
    stage.object = None;
    assert!(matches!(stage.after(1), Progress::Ready));

    // one that failed before it went is no success, nor one that somebody removed
    for (spec, status) in [
        (
            json!({ "ttlSecondsAfterFinished": 0 }),
            json!({ "failed": 1 }),
        ),
        (json!({}), json!({})),
    ] {
        let mut stage = Stage::new(job(spec, status));
        stage.look();
        stage.object = None;
        assert!(matches!(stage.after(1), Progress::Failed(_)));
    }
}

#[test]
fn no_deadline_cuts_off_what_the_probes_allow() {
    let seconds = |object: &Value| {
        let asked = SignedDuration::from_secs(120);
        extended(asked, std::iter::once(object.clone())).as_secs()
    };
    let with = |containers: Value| json!({ "kind": "Deployment", "spec": { "template": { "spec": { "containers": containers } } } });
    let slow =
        json!([{ "name": "a", "startupProbe": { "periodSeconds": 5, "failureThreshold": 60 } }]);
    assert_eq!(seconds(&with(slow.clone())), 360);
    let quick = json!([{ "name": "a", "readinessProbe": { "periodSeconds": 5 } }]);
    for object in [
        with(quick),
        with(json!([{ "name": "a" }])),
        json!({ "kind": "ConfigMap" }),
    ] {
        assert_eq!(seconds(&object), 120);
    }
    // nearly all of it, beside which images are pulled
    let most =
        json!([{ "name": "a", "startupProbe": { "periodSeconds": 10, "failureThreshold": 11 } }]);
    assert_eq!(seconds(&with(most)), 170);
    let mut ordered = with(slow.clone());
    ordered["kind"] = json!("StatefulSet");
    ordered["spec"]["replicas"] = json!(3);
    assert_eq!(seconds(&ordered), 3 * (300 + 30) + 60);
    ordered["spec"]["podManagementPolicy"] = json!("Parallel");
    assert_eq!(seconds(&ordered), 360);
    let mut everywhere = with(slow.clone());
    everywhere["kind"] = json!("DaemonSet");
    everywhere["status"] = json!({ "desiredNumberScheduled": 2 });
    assert_eq!(seconds(&everywhere), 2 * (300 + 30) + 60);
    // the old pod goes first, and takes its time
    let mut recreated = with(slow);
    recreated["spec"]["strategy"] = json!({ "type": "Recreate" });
    recreated["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(90);
    assert_eq!(seconds(&recreated), 300 + 90 + 60);
    // who sets a longer deadline means it
    let mut patient = with(json!([{ "name": "a" }]));
    patient["spec"]["progressDeadlineSeconds"] = json!(1800);
    assert_eq!(seconds(&patient), 1860);
    patient["spec"]["progressDeadlineSeconds"] = json!(600);
    assert_eq!(seconds(&patient), 120);
    let mut job = with(json!([{ "name": "a" }]));
    job["kind"] = json!("Job");
    job["spec"]["activeDeadlineSeconds"] = json!(900);
    assert_eq!(seconds(&job), 960);
    // a sidecar has probes too
    let mut sidecar = with(json!([{ "name": "a" }]));
    sidecar["spec"]["template"]["spec"]["initContainers"] = json!([{
        "name": "proxy", "restartPolicy": "Always", "startupProbe": { "periodSeconds": 5, "failureThreshold": 60 } }]);
    assert_eq!(seconds(&sidecar), 360);
}

#[test]
fn pods_of_a_custom_resource_come_in_their_own_time() {
    let mut stage = Stage::new(service(
        json!({ "selector": { "db": "orders" }, "ports": [{ "port": 5432 }] }),
    ));
    stage.around.has_custom_resources = true;
    assert!(stage.run_until_failure(110).is_none());
    let verdict = stage.tracker.give_up(stage.now).verdict;
    assert!(verdict.summary.contains("selects nothing"), "{verdict:?}");
}

#[test]
fn addresses_that_are_published_before_they_are_ready_are_endpoints() {
    let mut stage = Stage::new(service(
        json!({ "clusterIP": "None", "publishNotReadyAddresses": true, "selector": { "app": "web" } }),
    ));
    stage.set_pods(vec![labelled(pod(
        "a",
        "new",
        waiting("ContainerCreating", ""),
    ))]);
    stage.around.endpoints = slice(json!([]));
    assert!(matches!(stage.look(), Progress::Ready));
}

fn autoscaler(status: Value) -> Stage {
    let mut stage = Stage::new(json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "web", "namespace": "site" },
        "spec": { "maxReplicas": 3, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "wbe" } },
        "status": status,
    }));
    stage.around.workloads = vec![workload(1, json!({ "app": "web" }))];
    stage
}

#[test]
fn an_autoscaler_needs_something_to_scale() {
    let condition = |status: &str, reason: &str| {
        json!({ "desiredReplicas": 0, "conditions": [{ "type": "AbleToScale", "status": status, "reason": reason,
            "message": "the HPA controller was unable to get the target's current scale: deployments.apps \"wbe\" not found" }] })
    };
    assert_fails(
        &mut autoscaler(condition("False", "FailedGetScale")),
        FailureClass::MissingReference,
        0,
        "HorizontalPodAutoscaler site/web scales Deployment wbe, which cannot be found",
        "deployments.apps \"wbe\" not found",
    );
    assert!(matches!(
        autoscaler(condition("True", "SucceededGetScale")).look(),
        Progress::Ready
    ));
    // what is deployed with it is there
    let mut stage = autoscaler(Value::Null);
    assert!(matches!(stage.look(), Progress::Waiting { .. }));
    stage.around.workloads[0]["metadata"]["name"] = json!("wbe");
    assert!(matches!(stage.look(), Progress::Ready));
    // a cluster without that controller
    let mut stage = autoscaler(Value::Null);
    stage.look();
    assert!(matches!(stage.after(40), Progress::Ready));
}

#[test]
fn a_disruption_budget_protects_something() {
    let budget = |selector: Value| {
        let mut stage = Stage::new(json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "web", "namespace": "site" },
            "spec": { "minAvailable": 1, "selector": selector },
        }));
        stage.around.workloads = vec![workload(0, json!({ "app": "web", "tier": "front" }))];
        stage
    };
    for selector in [
        json!({ "matchLabels": { "app": "web" } }),
        json!({ "matchExpressions": [{ "key": "tier", "operator": "In", "values": ["front", "back"] }] }),
        json!({}),
    ] {
        assert!(matches!(budget(selector).look(), Progress::Ready));
    }
    assert_fails(
        &mut budget(json!({ "matchLabels": { "app": "wbe" } })),
        FailureClass::NotReady,
        15,
        "PodDisruptionBudget site/web selects nothing: no pod and no workload has the labels app=wbe",
        "Deployment web has app=web,tier=front",
    );
}
