//! Connects the checks to the fleet's NATS: through a tunnel, like a tool.

use harmony::async_trait;
use harmony::core::capability::kubernetes_cluster::ClusterError;
use harmony::core::capability::prober::Tunnel;
use harmony::core::capability::{KubernetesCluster, Prober};
use harmony::core::diagnostic::causes;
use harmony::core::verify::{CustomCheck, ProbeFailure};
use harmony::types::Namespace;
use harmony_fleet_adapters_nats::{NatsAuth, NatsAuthority, NatsConnection, NatsOptions};
use secrecy::SecretString;

use crate::certificates::FleetCertificates;
use crate::credentials::{FleetCredentials, Role};
use crate::place;

/// What a tool needs to log in to the fleet's NATS and to verify it.
#[derive(Debug, Clone)]
pub struct ToolsAccess {
    password: SecretString,
    /// In PEM format; `None` in a plan for a new cluster, where nothing is contacted.
    authority: Option<String>,
}

impl ToolsAccess {
    pub(crate) fn new(credentials: &FleetCredentials, certificates: &FleetCertificates) -> Self {
        Self {
            password: credentials.password(Role::Tools).clone(),
            authority: Some(certificates.authority.clone()),
        }
    }

    /// From what the cluster stores.
    ///
    /// # Errors
    /// The cluster could not be queried.
    pub async fn read(
        cluster: &dyn KubernetesCluster,
        namespace: &Namespace,
    ) -> Result<Self, ClusterError> {
        let credentials = FleetCredentials::read(cluster, namespace).await?;
        let certificates = FleetCertificates::read(cluster, namespace).await?;
        Ok(Self {
            password: credentials.password(Role::Tools).clone(),
            authority: certificates.map(|certificates| certificates.authority),
        })
    }

    /// Connects through a tunnel, which must be kept as long as the connection.
    pub(crate) async fn connect(
        &self,
        prober: &dyn Prober,
        namespace: &Namespace,
    ) -> Result<(Tunnel, NatsConnection), ProbeFailure> {
        let authority = self.authority.as_deref().unwrap_or_default();
        let host = place::nats_host(namespace);
        let authority = NatsAuthority::from_pem(authority, Some(&host)).map_err(|e| seen(&e))?;
        let tunnel = prober
            .connect(namespace, &place::nats_service())
            .await
            .map_err(|error| seen(&error))?;
        let address = format!("tls://{}", tunnel.address());
        let servers = address.parse().map_err(|error| seen(&error))?;
        let auth = NatsAuth::UserPassword {
            user: Role::Tools.user().to_string(),
            password: self.password.clone(),
        };
        let options = NatsOptions::for_tools(servers, auth, "harmony-fleet-deploy");
        let connection = NatsConnection::connect(&options.with_authority(Some(authority)))
            .await
            .map_err(|error| seen(&error))?;
        Ok((tunnel, connection))
    }
}

/// Checks that NATS proves its identity and accepts tools.
#[derive(Debug, Clone)]
pub struct NatsLetsToolsIn(pub ToolsAccess);

#[async_trait]
impl CustomCheck for NatsLetsToolsIn {
    fn describe(&self) -> String {
        format!("{} accepts tools over TLS", place::NATS)
    }

    async fn run(&self, prober: &dyn Prober, namespace: &Namespace) -> Result<(), ProbeFailure> {
        self.0.connect(prober, namespace).await.map(drop)
    }
}

pub(crate) fn seen(error: &(dyn std::error::Error + 'static)) -> ProbeFailure {
    ProbeFailure::new(error.to_string()).with_details(causes(error))
}
