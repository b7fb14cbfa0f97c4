//! A registry that is contacted only for pushes and pulls.

use std::sync::Arc;

use harmony_core::capability::oci_registry::{Published, RegistryError, RegistryLocation};
use harmony_core::capability::pull_accounts::{Issued, RegistryLogin};
use harmony_core::capability::{
    Checkup, DevicePodman, HelmRegistry, OciRegistry, PullAccounts, ReleaseRecords,
};
use harmony_core::chart::{DeployTarget, PackagedChart, PackagedObjects, PublishedObjects};
use harmony_core::checkup::{self, Finding};
use harmony_core::codes;
use harmony_core::diagnostic::{AnyDiagnostic, Diagnostic, FailureKind, Origin};
use harmony_core::image::Built;
use harmony_core::outcome::Outcome;
use harmony_core::{Context, async_trait};
use harmony_registry::OciRegistryClient;
use harmony_registry::harbor::{Harbor, HarborSettings};
use harmony_types::{ChartRef, Digest, ImageRef, ReleaseUnit, ResourceName, Version};

use super::registry_env::RegistryEnvError;
use crate::configuration::RegistryChoice;

/// The configured registry, or the error that there is none. Runs that neither push nor pull do not need a registry.
#[derive(Debug, Clone)]
pub(super) struct NamedRegistry {
    location: RegistryLocation,
    client: Result<Arc<OciRegistryClient>, AnyDiagnostic>,
    harbor: Option<HarborSettings>,
}

/// A placeholder if no registry is configured. The domain is reserved by RFC 2606 and never exists.
const NOWHERE: &str = "no-registry.invalid";

impl NamedRegistry {
    /// The registry of `choice`.
    pub(super) fn new(context: &Context, choice: Result<RegistryChoice, RegistryEnvError>) -> Self {
        match Self::connect(context, choice) {
            Ok(registry) => registry,
            Err(error) => {
                let host = NOWHERE.parse().expect("a valid host");
                Self {
                    location: RegistryLocation::new(host, None)
                        .expect("no project is not too long"),
                    client: Err(AnyDiagnostic::new(error)),
                    harbor: None,
                }
            }
        }
    }

    fn connect(
        context: &Context,
        choice: Result<RegistryChoice, RegistryEnvError>,
    ) -> Result<Self, RegistryEnvError> {
        let RegistryChoice {
            location,
            harbor,
            settings,
        } = choice?;
        let location = location.ok_or(RegistryEnvError::Missing)?;
        let client = OciRegistryClient::new(context.clone(), location.clone(), settings)
            .map_err(|error| RegistryEnvError::Settings(Arc::new(error)))?;
        Ok(Self {
            location,
            client: Ok(Arc::new(client)),
            harbor,
        })
    }

    /// Ensures that the registry has the project that is configured, if it has projects.
    pub(super) async fn ensure_project(&self) -> Result<Outcome, RegistryError> {
        match (&self.client, &self.harbor) {
            (Ok(client), Some(settings)) => {
                let harbor = Harbor::of(Arc::clone(client));
                Ok(harbor.ensure(settings).await?.into())
            }
            _ => Ok(Outcome::unchanged()),
        }
    }

    /// What a release would do to the project. The context must plan.
    async fn would_ensure(&self, settings: &HarborSettings) -> Result<String, RegistryError> {
        let client = self.client.clone().map_err(RegistryError::Adapter)?;
        let changes = Harbor::of(client).ensure(settings).await?;
        let shown = changes.iter().map(|change| match &change.note {
            Some(note) => format!("{} ({note})", change.action),
            None => change.action.to_string(),
        });
        Ok(shown.collect::<Vec<_>>().join(", "))
    }

    fn accounts(&self) -> Result<Harbor, RegistryError> {
        let client = self.client.clone().map_err(RegistryError::Adapter)?;
        match self.harbor {
            Some(_) => Ok(Harbor::of(client)),
            None => Err(RegistryError::Adapter(AnyDiagnostic::new(NoAccounts {
                registry: self.location.clone(),
            }))),
        }
    }

    fn client(&self) -> Result<&OciRegistryClient, RegistryError> {
        match &self.client {
            Ok(client) => Ok(client),
            Err(error) => Err(RegistryError::Adapter(error.clone())),
        }
    }
}

