//! A client for containerd, on this machine or in a k3d node, that uses the `ctr` program; and for the Container
//! Runtime Interface of the node's containerd, with the node's program.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::{Duration, Instant};

use harmony_core::process::{DOCKER, async_command};
use tokio::net::UnixStream;
use tokio::process::Command;

use super::config::Layout;
use super::error::LocalNodeError;
use super::machine;
use super::program::Program;
use super::tool;

/// The containerd namespace of the kubelet's images and containers.
const NAMESPACE: &str = "k8s.io";

/// A client for a containerd.
#[derive(Debug, Clone)]
pub(crate) struct Containerd {
    /// The command that runs `ctr`.
    ctr: Vec<OsString>,
    /// The snapshotter for images; `None` for the default.
    snapshotter: Option<&'static str>,
}

impl Containerd {
    /// The containerd of our node.
    pub(super) fn new(ctr: &Path, layout: &Layout) -> Self {
        Self {
            ctr: vec![
                ctr.into(),
                "--address".into(),
                layout.containerd_socket().into(),
            ],
            snapshotter: Some(machine::snapshotter(layout.state())),
        }
    }

    /// A containerd behind another command, such as `docker exec -i NODE ctr`.
    pub(crate) fn behind(command: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            ctr: command.into_iter().collect(),
            snapshotter: None,
        }
    }

    /// Creates a `ctr` command without running it.
    pub(super) fn command<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut words = self.ctr.iter();
        let program = words.next().map_or(OsStr::new("ctr"), OsString::as_os_str);
        // The program can be docker.
        let mut command = async_command(program, DOCKER);
        command
            .args(words)
            .args(["--namespace", NAMESPACE])
            .args(args);
        if let Some(snapshotter) = self.snapshotter {
            command.env("CONTAINERD_SNAPSHOTTER", snapshotter);
        }
        command
    }

    async fn run(&self, args: &[&str]) -> Result<String, LocalNodeError> {
        tool::finish(self.command(args), "").await
    }

    /// The digest of the manifest for an image name, if the image exists. Its content is complete, because an import
    /// creates the name last.
    pub(super) async fn digest_of(&self, name: &str) -> Result<Option<String>, LocalNodeError> {
        Ok(listed_digest(
            &self
                .run(&["images", "list", &format!("name=={name}")])
                .await?,
            name,
        ))
    }

    /// Adds a name to an image.
    pub(super) async fn name_image(&self, present: &str, name: &str) -> Result<(), LocalNodeError> {
        self.run(&["images", "tag", "--force", present, name])
            .await
            .map(drop)
    }

    /// Waits until the CRI plugin of containerd has noticed a new image, so that a pod that is created next does not
    /// start with a failed pull.
    pub(super) async fn wait_until_noticed(&self, name: &str) -> Result<(), LocalNodeError> {
        const EVERY: Duration = Duration::from_millis(20);
        const AT_MOST: Duration = Duration::from_secs(5);
        let started = Instant::now();
        let filter = format!("name=={name}");
        loop {
            let listed = self.run(&["images", "list", &filter]).await?;
            // The plugin labels every image that it has noticed. If it does not, the kubelet tries again.
            if listed.contains("io.cri-containerd.image=managed") || started.elapsed() > AT_MOST {
                return Ok(());
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

/// Returns true if containerd accepts connections, which it does only after all plugins are loaded.
pub(super) async fn answers(layout: &Layout) -> bool {
    UnixStream::connect(layout.containerd_socket())
        .await
        .is_ok()
}

/// Stops and deletes every pod, and releases its network.
pub(super) async fn drain(layout: &Layout, program: &Program) -> Result<(), LocalNodeError> {
    let mut drain = async_command(&program.node, &[]);
    drain
        .arg("drain")
        .arg("--endpoint")
        .arg(format!("unix://{}", layout.containerd_socket().display()));
    tool::finish(drain, "").await.map(drop)
}

/// Parses the table of `ctr images list`: name, type, digest and more.
fn listed_digest(table: &str, name: &str) -> Option<String> {
    table.lines().find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        (columns.next()? == name).then(|| columns.nth(1).map(str::to_owned))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_third_column() {
        let table = "REF TYPE DIGEST SIZE PLATFORMS LABELS\n\
                     h/a:1 application/vnd.oci.image.manifest.v1+json sha256:aa 1.4 MiB linux/amd64 -\n";
        assert_eq!(listed_digest(table, "h/a:1").as_deref(), Some("sha256:aa"));
        assert_eq!(listed_digest(table, "h/a"), None);
        assert_eq!(
            listed_digest("REF TYPE DIGEST SIZE PLATFORMS LABELS\n", "h/a:1"),
            None
        );
    }
}
