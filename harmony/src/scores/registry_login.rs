//! A login of the registry for a namespace, with an account of its own.

use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::pull_accounts::{Issued, RegistryLogin};
use harmony_core::capability::{KubernetesCluster, OciRegistry, PullAccounts};
use harmony_core::kubernetes::ObjectRef;
use harmony_core::owner::Owner;
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait};
use harmony_types::{Namespace, ResourceName};
use k8s_openapi::api::core::v1::Secret;

use super::pull_secret;

/// A Secret of type `kubernetes.io/dockerconfigjson` for workloads whose images are in the registry of the topology. Its
/// login can only pull, and belongs to an account of this Secret alone: deleting the account in the registry locks out this
/// namespace and nothing else.
///
/// The account is created on the first run. Later runs keep the login as long as the registry accepts it, and otherwise get
/// a new one. On a topology whose cluster gets its images by import, the Secret contains no login.
///
/// [`PullSecretScore`](super::PullSecretScore) is for a login that somebody else created.
#[derive(Debug, Clone)]
pub struct RegistryLoginScore {
    /// The namespace of the workloads; created if it does not exist.
    pub namespace: Namespace,
    /// The name for `imagePullSecrets`.
    pub name: ResourceName,
    /// The name of the account in the registry. Each Secret needs its own, also if they are in different clusters: a new
    /// login makes the earlier one invalid.
    pub account: ResourceName,
}

impl RegistryLoginScore {
    fn name(&self) -> String {
        format!("registry-login-{}", self.name)
    }

    /// The login in the cluster, if there is one that the registry accepts.
    async fn valid_login<T>(&self, topology: &T) -> Result<Option<RegistryLogin>, InterpretError>
    where
        T: KubernetesCluster + OciRegistry + PullAccounts,
    {
        let failed = |error: ClusterError| InterpretError::new(self.name(), error);
        let secret = ObjectRef {
            api_version: "v1".into(),
            kind: "Secret".into(),
            namespace: Some(self.namespace.clone()),
            name: self.name.clone().into(),
        };
        let Some(stored) = topology.get(&secret).await.map_err(failed)? else {
            return Ok(None);
        };
        let stored: Option<Secret> = serde_json::from_value(stored.into_body()).ok();
        let registry = topology.registry_url().host();
        let login = stored.and_then(|stored| pull_secret::login_in(&stored, registry));
        let Some(login) = login else {
            return Ok(None);
        };
        let is_accepted = topology.accepts(&login).await;
        let is_accepted = is_accepted.map_err(|error| InterpretError::new(self.name(), error))?;
        Ok(is_accepted.then_some(login))
    }
}

impl<T> Score<T> for RegistryLoginScore
where
    T: Topology + KubernetesCluster + OciRegistry + PullAccounts,
{
    fn name(&self) -> String {
        self.name()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T> Interpret<T> for RegistryLoginScore
where
    T: Topology + KubernetesCluster + OciRegistry + PullAccounts,
{
    async fn execute(
        &self,
        _inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        let name = self.name();
        let mut changes = Vec::new();
        let mut login = self.valid_login(topology).await?;
        if login.is_none() {
            let used_by = format!("pulls for the namespace {}", self.namespace);
            let issued = topology.issue(&self.account, &used_by).await;
            match issued.map_err(|error| InterpretError::new(&name, error))? {
                Issued::Login(issued, change) => {
                    login = Some(issued);
                    changes.push(change);
                }
                Issued::NotNeeded => {}
            }
        }
        let registry = topology.registry_url().host();
        let login = login.as_ref().map(|login| (registry, login));
        let objects = pull_secret::objects(&self.namespace, &self.name, login)
            .map_err(|error| InterpretError::new(&name, error))?;
        // A run that ends before this has lost the login; the next one gets another.
        let owner = Owner::score(&name, &self.namespace);
        let applied = topology.apply(&owner, &objects).await;
        changes.extend(applied.map_err(|error| InterpretError::new(&name, error))?);
        Ok(changes.into())
    }
}

#[cfg(test)]
mod tests;
