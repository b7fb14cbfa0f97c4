//! Images from a real registry.

use std::process::Command;

use harmony_fleet_adapters_podman::testing::{PodmanPeer, TestImage};
use harmony_fleet_domain::ContainerRuntime;
use harmony_reconciler_contracts::{FailureReason, PinnedImage};
use harmony_registry::testing::{Protection, RegistryPeer};

use crate::bench::container;

/// Without a trusted certificate, or without TLS.
fn insecure(registry: &RegistryPeer) -> String {
    format!(
        "[[registry]]\nlocation = \"{}\"\ninsecure = true\n",
        registry.host()
    )
}

fn push(image: &TestImage) {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("image.tar");
    std::fs::write(&archive, image.archive().unwrap()).unwrap();
    let name = image.pinned().to_string();
    let (name, _) = name.split_once('@').unwrap();
    let pushed = Command::new("skopeo")
        .args(["copy", "--quiet", "--preserve-digests"])
        .args(["--dest-tls-verify=false", "--dest-creds"])
        .arg(format!("{}:{}", RegistryPeer::USER, RegistryPeer::PASSWORD))
        .arg(format!("oci-archive:{}", archive.display()))
        .arg(format!("docker://{name}:test"))
        .output()
        .expect("these tests need skopeo: apt-get install skopeo");
    let errors = String::from_utf8_lossy(&pushed.stderr);
    assert!(pushed.status.success(), "{errors}");
}

#[tokio::test]
async fn an_image_is_pulled_once_and_runs() {
    let mut registry = RegistryPeer::start_with(Protection::Open).await.unwrap();
    let peer = PodmanPeer::start_with_registries(&insecure(&registry))
        .await
        .unwrap();
    let podman = peer.podman();
    let image = TestImage::busybox(&format!("{}/shop/web", registry.host())).unwrap();
    push(&image);
    podman.pull(&image.pinned()).await.unwrap();

    // What is on the device needs no registry.
    registry.kill();
    podman.pull(&image.pinned()).await.unwrap();
    let deployment = "shop".parse().unwrap();
    let name = "web".parse().unwrap();
    let hash = "0123456789abcdef".to_owned().try_into().unwrap();
    let spec = container(&image.pinned(), "");
    let new = harmony_fleet_domain::NewContainer {
        deployment: &deployment,
        name: &name,
        hash: &hash,
        spec: &spec,
    };
    podman.run(&new).await.unwrap();
    let live = podman.list().await.unwrap();
    assert_eq!(live[0].image.as_deref(), Some(image.pinned().digest()));
}

#[tokio::test]
async fn the_reasons_why_an_image_is_not_there() {
    let open = RegistryPeer::start_with(Protection::Open).await.unwrap();
    let closed = RegistryPeer::start().await.unwrap();
    let untrusted = RegistryPeer::start_with(Protection::SelfSigned)
        .await
        .unwrap();
    let mut stopped = RegistryPeer::start_with(Protection::Open).await.unwrap();
    stopped.kill();
    let registries = [&open, &closed, &stopped].map(insecure).concat();
    let peer = PodmanPeer::start_with_registries(&registries)
        .await
        .unwrap();
    let podman = peer.podman();

    let other = TestImage::busybox_for(&format!("{}/shop/other", open.host()), "s390x").unwrap();
    push(&other);
    let absent = |registry: &RegistryPeer| -> PinnedImage {
        format!("{}/shop/absent@sha256:{}", registry.host(), "0".repeat(64))
            .parse()
            .unwrap()
    };
    for (image, reason) in [
        (absent(&open), FailureReason::ImageMissing),
        (absent(&closed), FailureReason::ImageDenied),
        (absent(&untrusted), FailureReason::RegistryUnreachable),
        (absent(&stopped), FailureReason::RegistryUnreachable),
        (other.pinned(), FailureReason::WrongArchitecture),
        // It is on the device by now, and still for another processor.
        (other.pinned(), FailureReason::WrongArchitecture),
    ] {
        let error = podman.pull(&image).await.unwrap_err();
        assert_eq!(error.reason, reason, "{error}");
    }
}
