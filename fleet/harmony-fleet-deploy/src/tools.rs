//! How `harmony-fleet` on this machine finds the fleet.

use std::path::PathBuf;

use harmony::core::capability::KubernetesCluster;
use harmony::core::capability::kubernetes_cluster::ClusterError;
use harmony::core::codes;
use harmony::core::diagnostic::{Diagnostic, Origin};
use harmony::core::kubernetes::ObjectRef;
use harmony::core::outcome::{Action, Change, Subject};
use harmony::scores::nats::CLIENT_PORT;
use harmony::types::Namespace;
use harmony::{Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait};
use harmony_fleet_adapters_nats::{ContextAuthority, ContextError, FleetContext};
use harmony_reconciler_contracts::{DeviceId, TenantId};
use secrecy::ExposeSecret;

use crate::FleetNatsScore;
use crate::certificates::FleetCertificates;
use crate::credentials::{FleetCredentials, Role};
use crate::place;

/// Writes the private context file with the address and the login of NATS for `harmony-fleet`.
///
/// The file contains the address of NATS inside the cluster, so it is for a cluster on this machine, whose Services
/// this machine can reach. For any other cluster, use `harmony-fleet --nats-url`.
#[derive(Debug, Clone)]
pub struct FleetToolsScore {
    pub namespace: Namespace,
    pub tenant: TenantId,
    /// The path of the file; `harmony-fleet` reads [`FleetContext::default_path`].
    pub path: PathBuf,
    /// A device for the suggested next commands.
    pub example: Option<DeviceId>,
}

impl FleetToolsScore {
    pub const NAME: &str = "fleet-tools";

    /// `None` if the cluster has no NATS, for example when planning for a new cluster.
    async fn context<T: KubernetesCluster>(
        &self,
        topology: &T,
    ) -> Result<Option<FleetContext>, ClusterError> {
        let service = ObjectRef {
            api_version: "v1".into(),
            kind: "Service".into(),
            namespace: Some(self.namespace.clone()),
            name: FleetNatsScore::NAME.parse().expect("a valid name"),
        };
        let Some(service) = topology.get(&service).await? else {
            return Ok(None);
        };
        let Some(address) = service
            .body()
            .pointer("/spec/clusterIP")
            .and_then(|address| address.as_str())
        else {
            return Ok(None);
        };
        let credentials = FleetCredentials::read(topology, &self.namespace).await?;
        let certificates = FleetCertificates::read(topology, &self.namespace).await?;
        Ok(Some(FleetContext {
            nats_url: format!("tls://{address}:{CLIENT_PORT}"),
            authority: certificates.map(|kept| ContextAuthority {
                certificates: kept.authority,
                server_name: place::nats_host(&self.namespace),
            }),
            tenant: self.tenant.clone(),
            user: Role::Tools.user().to_string(),
            password: credentials.password(Role::Tools).clone(),
        }))
    }

    /// What has to be done so that the file contains `wanted`.
    fn decide(kept: Option<&FleetContext>, wanted: Option<&FleetContext>) -> Action {
        let key = |context: &FleetContext| {
            let password = context.password.expose_secret().to_owned();
            (
                context.nats_url.clone(),
                context.tenant.clone(),
                context.user.clone(),
                password,
                context.authority.clone(),
            )
        };
        match (kept.map(key), wanted.map(key)) {
            (None, _) => Action::Create,
            (kept, wanted) if kept == wanted => Action::Unchanged,
            _ => Action::Update,
        }
    }
}

impl<T: Topology + KubernetesCluster> Score<T> for FleetToolsScore {
    fn name(&self) -> String {
        Self::NAME.into()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Interpret<T> for FleetToolsScore {
    async fn execute(
        &self,
        _inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        let wanted = self
            .context(topology)
            .await
            .map_err(|error| InterpretError::new(Self::NAME, error))?;
        let file_error = |source| {
            InterpretError::new(
                Self::NAME,
                ToolsError {
                    path: self.path.clone(),
                    source,
                },
            )
        };
        // A file that is damaged or has an older format is replaced, because everything in it is known here.
        let kept = FleetContext::load(&self.path).unwrap_or(None);
        let action = Self::decide(kept.as_ref(), wanted.as_ref());
        if let (Some(wanted), false) = (
            &wanted,
            action == Action::Unchanged || topology.context().is_planning(),
        ) {
            wanted.save(&self.path).map_err(file_error)?;
        }
        let outcome = Outcome::from(Change::new(action, Subject::File(self.path.clone())));
        let outcome = outcome.with_note("next: cargo run -p harmony-fleet -- devices");
        Ok(match &self.example {
            Some(device) => {
                outcome.with_note(format!("next: cargo run -p harmony-fleet -- ping {device}"))
            }
            None => outcome,
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot save the address and password of the fleet for `harmony-fleet`")]
struct ToolsError {
    path: PathBuf,
    source: ContextError,
}

impl Diagnostic for ToolsError {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::FLEET_ADDRESS_FILE)
    }

    fn place(&self) -> Option<String> {
        Some(self.path.display().to_string())
    }

    fn hints(&self) -> Vec<String> {
        vec![
            "the fleet itself is deployed; only this machine's file is missing".into(),
            "make the directory writable, or set XDG_STATE_HOME to another one, and run the same command again".into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_written_only_when_it_differs() {
        let context = |url: &str| FleetContext {
            nats_url: url.into(),
            tenant: "default".parse().unwrap(),
            user: "tools".into(),
            password: "secret".to_owned().into(),
            authority: None,
        };
        let (one, other) = (
            context("tls://10.0.0.1:4222"),
            context("tls://10.0.0.2:4222"),
        );
        let mut replaced = one.clone();
        replaced.authority = Some(ContextAuthority {
            certificates: "another one".into(),
            server_name: "fleet-nats".into(),
        });
        assert_eq!(
            FleetToolsScore::decide(Some(&one), Some(&replaced)),
            Action::Update
        );
        assert_eq!(FleetToolsScore::decide(None, None), Action::Create);
        assert_eq!(FleetToolsScore::decide(None, Some(&one)), Action::Create);
        assert_eq!(
            FleetToolsScore::decide(Some(&one), Some(&one)),
            Action::Unchanged
        );
        assert_eq!(
            FleetToolsScore::decide(Some(&one), Some(&other)),
            Action::Update
        );
    }
}
