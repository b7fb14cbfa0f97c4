//! The processes of the node, by name.

use std::fmt;

/// A long-running process of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Component {
    /// The database of the API server.
    Etcd,
    /// Runs containers and stores images.
    Containerd,
    /// The Kubernetes API.
    ApiServer,
    /// Creates pods for Deployments, endpoints for Services, and so on.
    ControllerManager,
    /// Assigns pods to nodes.
    Scheduler,
    /// Runs the pods of this node with containerd.
    Kubelet,
    /// Routes the addresses of Services to pods.
    Proxy,
}

impl Component {
    /// The order in which they start.
    pub const ALL: [Self; 7] = [
        Self::Etcd,
        Self::Containerd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubelet,
        Self::Proxy,
    ];

    /// The upstream name. It is also the name of the log and, except for containerd, the first argument of the program.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Containerd => "containerd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::Proxy => "kube-proxy",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|component| component.as_str() == name)
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
