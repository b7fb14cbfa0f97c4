//! The NATS server of the fleet.

use std::sync::Arc;
use std::time::Duration;

use harmony::core::capability::{KubernetesCluster, Prober};
use harmony::core::owner::Owner;
use harmony::core::verify::{Checks, Deployed, ServicePort, SmokeCheck, Workload, verified};
use harmony::scores::NatsScore;
use harmony::scores::k8s_resource::Applied;
use harmony::scores::nats::{NatsPermissions, NatsReach, NatsStorage, NatsTls, NatsUser};
use harmony::types::{ImageRef, Namespace, ResourceName};
use harmony::{Interpret, InterpretError, Inventory, Score, Topology, async_trait};
use harmony_reconciler_contracts::{Permissions, TenantId};

use crate::access::{NatsLetsToolsIn, ToolsAccess};
use crate::certificates::{self, FleetCertificates};
use crate::credentials::{FleetCredentials, Role};
use crate::place;

/// NATS as the fleet needs it: JetStream, a user with the least permissions for each role, and a certificate. Only the
/// operator and the agents of the namespace reach it.
#[derive(Debug, Clone)]
pub struct FleetNatsScore {
    /// The namespace; created if it does not exist.
    pub namespace: Namespace,
    /// An image with `nats-server` 2.10 or later as its entrypoint.
    pub image: ImageRef,
    /// The Secret with the credentials for a private registry.
    pub pull_secret: Option<ResourceName>,
    /// The tenant of the fleet, which is part of every subject.
    pub tenant: TenantId,
    /// How clients authenticate.
    pub auth: FleetNatsAuth,
    /// The storage of the device registry, the deployments, and the states of the devices.
    pub storage: NatsStorage,
}

/// A deployed NATS, and the access for tools.
#[derive(Debug)]
pub struct RunningNats {
    applied: Applied,
    access: ToolsAccess,
}

/// How clients of the fleet's NATS authenticate.
///
/// An auth callout, which asks an identity provider for each device, will be a second variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FleetNatsAuth {
    /// One user and password for each [`Role`], created by the first deploy and stored in the cluster.
    UserPassword,
}

impl FleetNatsScore {
    /// The name of the server, its Service and this Score.
    pub const NAME: &str = place::NATS;

    /// The address for clients inside the cluster.
    pub fn url(namespace: &Namespace) -> String {
        place::nats_url(namespace)
    }

    fn name() -> ResourceName {
        Self::NAME.parse().expect("a valid name")
    }

    /// The service for clients in the namespace.
    pub fn service() -> ServicePort {
        place::nats_service()
    }

    fn server(
        &self,
        credentials: &FleetCredentials,
        certificates: &FleetCertificates,
    ) -> NatsScore {
        let users = Role::ALL.map(|role| NatsUser {
            name: role.user(),
            password: credentials.password(role).clone(),
            permissions: permissions(role, &self.tenant),
        });
        NatsScore {
            name: Self::name(),
            namespace: self.namespace.clone(),
            image: self.image.clone(),
            pull_secret: self.pull_secret.clone(),
            storage: self.storage.clone(),
            users: users.into(),
            tls: Some(NatsTls {
                secret: certificates::SECRET.parse().expect("a valid name"),
                revision: certificates.certificate.clone(),
            }),
            reach: NatsReach::Pods([place::OPERATOR, place::AGENT].map(place::labels).into()),
            deadline: Duration::from_secs(90),
        }
    }
}

/// The permissions of each role. Only the operator manages streams; the others read and write single values of buckets.
fn permissions(role: Role, tenant: &TenantId) -> NatsPermissions {
    let Permissions {
        publish,
        subscribe,
        deny,
        reply,
    } = match role {
        Role::Operator => return NatsPermissions::All,
        Role::Agent => Permissions::of_agents(tenant),
        Role::Tools => Permissions::of_tools(tenant),
    };
    NatsPermissions::Only {
        publish,
        subscribe,
        deny,
        reply,
    }
}

impl<T: Topology + KubernetesCluster + Prober> Score<T> for FleetNatsScore {
    fn name(&self) -> String {
        Self::NAME.into()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        verified(self.clone())
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Workload<T> for FleetNatsScore {
    type Running = RunningNats;

    fn name(&self) -> String {
        Self::NAME.into()
    }

    async fn deploy(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Deployed<Self::Running>, InterpretError> {
        let FleetNatsAuth::UserPassword = self.auth;
        let failed = |error| InterpretError::new(Self::NAME, error);
        let namespace =
            crate::pod::namespace(&self.namespace).map_err(|error| failed(error.into()))?;
        // The passwords are stored before the server knows them, so that the next run finds them after a kill.
        let owner = Owner::score(Self::NAME, &self.namespace);
        let mut stored = topology.apply(&owner, &[namespace]).await.map_err(failed)?;
        let (credentials, change) =
            FleetCredentials::get_or_create(topology, &owner, &self.namespace)
                .await
                .map_err(failed)?;
        stored.push(change);
        let now = jiff::Timestamp::now();
        let (certificates, change) =
            FleetCertificates::get_or_create(topology, &owner, &self.namespace, now)
                .await
                .map_err(|error| InterpretError::new(Self::NAME, error))?;
        stored.push(change);
        let access = ToolsAccess::new(&credentials, &certificates);
        let server = self.server(&credentials, &certificates).resources()?;
        let deployed = server.deploy(inventory, topology).await?.after(stored);
        Ok(deployed.map(|applied| RunningNats { applied, access }))
    }

    async fn wait_ready(
        &self,
        topology: &T,
        running: &Self::Running,
    ) -> Result<(), InterpretError> {
        running.applied.wait_ready(topology).await
    }

    fn checks(&self, running: &Self::Running) -> Checks {
        let check = NatsLetsToolsIn(running.access.clone());
        Checks::first(SmokeCheck::Custom(Arc::new(check)))
    }

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}
