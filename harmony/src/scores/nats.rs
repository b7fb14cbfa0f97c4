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
/// The storage of JetStream.
pub use super::storage::Storage as NatsStorage;

/// The port for clients.
pub const CLIENT_PORT: u16 = 4222;
/// The port of the monitoring endpoint, on the loopback address of the pod. It lists clients and users, so other pods
/// must not be able to read it. Use `kubectl port-forward` to reach it.
pub const MONITOR_PORT: u16 = 8222;

/// A NATS server with JetStream: a StatefulSet and a Service with the same name.
#[derive(Debug, Clone)]
pub struct NatsScore {
    /// The name of the StatefulSet and the Service.
    pub name: ResourceName,
    /// The namespace; created if it does not exist.
    pub namespace: Namespace,
    /// The image, with `nats-server` as its entrypoint. Machines without internet access assemble it from the program.
    pub image: ImageRef,
    /// The Secret with the credentials for a private registry.
    pub pull_secret: Option<ResourceName>,
    /// The storage of JetStream.
    pub storage: NatsStorage,
    /// The users and their permissions.
    pub users: Vec<NatsUser>,
    /// Its certificate; without one, what clients and server say to each other is readable on the network.
    pub tls: Option<NatsTls>,
    /// Who reaches it at all.
    pub reach: NatsReach,
    /// The time limit for becoming ready.
    pub deadline: Duration,
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

/// A user with a password.
#[derive(Debug, Clone)]
pub struct NatsUser {
    /// The name: letters, digits, `-` and `_`.
    pub name: ResourceName,
    /// The password; never printed.
    pub password: SecretString,
    /// The permissions.
    pub permissions: NatsPermissions,
}

/// The permissions of a user. Subjects can contain the wildcards `*` and `>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsPermissions {
    /// Everything in the account.
    All,
    /// Only the following.
    Only {
        /// The subjects that the user may publish to.
        publish: Vec<String>,
        /// The subjects that the user may subscribe to.
        subscribe: Vec<String>,
        /// Exceptions from both lists.
        deny: Vec<String>,
        /// Whether the user may reply to requests.
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

    /// Checks that the server answers at its address.
    fn answers(&self) -> Checks {
        let service = ServicePort {
            service: self.name.clone(),
            port: CLIENT_PORT,
        };
        Checks::first(SmokeCheck::Nats { service })
    }

    /// The objects and the check, for a Score that deploys more than the server.
    ///
    /// # Errors
    /// None for valid values; the signature is the same for everything that creates objects.
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
