//! The credentials for pulling images.

use std::collections::BTreeMap;

use harmony_core::capability::KubernetesCluster;
use harmony_core::capability::pull_accounts::RegistryLogin;
use harmony_core::kubernetes::{KubeObject, ObjectError};
use harmony_core::owner::Owner;
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait};
use harmony_types::{Namespace, RegistryHost, ResourceName};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{LocalObjectReference, Namespace as NamespaceObject, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

/// The key in a Secret of type `kubernetes.io/dockerconfigjson`.
const KEY: &str = ".dockerconfigjson";

/// A Secret of type `kubernetes.io/dockerconfigjson`, for workloads whose images are in a private registry.
#[derive(Debug, Clone)]
pub struct PullSecretScore {
    /// The namespace of the workloads; created if it does not exist.
    pub namespace: Namespace,
    /// The name for `imagePullSecrets`.
    pub name: ResourceName,
    /// The registry that the credentials are for.
    pub registry: RegistryHost,
    /// The user, preferably one that can only pull.
    pub user: String,
    /// The password or token; never printed.
    pub password: SecretString,
}

/// The `imagePullSecrets` of a pod that uses the Secret with this name. The kubelet ignores an empty name, which is the
/// default value in charts.
pub fn references(name: impl AsRef<str>) -> Vec<LocalObjectReference> {
    vec![LocalObjectReference {
        name: name.as_ref().to_owned(),
    }]
}

/// A Secret with this login, or with none, and its namespace.
pub(super) fn objects(
    namespace: &Namespace,
    name: &ResourceName,
    login: Option<(&RegistryHost, &RegistryLogin)>,
) -> Result<[KubeObject; 2], ObjectError> {
    let entry = |(registry, login): (&RegistryHost, &RegistryLogin)| {
        let password = login.password.expose_secret();
        (
            registry.to_string(),
            json!({"username": login.user, "password": password}),
        )
    };
    let auths: BTreeMap<_, _> = login.map(entry).into_iter().collect();
    let config = json!({ "auths": auths }).to_string();
    let namespace_object = NamespaceObject {
        metadata: ObjectMeta {
            name: Some(namespace.to_string()),
            ..ObjectMeta::default()
        },
        ..NamespaceObject::default()
    };
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_string()),
            namespace: Some(namespace.to_string()),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/dockerconfigjson".into()),
        data: Some(BTreeMap::from([(
            KEY.to_owned(),
            ByteString(config.into_bytes()),
        )])),
        ..Secret::default()
    };
    Ok([
        KubeObject::new(&namespace_object)?,
        KubeObject::new(&secret)?,
    ])
}

/// The login for `registry` in such a Secret; `None` if there is none.
pub(super) fn login_in(secret: &Secret, registry: &RegistryHost) -> Option<RegistryLogin> {
    #[derive(Deserialize)]
    struct Config {
        auths: BTreeMap<String, Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        username: String,
        password: SecretString,
    }
    let config = secret.data.as_ref()?.get(KEY)?;
    let mut config: Config = serde_json::from_slice(&config.0).ok()?;
    let found = config.auths.remove(&registry.to_string())?;
    Some(RegistryLogin {
        user: found.username,
        password: found.password,
    })
}

impl PullSecretScore {
    fn objects(&self) -> Result<[KubeObject; 2], ObjectError> {
        let login = RegistryLogin {
            user: self.user.clone(),
            password: self.password.clone(),
        };
        objects(&self.namespace, &self.name, Some((&self.registry, &login)))
    }
}

impl<T: Topology + KubernetesCluster> Score<T> for PullSecretScore {
    fn name(&self) -> String {
        format!("pull-secret-{}", self.name)
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Interpret<T> for PullSecretScore {
    async fn execute(
        &self,
        _inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        let name = Score::<T>::name(self);
        let objects = self
            .objects()
            .map_err(|error| InterpretError::new(&name, error))?;
        topology
            .apply(&Owner::score(&name, &self.namespace), &objects)
            .await
            .map(Outcome::from)
            .map_err(|error| InterpretError::new(&name, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_in_the_object_and_in_no_debug_text() {
        let score = PullSecretScore {
            namespace: "fleet".parse().unwrap(),
            name: "pull".parse().unwrap(),
            registry: "registry.example.com".parse().unwrap(),
            user: "robot".into(),
            password: "s3cret-word".to_owned().into(),
        };
        let objects = score.objects().unwrap();
        let data = objects[1].body()["data"][".dockerconfigjson"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(!data.is_empty());
        let debug = format!("{score:?} {objects:?}");
        assert!(
            !debug.contains("s3cret-word") && !debug.contains(&data),
            "{debug}"
        );
    }
}
