//! Deliveries through Argo CD that are killed at any moment: the next run converges, and no sync is left for nobody.
//!
//! This file is its own child: with `DELIVER` set, it delivers that version, and its parent kills it. A run kills some;
//! `cargo xtask faults` kills 50, and writes the table of `docs/reference/faults.md`.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use harmony::configuration::{Configuration, DeliveryChoice, Needs};
use harmony::containers::Prebuilt;
use harmony::core::capability::KubernetesCluster;
use harmony::local::node::LocalNode;
use harmony::prelude::*;
use harmony::types::{Namespace, Version};
use harmony_fleet_e2e::gitops::{install_argocd, production};
use harmony_fleet_e2e::released::ReleaseRig;
use harmony_fleet_e2e::stack::{discard, in_order, new_namespace, object, topology};
use harmony_fleet_e2e::{page, peer_app};
use harmony_registry::testing::RegistryPeer;
use serde_json::{Value, json};

/// The version that the child delivers, and the namespace.
const DELIVER: &str = "DELIVER";
const INTO: &str = "DELIVER_INTO";
const CHILD: &str = "the_child_delivers";

const SECTION: &str = "kills";
const SOME: u32 = 4;
const ALL: u32 = 50;

/// Does nothing unless it is started by the other test.
#[tokio::test]
async fn the_child_delivers() -> anyhow::Result<()> {
    let (Ok(version), Ok(namespace)) = (std::env::var(DELIVER), std::env::var(INTO)) else {
        return Ok(());
    };
    harmony::install_crypto();
    let configuration = Configuration::load(None, &Needs::default());
    let configuration = configuration.map_err(|error| anyhow::anyhow!("{error}"))?;
    // A deploy needs neither the sources nor the program.
    let nowhere = tempfile::tempdir()?;
    let app = app(version.parse()?, nowhere.path(), &Prebuilt::new("none"))?;
    let topology = ProductionTopology::new(configuration);
    let deployed = in_order(scores![deploy(&app, &namespace.parse()?)], &topology).await;
    deployed.map_err(|report| anyhow::anyhow!("{report}"))?;
    Ok(())
}

#[tokio::test]
async fn a_delivery_that_is_killed_is_continued_by_the_next_run() -> anyhow::Result<()> {
    let local = topology().await?;
    let rig = ReleaseRig::start_for_pods().await?;
    let (argocd, namespace) = (new_namespace()?, new_namespace()?);
    rig.let_pull(&namespace).await?;
    install_argocd(&local, &rig, &argocd).await?;
    let topology = production(
        &rig,
        DeliveryChoice::ArgoCd {
            namespace: argocd.clone(),
        },
    );
    let folder = tempfile::tempdir()?;
    let program = peer_app::program(folder.path());
    let versions = [Version::new(1, 0, 0), Version::new(2, 0, 0)];
    let mut apps = Vec::new();
    for version in &versions {
        let app = app(version.clone(), rig.root(), &program)?;
        let released = in_order(scores![ReleaseScore::of(&app)], &rig.ci()?).await;
        released.map_err(|report| anyhow::anyhow!("{report}"))?;
        apps.push((version, app));
    }
    let at = Place {
        rig: &rig,
        argocd: &argocd,
        namespace: &namespace,
    };
    at.child(&versions[0])?.wait()?;
    let began = Instant::now();
    anyhow::ensure!(
        at.child(&versions[1])?.wait()?.success(),
        "a whole delivery"
    );
    let mut whole = began.elapsed();

    let kills = if page::is_written() { ALL } else { SOME };
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut killed = 0;
    let mut attempts = 0;
    while killed < kills {
        anyhow::ensure!(attempts < 2 * ALL, "{killed} of {attempts} were killed");
        // Another version each time, so that there is something to deliver.
        let (version, app) = &apps[attempts as usize % 2];
        let mut child = at.child(version)?;
        // Closer together at the beginning, where everything is written; the rest is waiting.
        let part = f64::from(attempts % kills + 1) / f64::from(kills + 1);
        std::thread::sleep(whole.mul_f64(part * part));
        child.kill()?;
        attempts += 1;
        if child.wait()?.success() {
            whole = whole * 9 / 10;
        } else {
            killed += 1;
            *seen.entry(at.state(version).await?).or_default() += 1;
        }
        let next = in_order(scores![deploy(app, &namespace)], &topology).await;
        next.map_err(|report| anyhow::anyhow!("after a kill: {report}"))?;
        assert_eq!(at.running().await?, Some(version.to_string()));
        let application = at.application().await?;
        assert_eq!(application["operation"], Value::Null, "nothing is syncing");
        assert_eq!(
            application["status"]["operationState"]["phase"],
            "Succeeded"
        );
        let again = in_order(scores![deploy(app, &namespace)], &topology).await;
        let again = again.map_err(|report| anyhow::anyhow!("{report}"))?;
        assert!(again.is_unchanged(), "{:#?}", again.changes);
    }
    println!("{killed} kills: {seen:?}");
    if page::is_written() {
        let rows = seen
            .iter()
            .map(|(state, count)| format!("| {state} | {count} |\n"));
        let rows: String = rows.collect();
        page::write(
            SECTION,
            &format!("| state after the kill | kills |\n| --- | ---: |\n{rows}"),
        )?;
    }
    for namespace in [namespace, argocd] {
        discard(&namespace)?;
    }
    Ok(())
}

