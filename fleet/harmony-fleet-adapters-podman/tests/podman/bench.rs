//! What the tests share: a podman with an image, and short ways to use it.

use std::time::Duration;

use harmony_fleet_adapters_podman::Podman;
use harmony_fleet_adapters_podman::testing::{PodmanPeer, TestImage};
use harmony_fleet_domain::{
    ContainerId, ContainerRuntime, ContainerSigns, LiveContainer, LiveState, NewContainer,
    RuntimeError,
};
use harmony_reconciler_contracts::{Container, ContainerName, ContentHash, PinnedImage};
use tokio::io::AsyncReadExt;

/// A podman with an image.
pub(crate) struct Bench {
    pub(crate) peer: PodmanPeer,
    pub(crate) podman: Podman,
    pub(crate) image: PinnedImage,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        let peer = PodmanPeer::start().await.unwrap();
        let image = TestImage::busybox("registry.example/app").unwrap();
        peer.load(&image).await.unwrap();
        Self {
            podman: peer.podman(),
            image: image.pinned(),
            peer,
        }
    }

    /// Runs a container of a deployment.
    pub(crate) async fn run(
        &self,
        deployment: &str,
        name: &str,
        spec: &Container,
    ) -> Result<(), RuntimeError> {
        let deployment = deployment.parse().unwrap();
        let name: ContainerName = name.parse().unwrap();
        let hash = ContentHash::try_from("0123456789abcdef".to_owned()).unwrap();
        let container = NewContainer {
            deployment: &deployment,
            name: &name,
            hash: &hash,
            spec,
        };
        self.podman.run(&container).await
    }

    /// The container, after it has ended.
    pub(crate) async fn ended(&self, name: &str) -> LiveContainer {
        for _ in 0..400 {
            let found = self.podman.list().await.unwrap().into_iter().find(|live| {
                format!("{}-{}", live.deployment, live.name) == name
                    && matches!(live.state, LiveState::Ended { .. })
            });
            if let Some(found) = found {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{name} has not ended: {:?}", self.podman.list().await);
    }

    /// Waits for output.
    pub(crate) async fn until(&self, id: &ContainerId, is_there: impl Fn(&[String]) -> bool) {
        let mut lines = Vec::new();
        for _ in 0..400 {
            lines = self.podman.last_lines(id, 100).await.unwrap();
            if is_there(&lines) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the output is {lines:?}");
    }

    /// Changes a file in a container that runs. It may be on a file system of the container's own.
    pub(crate) async fn write(&self, id: &ContainerId, path: &str, content: &str) {
        let script = format!("echo {content} > {path}");
        let body = serde_json::json!({"Cmd": ["/bin/sh", "-c", script], "AttachStdout": true});
        let exec = format!("/containers/{}/exec", id.0);
        let exec = self.peer.request("POST", &exec, Some(&body)).await.unwrap();
        let start = format!("/exec/{}/start", exec["Id"].as_str().unwrap());
        let body = serde_json::json!({"Detach": false});
        self.peer
            .request("POST", &start, Some(&body))
            .await
            .unwrap();
    }

    /// A container that the fleet did not create.
    pub(crate) async fn foreign(&self, name: &str, labels: &serde_json::Value) -> ContainerId {
        let body = serde_json::json!({
            "name": name, "image": self.image.as_str(), "labels": labels, "command": ["sleep", "1000"],
        });
        let created = self
            .peer
            .request("POST", "/containers/create", Some(&body))
            .await
            .unwrap();
        let id = created["Id"].as_str().unwrap().to_owned();
        let start = format!("/containers/{id}/start");
        self.peer.request("POST", &start, None).await.unwrap();
        ContainerId(id)
    }
}

/// A container of this image, with more fields as JSON.
pub(crate) fn container(image: &PinnedImage, rest: &str) -> Container {
    serde_json::from_str(&format!(r#"{{"image":"{image}"{rest}}}"#)).unwrap()
}

/// Everything that a port of this machine says, or nothing.
pub(crate) async fn read_from(port: u16) -> String {
    let mut text = String::new();
    if let Ok(mut stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
        let _ =
            tokio::time::timeout(Duration::from_secs(2), stream.read_to_string(&mut text)).await;
    }
    text
}
