//! Standard tools find what was pushed.

use std::path::PathBuf;
use std::process::Command;

use harmony_core::capability::{HelmRegistry, OciRegistry};
use harmony_registry::testing::RegistryPeer;

use crate::fixture::{self, Image};

fn run(command: &mut Command, how_to_get_it: &str) -> String {
    let output = command.output().expect(how_to_get_it);
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

#[tokio::test]
async fn skopeo_reads_the_image() {
    let peer = fixture::peer().await;
    let image = Image::small("for skopeo");
    let to = fixture::image_ref(&peer, "fleet/operator:0.1.0");
    fixture::client(&peer)
        .push_image(&image.built(), &to)
        .await
        .expect("a push");
    let skopeo = |arguments: &[&str]| {
        run(
            Command::new("skopeo").args(arguments),
            "skopeo: `apt-get install -y --no-install-recommends skopeo`",
        )
    };
    let credentials = format!("{}:{}", RegistryPeer::USER, RegistryPeer::PASSWORD);
    let certificates = peer.ca_folder();
    let certificates = certificates.to_str().expect("a path");
    let seen = skopeo(&[
        "inspect",
        "--cert-dir",
        certificates,
        "--creds",
        &credentials,
        "--format",
        "{{.Digest}}",
        &format!("docker://{to}"),
    ]);
    assert_eq!(seen.trim(), image.digest.as_str());
    // Copying reads and verifies every blob.
    let folder = tempfile::tempdir().expect("a folder");
    skopeo(&[
        "copy",
        "--src-cert-dir",
        certificates,
        "--src-creds",
        &credentials,
        &format!("docker://{to}"),
        &format!("oci:{}:copied", folder.path().display()),
    ]);
    assert!(folder.path().join("index.json").is_file());
}

#[tokio::test]
async fn helm_pulls_and_renders_the_chart() {
    let peer = fixture::peer().await;
    let chart = fixture::chart("operator", "0.1.0", "hello-from-the-chart");
    let to = fixture::chart_ref(&peer, "charts/operator:0.1.0");
    let published = fixture::client(&peer)
        .push_chart(&chart, &to)
        .await
        .expect("a push");
    let folder = tempfile::tempdir().expect("a folder");
    let helm =
        std::env::var_os("HARMONY_HELM").map_or_else(|| PathBuf::from("helm"), PathBuf::from);
    let helm = |arguments: &[&str]| {
        let ca = peer.ca_file();
        run(
            Command::new(&helm)
                .args(arguments)
                .args(["--ca-file", ca.to_str().expect("a path")])
                .args([
                    "--username",
                    RegistryPeer::USER,
                    "--password",
                    RegistryPeer::PASSWORD,
                ])
                .current_dir(folder.path())
                .env("HELM_CACHE_HOME", folder.path().join("cache"))
                .env("HELM_CONFIG_HOME", folder.path().join("config"))
                .env("HELM_DATA_HOME", folder.path().join("data")),
            "helm: run `cargo xtask test`, which builds it, or name the program in HARMONY_HELM",
        )
    };
    let chart_url = format!("oci://{}/charts/operator", peer.host());
    helm(&["pull", &chart_url, "--version", "0.1.0"]);
    let pulled = std::fs::read(folder.path().join("operator-0.1.0.tgz")).expect("the archive");
    assert_eq!(fixture::digest(&pulled), chart.archive_digest);
    let rendered = helm(&["template", "demo", &chart_url, "--version", "0.1.0"]);
    assert!(
        rendered.contains("greeting: hello-from-the-chart"),
        "{rendered}"
    );
    assert!(published.digest.is_some());
}
