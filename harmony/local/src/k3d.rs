//! A k3d cluster, for machines with a Docker engine. Does not need root.
//!
//! The Kubernetes nodes of k3d are Docker containers. This module runs the `k3d` and `docker` commands. It imports
//! images into the containerd of the nodes, as for the [local node](super::node), and does not use `k3d image import`:
//! that command only creates the names by tag from the archive, but pods refer to images by digest.
//!
//! The tests cover the pure parts: creating commands and parsing their output.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use harmony_core::codes;
use harmony_core::context::Cancelled;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony_core::outcome::{Action, Change, Subject};
use harmony_core::{Context, Outcome};
use harmony_types::ImageRef;
use serde::Deserialize;

use super::node::LocalNodeError;
use super::node::containerd::Containerd;
use super::node::{images, packages, tool};

/// A cluster, identified by its name; cheap to clone. Creating a value does not create a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct K3d {
    cluster: String,
}

impl Default for K3d {
    fn default() -> Self {
        Self {
            cluster: "harmony".into(),
        }
    }
}

/// The error of a k3d cluster operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum K3dError {
    /// A command is not installed.
    #[error("`{program}` is not on PATH")]
    Missing { program: &'static str },
    /// The name is not valid for k3d.
    #[error("`{name}` is not a valid name for a k3d cluster")]
    Name { name: String },
    #[error("cannot {action}")]
    Command {
        action: &'static str,
        #[source]
        source: LocalNodeError,
    },
    /// The output of k3d cannot be parsed by this version of Harmony.
    #[error("cannot parse the list of k3d clusters")]
    List {
        #[source]
        source: serde_json::Error,
    },
    #[error("the k3d cluster `{cluster}` does not exist")]
    NoCluster { cluster: String },
    #[error("cannot import into the node `{node}`")]
    Import {
        node: String,
        #[source]
        source: LocalNodeError,
    },
    /// The run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Diagnostic for K3dError {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(match self {
            Self::Missing { .. } => codes::K3D_MISSING,
            Self::Name { .. } => codes::K3D_NAME,
            Self::Command { .. } => codes::K3D_FAILED,
            Self::List { .. } => codes::K3D_ANSWER,
            Self::NoCluster { .. } => codes::K3D_NO_CLUSTER,
            Self::Import { .. } => codes::K3D_IMPORT,
            Self::Cancelled(cancelled) => return Origin::Inner(cancelled),
        })
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Missing { .. } | Self::Name { .. } | Self::NoCluster { .. } => {
                FailureKind::Refused
            }
            _ => FailureKind::Failed,
        }
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::Command { source, .. } | Self::Import { source, .. } => source.evidence(),
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Missing { program: "k3d" } => vec![
                "install k3d: https://k3d.io".into(),
                "or run the command as root to use the local node, which needs neither k3d nor Docker".into(),
            ],
            Self::Missing { .. } => vec!["install Docker and start its engine".into()],
            Self::Name { .. } => vec!["use 1 to 32 lower-case letters, digits and `-`, and do not start or end with `-`".into()],
            Self::List { .. } => vec!["use k3d 5".into()],
            _ => Vec::new(),
        }
    }
}

