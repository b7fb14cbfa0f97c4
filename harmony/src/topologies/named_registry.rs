//! A registry that is contacted only for pushes and pulls.

use std::sync::Arc;

use harmony_core::capability::oci_registry::{Published, RegistryError, RegistryLocation};
use harmony_core::capability::{HelmRegistry, OciRegistry, ReleaseRecords};
use harmony_core::chart::PackagedChart;
use harmony_core::diagnostic::AnyDiagnostic;
use harmony_core::image::Built;
use harmony_core::{Context, async_trait};
use harmony_registry::{OciRegistryClient, RegistrySettings};
use harmony_types::{ChartRef, Digest, ImageRef, ReleaseUnit, Version};

use super::registry_env::{self, RegistryEnvError};

/// The configured registry, or the error that there is none. Runs that neither push nor pull do not need a registry.
#[derive(Debug, Clone)]
pub(super) struct NamedRegistry {
    location: RegistryLocation,
    client: Result<Arc<OciRegistryClient>, AnyDiagnostic>,
}

/// A placeholder if no registry is configured. The domain is reserved by RFC 2606 and never exists.
const NOWHERE: &str = "no-registry.invalid";

impl NamedRegistry {
    /// The registry in the environment.
    pub(super) fn from_env(context: &Context) -> Self {
        Self::new(
            context,
            registry_env::location(),
            RegistrySettings::from_env(),
        )
    }

    /// The registry at `location`.
    pub(super) fn new(
        context: &Context,
        location: Result<RegistryLocation, RegistryEnvError>,
        settings: RegistrySettings,
    ) -> Self {
        let client = location.and_then(|location| {
            let client = OciRegistryClient::new(context.clone(), location.clone(), settings);
            let client = client.map_err(|error| RegistryEnvError::Settings(Arc::new(error)))?;
            Ok((location, Arc::new(client)))
        });
        match client {
            Ok((location, client)) => Self {
                location,
                client: Ok(client),
            },
            Err(error) => {
                let host = NOWHERE.parse().expect("a valid host");
                Self {
                    location: RegistryLocation::new(host, None)
                        .expect("no project is not too long"),
                    client: Err(AnyDiagnostic::new(error)),
                }
            }
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
