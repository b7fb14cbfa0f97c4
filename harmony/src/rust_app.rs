//! Apps that are a crate of a Cargo workspace.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use harmony_containers::RustBinary;
use harmony_core::image::ImageSource;
use harmony_release::AppSpec;
use harmony_types::{NameError, ReleaseUnit};

/// Adds [`RustApp::rust`] to [`AppSpec`].
pub trait RustApp: Sized {
    /// The app for the crate `name` in the workspace of `manifest_dir`, which is `env!("CARGO_MANIFEST_DIR")` of the
    /// calling crate. Its image contains the binary of the crate. If the program is started in another checkout of the
    /// same workspace, it uses that checkout.
    ///
    /// The name has the form `<app>-<component>` and is split at its last `-`: `harmony-fleet-operator` is the
    /// component `operator` of `harmony-fleet`. It is also the name of the image and the chart, and the first part of
    /// release tags.
    ///
    /// # Errors
    /// The name does not have this form.
    fn rust(manifest_dir: &str, name: &str) -> Result<Self, NameError>;
}

impl RustApp for AppSpec {
    fn rust(manifest_dir: &str, name: &str) -> Result<Self, NameError> {
        let (app, component) = name.rsplit_once('-').unwrap_or((name, ""));
        let unit = ReleaseUnit::new(app.parse()?, component.parse()?)?;
        let image = ImageSource::Buildable(Arc::new(RustBinary::new(name)));
        Ok(Self::image_only(unit, workspace(manifest_dir, name), image))
    }
}

/// The root of the workspace that contains the crate `name`: the workspace of the current directory, or that of
/// `manifest_dir`.
pub fn workspace(manifest_dir: &str, name: &str) -> PathBuf {
    let here = std::env::current_dir().ok();
    let around_here = here
        .as_deref()
        .and_then(root)
        .filter(|root| has_crate(root, name));
    let compiled = Path::new(manifest_dir);
    around_here
        .or_else(|| root(compiled))
        .unwrap_or(compiled)
        .to_path_buf()
}

/// The nearest directory at or above `start` whose manifest defines a workspace.
fn root(start: &Path) -> Option<&Path> {
    let is_root = |folder: &&Path| {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml"));
        let mut lines = manifest.iter().flat_map(|text| text.lines());
        lines.any(|line| line.trim_end() == "[workspace]" || line.starts_with("[workspace."))
    };
    start.ancestors().find(is_root)
}

fn has_crate(root: &Path, name: &str) -> bool {
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let line = format!("name = \"{name}\"");
    lock.lines().any(|each| each == line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_cut_at_its_last_dash() {
        let app = AppSpec::rust("/nowhere", "harmony-fleet-operator").unwrap();
        assert_eq!(app.unit.app().as_str(), "harmony-fleet");
        assert_eq!(app.unit.component().as_str(), "operator");
        assert!(AppSpec::rust("/nowhere", "greeter").is_err());
        assert!(AppSpec::rust("/nowhere", "Greeter-web").is_err());
    }

    #[test]
    fn the_workspace_is_the_nearest_one_around_the_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let deploy = folder.path().join("deploy");
        std::fs::create_dir(&deploy).unwrap();
        std::fs::write(
            folder.path().join("Cargo.toml"),
            "[workspace]\nmembers = []\n",
        )
        .unwrap();
        std::fs::write(deploy.join("Cargo.toml"), "[package]\nname = \"deploy\"\n").unwrap();
        let found = workspace(deploy.to_str().unwrap(), "no-crate-of-that-name");
        assert_eq!(found, folder.path());
        let nowhere = Path::new("/nowhere/at/all");
        assert_eq!(
            workspace(nowhere.to_str().unwrap(), "no-crate-of-that-name"),
            nowhere
        );
    }
}
