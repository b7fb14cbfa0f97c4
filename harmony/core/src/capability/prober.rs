//! Connecting to what runs in a topology from the outside.

mod check;

use std::net::SocketAddr;

use ambassador::delegatable_trait;
use async_trait::async_trait;
use harmony_types::Namespace;

use super::kubernetes_cluster::ClusterError;
use crate::kubernetes::ObjectRef;

pub use check::{CustomCheck, ProbeFailure, ServicePort, SmokeCheck};

/// Connects to workloads as a user would. Providers: the API server of a cluster (port-forward, exec), a host.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` cannot run smoke checks",
    label = "this topology lacks the capability `Prober`",
    note = "give `{Self}` a prober, for example `harmony_kubernetes::Cluster`, and delegate `Prober` to it"
)]
pub trait Prober: Send + Sync {
    /// Runs a check once. `Custom` checks are run by [`Verified`](crate::verify::Verified), which passes this prober to
    /// them.
    ///
    /// # Errors
    /// What was observed instead of the expected result.
    async fn probe(&self, namespace: &Namespace, check: &SmokeCheck) -> Result<(), ProbeFailure>;

    /// An address on this machine that is connected to a port of a service while the returned value exists.
    ///
    /// # Errors
    /// See [`ClusterError`].
    async fn connect(
        &self,
        namespace: &Namespace,
        service: &ServicePort,
    ) -> Result<Tunnel, ClusterError>;

    /// The last lines of the log of a workload: of its newest ready pod, at most this many. A check uses it to show why
    /// something does not work.
    ///
    /// # Errors
    /// What was found instead of a log.
    async fn log(&self, workload: &ObjectRef, lines: u16) -> Result<Vec<String>, ProbeFailure> {
        let _ = lines;
        Err(ProbeFailure::new(format!(
            "the log of {workload} cannot be read here"
        )))
    }

    /// What controllers complain about in the current version of an object, the latest first. A check uses it to show
    /// that a controller ignores the object. Complaints can be out of date, if something else was changed since.
    ///
    /// # Errors
    /// What was found instead.
    async fn warnings(&self, object: &ObjectRef) -> Result<Vec<String>, ProbeFailure> {
        let _ = object;
        Ok(Vec::new())
    }
}

/// A connection to a service, closed on drop.
#[derive(Debug)]
pub struct Tunnel {
    address: SocketAddr,
    _guard: Option<tokio_util::sync::DropGuard>,
}

impl Tunnel {
    /// A tunnel that is closed when `guard` is dropped.
    pub fn new(address: SocketAddr, guard: tokio_util::sync::DropGuard) -> Self {
        Self {
            address,
            _guard: Some(guard),
        }
    }

    /// A service that is reachable at its own address.
    pub fn direct(address: SocketAddr) -> Self {
        Self {
            address,
            _guard: None,
        }
    }

    /// The address to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
