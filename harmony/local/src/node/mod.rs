//! A real single-node Kubernetes on this machine, without Docker.
//!
//! A Go program, compiled from the module in this crate, contains etcd, the control plane, the kubelet, kube-proxy and
//! CoreDNS. containerd, runc and the network plug-ins come from the Linux distribution. All components are detached
//! root processes that outlive the program that started them.
//!
//! ```text
//! up:   preflight -> packages | program -> pki -> launch_plan -> network, cgroups
//!         -> etcd -> API server -> controller manager, scheduler \
//!         -> containerd -> pause image ------------------------> kubelet, kube-proxy -> node Ready -> DNS answers
//! down: kubelet -> control plane -> pods -> containerd, etcd -> what is left: shims, groups, mounts, network
//! ```
//!
//! There is no stored state: running processes are identified by a marker in their environment, and each has a
//! fingerprint of how it was started. So a second `up` starts what is missing, replaces what is out of date and leaves
//! the rest unchanged. If a run is killed, the next one continues.
//!
//! | component | listens on |
//! | --- | --- |
//! | API server, kubelet | the node's address; client certificates or tokens only |
//! | etcd | 127.0.0.1, TLS with client certificates of an authority of its own |
//! | containerd | a Unix socket in the state directory, which only root can access |
//!
//! Other hosts cannot reach any of this: the packet filter drops their packets to the node, to Services and to pods.
//!
//! The kernel and the packet filter are shared with the machine: `up` records the settings that it and the components
//! change, and `down` restores them unless someone else has changed them or needs them. Start reading at [`LocalNode`]
//! and `up`.

mod cgroups;
mod component;
mod components;
mod config;
pub(super) mod containerd;
mod dns;
mod down;
mod error;
pub(super) mod files;
pub(super) mod images;
mod inputs;
mod kernel_settings;
mod launch_plan;
mod lock;
mod machine;
mod mounts;
mod network;
pub(super) mod packages;
mod pki;
mod podman;
mod preflight;
mod process;
mod program;
mod ready;
mod registries;
mod rendered;
mod status;
pub(super) mod tool;
mod toolchain;
mod up;

use std::path::{Path, PathBuf};

use harmony_core::outcome::{Action, Change, Subject};
use harmony_core::{Context, Outcome};
use harmony_types::{ImageRef, RegistryHost, ResourceName};

pub use component::Component;
pub use config::LocalNodeConfig;
pub use down::Keep;
pub use error::LocalNodeError;
pub use registries::RegistryTrust;
pub use status::{ComponentStatus, Health, NodeStatus};

use containerd::Containerd;

/// A node with a configuration; cheap to clone. Creating a value does not start the node.
///
/// ```no_run
/// # async fn example() -> Result<(), harmony_local::node::LocalNodeError> {
/// use harmony_core::Context;
/// use harmony_local::node::LocalNode;
///
/// let (ctx, node) = (Context::new(), LocalNode::default());
/// node.up(&ctx).await?;
/// let kubeconfig = node.kubeconfig();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct LocalNode {
    config: LocalNodeConfig,
}

impl LocalNode {
    /// The node with this configuration. [`LocalNode::default`] is shared by everything on the machine.
    pub fn new(config: LocalNodeConfig) -> Self {
        Self { config }
    }

    pub fn config(&self) -> &LocalNodeConfig {
        &self.config
    }

    /// Starts the node. Returns when it is Ready and cluster DNS answers.
    ///
    /// Installs missing packages with apt and builds the node's program if necessary, which takes minutes and reports
    /// its progress. After that, a start takes seconds, and nothing changes if the node is already running. In planning
    /// mode nothing is written, and the outcome contains what would be started.
    ///
    /// Can be called at any time; it waits for another `up` or `down`. Can be cancelled or killed at any time; the next
    /// `up` continues.
    ///
    /// # Errors
    /// Refusals ([`FailureKind::Refused`](harmony_core::diagnostic::FailureKind)) happen before anything is written:
    /// not root, no space, a port in use, another node, a conflicting route, missing packages, no Go.
    pub async fn up(&self, ctx: &Context) -> Result<Outcome, LocalNodeError> {
        // Boxed, because the future contains every step and would be large in each caller.
        Box::pin(up::up(ctx, &self.config)).await
    }

    /// The state of the node and its components. Changes nothing.
    pub async fn status(&self) -> Result<NodeStatus, LocalNodeError> {
        status::status(&self.config).await
    }

    /// Stops the node, and leaves no process, mount, address, route, rule or control group behind.
    ///
    /// Works if the node is only partly running, and after an earlier call was killed. Pods are killed and not asked to
    /// exit.
    pub async fn down(&self, ctx: &Context, keep: Keep) -> Result<Outcome, LocalNodeError> {
        Box::pin(down::down(ctx, &self.config, keep)).await
    }