/// The limit of k3d.
const MAX_NAME: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Cluster {
    name: String,
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Node {
    name: String,
    role: String,
    #[serde(rename = "State")]
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct State {
    #[serde(rename = "Running")]
    running: bool,
}

impl Cluster {
    fn is_running(&self) -> bool {
        self.kubernetes_nodes().all(|node| node.state.running)
    }

    /// The nodes that run pods, without the load balancer.
    fn kubernetes_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes
            .iter()
            .filter(|node| matches!(node.role.as_str(), "server" | "agent"))
    }
}

impl K3d {
    /// The cluster with this name.
    ///
    /// # Errors
    /// [`K3dError::Name`].
    pub fn new(cluster: impl Into<String>) -> Result<Self, K3dError> {
        let cluster = cluster.into();
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ends_well = !cluster.starts_with('-') && !cluster.ends_with('-');
        if cluster.is_empty()
            || cluster.len() > MAX_NAME
            || !cluster.chars().all(allowed)
            || !ends_well
        {
            return Err(K3dError::Name { name: cluster });
        }
        Ok(Self { cluster })
    }

    /// Returns true if k3d is installed and a Docker engine answers.
    pub async fn is_available() -> bool {
        let (Ok(_), Ok(docker)) = (find("k3d"), find("docker")) else {
            return false;
        };
        tool::run(&docker, &["version", "--format", "{{.Server.Version}}"])
            .await
            .is_ok()
    }

    /// Creates the cluster, or starts it if it is stopped. Returns when its API server answers.
    ///
    /// # Errors
    /// [`K3dError::Missing`], [`K3dError::Command`].
    pub async fn ensure(&self, ctx: &Context) -> Result<Outcome, K3dError> {
        let k3d = find("k3d")?;
        let (action, arguments) = match self.find_cluster(&k3d).await? {
            None => (Action::Create, self.create_arguments()),
            Some(cluster) if cluster.is_running() => (Action::Unchanged, Vec::new()),
            Some(_) => (Action::Update, self.start_arguments()),
        };
        let outcome = Outcome::from(Change::new(action, Subject::Cluster(self.cluster.clone())));
        if ctx.is_planning() || outcome.is_unchanged() {
            return Ok(outcome);
        }
        let step = ctx.step(format!("{} the k3d cluster {}", action, self.cluster));
        ctx.unless_cancelled(tool::run(&k3d, &arguments))
            .await?
            .map_err(|source| K3dError::Command {
                action: "start the k3d cluster",
                source,
            })?;
        step.done("");
        Ok(outcome)
    }

    /// Writes a kubeconfig for this cluster, without changing the default kubeconfig of `kubectl`.
    ///
    /// # Errors
    /// [`K3dError::Command`], for example if the cluster does not exist.
    pub async fn kubeconfig(&self) -> Result<PathBuf, K3dError> {
        let printed = tool::run(&find("k3d")?, &["kubeconfig", "write", &self.cluster])
            .await
            .map_err(|source| K3dError::Command {
                action: "write the kubeconfig of the k3d cluster",
                source,
            })?;
        Ok(printed.trim().into())
    }

    /// Imports the image of an OCI image layout into every node, like
    /// [`LocalNode::import_image`](super::node::LocalNode::import_image).
    ///
    /// # Errors
    /// [`K3dError::NoCluster`], [`K3dError::Import`].
    pub async fn import_image(
        &self,
        ctx: &Context,
        layout: &Path,
        image: &ImageRef,
    ) -> Result<Change, K3dError> {
        let docker = find("docker")?;
        let no_cluster = || K3dError::NoCluster {
            cluster: self.cluster.clone(),
        };
        let cluster = self
            .find_cluster(&find("k3d")?)
            .await?
            .ok_or_else(no_cluster)?;
        let mut whole: Option<Change> = None;
        for node in cluster.kubernetes_nodes() {
            let containerd = Containerd::behind(ctr_in(&docker, &node.name));
            let change = ctx
                .unless_cancelled(images::import(ctx, &containerd, layout, image))
                .await?
                .map_err(|source| K3dError::Import {
                    node: node.name.clone(),
                    source,
                })?;
            if whole
                .as_ref()
                .is_none_or(|whole| whole.action == Action::Unchanged)
            {
                whole = Some(change);
            }
        }
        whole.ok_or_else(no_cluster)
    }

    /// Deletes the cluster and everything in it. Succeeds if it does not exist.
    ///
    /// # Errors
    /// [`K3dError::Command`].
    pub async fn delete(&self, ctx: &Context) -> Result<Outcome, K3dError> {
        let k3d = find("k3d")?;
        if self.find_cluster(&k3d).await?.is_none() {
            return Ok(
                Change::new(Action::Unchanged, Subject::Cluster(self.cluster.clone())).into(),
            );
        }
        if !ctx.is_planning() {
            tool::run(&k3d, &["cluster", "delete", &self.cluster])
                .await
                .map_err(|source| K3dError::Command {
                    action: "delete the k3d cluster",
                    source,
                })?;
        }
        Ok(Change::new(Action::Delete, Subject::Cluster(self.cluster.clone())).into())
    }

    async fn find_cluster(&self, k3d: &Path) -> Result<Option<Cluster>, K3dError> {
        let printed = tool::run(k3d, &["cluster", "list", "--output", "json"])
            .await
            .map_err(|source| K3dError::Command {
                action: "list the k3d clusters; is Docker running?",
                source,
            })?;
        Ok(parse_clusters(&printed)?
            .into_iter()
            .find(|cluster| cluster.name == self.cluster))
    }

    fn create_arguments(&self) -> Vec<String> {
        [
            "cluster",
            "create",
            &self.cluster,
            "--wait",
            "--timeout=300s",
            // Do not change the user's current context.
            "--kubeconfig-update-default=false",
            // The load balancer is for access from other machines, and would use ports of this machine.
            "--no-lb",
            "--k3s-arg=--disable=traefik@server:*",
        ]
        .map(str::to_owned)
        .into()
    }

    fn start_arguments(&self) -> Vec<String> {
        [
            "cluster",
            "start",
            &self.cluster,
            "--wait",
            "--timeout=300s",
        ]
        .map(str::to_owned)
        .into()
    }
}

fn find(program: &'static str) -> Result<PathBuf, K3dError> {
    packages::search(program).ok_or(K3dError::Missing { program })
}

fn parse_clusters(printed: &str) -> Result<Vec<Cluster>, K3dError> {
    // Without clusters, k3d 5 prints `null`.
    let clusters: Option<Vec<Cluster>> =
        serde_json::from_str(printed.trim()).map_err(|source| K3dError::List { source })?;
    Ok(clusters.unwrap_or_default())
}

/// The containerd client in a node; k3s has it on the `PATH` of its image.
fn ctr_in(docker: &Path, node: &str) -> [OsString; 5] {
    [
        docker.into(),
        "exec".into(),
        "-i".into(),
        node.into(),
        "ctr".into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = r#"[
        {"name": "other", "nodes": []},
        {"name": "harmony", "serversCount": 1, "nodes": [
            {"name": "k3d-harmony-server-0", "role": "server", "State": {"Running": true, "Status": "running"}},
            {"name": "k3d-harmony-agent-0", "role": "agent", "State": {"Running": false, "Status": "exited"}},
            {"name": "k3d-harmony-tools", "role": "noRole", "State": {"Running": false, "Status": ""}}
        ]}
    ]"#;

    #[test]
    fn a_cluster_runs_when_its_nodes_do() {
        let clusters = parse_clusters(LISTED).unwrap();
        assert!(!clusters[1].is_running());
        let names: Vec<&str> = clusters[1]
            .kubernetes_nodes()
            .map(|node| node.name.as_str())
            .collect();
        assert_eq!(names, ["k3d-harmony-server-0", "k3d-harmony-agent-0"]);
        assert!(parse_clusters(&LISTED.replace("false", "true")).unwrap()[1].is_running());
        assert!(parse_clusters("null\n").unwrap().is_empty());
        assert!(matches!(
            parse_clusters("FATA[0000] no docker"),
            Err(K3dError::List { .. })
        ));
    }

    #[test]
    fn creating_leaves_the_default_kubeconfig_alone() {
        let arguments = K3d::default().create_arguments();
        assert_eq!(arguments[..3], ["cluster", "create", "harmony"]);
        assert!(arguments.contains(&"--kubeconfig-update-default=false".to_owned()));
        assert_eq!(
            K3d::new("e2e").unwrap().start_arguments(),
            ["cluster", "start", "e2e", "--wait", "--timeout=300s"]
        );
    }

    #[test]
    fn names_are_as_k3d_takes_them() {
        assert!(K3d::new("a-1").is_ok());
        for bad in ["", "A", "-a", "a-", "a_b", &"a".repeat(33)] {
            assert!(K3d::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn images_go_into_the_containerd_of_each_node() {
        let command = ctr_in(Path::new("/usr/bin/docker"), "k3d-harmony-server-0");
        assert_eq!(
            command.map(|word| word.into_string().unwrap()),
            [
                "/usr/bin/docker",
                "exec",
                "-i",
                "k3d-harmony-server-0",
                "ctr"
            ]
        );
    }
}
