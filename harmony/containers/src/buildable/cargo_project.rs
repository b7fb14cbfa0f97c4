//! Finds a cargo package and its binaries.

use std::io;
use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand, Package, TargetKind};
use harmony_core::capability::container_builder::BuildError;
use harmony_core::process;

use crate::host_step::program_missing;

/// A binary of a package, according to cargo.
#[derive(Debug)]
pub(super) struct CargoProject {
    /// The directory of the workspace's `Cargo.lock`.
    pub(super) workspace_root: PathBuf,
    pub(super) target_directory: PathBuf,
    /// Whether all local files that are compiled are below the root of the workspace.
    pub(super) is_self_contained: bool,
    /// The directory of the package.
    pub(super) package_root: PathBuf,
    /// `package.metadata` of the package.
    pub(super) metadata: serde_json::Value,
}

impl CargoProject {
    /// Asks cargo. Only reads manifests: downloads nothing and takes no lock.
    pub(super) fn find(project_root: &Path, package: &str, bin: &str) -> Result<Self, BuildError> {
        if !project_root.is_dir() {
            return Err(BuildError::File {
                path: project_root.to_owned(),
                source: io::Error::new(io::ErrorKind::NotFound, "it is not a directory"),
            });
        }
        let metadata = metadata(project_root).map_err(|error| unknown(package, error))?;
        let refuse = |reason: String, help: String| BuildError::Recipe {
            image: package.to_owned(),
            reason,
            help,
        };
        let found = metadata
            .packages
            .iter()
            .find(|candidate| candidate.name.as_str() == package)
            .ok_or_else(|| {
                let names: Vec<_> = metadata
                    .packages
                    .iter()
                    .map(|found| found.name.as_str())
                    .collect();
                refuse(
                    format!(
                        "the workspace `{}` has no package `{package}`",
                        metadata.workspace_root
                    ),
                    format!("its packages are: {}", names.join(", ")),
                )
            })?;
        let bins = bins(found);
        if !bins.contains(&bin) {
            return Err(refuse(
                format!("the package `{package}` has no binary `{bin}`"),
                if bins.is_empty() {
                    "add a `src/main.rs`, or use a package that has one".to_owned()
                } else {
                    format!(
                        "select one of its binaries with `with_bin`: {}",
                        bins.join(", ")
                    )
                },
            ));
        }
        let is_self_contained = metadata
            .packages
            .iter()
            .flat_map(|package| &package.dependencies)
            .filter_map(|dependency| dependency.path.as_ref())
            .all(|path| path.starts_with(&metadata.workspace_root));
        let package_root = found.manifest_path.parent();
        let package_root = package_root.unwrap_or(&metadata.workspace_root).into();
        let found = found.metadata.clone();
        Ok(Self {
            workspace_root: metadata.workspace_root.into(),
            target_directory: metadata.target_directory.into(),
            is_self_contained,
            package_root,
            metadata: found,
        })
    }
}

fn metadata(project_root: &Path) -> Result<Metadata, cargo_metadata::Error> {
    let mut command = MetadataCommand::new()
        .cargo_path("cargo")
        .current_dir(project_root)
        .no_deps()
        .cargo_command();
    process::restrict(&mut command, process::CARGO);
    let output = command.output().map_err(cargo_metadata::Error::Io)?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(cargo_metadata::Error::CargoMetadata { stderr });
    }
    MetadataCommand::parse(String::from_utf8_lossy(&output.stdout))
}

fn bins(package: &Package) -> Vec<&str> {
    package
        .targets
        .iter()
        .filter(|target| target.kind.contains(&TargetKind::Bin))
        .map(|target| target.name.as_str())
        .collect()
}

fn unknown(package: &str, error: cargo_metadata::Error) -> BuildError {
    let (status, output) = match error {
        cargo_metadata::Error::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            return program_missing("cargo");
        }
        cargo_metadata::Error::CargoMetadata { stderr } => (
            "it cannot read the project".to_owned(),
            stderr.lines().map(str::to_owned).collect(),
        ),
        other => (other.to_string(), Vec::new()),
    };
    BuildError::HostStep {
        image: package.to_owned(),
        program: "cargo metadata".to_owned(),
        status,
        output,
    }
}
