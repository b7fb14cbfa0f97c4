//! The passwords of the NATS users: created once and stored in the cluster.

use std::collections::BTreeMap;

use harmony::core::capability::KubernetesCluster;
use harmony::core::capability::kubernetes_cluster::ClusterError;
use harmony::core::kubernetes::{KubeObject, ObjectError, ObjectRef};
use harmony::core::outcome::Change;
use harmony::core::owner::Owner;
use harmony::types::{Namespace, ResourceName};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rand::Rng as _;
use rand::distr::Alphanumeric;
use secrecy::{ExposeSecret, SecretString};

/// The Secret with the password of each role, under the name of the role.
pub const SECRET: &str = "fleet-nats-users";

/// 32 letters and digits, about 190 bits.
const PASSWORD_LENGTH: usize = 32;

/// The clients of the fleet's NATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The operator.
    Operator,
    /// The agents that run as pods in this cluster. Agents on real devices will have their own identities.
    Agent,
    /// Users and programs that use `harmony-fleet`.
    Tools,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Agent, Self::Tools];

    /// The name of the NATS user, and the key in the Secret.
    pub fn user(self) -> ResourceName {
        let name = match self {
            Self::Operator => "operator",
            Self::Agent => "agent",
            Self::Tools => "tools",
        };
        name.parse().expect("the names above are valid")
    }
}

/// A password for each role.
#[derive(Debug, Clone)]
pub struct FleetCredentials(BTreeMap<Role, SecretString>);

impl FleetCredentials {
    /// The passwords in the cluster; created if there are none. If two deploys run at the same time, one creates them
    /// and both use the same.
    ///
    /// # Errors
    /// The cluster cannot be reached, or contains something else with this name.
    pub async fn get_or_create(
        cluster: &dyn KubernetesCluster,
        owner: &Owner,
        namespace: &Namespace,
    ) -> Result<(Self, Change), ClusterError> {
        let proposed = Self::of(&BTreeMap::new()).object(namespace)?;
        let (stored, change) = cluster.get_or_create(owner, &proposed).await?;
        let data = data_of(stored)?;
        let credentials = Self::of(&data);
        if Role::ALL
            .iter()
            .all(|role| password_in(&data, *role).is_some())
        {
            return Ok((credentials, change));
        }
        // The Secret of an older version lacks a role.
        let object = credentials.object(namespace)?;
        let changes = cluster.apply(owner, &[object]).await?;
        let change = changes.into_iter().next().unwrap_or(change);
        // Read again: another deploy may have done the same. A plan still finds the old one, and needs no password.
        Ok((Self::read(cluster, namespace).await?, change))
    }

    /// The passwords in the cluster. A role without a password, as in a plan for a new cluster, gets one that is not
    /// stored.
    ///
    /// # Errors
    /// The cluster cannot be reached, or contains something else with this name.
    pub async fn read(
        cluster: &dyn KubernetesCluster,
        namespace: &Namespace,
    ) -> Result<Self, ClusterError> {
        let stored = cluster.get(&reference(namespace)).await?;
        let data = stored.map(data_of).transpose()?.unwrap_or_default();
        Ok(Self::of(&data))
    }

    /// The passwords in `data`, and a new one for each missing role.
    fn of(data: &BTreeMap<String, Vec<u8>>) -> Self {
        let passwords = Role::ALL.map(|role| {
            let password = password_in(data, role).map_or_else(new_password, str::to_owned);
            (role, password.into())
        });
        Self(BTreeMap::from(passwords))
    }

    /// The password of a role.
    pub fn password(&self, role: Role) -> &SecretString {
        &self.0[&role]
    }

    /// The Secret with the passwords.
    ///
    /// # Errors
    /// None for a valid namespace.
    pub fn object(&self, namespace: &Namespace) -> Result<KubeObject, ObjectError> {
        let entry = |(role, password): (&Role, &SecretString)| {
            (
                role.user().to_string(),
                ByteString(password.expose_secret().as_bytes().to_vec()),
            )
        };
        KubeObject::new(&Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.into()),
                namespace: Some(namespace.to_string()),
                ..ObjectMeta::default()
            },
            data: Some(self.0.iter().map(entry).collect()),
            ..Secret::default()
        })
    }
}

