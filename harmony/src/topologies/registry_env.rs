//! The registry of the configuration, for topologies that may run without one.

use std::sync::Arc;

use harmony_core::capability::oci_registry::{RegistryError, RegistryLocation};
use harmony_core::codes;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony_registry::RegistrySettings;
use harmony_types::RegistryHost;

use crate::configuration::{Configuration, ConfigurationError, Needs, REGISTRY, RegistryChoice};

/// The registry in the configuration of this process.
pub(super) fn configured() -> Result<RegistryChoice, RegistryEnvError> {
    Ok(Configuration::load(None, &Needs::default())?.registry)
}

/// How to access a registry or repository of others: with the configured authorities and proxies, but with the configured
/// login only if it is for this host.
pub(crate) fn settings_for(host: &RegistryHost) -> RegistrySettings {
    match configured() {
        Ok(registry) if registry.location.as_ref().map(RegistryLocation::host) == Some(host) => {
            registry.settings
        }
        Ok(registry) => registry.settings.for_others(),
        Err(_) => RegistrySettings::from_env().for_others(),
    }
}

/// The configuration does not define a valid registry.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryEnvError {
    /// No registry is configured.
    #[error("no registry is configured for images and charts")]
    Missing,
    /// The configuration is not valid.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// The other settings of the registry are not valid.
    #[error(transparent)]
    Settings(Arc<RegistryError>),
}

impl Diagnostic for RegistryEnvError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Missing => Origin::Own(codes::REGISTRY_UNNAMED),
            Self::Configuration(error) => Origin::Inner(error),
            Self::Settings(error) => Origin::Inner(&**error),
        }
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn place(&self) -> Option<String> {
        Some(format!("environment variable {REGISTRY}"))
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Missing => vec![format!(
                "set {REGISTRY}, or `registry.location` in the configuration file, for example to \
                 `registry.example.com/team`"
            )],
            Self::Configuration(_) | Self::Settings(_) => Vec::new(),
        }
    }
}
