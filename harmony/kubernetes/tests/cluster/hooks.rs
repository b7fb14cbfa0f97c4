//! The hooks of a chart, on a real cluster.

use std::time::Duration;

use harmony_charts::Hook;
use harmony_core::capability::KubernetesCluster;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::kubernetes::KubeObject;
use harmony_core::outcome::Action;
use harmony_core::verify::{FailureClass, Verdict};
use harmony_kubernetes::hooks::Hooks;
use serde_json::{Value, json};

use crate::stage::{Stage, config_map, deployment, in_namespace};

const DEADLINE: Duration = Duration::from_secs(90);

/// A Job that says its name and ends with that code.
async fn job(name: &str, code: &str, annotations: Value) -> Value {
    let mut template = deployment(name, &["say", name, code]).await["spec"]["template"].clone();
    template["spec"]["restartPolicy"] = json!("Never");
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name, "annotations": annotations },
        "spec": { "backoffLimit": 0, "template": template } })
}

fn hooks(stage: &Stage, bodies: impl IntoIterator<Item = Value>) -> Vec<Hook> {
    let objects = stage.objects(bodies);
    let hooks = objects
        .iter()
        .map(|object| Hook::of(object).unwrap().unwrap());
    hooks.collect()
}

/// Prepares, runs, applies and runs, as a delivery does.
async fn release(
    stage: &Stage,
    objects: &[KubeObject],
    hooks: &[Hook],
) -> Result<Vec<String>, ClusterError> {
    let owner = stage.owner();
    let runner = Hooks::new(&stage.context, &stage.cluster, &owner);
    let prepared = runner.prepare(objects, hooks, false).await?;
    let changes = prepared.before.iter().chain(&prepared.after);
    let told = changes
        .map(|change| {
            let note = change.note.as_deref().unwrap_or_default();
            format!("{} {}: {note}", change.action, change.subject)
                .replace(&format!("{}/", stage.namespace), "")
        })
        .collect();
    let followup = runner.run_before(prepared).await?;
    stage.cluster.apply(&owner, objects).await?;
    runner.run_after(&followup, DEADLINE).await?;
    Ok(told)
}

async fn failed(stage: &Stage, objects: &[KubeObject], hooks: &[Hook]) -> Verdict {
    match release(stage, objects, hooks).await {
        Err(ClusterError::NotReady(verdict)) => *verdict,
        other => panic!("{other:?}"),
    }
}

