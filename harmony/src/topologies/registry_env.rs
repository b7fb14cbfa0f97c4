//! The registry in the environment.

use harmony_core::capability::oci_registry::RegistryLocation;
use harmony_core::codes;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use std::sync::Arc;

use harmony_types::{RegistryHost, Repository};

/// The environment variable with the registry and an optional path for our images and charts:
/// `registry.example.com/team`.
pub const REGISTRY: &str = "HARMONY_REGISTRY";

/// The location in [`REGISTRY`].
pub(super) fn location() -> Result<RegistryLocation, RegistryEnvError> {
    let text = std::env::var(REGISTRY)
        .ok()
        .filter(|text| !text.is_empty())
        .ok_or(RegistryEnvError::Missing)?;
    parse(&text)
}

fn parse(text: &str) -> Result<RegistryLocation, RegistryEnvError> {
    let invalid = |reason: String, hint: String| RegistryEnvError::Invalid {
        value: text.to_owned(),
        reason,
        hint,
    };
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(invalid(
            format!("it has the scheme `{scheme}`"),
            format!(
                "write `{rest}`: connections use TLS, except to a registry on this machine without TLS"
            ),
        ));
    }
    let (host, project) = match text.trim_end_matches('/').split_once('/') {
        Some((host, project)) => (host, Some(project)),
        None => (text.trim_end_matches('/'), None),
    };
    let host: RegistryHost = host
        .parse()
        .map_err(|error: harmony_types::RegistryHostError| {
            let hint = error.hint();
            invalid(error.to_string(), hint)
        })?;
    let repository = |error: harmony_types::RepositoryError| {
        let hint = error.hint();
        invalid(error.to_string(), hint)
    };
    let project = project
        .map(str::parse::<Repository>)
        .transpose()
        .map_err(repository)?;
    RegistryLocation::new(host, project).map_err(repository)
}

/// The environment does not define a valid registry.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryEnvError {
    /// The variable is not set.
    #[error("no registry is configured for images and charts")]
    Missing,
    /// The value is not a valid registry.
    #[error("`{value}` in {REGISTRY} is not a valid registry: {reason}")]
    Invalid {
        /// The value.
        value: String,
        /// The violated rule.
        reason: String,
        /// Suggests a correction.
        hint: String,
    },
    /// The other settings of the registry are not valid.
    #[error(transparent)]
    Settings(Arc<harmony_core::capability::oci_registry::RegistryError>),
}

impl Diagnostic for RegistryEnvError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Missing | Self::Invalid { .. } => Origin::Own(codes::REGISTRY_UNNAMED),
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
                "set {REGISTRY}, for example to `registry.example.com/team`"
            )],
            Self::Invalid { hint, .. } => vec![hint.clone()],
            Self::Settings(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn host_and_path_are_told_apart() {
        let shown = |text: &str| parse(text).map(|location| location.to_string());
        assert_eq!(
            shown("registry.example.com").unwrap(),
            "registry.example.com"
        );
        assert_eq!(
            shown("localhost:5000/team/apps/").unwrap(),
            "localhost:5000/team/apps"
        );
        for wrong in [
            "",
            "registry.example.com/Team",
            "https://registry.example.com",
            "registry.example.com/a//b",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
