//! Releases that cannot work, each in its own way.

use std::net::TcpListener;

use harmony_fleet_adapters_podman::testing::PodmanPeer;
use harmony_fleet_adapters_podman::testing::TestImage;
use harmony_registry::testing::{Protection, RegistryPeer};
use serde_json::{Value, json};

use crate::rig::{DEVICE, Rig};

/// The disk of the device: large enough for everything but the large image.
const DISK: u64 = 96 << 20;
const LARGE: usize = 128 << 20;

/// What is wrong with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    ImageMissing,
    RegistryAway,
    Architecture,
    NoProgram,
    CrashAtStart,
    CrashLater,
    Unhealthy,
    PortTaken,
    FolderMissing,
    SecretMissing,
    NameTaken,
    Variant,
    DiskFull,
}

/// A release that cannot work.
#[derive(Debug)]
pub(crate) struct BadRelease {
    /// A name for a deployment.
    pub(crate) name: &'static str,
    /// In the table.
    pub(crate) title: &'static str,
    pub(crate) wrong: Wrong,
    /// The reason that the device reports.
    pub(crate) cause: &'static str,
    /// The phase without a version that worked, and with one.
    pub(crate) phases: [&'static str; 2],
}

const fn bad(
    name: &'static str,
    title: &'static str,
    wrong: Wrong,
    cause: &'static str,
    phases: [&'static str; 2],
) -> BadRelease {
    BadRelease {
        name,
        title,
        wrong,
        cause,
        phases,
    }
}

/// The agent tries again, because what is missing may come.
const RETRIED: [&str; 2] = ["retrying", "retrying"];
/// The release cannot work.
const GIVEN_UP: [&str; 2] = ["failed", "rolled back"];
/// The device can change, but there is something better to run meanwhile.
const RETRIED_ALONE: [&str; 2] = ["retrying", "rolled back"];

/// All of them, in the order of the table. The last one fills the disk.
#[rustfmt::skip]
pub(crate) const BAD: &[BadRelease] = &[
    bad("image-missing", "an image that does not exist", Wrong::ImageMissing, "image_missing", RETRIED),
    bad("registry-away", "a registry that does not answer", Wrong::RegistryAway, "registry_unreachable", RETRIED),
    bad("architecture", "an image for another processor", Wrong::Architecture, "wrong_architecture", GIVEN_UP),
    bad("no-program", "a command that is not in the image", Wrong::NoProgram, "cannot_start", GIVEN_UP),
    bad("crash-at-start", "a program that ends at once", Wrong::CrashAtStart, "crashed_at_start", GIVEN_UP),
    bad("crash-later", "a program that ends after 5 seconds", Wrong::CrashLater, "crashed", GIVEN_UP),
    bad("unhealthy", "a health check that never passes", Wrong::Unhealthy, "unhealthy", GIVEN_UP),
    bad("port-taken", "a port that another program uses", Wrong::PortTaken, "port_taken", RETRIED_ALONE),
    bad("folder-missing", "a folder that does not exist", Wrong::FolderMissing, "folder_missing", RETRIED_ALONE),
    bad("secret-missing", "a secret that does not exist", Wrong::SecretMissing, "secret_missing", RETRIED_ALONE),
    bad("name-taken", "a name that another container has", Wrong::NameTaken, "name_taken", RETRIED_ALONE),
    bad("variant", "a kind of deployment that the agent does not know", Wrong::Variant, "agent_too_old", GIVEN_UP),
    bad("disk-full", "an image that is larger than the disk", Wrong::DiskFull, "disk_full", RETRIED),
];

/// A device and its surroundings, in which all bad releases fail.
pub(crate) struct Trap {
    pub(crate) rig: Rig,
    /// The address of the registry.
    pub(crate) registry: String,
    foreign: TestImage,
    large: TestImage,
    ports: [TcpListener; 2],
    _registry: RegistryPeer,
}

impl Trap {
    /// Starts everything.
    pub(crate) async fn start() -> Self {
        let peer = RegistryPeer::start_with(Protection::Open).await.unwrap();
        let registry = peer.host().to_string();
        let insecure = format!("[[registry]]\nlocation = \"{registry}\"\ninsecure = true\n");
        let podman = PodmanPeer::start_with_disk_of(DISK, &insecure)
            .await
            .unwrap();
        let architecture = match std::env::consts::ARCH {
            "aarch64" => "amd64",
            _ => "arm64",
        };
        let name = |name: &str| format!("{registry}/{name}");
        let foreign = TestImage::busybox_for(&name("foreign"), architecture).unwrap();
        foreign.push().await.unwrap();
        let large = TestImage::large(&name("large"), LARGE).unwrap();
        large.push().await.unwrap();
        let port = || TcpListener::bind(("0.0.0.0", 0)).unwrap();
        Self {
            rig: Rig::start(podman).await,
            registry,
            foreign,
            large,
            ports: [port(), port()],
            _registry: peer,
        }
    }

    /// The ports that this test uses.
    pub(crate) fn ports(&self) -> [String; 2] {
        let port = |it: &TcpListener| it.local_addr().unwrap().port().to_string();
        self.ports.each_ref().map(port)
    }

    /// A version that works.
    pub(crate) fn good(&self, name: &str) -> Value {
        self.rig.deployment(name, &json!({}))
    }

    /// The bad release. `again` selects the second of two deployments with the same problem, which cannot want the same port.
    pub(crate) async fn bad(&self, release: &BadRelease, name: &str, again: bool) -> Value {
        let shell = |script: &str| json!({"command": ["sh", "-c", script], "health": null});
        let image = |image: &TestImage| json!({"image": image.pinned().as_str()});
        let rest = match release.wrong {
            Wrong::ImageMissing => {
                let absent = format!("{}/absent@sha256:{}", self.registry, "0".repeat(64));
                json!({ "image": absent })
            }
            // Port 1 has no registry.
            Wrong::RegistryAway => {
                json!({"image": format!("127.0.0.1:1/app@sha256:{}", "0".repeat(64))})
            }
            Wrong::Architecture => image(&self.foreign),
            Wrong::DiskFull => image(&self.large),
            Wrong::NoProgram => json!({"entrypoint": ["/bin/greeter"]}),
            Wrong::CrashAtStart => shell("echo cannot open /data; exit 7"),
            Wrong::CrashLater => shell("sleep 5; echo the sensor does not answer; exit 3"),
            Wrong::Unhealthy => json!({"health": {
                "command": ["/bin/sh", "-c", "echo no answer on port 8080; exit 1"],
                "interval_seconds": 1, "retries": 2,
            }}),
            Wrong::PortTaken => {
                let port: u16 = self.ports()[usize::from(again)].parse().unwrap();
                json!({"ports": [{"host": port, "container": 8080}]})
            }
            Wrong::FolderMissing => {
                let folder = self.rig.folder().join("plans");
                json!({"volumes": [{"source": {"folder": folder}, "path": "/plans"}]})
            }
            Wrong::SecretMissing => {
                json!({"secrets": [{"name": "token", "target": {"env": "TOKEN"}}]})
            }
            Wrong::NameTaken => {
                let mut deployment = self.rig.deployment(name, &json!({}));
                let container = deployment["containers"]["web"].take();
                deployment["containers"] = json!({ "taken": container });
                self.take_name(&format!("{name}-taken")).await;
                return deployment;
            }
            Wrong::Variant => json!({}),
        };
        self.rig.deployment(name, &rest)
    }

    /// Somebody else's container.
    async fn take_name(&self, name: &str) {
        let body = json!({"name": name, "image": self.rig.image.pinned().as_str()});
        let create = self
            .rig
            .podman
            .request("POST", "/containers/create", Some(&body));
        create.await.unwrap();
    }

    /// Writes a deployment of a kind that this build does not know, as a newer command would.
    pub(crate) async fn apply_unknown(&self, name: &str) {
        let deployment = json!({
            "name": name, "target": {"devices": [DEVICE]}, "score": {"type": "SystemdV0", "data": {"unit": "app"}},
        });
        self.rig.write(&deployment).await;
    }
}