/// The Secret with the passwords of a fleet in this namespace.
pub fn reference(namespace: &Namespace) -> ObjectRef {
    secret_ref(namespace, SECRET)
}

pub(crate) fn secret_ref(namespace: &Namespace, name: &'static str) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "Secret".into(),
        namespace: Some(namespace.clone()),
        name: name.parse().expect("a valid name"),
    }
}

/// What a Secret holds.
pub(crate) fn data_of(object: KubeObject) -> Result<BTreeMap<String, Vec<u8>>, ClusterError> {
    let secret: Secret = serde_json::from_value(object.into_body())
        .map_err(|source| ClusterError::Object(ObjectError::NotJson { source }))?;
    Ok(secret
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.0))
        .collect())
}

fn password_in(data: &BTreeMap<String, Vec<u8>>, role: Role) -> Option<&str> {
    let bytes = data.get(role.user().as_str())?;
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.is_empty())
}

fn new_password() -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(PASSWORD_LENGTH)
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use harmony::async_trait;
    use harmony::core::kubernetes::ObjectQuery;
    use harmony::core::outcome::Action;

    use super::*;

    #[test]
    fn what_is_written_is_what_is_read_and_nothing_shows_it() {
        let credentials =
            FleetCredentials(Role::ALL.map(|role| (role, new_password().into())).into());
        let namespace: Namespace = "fleet".parse().unwrap();
        let object = credentials.object(&namespace).unwrap();
        assert_eq!(object.reference(), &reference(&namespace));
        let password = credentials.password(Role::Agent).expose_secret().to_owned();
        assert_eq!(password.len(), PASSWORD_LENGTH);
        assert!(!format!("{credentials:?} {object:?}").contains(&password));
        assert_eq!(data_of(object).unwrap()["agent"], password.as_bytes());
    }

    /// A cluster that answers all first reads before anything is created, as two simultaneous deploys see it.
    #[derive(Default)]
    struct Empty(Mutex<Option<KubeObject>>);

    #[async_trait]
    impl KubernetesCluster for Empty {
        async fn apply(&self, _: &Owner, _: &[KubeObject]) -> Result<Vec<Change>, ClusterError> {
            panic!("overwrites what another deploy created")
        }

        async fn preview(&self, _: &Owner, _: &[KubeObject]) -> Result<Vec<Change>, ClusterError> {
            Ok(Vec::new())
        }

        async fn get_or_create(
            &self,
            _: &Owner,
            object: &KubeObject,
        ) -> Result<(KubeObject, Change), ClusterError> {
            let mut stored = self.0.lock().unwrap();
            let action = if stored.is_some() {
                Action::Unchanged
            } else {
                Action::Create
            };
            let stored = stored.get_or_insert_with(|| object.clone()).clone();
            Ok((stored, Change::new(action, object.reference().clone())))
        }

        async fn wait_ready(&self, _: &[ObjectRef], _: Duration) -> Result<(), ClusterError> {
            Ok(())
        }

        async fn get(&self, _: &ObjectRef) -> Result<Option<KubeObject>, ClusterError> {
            Ok(None)
        }

        async fn delete(&self, object: &ObjectRef) -> Result<Change, ClusterError> {
            Ok(Change::new(Action::Unchanged, object.clone()))
        }

        async fn delete_observed(&self, object: &KubeObject) -> Result<Change, ClusterError> {
            Ok(Change::new(Action::Unchanged, object.reference().clone()))
        }

        async fn list(&self, _: &ObjectQuery) -> Result<Vec<ObjectRef>, ClusterError> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn two_first_deploys_at_one_moment_use_the_same_passwords() {
        let cluster = Empty::default();
        let namespace: Namespace = "fleet".parse().unwrap();
        let owner = Owner::score("fleet-nats", &namespace);
        let get = || FleetCredentials::get_or_create(&cluster, &owner, &namespace);
        let (one, other) = tokio::join!(get(), get());
        let ((one, created), (other, found)) = (one.unwrap(), other.unwrap());
        for role in Role::ALL {
            assert_eq!(
                one.password(role).expose_secret(),
                other.password(role).expose_secret()
            );
        }
        assert_eq!(
            (created.action, found.action),
            (Action::Create, Action::Unchanged)
        );
    }
}
