//! The passwords of the NATS users: made once, kept in the cluster, read from there ever after.

use std::collections::BTreeMap;

use harmony::core::capability::KubernetesCluster;
use harmony::core::capability::kubernetes_cluster::ClusterError;
use harmony::core::kubernetes::{KubeObject, ObjectError, ObjectRef};
use harmony::types::{Namespace, ResourceName};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rand::Rng as _;
use rand::distr::Alphanumeric;
use secrecy::{ExposeSecret, SecretString};

/// The Secret that holds the password of each role, under the role's name.
pub const SECRET: &str = "fleet-nats-users";

/// 32 letters and digits: about 190 bits.
const PASSWORD_LENGTH: usize = 32;

/// Who connects to the fleet's NATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The operator.
    Operator,
    /// The agents that run as pods of this cluster. Agents on devices of their own will have one identity each.
    Agent,
    /// People and programs that use `harmony-fleet`.
    Tools,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Agent, Self::Tools];

    /// The name of the NATS user and the key in the Secret.
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
    /// The passwords that are in the cluster; a role that has none there gets a new one.
    ///
    /// # Errors
    /// The cluster could not be asked, or holds something else under that name.
    pub async fn read_or_make(
        cluster: &dyn KubernetesCluster,
        namespace: &Namespace,
    ) -> Result<Self, ClusterError> {
        let there = cluster.get(&reference(namespace)).await?;
        let data = there.map(parse).transpose()?.unwrap_or_default();
        let passwords = Role::ALL.map(|role| {
            let kept = data
                .get(role.user().as_str())
                .and_then(|bytes| std::str::from_utf8(bytes).ok());
            let kept = kept
                .filter(|password| !password.is_empty())
                .map(str::to_owned);
            (role, kept.unwrap_or_else(new_password).into())
        });
        Ok(Self(BTreeMap::from(passwords)))
    }

    /// The password of a role.
    pub fn password(&self, role: Role) -> &SecretString {
        &self.0[&role]
    }

    /// The Secret that keeps them.
    ///
    /// # Errors
    /// None for a namespace that was parsed.
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

/// The Secret that keeps the passwords of a fleet in this namespace.
pub fn reference(namespace: &Namespace) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "Secret".into(),
        namespace: Some(namespace.clone()),
        name: SECRET.parse().expect("a valid name"),
    }
}

fn parse(object: KubeObject) -> Result<BTreeMap<String, Vec<u8>>, ClusterError> {
    let secret: Secret = serde_json::from_value(object.into_body())
        .map_err(|source| ClusterError::Object(ObjectError::NotJson { source }))?;
    Ok(secret
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.0))
        .collect())
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
        assert_eq!(parse(object).unwrap()["agent"], password.as_bytes());
    }
}
