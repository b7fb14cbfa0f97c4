//! Success that is none: what is ready for a moment, and what is ready and does nothing.

use harmony_core::event::Event;
use harmony_core::verify::FailureClass;
use serde_json::{Value, json};

use crate::stage::{Stage, deployment, in_namespace};

fn container(workload: &mut Value) -> &mut Value {
    &mut workload["spec"]["template"]["spec"]["containers"][0]
}

fn asks(path: &str, period: u32) -> Value {
    json!({ "httpGet": { "path": path, "port": "main" }, "periodSeconds": period })
}

/// Deploys, and gives the warnings that it came with.
async fn warnings(stage: &Stage, bodies: impl IntoIterator<Item = Value>) -> Vec<String> {
    let mut events = stage.context.subscribe();
    stage.deploy(bodies, 60).await.unwrap();
    let mut said = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::Warning { message } = event {
            said.push(message);
        }
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_liveness_probe_kills_is_no_success() {
    in_namespace(|stage| async move {
        for period in [1, 4] {
            let mut web = deployment("web", &["http", "8080"]).await;
            container(&mut web)["readinessProbe"] = asks("/ok", 1);
            container(&mut web)["livenessProbe"] = asks("/no", period);
            let verdict = stage.deploy([web], 90).await.unwrap_err();
            assert_eq!(verdict.class, FailureClass::NotReady, "{verdict:?}");
            assert!(
                verdict.summary.contains("its liveness probe fails"),
                "{verdict:?}"
            );
            assert!(
                verdict.evidence.join("\n").contains("statuscode: 503"),
                "{verdict:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_seconds_after_it_was_ready_is_no_success() {
    in_namespace(|stage| async move {
        for probe in [Value::Null, asks("/ok", 2)] {
            let mut web = deployment("web", &["http", "8080", "3", "4"]).await;
            container(&mut web)["readinessProbe"] = probe;
            let verdict = stage.deploy([web], 90).await.unwrap_err();
            assert_eq!(verdict.class, FailureClass::CrashLoop, "{verdict:?}");
            assert!(
                verdict
                    .evidence
                    .join("\n")
                    .contains("fatal: lost the database"),
                "{verdict:?}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_that_comes_and_goes_is_no_success() {
    in_namespace(|stage| async move {
        let mut web = deployment("web", &["http", "8080"]).await;
        container(&mut web)["readinessProbe"] = asks("/flap", 1);
        container(&mut web)["readinessProbe"]["failureThreshold"] = json!(1);
        let verdict = stage.deploy([web], 90).await.unwrap_err();
        assert_eq!(verdict.class, FailureClass::NotReady, "{verdict:?}");
        assert!(
            verdict.summary.contains("loses it again and again"),
            "{verdict:?}"
        );
        assert!(
            verdict.evidence.join("\n").contains("statuscode: 503"),
            "{verdict:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_readiness_probe_of_a_port_that_is_not_there_is_told_early() {
    in_namespace(|stage| async move {
        let mut web = deployment("web", &["http", "8080"]).await;
        container(&mut web)["readinessProbe"] =
            json!({ "tcpSocket": { "port": "metrics" }, "periodSeconds": 1 });
        let verdict = stage.deploy([web.clone()], 90).await.unwrap_err();
        assert!(
            verdict.summary.contains("asks the port `metrics`"),
            "{verdict:?}"
        );
        container(&mut web)["readinessProbe"] =
            json!({ "tcpSocket": { "port": 9999 }, "periodSeconds": 1 });
        let verdict = stage.deploy([web], 45).await.unwrap_err();
        assert_eq!(verdict.class, FailureClass::NotReady, "{verdict:?}");
        assert!(
            verdict.hints[0].contains("nothing listens on port 9999"),
            "{verdict:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_lead_nowhere_as_their_specs_ask_are_no_failure() {
    in_namespace(|stage| async move {
        let mut idle = deployment("idle", &["sleep"]).await;
        idle["spec"]["replicas"] = json!(0);
        let service = |name: &str, spec: Value| {
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name }, "spec": spec })
        };
        let endpoints = json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": { "name": "byhand-1", "labels": { "kubernetes.io/service-name": "byhand" } },
            "addressType": "IPv4", "ports": [{ "port": 5432 }], "endpoints": [{ "addresses": ["192.0.2.7"] }] });
        let began = std::time::Instant::now();
        let all = [
            idle,
            service("idle", json!({ "selector": { "app": "idle" }, "ports": [{ "port": 80 }] })),
            service("peers", json!({ "clusterIP": "None", "selector": { "app": "idle" } })),
            service("outside", json!({ "type": "ExternalName", "externalName": "db.example.com" })),
            service("byhand", json!({ "ports": [{ "port": 5432 }] })),
            endpoints,
        ];
        stage.deploy(all, 60).await.unwrap();
        assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());

        // Published before its pod is ready, which is how its peers find each other.
        let mut early = deployment("early", &["http", "8080"]).await;
        container(&mut early)["readinessProbe"] = asks("/no", 1);
        stage.apply([early]).await;
        let early = json!({ "clusterIP": "None", "publishNotReadyAddresses": true, "selector": { "app": "early" } });
        stage.deploy([service("early", early)], 60).await.unwrap();

        let nothing = json!({ "selector": { "app": "nothing" }, "ports": [{ "port": 80 }] });
        let verdict = stage.deploy([service("nothing", nothing)], 60).await.unwrap_err();
        assert!(verdict.summary.contains("selects nothing"), "{verdict:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_and_a_disruption_budget_of_nothing_are_no_success() {
    in_namespace(|stage| async move {
        let scaler = json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "web" },
            "spec": { "maxReplicas": 3, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "wbe" } } });
        let verdict = stage.deploy([scaler], 60).await.unwrap_err();
        assert_eq!(verdict.class, FailureClass::MissingReference, "{verdict:?}");
        assert!(verdict.summary.contains("scales Deployment wbe"), "{verdict:?}");
        let budget = json!({ "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "web" },
            "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "wbe" } } } });
        let verdict = stage.deploy([budget], 60).await.unwrap_err();
        assert!(verdict.summary.contains("selects nothing"), "{verdict:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_nowhere_or_in_part_as_its_spec_asks_says_so() {
    in_namespace(|stage| async move {
        let web = deployment("web", &["http", "8080"]).await;
        let (selector, mut template) = (web["spec"]["selector"].clone(), web["spec"]["template"].clone());
        template["spec"]["nodeSelector"] = json!({ "example.com/gpu": "yes" });
        let everywhere = json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "web" },
            "spec": { "selector": selector, "template": template } });
        let said = warnings(&stage, [everywhere]).await;
        assert!(said.iter().any(|line| line.contains("runs on no node")), "{said:?}");

        let set = |port: &str| {
            let mut template = web["spec"]["template"].clone();
            template["spec"]["containers"][0]["args"] = json!(["http", port]);
            json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "db" }, "spec": {
                "serviceName": "db", "replicas": 1, "selector": selector, "template": template,
                "updateStrategy": { "rollingUpdate": { "partition": 1 } } } })
        };
        let said = warnings(&stage, [set("8080")]).await;
        assert_eq!(said, [""; 0]);
        let said = warnings(&stage, [set("8081")]).await;
        assert!(said.iter().any(|line| line.contains("keeps 1 of its pods at the old revision")), "{said:?}");

        let mut job = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "held" },
            "spec": { "suspend": true, "template": web["spec"]["template"] } });
        job["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
        let said = warnings(&stage, [job]).await;
        assert!(said.iter().any(|line| line.contains("is suspended")), "{said:?}");
    })
    .await;
}
