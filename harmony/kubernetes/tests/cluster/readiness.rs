//! Waiting ends with the truth: the new revision serves, or why it does not.

use std::time::{Duration, Instant};

use harmony_core::capability::{KubernetesCluster, Prober};
use harmony_core::event::Event;
use harmony_core::verify::{Confidence, FailureClass, ServicePort, SmokeCheck};
use serde_json::{Value, json};

use crate::stage::{deployment, in_namespace, service};

fn container(deployment: &mut Value) -> &mut Value {
    &mut deployment["spec"]["template"]["spec"]["containers"][0]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_and_its_service_become_ready() {
    in_namespace(|stage| async move {
        let mut events = stage.context.subscribe();
        let web = deployment("web", &["http", "8080"]).await;
        stage
            .deploy([web, service("web", json!("main"))], 60)
            .await
            .unwrap();
        let mut messages = Vec::new();
        while let Ok(event) = events.try_recv() {
            if let Event::StepProgress {
                message: Some(message),
                ..
            } = event
            {
                messages.push(message);
            }
        }
        assert!(
            messages.iter().any(|message| message.contains("0/1 ready")),
            "{messages:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_awaited_and_the_old_revision_does_not_count() {
    in_namespace(|stage| async move {
        let web = |port: &'static str| async move { deployment("web", &["http", port]).await };
        stage
            .deploy([web("8080").await, service("web", json!(8080))], 60)
            .await
            .unwrap();
        // The old pod goes on serving while the new one crashes.
        let verdict = stage
            .deploy([deployment("web", &["crash", "3"]).await], 90)
            .await
            .unwrap_err();
        assert_eq!(verdict.class, FailureClass::CrashLoop, "{verdict:?}");
        // Back to one that serves: ready means that this one does.
        let mut other = web("8080").await;
        container(&mut other)["env"] = json!([{ "name": "HOSTNAME", "value": "the-third" }]);
        stage.deploy([other], 60).await.unwrap();
        let check = SmokeCheck::Http {
            service: ServicePort {
                service: "web".parse().unwrap(),
                port: 80,
            },
            path: "/ok".into(),
            status: 200,
            contains: Some("this is the-third".into()),
        };
        stage.cluster.probe(&stage.namespace, &check).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_start_is_told_with_exit_code_and_log() {
    in_namespace(|stage| async move {
        let began = Instant::now();
        let verdict = stage
            .deploy([deployment("web", &["crash", "3"]).await], 120)
            .await
            .unwrap_err();
        assert_eq!(verdict.class, FailureClass::CrashLoop);
        let expected = format!(
            "container app of Deployment {}/web keeps crashing (exit code 3)",
            stage.namespace
        );
        assert_eq!(verdict.summary, expected);
        let evidence = verdict.evidence.join("\n");
        assert!(evidence.contains("reading the settings"), "{evidence}");
        assert!(
            evidence.contains("fatal: the settings are wrong"),
            "{evidence}"
        );
        assert!(evidence.contains("exit code 3"), "{evidence}");
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{:?}",
            began.elapsed()
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_nowhere_is_told_long_before_the_deadline() {
    in_namespace(|stage| async move {
        let mut web = deployment("web", &[]).await;
        // A port of the node's own loopback that nobody listens on: the registry is unreachable.
        container(&mut web)["image"] = json!("127.0.0.1:9/nobody/nothing:1");
        let verdict = stage.deploy([web.clone()], 120).await.unwrap_err();
        assert_eq!(verdict.class, FailureClass::ImagePull, "{verdict:?}");
        assert!(
            verdict
                .summary
                .contains("cannot pull the image `127.0.0.1:9/nobody/nothing:1`"),
            "{verdict:?}"
        );
        assert!(
            verdict.evidence[0].contains("connection refused"),
            "{verdict:?}"
        );
        container(&mut web)["imagePullPolicy"] = json!("Never");
        let verdict = stage.deploy([web], 60).await.unwrap_err();
        assert_eq!(
            (verdict.class, verdict.confidence),
            (FailureClass::ImageNotFound, Confidence::Final)
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_config_map_is_named() {
    in_namespace(|stage| async move {
        let mut web = deployment("web", &["sleep"]).await;
        container(&mut web)["envFrom"] = json!([{ "configMapRef": { "name": "settings" } }]);
        let verdict = stage.deploy([web], 60).await.unwrap_err();
        assert_eq!(verdict.class, FailureClass::MissingReference);
        assert!(
            verdict.summary.contains("configmap \"settings\" not found"),
            "{verdict:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_volume_source_is_named() {
    in_namespace(|stage| async move {
        let mut web = deployment("web", &["sleep"]).await;
        web["spec"]["template"]["spec"]["volumes"] =
            json!([{ "name": "tls", "secret": { "secretName": "tls" } }]);
        container(&mut web)["volumeMounts"] = json!([{ "name": "tls", "mountPath": "/tls" }]);
        let verdict = stage.deploy([web], 90).await.unwrap_err();
        assert_eq!(verdict.class, FailureClass::MissingReference);
        assert!(
            verdict.summary.contains("secret \"tls\" not found"),
            "{verdict:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_fits_nowhere_is_told_with_the_schedulers_words() {
    in_namespace(|stage| async move {
        let mut web = deployment("web", &["sleep"]).await;
        container(&mut web)["resources"] = json!({ "requests": { "memory": "900Ti" } });
        let verdict = stage.deploy([web], 60).await.unwrap_err();
        assert_eq!(verdict.class, FailureClass::Unschedulable);
        assert!(
            verdict.summary.contains("Insufficient memory"),
            "{verdict:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_pods_are_told_with_the_reason() {
    in_namespace(|stage| async move {
        let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "small" }, "spec": { "hard": { "pods": "0" } } });
        let verdict = stage.deploy([quota, deployment("web", &["sleep"]).await], 60).await.unwrap_err();
        assert_eq!(verdict.class, FailureClass::PodsRefused);
        assert!(verdict.summary.contains("exceeded quota: small"), "{verdict:?}");
        let mut accountless = deployment("other", &["sleep"]).await;
        accountless["spec"]["template"]["spec"]["serviceAccountName"] = json!("nobody");
        let set = json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "other" },
            "spec": {
                "serviceName": "other", "selector": accountless["spec"]["selector"], "template": accountless["spec"]["template"],
            },
        });
        let verdict = stage.deploy([set], 60).await.unwrap_err();
        assert_eq!(verdict.class, FailureClass::PodsRefused);
        assert!(verdict.summary.contains("serviceaccount \"nobody\" not found"), "{verdict:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_in_the_image_is_told_as_such() {
    in_namespace(|stage| async move {
        let mut web = deployment("web", &[]).await;
        container(&mut web)["command"] = json!(["/not-there"]);
        let verdict = stage.deploy([web], 60).await.unwrap_err();
        assert_eq!(verdict.class, FailureClass::ContainerStart, "{verdict:?}");
        assert!(
            verdict.evidence[0].contains("no such file or directory"),
            "{verdict:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_ready_when_done_and_its_failure_has_a_log() {
    in_namespace(|stage| async move {
        let job = |name: &'static str, arguments: &'static [&'static str]| async move {
            let mut template = deployment(name, arguments).await["spec"]["template"].clone();
            template["spec"]["restartPolicy"] = json!("Never");
            json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name },
                "spec": { "backoffLimit": 0, "template": template } })
        };
        stage
            .deploy([job("good", &["say", "done", "0"]).await], 60)
            .await
            .unwrap();
        let verdict = stage
            .deploy([job("bad", &["crash", "7"]).await], 60)
            .await
            .unwrap_err();
        assert_eq!(verdict.class, FailureClass::JobFailed, "{verdict:?}");
        assert!(
            verdict
                .evidence
                .join("\n")
                .contains("fatal: the settings are wrong"),
            "{verdict:?}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_and_a_cancellation_end_the_wait() {
    in_namespace(|stage| async move {
        let mut web = deployment("web", &["http", "8080"]).await;
        container(&mut web)["readinessProbe"] =
            json!({ "httpGet": { "path": "/no", "port": "main" }, "periodSeconds": 1 });
        let verdict = stage
            .deploy([web, service("web", json!("main"))], 8)
            .await
            .unwrap_err();
        assert_eq!(
            (verdict.class, verdict.confidence),
            (FailureClass::NotReady, Confidence::Ambiguous),
            "{verdict:?}"
        );
        let evidence = verdict.evidence.join("\n");
        assert!(evidence.contains("statuscode: 503"), "{evidence}");
        assert!(evidence.contains("listening on 8080"), "{evidence}");

        let awaited = [stage.reference("apps/v1", "Deployment", "web")];
        let cancel = stage.context.cancellation().clone();
        let (ended, ()) = tokio::join!(
            stage.cluster.wait_ready(&awaited, Duration::from_secs(60)),
            async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                cancel.cancel();
            }
        );
        assert_eq!(ended.unwrap_err().to_string(), "cancelled");
    })
    .await;
}
