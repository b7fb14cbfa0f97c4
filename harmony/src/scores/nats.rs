//! A NATS server with JetStream.

mod config;
mod objects;

use std::collections::BTreeMap;
use std::time::Duration;

use harmony_core::capability::{KubernetesCluster, Prober};
use harmony_core::verify::{Checks, ServicePort, SmokeCheck, verified_or};
use harmony_core::{Interpret, InterpretError, Score, Topology};
use harmony_types::{ImageRef, Namespace, ResourceName};
use secrecy::SecretString;

use super::K8sResourceScore;

/// The port that clients connect to.
pub const CLIENT_PORT: u16 = 4222;
/// The port of the server's statistics, on the loopback address of its pod: they name clients and users, so no other pod
/// may read them. `kubectl port-forward` reaches it.
pub const MONITOR_PORT: u16 = 8222;

/// One NATS server with JetStream in a namespace, as a StatefulSet behind a Service of the same name.
#[derive(Debug, Clone)]
pub struct NatsScore {
    /// The name of the StatefulSet and of the Service.
    pub name: ResourceName,
    /// Where it runs; created when it is missing.
    pub namespace: Namespace,
    /// The image, whose entrypoint is `nats-server`. Offline machines assemble one from the program.
    pub image: ImageRef,
    /// The Secret with the credentials for the image's registry, when that is private.
    pub pull_secret: Option<ResourceName>,
    /// Where JetStream keeps its streams.
    pub storage: NatsStorage,
    /// Who may connect, and what each may do.
    pub users: Vec<NatsUser>,
    /// Its certificate; without one, what clients and server say to each other is readable on the network.
    pub tls: Option<NatsTls>,
    /// Who reaches it at all.
    pub reach: NatsReach,
    /// How long it may take to become ready.
    pub deadline: Duration,
}

/// Where JetStream keeps its streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsStorage {
    /// In the pod: lost with it. For laptops and tests.
    Pod,
    /// In a volume that is claimed once and outlives the pod.
    Volume {
        /// The size, in the units of Kubernetes: `10Gi`.
        size: String,
        /// The storage class; `None` for the cluster's default.
        class: Option<ResourceName>,
    },
}

/// The certificate that a server shows to its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsTls {
    /// The Secret of the same namespace with `tls.crt` and `tls.key`, as cert-manager or a Score writes it.
    pub secret: ResourceName,
    /// Any text that changes with the certificate, so that the server is restarted and reads the new one.
    pub revision: String,
}

/// Which pods reach a server. Each node reaches the pods that it runs, whatever this says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsReach {
    /// All of the cluster, and whoever the cluster lets in.
    Everybody,
    /// The pods of the same namespace that bear all labels of one of these sets, by a NetworkPolicy. It is up to the
    /// cluster's network to enforce that.
    Pods(Vec<BTreeMap<String, String>>),
}

/// Somebody who may connect with a password.
#[derive(Debug, Clone)]
pub struct NatsUser {
    /// The name; letters, digits, `-` and `_`.
    pub name: ResourceName,
    /// The password; never printed.
    pub password: SecretString,
    /// What the user may publish and subscribe to.
    pub permissions: NatsPermissions,
}

/// What a user may do. Subjects are those of NATS, with `*` and `>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsPermissions {
    /// Everything in its account.
    All,
    /// Only this.
    Only {
        /// Subjects it may publish to.
        publish: Vec<String>,
        /// Subjects it may subscribe to.
        subscribe: Vec<String>,
        /// Subjects of both lists that it may not use nevertheless.
        deny: Vec<String>,
        /// Whether it may answer requests at their reply subject.
        reply: bool,
    },
}

impl NatsScore {
    /// The address for clients inside the cluster.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "tls" } else { "nats" };
        format!(
            "{scheme}://{}.{}.svc.cluster.local:{CLIENT_PORT}",
            self.name, self.namespace
        )
    }

    /// The server answers at its address.
    fn answers(&self) -> Checks {
        let service = ServicePort {
            service: self.name.clone(),
            port: CLIENT_PORT,
        };
        Checks::first(SmokeCheck::Nats { service })
    }

    /// Its objects and the check of them, for a Score that deploys more than the server.
    ///
    /// # Errors
    /// None for values that were parsed; the signature is that of everything that builds objects.
    pub fn resources(&self) -> Result<K8sResourceScore, InterpretError> {
        let name = self.name.to_string();
        let objects = objects::build(self).map_err(|error| InterpretError::new(&name, error))?;
        let score = K8sResourceScore::new(name, self.namespace.clone(), objects, self.answers());
        Ok(score.with_deadline(self.deadline))
    }
}

impl<T: Topology + KubernetesCluster + Prober> Score<T> for NatsScore {
    fn name(&self) -> String {
        self.name.to_string()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        verified_or(self.resources())
    }
}
