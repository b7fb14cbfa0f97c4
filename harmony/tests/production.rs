//! The production topology with a real registry, and clusters that do not answer.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harmony::Topology;
use harmony::configuration::{
    BuilderChoice, ClusterChoices, DeliveryChoice, Kubeconfig, RegistryChoice,
};
use harmony::core::capability::{Checkup, Stages};
use harmony::core::chart::{DeployTarget, Stage};
use harmony::core::checkup::{Finding, Standing};
use harmony::topologies::{ProductionSettings, ProductionTopology};
use harmony_registry::testing::{Protection, RegistryPeer};
use harmony_registry::{Credentials, RegistrySettings};
use serde_json::json;

fn kubeconfig(folder: &Path, name: &str, server: &str) -> Kubeconfig {
    let path: PathBuf = folder.join(name);
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": server}}],
        "users": [{"name": "it", "user": {"token": "none"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    });
    std::fs::write(&path, config.to_string()).expect("a file");
    Kubeconfig {
        path,
        context: None,
    }
}

fn targets() -> [DeployTarget; 2] {
    [
        DeployTarget::staging("web".parse().expect("a name")),
        DeployTarget::production("web".parse().expect("a name")),
    ]
}

fn topology(registry: RegistryChoice, clusters: ClusterChoices) -> ProductionTopology {
    ProductionTopology::new(ProductionSettings {
        builder: BuilderChoice::Docker {
            address: Some("unix:///nowhere/docker.sock".into()),
        },
        registry,
        delivery: DeliveryChoice::Direct,
        clusters,
    })
}

/// `registry login: ok`
fn shown(findings: &[Finding], location: &str) -> Vec<String> {
    let line = |finding: &Finding| {
        let code = match &finding.standing {
            Standing::Failed { error } => format!(" {}", error.code),
            _ => String::new(),
        };
        let part = finding.part.replace(location, "LOCATION");
        format!("{part} {}: {}{code}", finding.check, finding.standing)
    };
    findings.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_clusters_hide_neither_each_other_nor_the_registry() {
    harmony::install_crypto();
    let registry = RegistryPeer::start().await.expect("a registry");
    let folder = tempfile::tempdir().expect("a folder");
    // One refuses connections, the other accepts them and never answers.
    let dead = TcpListener::bind("127.0.0.1:0").expect("a port");
    let dead_address = format!("https://{}", dead.local_addr().expect("an address"));
    drop(dead);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_address = format!("https://{}", silent.local_addr().expect("an address"));
    let clusters = ClusterChoices {
        any: None,
        staging: Some(kubeconfig(folder.path(), "staging", &dead_address)),
        production: Some(kubeconfig(folder.path(), "production", &silent_address)),
    };
    let location = registry.location("team");
    let choice = RegistryChoice::oci(location.clone(), registry.settings());
    let topology = topology(choice, clusters.clone()).into_planning();
    let began = Instant::now();
    let findings = topology.examine(&targets()).await;
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(
        shown(&findings, &location.to_string()),
        [
            "builder docker answers: failed H0107",
            "registry LOCATION answers: ok",
            "registry LOCATION login: ok",
            "registry LOCATION push: skipped",
            "cluster for staging answers: failed H0310",
            "cluster for production answers: failed H0310",
        ]
    );
    let requests = registry.requests().expect("its log");
    let writes = requests.iter().filter(|request| request.writes());
    assert_eq!(writes.count(), 0, "examining writes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_dead_registry_are_told_apart() {
    harmony::install_crypto();
    let mut registry = RegistryPeer::start().await.expect("a registry");
    let location = registry.location("team");
    let wrong = registry
        .settings()
        .with_credentials(Credentials::new(RegistryPeer::USER, "wrong"));
    let findings = |settings: RegistrySettings| {
        let choice = RegistryChoice::oci(location.clone(), settings);
        let topology = topology(choice, ClusterChoices::default()).into_planning();
        let name = location.to_string();
        async move {
            let mut findings = topology.examine(&targets()).await;
            findings.retain(|finding| finding.part.starts_with("registry"));
            shown(&findings, &name)
        }
    };
    assert_eq!(
        findings(wrong).await,
        [
            "registry LOCATION answers: ok",
            "registry LOCATION login: failed H0203",
            "registry LOCATION push: skipped",
        ]
    );
    let settings = registry.settings();
    registry.kill();
    assert_eq!(
        findings(settings).await,
        [
            "registry LOCATION answers: failed H0201",
            "registry LOCATION login: skipped",
            "registry LOCATION push: skipped",
        ]
    );
}

#[tokio::test]
async fn each_stage_has_its_cluster_and_a_missing_one_is_named() {
    harmony::install_crypto();
    let registry = RegistryPeer::start_with(Protection::Open)
        .await
        .expect("a registry");
    let choice = RegistryChoice::oci(registry.location("team"), registry.settings());
    let topology = topology(choice, ClusterChoices::default());
    let production = topology.at_stage(Stage::Production).expect("a cluster");
    let findings = production.examine(&targets()[1..]).await;
    let failed: Vec<_> = findings
        .iter()
        .filter(|finding| finding.part == "cluster for production")
        .collect();
    let [finding] = failed.as_slice() else {
        panic!("one finding, not {failed:?}");
    };
    let Standing::Failed { error } = &finding.standing else {
        panic!("failed, not {finding:?}");
    };
    assert_eq!(error.code.to_string(), "H0320");
    assert_eq!(error.message, "no cluster is configured for production");
    assert_eq!(
        error.place.as_deref(),
        Some("configuration key cluster.production.kubeconfig")
    );
}
