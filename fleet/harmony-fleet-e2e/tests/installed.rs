//! Tests the installed deploy command: without a checkout, git or cargo, it deploys exactly the digests of the release.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Context as _;
use harmony::local::node::LocalNode;
use harmony::types::{Namespace, Version};
use harmony::{Inventory, Score};
use harmony_fleet_deploy::{FleetServerScore, operator};
use harmony_fleet_e2e::released::{PULL_SECRET, ReleaseRig};
use harmony_fleet_e2e::stack::{discard, image_of, new_namespace, readable, topology};
use harmony_registry::testing::RegistryPeer;

/// The command next to the tests, built by `cargo build --workspace`.
fn program() -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = scratch.parent().unwrap_or(scratch);
    target.join("debug/harmony-fleet-deploy")
}

/// Runs the command in an empty directory, with an empty PATH and only the settings of a CI job.
fn deploy(rig: &ReleaseRig, namespace: &Namespace, version: &str) -> anyhow::Result<Output> {
    let folder = tempfile::tempdir()?;
    let settings = BTreeMap::from([
        (
            "HARMONY_REGISTRY",
            rig.registry.location("team").to_string(),
        ),
        ("HARMONY_REGISTRY_USER", RegistryPeer::USER.to_owned()),
        (
            "HARMONY_REGISTRY_PASSWORD",
            RegistryPeer::PASSWORD.to_owned(),
        ),
        (
            "HARMONY_REGISTRY_CA",
            rig.registry.ca_file().display().to_string(),
        ),
        (
            "HARMONY_KUBECONFIG",
            LocalNode::default().kubeconfig().display().to_string(),
        ),
        ("HOME", folder.path().display().to_string()),
        ("PATH", String::new()),
    ]);
    let output = Command::new(program())
        .args([
            "--topology",
            "ci",
            "--version",
            version,
            "--pull-secret",
            PULL_SECRET,
        ])
        .args(["--namespace", namespace.as_str()])
        .current_dir(folder.path())
        .env_clear()
        .envs(settings)
        .output();
    output.with_context(|| format!("{}: run `cargo build --workspace`", program().display()))
}

#[tokio::test]
async fn a_release_is_deployed_by_its_digests_without_sources_beside_a_work_tree()
-> anyhow::Result<()> {
    let local = topology().await?;
    let rig = ReleaseRig::start_fleet().await?;
    let (released, work_tree) = (new_namespace()?, new_namespace()?);
    rig.let_pull(&released).await?;

    let missing = deploy(&rig, &released, "0.1.0")?;
    let text = String::from_utf8_lossy(&missing.stderr);
    assert_eq!(missing.status.code(), Some(3), "{text}");
    assert!(
        text.contains("H0530") && text.contains("harmony-fleet-operator-v0.1.0"),
        "{text}"
    );

    let version: Version = "0.1.0".parse()?;
    let release = rig.release(&version).await?;
    let release = release.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    let recorded = release.records[0]["image"].as_str().context("an image")?;
    let done = deploy(&rig, &released, "0.1.0")?;
    let text = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(0), "{text}");
    assert_eq!(image_of(operator::NAME, &released).await?, recorded);

    let tree = FleetServerScore {
        devices: Vec::new(),
        ..rig.work_tree(work_tree.clone())
    };
    tree.interpret(&Inventory::autoload(), &local)
        .await
        .map_err(readable)?;
    assert_ne!(image_of(operator::NAME, &work_tree).await?, recorded);
    let again = deploy(&rig, &released, "latest-released")?;
    let text = String::from_utf8_lossy(&again.stdout);
    assert!(text.starts_with("no changes"), "{text}");
    assert_eq!(image_of(operator::NAME, &released).await?, recorded);
    for namespace in [released, work_tree] {
        discard(&namespace)?;
    }
    Ok(())
}
