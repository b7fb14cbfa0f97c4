//! The version in the source of an app, which can be inherited from a Cargo workspace.

use std::io;
use std::path::{Path, PathBuf};

use harmony_core::codes;
use harmony_core::diagnostic::{Diagnostic, FailureKind, Origin};
use harmony_core::process;
use harmony_types::{Version, VersionError};
use serde::Deserialize;

use crate::app_spec::{AppSpec, VersionSource};

/// The reason why the version of an app could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CrateVersionError {
    #[error("`cargo metadata` could not be started in `{}`", root.display())]
    NoCargo {
        root: PathBuf,
        #[source]
        source: io::Error,
    },
    /// cargo cannot read the workspace.
    #[error("cargo cannot read the workspace at `{}`", root.display())]
    Cargo { root: PathBuf, output: Vec<String> },
    /// The workspace does not contain the crate.
    #[error("the workspace at `{}` has no crate `{name}`", root.display())]
    NoCrate {
        root: PathBuf,
        name: String,
        /// The crates of the workspace.
        members: Vec<String>,
    },
    /// The version cannot be used for a release.
    #[error("the version of the crate `{name}` cannot be released")]
    Version {
        name: String,
        manifest: PathBuf,
        #[source]
        source: VersionError,
    },
}

impl Diagnostic for CrateVersionError {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::CRATE_VERSION)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn place(&self) -> Option<String> {
        let (Self::NoCargo { root: path, .. }
        | Self::Cargo { root: path, .. }
        | Self::NoCrate { root: path, .. }
        | Self::Version { manifest: path, .. }) = self;
        Some(path.display().to_string())
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::Cargo { output, .. } => output.clone(),
            Self::NoCrate { members, .. } => vec![format!("crates: {}", members.join(", "))],
            Self::NoCargo { .. } | Self::Version { .. } => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        vec![match self {
            Self::NoCargo { .. } => {
                "check that the directory exists, and install Rust from https://rustup.rs if it is missing".into()
            }
            Self::Cargo { .. } => "fix what cargo reports above".into(),
            Self::NoCrate { .. } => "fix the crate name or the project root in the AppSpec".into(),
            Self::Version { source, .. } => source.hint(),
        }]
    }
}

/// A version and its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenVersion {
    pub version: Version,
    /// The manifest or the AppSpec, for display.
    pub place: String,
}

/// The version in the source of `app`. Does not use the network and changes nothing.
///
/// # Errors
/// See [`CrateVersionError`].
pub async fn written_version(app: &AppSpec) -> Result<WrittenVersion, CrateVersionError> {
    match &app.version {
        VersionSource::Fixed(version) => Ok(WrittenVersion {
            version: version.clone(),
            place: format!("AppSpec of {}", app.unit),
        }),
        VersionSource::Crate(name) => crate_version(&app.project_root, name).await,
    }
}

async fn crate_version(root: &Path, name: &str) -> Result<WrittenVersion, CrateVersionError> {
    // set when run by cargo: the cargo of the toolchain that the user selected
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = process::async_command(cargo, process::CARGO)
        .args([
            "metadata",
            "--no-deps",
            "--format-version=1",
            "--color=never",
        ])
        .current_dir(root)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| CrateVersionError::NoCargo {
            root: root.to_owned(),
            source,
        })?;
    let refused = |text: &[u8]| CrateVersionError::Cargo {
        root: root.to_owned(),
        output: String::from_utf8_lossy(text)
            .lines()
            .map(str::to_owned)
            .collect(),
    };
    if !output.status.success() {
        return Err(refused(&output.stderr));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .map_err(|error| refused(format!("cannot parse its output: {error}").as_bytes()))?;
    let Some(package) = metadata
        .packages
        .iter()
        .find(|package| package.name == name)
    else {
        return Err(CrateVersionError::NoCrate {
            root: root.to_owned(),
            name: name.to_owned(),
            members: metadata
                .packages
                .into_iter()
                .map(|package| package.name)
                .collect(),
        });
    };
    let version =
        Version::parse(&package.version).map_err(|source| CrateVersionError::Version {
            name: name.to_owned(),
            manifest: package.manifest_path.clone(),
            source,
        })?;
    let manifest = package
        .manifest_path
        .strip_prefix(&metadata.workspace_root)
        .unwrap_or(&package.manifest_path);
    Ok(WrittenVersion {
        version,
        place: manifest.display().to_string(),
    })
}

/// The fields of `cargo metadata` that are used here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: PathBuf,
}
