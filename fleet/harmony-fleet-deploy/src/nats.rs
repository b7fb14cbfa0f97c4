//! The fleet's NATS.

use std::time::Duration;

use harmony::core::capability::KubernetesCluster;
use harmony::core::owner::Owner;
use harmony::core::verify::{SmokeCheck, Verifiable};
use harmony::scores::NatsScore;
use harmony::scores::nats::{NatsPermissions, NatsStorage, NatsUser};
use harmony::types::{ImageRef, Namespace, ResourceName};
use harmony::{Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait};
use harmony_reconciler_contracts::{TenantId, subjects};

use crate::credentials::{FleetCredentials, Role};

/// NATS as the fleet needs it: JetStream, and a user with the least permissions for each role.
#[derive(Debug, Clone)]
pub struct FleetNatsScore {
    /// Where it runs; created when it is missing.
    pub namespace: Namespace,
    /// An image whose entrypoint is `nats-server`, version 2.10 or later.
    pub image: ImageRef,
    /// The Secret with the credentials for the image's registry, when that is private.
    pub pull_secret: Option<ResourceName>,
    /// Whose fleet it is; part of every subject.
    pub tenant: TenantId,
    /// How clients prove who they are.
    pub auth: FleetNatsAuth,
    /// Where the device registry is kept.
    pub storage: NatsStorage,
}

/// How clients of the fleet's NATS prove who they are.
///
/// An auth callout, which asks an identity provider for each device, will be a second variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FleetNatsAuth {
    /// One user and password for each [`Role`]; made at the first deploy and kept in the cluster.
    UserPassword,
}

impl FleetNatsScore {
    /// The name of the server, of its Service and of this Score.
    pub const NAME: &str = "fleet-nats";

    /// The address for clients inside the cluster.
    pub fn url(namespace: &Namespace) -> String {
        format!(
            "nats://{}.{namespace}.svc.cluster.local:{}",
            Self::NAME,
            harmony::scores::nats::CLIENT_PORT
        )
    }

    fn name() -> ResourceName {
        Self::NAME.parse().expect("a valid name")
    }

    fn server(&self, credentials: Option<&FleetCredentials>) -> NatsScore {
        let users = credentials.map(|credentials| {
            Role::ALL.map(|role| NatsUser {
                name: role.user(),
                password: credentials.password(role).clone(),
                permissions: permissions(role, &self.tenant),
            })
        });
        NatsScore {
            name: Self::name(),
            namespace: self.namespace.clone(),
            image: self.image.clone(),
            pull_secret: self.pull_secret.clone(),
            storage: self.storage.clone(),
            users: users.map(Vec::from).unwrap_or_default(),
            deadline: Duration::from_secs(90),
        }
    }
}

/// What each role may do. The operator alone touches JetStream.
fn permissions(role: Role, tenant: &TenantId) -> NatsPermissions {
    let of_each_device = |kind: &str| {
        format!(
            "{}{kind}",
            subjects::heartbeats_of_all(tenant).trim_end_matches("hb")
        )
    };
    match role {
        Role::Operator => NatsPermissions::All,
        Role::Agent => NatsPermissions::Only {
            publish: vec![of_each_device("hb"), of_each_device("register")],
            subscribe: vec![of_each_device("cmd"), "_INBOX.>".into()],
            reply: true,
        },
        Role::Tools => NatsPermissions::Only {
            publish: vec![of_each_device("cmd"), subjects::list_devices(tenant)],
            subscribe: vec!["_INBOX.>".into()],
            reply: false,
        },
    }
}

impl<T: Topology + KubernetesCluster> Score<T> for FleetNatsScore {
    fn name(&self) -> String {
        Self::NAME.into()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Interpret<T> for FleetNatsScore {
    async fn execute(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        let FleetNatsAuth::UserPassword = self.auth;
        let failed = |error| InterpretError::new(Self::NAME, error);
        let credentials = FleetCredentials::read_or_make(topology, &self.namespace)
            .await
            .map_err(failed)?;
        let secret = credentials
            .object(&self.namespace)
            .map_err(|error| failed(error.into()))?;
        let namespace =
            crate::pod::namespace(&self.namespace).map_err(|error| failed(error.into()))?;
        // The passwords are stored before the server knows them: killed in between, the next run finds them.
        let owner = Owner::score(Self::NAME, &self.namespace);
        let applied = topology.apply(&owner, &[namespace, secret]).await;
        let mut outcome = Outcome::from(applied.map_err(failed)?);
        let server = self.server(Some(&credentials));
        outcome.absorb(Interpret::<T>::execute(&server, inventory, topology).await?);
        Ok(outcome)
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Verifiable<T> for FleetNatsScore {
    async fn wait_ready(&self, topology: &T) -> Result<(), InterpretError> {
        Verifiable::wait_ready(&self.server(None), topology).await
    }

    fn smoke_checks(&self) -> Vec<SmokeCheck> {
        Verifiable::<T>::smoke_checks(&self.server(None))
    }

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_may_not_read_what_others_send() {
        let tenant: TenantId = "acme".parse().unwrap();
        let NatsPermissions::Only {
            publish, subscribe, ..
        } = permissions(Role::Agent, &tenant)
        else {
            panic!("an agent is limited")
        };
        assert_eq!(publish, ["fleet.v1.acme.*.hb", "fleet.v1.acme.*.register"]);
        assert_eq!(subscribe, ["fleet.v1.acme.*.cmd", "_INBOX.>"]);
    }
}