    /// Imports the image of an OCI image layout (a directory or a tar archive) into the node, under the name of `image`
    /// with the digest of the layout, and under its tag if it has one.
    ///
    /// Pods can then use `registry/repository@sha256:...` with `imagePullPolicy: IfNotPresent`, without a registry.
    /// Returns [`Action::Unchanged`] if the image already exists.
    ///
    /// # Errors
    /// [`LocalNodeError::NotRunning`]; [`LocalNodeError::Archive`] if the layout is not a single image, or not the one
    /// with the digest in `image`.
    pub async fn import_image(
        &self,
        ctx: &Context,
        layout: &Path,
        image: &ImageRef,
    ) -> Result<Change, LocalNodeError> {
        let containerd = self.containerd().await?;
        ctx.unless_cancelled(images::import(ctx, &containerd, layout, image))
            .await?
    }

    /// Returns true if the node has the image under this name, by digest if the reference has one.
    ///
    /// # Errors
    /// [`LocalNodeError::NotRunning`].
    pub async fn has_image(&self, image: &ImageRef) -> Result<bool, LocalNodeError> {
        images::is_present(&self.containerd().await?, image).await
    }

    /// Allows the node to pull from a registry without TLS or with a certificate that this machine does not trust.
    /// Takes effect at the next pull and survives restarts of the node. In planning mode nothing is written.
    ///
    /// # Errors
    /// [`LocalNodeError::Reference`] for plain HTTP to a host other than loopback, or an authority that is not PEM.
    pub fn trust_registry(
        &self,
        ctx: &Context,
        registry: &RegistryHost,
        trust: &RegistryTrust,
    ) -> Result<Change, LocalNodeError> {
        preflight::check_root()?;
        let (path, changed) =
            registries::trust(&self.config.layout(), registry, trust, ctx.mode())?;
        let action = if changed {
            Action::Update
        } else {
            Action::Unchanged
        };
        Ok(Change::new(action, Subject::File(path)))
    }

    /// Starts podman for a simulated device, unless it runs, and returns its socket. It has images and containers of its own,
    /// which nobody else on this machine sees, and is stopped with the node.
    ///
    /// Installs podman with apt if it is missing. In planning mode nothing is changed.
    ///
    /// # Errors
    /// Not root, podman cannot be installed, or it does not start.
    pub async fn podman(
        &self,
        ctx: &Context,
        device: &ResourceName,
    ) -> Result<PathBuf, LocalNodeError> {
        Box::pin(podman::ensure(ctx, &self.config, device)).await
    }

    /// Removes the podman of a simulated device with its containers, volumes and images. It may not exist.
    pub async fn remove_podman(
        &self,
        ctx: &Context,
        device: &ResourceName,
    ) -> Result<(), LocalNodeError> {
        Box::pin(podman::remove(ctx, &self.config, device)).await
    }

    /// Copies an image of the node to the podman of a simulated device, so that it need not pull it.
    ///
    /// # Errors
    /// [`LocalNodeError::NotRunning`], the node does not have the image, or see [`LocalNode::podman`].
    pub async fn provide_to_device(
        &self,
        ctx: &Context,
        device: &ResourceName,
        image: &ImageRef,
    ) -> Result<Change, LocalNodeError> {
        let containerd = self.containerd().await?;
        let provide = podman::provide(ctx, &self.config, device, &containerd, image);
        let action = Box::pin(provide).await?;
        Ok(Change::new(action, image.clone()).with_note(format!("for {device}")))
    }

    /// The address of the node on this machine. Pods reach what listens on it.
    pub fn address(&self) -> std::net::Ipv4Addr {
        self.config.address
    }

    /// The admin kubeconfig with embedded credentials, readable by root. Exists after `up`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.config.layout().kubeconfig("admin")
    }

    /// The audit log of the API server: one JSON object per line for each write (including dry runs, which have
    /// `dryRun` in their `requestURI`) that was not made by the system's own components. At most 60 MB are kept.
    pub fn audit_log(&self) -> PathBuf {
        self.config.layout().audit_log()
    }

    /// The directory with the logs of the components, one file each.
    pub fn logs(&self) -> PathBuf {
        self.config.layout().logs()
    }

    /// A `kubectl` command for this node that uses the node's program; `None` if the program is not built.
    pub fn kubectl(&self) -> Option<std::process::Command> {
        let program = program::find_built(&self.config.cache_dir)?;
        let mut kubectl = harmony_core::process::command(program.node, &[]);
        kubectl.arg("kubectl").env("KUBECONFIG", self.kubeconfig());
        Some(kubectl)
    }

    async fn containerd(&self) -> Result<Containerd, LocalNodeError> {
        preflight::check_root()?;
        let layout = self.config.layout();
        if !containerd::answers(&layout).await {
            return Err(LocalNodeError::NotRunning);
        }
        Ok(Containerd::new(&packages::find_installed()?.ctr, &layout))
    }
}