#[async_trait]
impl Checkup for NamedRegistry {
    async fn examine(&self, targets: &[DeployTarget]) -> Vec<Finding> {
        let client = match &self.client {
            Ok(client) => client,
            Err(error) => return vec![Finding::failed("registry", "configured", error)],
        };
        let mut found = client.examine(targets).await;
        if let Some(settings) = &self.harbor {
            let part = format!("registry {}", self.location);
            let project = if found.iter().any(Finding::is_failed) {
                Finding::skipped(&part, "project", "the registry cannot be used")
            } else {
                checkup::check(&part, "project", self.would_ensure(settings)).await
            };
            found.push(project);
        }
        found
    }
}

#[async_trait]
impl OciRegistry for NamedRegistry {
    async fn push_image(&self, image: &Built, to: &ImageRef) -> Result<Published, RegistryError> {
        self.client()?.push_image(image, to).await
    }

    async fn resolve_image(&self, image: &ImageRef) -> Result<Option<Digest>, RegistryError> {
        self.client()?.resolve_image(image).await
    }

    fn registry_url(&self) -> &RegistryLocation {
        &self.location
    }
}

#[async_trait]
impl HelmRegistry for NamedRegistry {
    async fn push_chart(
        &self,
        chart: &PackagedChart,
        to: &ChartRef,
    ) -> Result<Published, RegistryError> {
        self.client()?.push_chart(chart, to).await
    }

    async fn resolve_chart(&self, chart: &ChartRef) -> Result<Option<Digest>, RegistryError> {
        self.client()?.resolve_chart(chart).await
    }

    async fn pull_chart(&self, chart: &ChartRef) -> Result<PackagedChart, RegistryError> {
        self.client()?.pull_chart(chart).await
    }

    async fn push_objects(
        &self,
        objects: &PackagedObjects,
        of: &ChartRef,
    ) -> Result<Option<Published>, RegistryError> {
        self.client()?.push_objects(objects, of).await
    }

    async fn pull_objects(&self, of: &ChartRef) -> Result<Option<PublishedObjects>, RegistryError> {
        self.client()?.pull_objects(of).await
    }
}

/// The nodes of a cluster with a registry belong to somebody else.
#[async_trait]
impl DevicePodman for NamedRegistry {
    async fn podman_socket(
        &self,
        _: &ResourceName,
    ) -> Result<Option<std::path::PathBuf>, AnyDiagnostic> {
        Ok(None)
    }

    async fn provide_to_device(
        &self,
        _: &ResourceName,
        _: &ImageRef,
    ) -> Result<Option<harmony_core::outcome::Change>, AnyDiagnostic> {
        Ok(None)
    }
}

#[async_trait]
impl PullAccounts for NamedRegistry {
    async fn accepts(&self, login: &RegistryLogin) -> Result<bool, RegistryError> {
        self.accounts()?.accepts(login).await
    }

    async fn issue(
        &self,
        account: &ResourceName,
        description: &str,
    ) -> Result<Issued, RegistryError> {
        self.accounts()?.issue(account, description).await
    }
}

/// The configured registry has no accounts that Harmony can create.
#[derive(Debug, thiserror::Error)]
#[error("the registry `{registry}` is not configured as one that can create accounts")]
struct NoAccounts {
    registry: RegistryLocation,
}

impl Diagnostic for NoAccounts {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::NO_PULL_ACCOUNTS)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn hints(&self) -> Vec<String> {
        vec![
            "if it is a Harbor, set `registry.kind = \"harbor\"` in the configuration file".into(),
            "otherwise create an account that may only pull, and use `PullSecretScore` with its login".into(),
        ]
    }
}

#[async_trait]
impl ReleaseRecords for NamedRegistry {
    async fn push_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
        record: &[u8],
    ) -> Result<Published, RegistryError> {
        self.client()?.push_record(unit, version, record).await
    }

    async fn read_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        self.client()?.read_record(unit, version).await
    }

    async fn released_versions(&self, unit: &ReleaseUnit) -> Result<Vec<Version>, RegistryError> {
        self.client()?.released_versions(unit).await
    }
}
