//! Reaching what runs in a topology from outside it.

mod check;

use std::net::SocketAddr;

use ambassador::delegatable_trait;
use async_trait::async_trait;
use harmony_types::Namespace;

use super::kubernetes_cluster::ClusterError;

pub use check::{CustomCheck, ProbeFailure, ServicePort, SmokeCheck};

/// Can reach what runs there, as a user of it would. Providers: a cluster's API server (port-forward, exec), a host.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` cannot run smoke checks",
    label = "this topology lacks the capability `Prober`",
    note = "give `{Self}` a prober, for example `harmony_kubernetes::Cluster`, and delegate `Prober` to it"
)]
pub trait Prober: Send + Sync {
    /// Runs one check once. `Custom` checks are run by [`Verified`](crate::verify::Verified), which hands them this
    /// prober.
    ///
    /// # Errors
    /// What was seen instead of what was expected.
    async fn probe(&self, namespace: &Namespace, check: &SmokeCheck) -> Result<(), ProbeFailure>;

    /// An address on this machine that leads to a port of a service, for as long as the returned value lives.
    ///
    /// # Errors
    /// See [`ClusterError`].
    async fn connect(
        &self,
        namespace: &Namespace,
        service: &ServicePort,
    ) -> Result<Tunnel, ClusterError>;
}

/// A way to a service; closed when dropped.
#[derive(Debug)]
pub struct Tunnel {
    address: SocketAddr,
    _guard: Option<tokio_util::sync::DropGuard>,
}

impl Tunnel {
    /// A tunnel that ends when `guard` is dropped.
    pub fn new(address: SocketAddr, guard: tokio_util::sync::DropGuard) -> Self {
        Self {
            address,
            _guard: Some(guard),
        }
    }

    /// A service that is reached at its own address.
    pub fn direct(address: SocketAddr) -> Self {
        Self {
            address,
            _guard: None,
        }
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
