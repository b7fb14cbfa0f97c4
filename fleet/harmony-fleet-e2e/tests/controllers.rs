//! An Argo CD that is missing, slow or down is named soon, and nothing is left for it to do later.
//!
//! `cargo xtask faults` writes the table of `docs/reference/faults.md`.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use harmony::configuration::DeliveryChoice;
use harmony::core::capability::KubernetesCluster;
use harmony::core::event::Event;
use harmony::prelude::*;
use harmony::types::{Namespace, Version};
use harmony_fleet_e2e::gitops::{install_argocd, production};
use harmony_fleet_e2e::released::ReleaseRig;
use harmony_fleet_e2e::stack::{discard, in_order, new_namespace, object, topology};
use harmony_fleet_e2e::{page, peer_app};
use serde_json::Value;

const SECTION: &str = "controllers";
const CONTROLLER: &str = "argocd-application-controller";

#[tokio::test]
async fn argo_cd_that_does_not_respond_is_named() -> anyhow::Result<()> {
    let local = topology().await?;
    let rig = ReleaseRig::start_for_pods().await?;
    let (argocd, namespace) = (new_namespace()?, new_namespace()?);
    rig.let_pull(&namespace).await?;
    let gitops = || {
        let namespace = argocd.clone();
        production(&rig, DeliveryChoice::ArgoCd { namespace })
    };
    let folder = tempfile::tempdir()?;
    let mut apps = Vec::new();
    for version in [Version::new(1, 0, 0), Version::new(2, 0, 0)] {
        apps.push(release(&rig, folder.path(), version).await?);
    }
    let deploy = |version: usize| {
        let target = DeployTarget::namespace(namespace.clone());
        scores![DeployScore::of(&apps[version], target)]
    };
    let mut rows = Vec::new();

    // The definitions are those of the cluster: other tests may have left them.
    let definition = object(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        None,
        "applications.argoproj.io",
    )?;
    if local.get(&definition).await?.is_some() {
        local.delete(&definition).await?;
    }
    let began = Instant::now();
    let missing = in_order(deploy(0), &gitops()).await;
    let missing = missing.expect_err("there is no Argo CD");
    assert_eq!(missing.code.to_string(), "H0360", "{missing}");
    rows.push((
        "is not installed, or has no `argoproj.io/v1alpha1`",
        "H0360",
        began.elapsed(),
    ));

    // It does not get a processor: the delivery says so, and goes on as soon as it does.
    install_argocd(&local, &rig, &argocd).await?;
    let process = process_of(&local, &argocd).await?;
    let slow = gitops();
    let mut events = slow.context().subscribe();
    signal("STOP", &process)?;
    let began = Instant::now();
    let delivering = in_order(deploy(0), &slow);
    let told = async {
        loop {
            let message = match events.recv().await {
                Some(Event::StepProgress {
                    message: Some(message),
                    ..
                }) => message,
                Some(_) => continue,
                None => anyhow::bail!("the delivery ended without saying that Argo CD is slow"),
            };
            if message.contains("has not begun yet") {
                let after = began.elapsed();
                signal("CONT", &process)?;
                break Ok((message, after));
            }
        }
    };
    let (delivered, told) = tokio::join!(delivering, told);
    let (_, after) = told?;
    delivered.map_err(|report| anyhow::anyhow!("{report}"))?;
    rows.push(("does not begin", "a message, and H0361 after 120 s", after));

    // It is gone: what was asked for is withdrawn.
    let workload = object("apps/v1", "StatefulSet", Some(&argocd), CONTROLLER)?;
    local.delete(&workload).await?;
    let began = Instant::now();
    let down = in_order(deploy(1), &gitops()).await;
    let down = down.expect_err("nobody delivers");
    assert_eq!(down.code.to_string(), "H0361", "{down}");
    assert!(down.evidence.join("\n").contains(CONTROLLER), "{down}");
    rows.push(("is down", "H0361", began.elapsed()));
    let name = format!("{namespace}.test-controlled");
    let application = object("argoproj.io/v1alpha1", "Application", Some(&argocd), &name)?;
    let left = local.get(&application).await?.context("the Application")?;
    assert_eq!(
        left.body()["operation"],
        Value::Null,
        "the request is withdrawn"
    );

    install_argocd(&local, &rig, &argocd).await?;
    let back = in_order(deploy(1), &gitops()).await;
    back.map_err(|report| anyhow::anyhow!("{report}"))?;
    if page::is_written() {
        let rows = rows.iter().map(|(what, report, after)| {
            format!("| {what} | {report} | {:.1} s |\n", after.as_secs_f32())
        });
        let rows: String = rows.collect();
        let head = "| Argo CD | what is reported | after |\n| --- | --- | ---: |\n";
        page::write(SECTION, &format!("{head}{rows}"))?;
    }
    for namespace in [namespace, argocd] {
        discard(&namespace)?;
    }
    Ok(())
}

async fn release(
    rig: &ReleaseRig,
    folder: &Path,
    version: Version,
) -> anyhow::Result<Arc<AppSpec>> {
    let program = peer_app::program(folder);
    let shown = version.to_string();
    let app = peer_app::app(
        "controlled",
        version,
        rig.root(),
        &program,
        Checks::readiness_alone(),
        move |namespace, image| {
            let mut web = peer_app::deployment(&image.to_string(), &peer_app::SERVE);
            web["metadata"]["annotations"] = serde_json::json!({ "version": shown });
            peer_app::in_namespace(vec![web], namespace)
        },
    )?;
    let released = in_order(scores![ReleaseScore::of(&app)], &rig.ci()?).await;
    released.map_err(|report| anyhow::anyhow!("{report}"))?;
    Ok(app)
}

/// The id of the controller's process: its pod is on this machine, and its cgroup is named after the pod.
async fn process_of(local: &K8sAnywhereTopology, argocd: &Namespace) -> anyhow::Result<String> {
    let pod = object("v1", "Pod", Some(argocd), &format!("{CONTROLLER}-0"))?;
    let pod = local
        .get(&pod)
        .await?
        .context("the pod of the controller")?;
    let uid = pod.body()["metadata"]["uid"].as_str().context("a UID")?;
    let in_cgroup = [uid.to_owned(), uid.replace('-', "_")];
    for process in std::fs::read_dir("/proc")?.flatten() {
        let path = process.path();
        let (Ok(cgroup), Ok(command)) = (
            std::fs::read_to_string(path.join("cgroup")),
            std::fs::read_to_string(path.join("cmdline")),
        ) else {
            continue;
        };
        if in_cgroup.iter().any(|uid| cgroup.contains(uid)) && command.contains(CONTROLLER) {
            return Ok(process.file_name().to_string_lossy().into_owned());
        }
    }
    anyhow::bail!("no process of the pod {uid} runs {CONTROLLER}")
}

fn signal(name: &str, process: &str) -> anyhow::Result<()> {
    let sent = Command::new("kill").args(["-s", name, process]).status()?;
    anyhow::ensure!(sent.success(), "cannot send {name} to {process}");
    Ok(())
}