fn app(
    version: Version,
    root: &std::path::Path,
    program: &Prebuilt,
) -> anyhow::Result<Arc<AppSpec>> {
    let shown = version.to_string();
    peer_app::app(
        "interrupted",
        version,
        root,
        program,
        Checks::readiness_alone(),
        move |namespace, image| {
            let mut web = peer_app::deployment(&image.to_string(), &peer_app::SERVE);
            web["metadata"]["annotations"] = json!({ "version": shown });
            let container = &mut web["spec"]["template"]["spec"]["containers"][0];
            container["env"] = json!([{ "name": "VERSION", "value": shown }]);
            let settings = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" },
                "data": { "version": shown },
            });
            peer_app::in_namespace(vec![settings, web], namespace)
        },
    )
}

fn deploy(app: &Arc<AppSpec>, namespace: &Namespace) -> DeployScore {
    DeployScore::of(app, DeployTarget::namespace(namespace.clone()))
        .with_ready_deadline(Duration::from_secs(60))
}

/// Where the deliveries go.
struct Place<'a> {
    rig: &'a ReleaseRig,
    argocd: &'a Namespace,
    namespace: &'a Namespace,
}

impl Place<'_> {
    /// Begins to deliver this version in another process, configured by variables only.
    fn child(&self, version: &Version) -> anyhow::Result<Child> {
        let registry = &self.rig.registry;
        let settings = BTreeMap::from([
            (DELIVER, version.to_string()),
            (INTO, self.namespace.to_string()),
            ("HARMONY_REGISTRY", registry.location("team").to_string()),
            ("HARMONY_REGISTRY_USER", RegistryPeer::USER.to_owned()),
            (
                "HARMONY_REGISTRY_PASSWORD",
                RegistryPeer::PASSWORD.to_owned(),
            ),
            (
                "HARMONY_REGISTRY_CA",
                registry.ca_file().display().to_string(),
            ),
            (
                "HARMONY_KUBECONFIG",
                LocalNode::default().kubeconfig().display().to_string(),
            ),
            ("HARMONY_DELIVERY", "argocd".to_owned()),
            ("HARMONY_DELIVERY_NAMESPACE", self.argocd.to_string()),
        ]);
        let child = Command::new(std::env::current_exe()?)
            .args(["--exact", CHILD])
            .envs(settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        child.context("this test starts itself")
    }

    async fn application(&self) -> anyhow::Result<Value> {
        let name = format!("{}.test-interrupted", self.namespace);
        let reference = object(
            "argoproj.io/v1alpha1",
            "Application",
            Some(self.argocd),
            &name,
        )?;
        let found = topology().await?.get(&reference).await?;
        Ok(found.context("it has an Application")?.body().clone())
    }

    /// The version that the Deployment has.
    async fn running(&self) -> anyhow::Result<Option<String>> {
        let reference = object("apps/v1", "Deployment", Some(self.namespace), "web")?;
        let found = topology().await?.get(&reference).await?;
        Ok(found.and_then(|found| {
            let version = &found.body()["metadata"]["annotations"]["version"];
            version.as_str().map(str::to_owned)
        }))
    }

    /// What the killed delivery of this version left.
    async fn state(&self, version: &Version) -> anyhow::Result<&'static str> {
        let application = self.application().await?;
        let is_running = application["status"]["operationState"]["phase"] == "Running";
        let is_asked = application["spec"]["source"]["targetRevision"] == version.to_string();
        Ok(match (is_asked, application["operation"].is_object()) {
            (false, _) => "nothing was written",
            (true, true) if is_running => "Argo CD was syncing",
            (true, true) => "a sync was requested",
            (true, false) => "the sync had ended",
        })
    }
}
