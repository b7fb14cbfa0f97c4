//! The processes of the node, by name.

use std::fmt;

/// One long-running process of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Component {
    /// The database of the API server.
    Etcd,
    /// Runs containers and keeps images.
    Containerd,
    /// The Kubernetes API.
    ApiServer,
    /// Turns Deployments into pods, Services into endpoints, and so on.
    ControllerManager,
    /// Gives pods a node.
    Scheduler,
    /// Makes containerd run the pods of this node.
    Kubelet,
    /// Makes the addresses of Services reach pods.
    Proxy,
}

impl Component {
    /// In the order in which they start.
    pub const ALL: [Self; 7] = [
        Self::Etcd,
        Self::Containerd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubelet,
        Self::Proxy,
    ];

    /// The upstream name; also the name of its log and, but for containerd, the program's first argument.
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