async fn uid(stage: &Stage, kind: &str, name: &str) -> Option<String> {
    let api_version = if kind == "Job" { "batch/v1" } else { "v1" };
    let found = stage
        .cluster
        .get(&stage.reference(api_version, kind, name))
        .await
        .unwrap()?;
    Some(found.body()["metadata"]["uid"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_around_the_objects_of_their_release_and_once_for_it() {
    in_namespace(|stage| async move {
        let all = async |version: &str| {
            let mut migrate = job("migrate", "0", json!({ "helm.sh/hook": "pre-install,pre-upgrade" })).await;
            migrate["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{ "name": "RELEASE", "value": version }]);
            hooks(&stage, [
                job("after", "0", json!({ "helm.sh/hook": "post-install" })).await,
                job("farewell", "0", json!({ "helm.sh/hook": "post-delete" })).await,
                job("back", "0", json!({ "helm.sh/hook": "pre-rollback" })).await,
                migrate,
                json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "ground", "annotations":
                    { "helm.sh/hook": "pre-install", "helm.sh/hook-weight": "-5", "helm.sh/hook-delete-policy": "hook-succeeded" } } }),
            ])
        };
        let objects = stage.objects([config_map("main", "1")]);
        let told = release(&stage, &objects, &all("1").await).await.unwrap();
        assert_eq!(told, [
            "create ConfigMap ground: runs as pre-install hook",
            "create Job migrate: runs as pre-install hook",
            "create Job after: runs as post-install hook",
        ]);
        let first = uid(&stage, "Job", "migrate").await.unwrap();
        assert!(uid(&stage, "Job", "after").await.is_some());
        for (kind, name) in [("Job", "farewell"), ("Job", "back"), ("ConfigMap", "ground")] {
            assert_eq!(uid(&stage, kind, name).await, None, "{name}");
        }
        // As it was: nothing runs.
        let told = release(&stage, &objects, &all("1").await).await.unwrap();
        assert_eq!(told, [""; 0]);
        assert_eq!(uid(&stage, "Job", "migrate").await.as_ref(), Some(&first));
        // Another version: the Job, which cannot change, is made anew.
        let told = release(&stage, &objects, &all("2").await).await.unwrap();
        assert_eq!(told, ["update Job migrate: runs as pre-upgrade hook, created again"]);
        assert_ne!(uid(&stage, "Job", "migrate").await.as_ref(), Some(&first));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_fails_is_named_with_its_log_and_goes_as_its_policy_says() {
    in_namespace(|stage| async move {
        let objects = stage.objects([config_map("main", "1")]);
        let failing = |policy: &'static str| async move {
            job(
                "migrate",
                "3",
                json!({ "helm.sh/hook": "pre-install", "helm.sh/hook-delete-policy": policy }),
            )
            .await
        };
        let before = job(
            "ground",
            "0",
            json!({ "helm.sh/hook": "pre-install", "helm.sh/hook-weight": "-1",
            "helm.sh/hook-delete-policy": "hook-succeeded" }),
        )
        .await;
        let last = job(
            "last",
            "0",
            json!({ "helm.sh/hook": "pre-install", "helm.sh/hook-weight": "1" }),
        )
        .await;
        let verdict = failed(
            &stage,
            &objects,
            &hooks(
                &stage,
                [last, failing("before-hook-creation").await, before],
            ),
        )
        .await;
        assert_eq!(verdict.class, FailureClass::JobFailed, "{verdict:?}");
        let start = format!(
            "the pre-install hook Job {}/migrate failed",
            stage.namespace
        );
        assert!(verdict.summary.starts_with(&start), "{verdict:?}");
        assert!(
            verdict.evidence.iter().any(|line| line.trim() == "migrate"),
            "{verdict:?}"
        );
        assert!(uid(&stage, "Job", "migrate").await.is_some());
        for (kind, name) in [("ConfigMap", "main"), ("Job", "last"), ("Job", "ground")] {
            assert_eq!(uid(&stage, kind, name).await, None, "{name}");
        }
        // It makes way, fails again, and goes.
        let again = hooks(&stage, [failing("before-hook-creation,hook-failed").await]);
        failed(&stage, &objects, &again).await;
        assert_eq!(uid(&stage, "Job", "migrate").await, None);
        // A release that never came to its end is still to be installed.
        let told = release(
            &stage,
            &objects,
            &hooks(
                &stage,
                [
                    job("migrate", "0", json!({ "helm.sh/hook": "pre-install" })).await,
                    job("other", "0", json!({ "helm.sh/hook": "pre-upgrade" })).await,
                ],
            ),
        )
        .await
        .unwrap();
        assert_eq!(told, ["create Job migrate: runs as pre-install hook"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_of_a_chart_run_each_time_and_to_their_end() {
    in_namespace(|stage| async move {
        let objects = stage.objects([config_map("main", "1")]);
        let test = async |code: &str, policy: &str| {
            let job = job("check", code, json!({})).await;
            hooks(
                &stage,
                [
                    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "check",
                "annotations": { "helm.sh/hook": "test", "helm.sh/hook-delete-policy": policy } },
                "spec": job["spec"]["template"]["spec"] }),
                ],
            )
        };
        release(&stage, &objects, &test("0", "before-hook-creation").await)
            .await
            .unwrap();
        let first = uid(&stage, "Pod", "check").await.unwrap();
        release(&stage, &objects, &test("0", "before-hook-creation").await)
            .await
            .unwrap();
        assert_ne!(uid(&stage, "Pod", "check").await.unwrap(), first);
        let verdict = failed(
            &stage,
            &objects,
            &test("4", "before-hook-creation,hook-failed").await,
        )
        .await;
        assert_eq!(verdict.class, FailureClass::SmokeCheckFailed, "{verdict:?}");
        assert!(
            verdict.summary.starts_with("the test hook Pod"),
            "{verdict:?}"
        );
        assert_eq!(uid(&stage, "Pod", "check").await, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_before_a_refusal() {
    in_namespace(|stage| async move {
        let hook = || job("migrate", "0", json!({ "helm.sh/hook": "pre-install" }));
        let bad = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
            "spec": { "selectors": { "app": "web" }, "ports": [{ "port": 80 }] } });
        let refused = release(&stage, &stage.objects([bad]), &hooks(&stage, [hook().await])).await;
        assert!(matches!(refused, Err(ClusterError::Invalid { .. })), "{refused:?}");
        let mut broken = hook().await;
        broken["spec"]["template"]["spec"]["restartPolicy"] = json!("Sometimes");
        let refused = release(&stage, &[], &hooks(&stage, [hook().await, broken])).await;
        assert!(matches!(refused, Err(ClusterError::Invalid { .. })), "{refused:?}");
        assert_eq!(uid(&stage, "Job", "migrate").await, None);

        // One that is to stay from an earlier run, and one of somebody else.
        let kept = || job("kept", "0", json!({ "helm.sh/hook": "pre-install,pre-upgrade", "helm.sh/hook-delete-policy": "hook-failed" }));
        release(&stage, &[], &hooks(&stage, [kept().await])).await.unwrap();
        let mut changed = kept().await;
        changed["metadata"]["labels"] = json!({ "a": "b" });
        let refused = release(&stage, &[], &hooks(&stage, [changed])).await.unwrap_err();
        assert!(refused.to_string().contains("`before-hook-creation`"), "{refused}");
        stage.somebody_else(&["create", "job", "theirs", "--image", "registry.invalid/x:1"]);
        let theirs = job("theirs", "0", json!({ "helm.sh/hook": "pre-install,pre-upgrade" })).await;
        let before = uid(&stage, "Job", "theirs").await;
        let owner = harmony_core::owner::Owner::delivery(&"web".parse().unwrap(), &stage.namespace);
        let runner = Hooks::new(&stage.context, &stage.cluster, &owner);
        let refused = runner.prepare(&[], &hooks(&stage, [theirs]), false).await.unwrap_err();
        assert!(matches!(refused, ClusterError::OtherOwner { .. }), "{refused:?}");
        assert_eq!(uid(&stage, "Job", "theirs").await, before);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_tells_the_hooks_and_runs_none() {
    in_namespace(|stage| async move {
        let planning = stage.planning().await;
        let context = stage.context.planning();
        let owner = stage.owner();
        let runner = Hooks::new(&context, &planning, &owner);
        let hooks = hooks(
            &stage,
            [job(
                "migrate",
                "0",
                json!({ "helm.sh/hook": "pre-install,post-install" }),
            )
            .await],
        );
        let prepared = runner.prepare(&[], &hooks, false).await.unwrap();
        let actions = prepared
            .before
            .iter()
            .chain(&prepared.after)
            .map(|change| change.action);
        assert_eq!(actions.collect::<Vec<_>>(), [Action::Create; 2]);
        runner.run_before(prepared).await.unwrap();
        assert_eq!(uid(&stage, "Job", "migrate").await, None);
    })
    .await;
}
