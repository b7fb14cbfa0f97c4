//! Images that serve a directory of files.

use std::io;
use std::path::{Path, PathBuf};

use harmony_core::cache_dir::CacheDir;
use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{
    BuildContext, Buildable, FileEntry, FileSource, ImageRecipe, Layer, LayerKind,
};
use walkdir::WalkDir;

use crate::buildable::{CrateBinary, Runtime};

/// The server, its version and its features. It is a maintained server in Rust, so the image needs no base and the host
/// only `cargo`.
pub(super) const SERVER: (&str, &str, &[&str]) = (
    "static-web-server",
    "2.44.1",
    &["compression-gzip", "fallback-page"],
);

/// The directory of the files in the image.
pub(super) const SITE: &str = "/srv/site";

/// An image that serves the files of a directory over HTTP, with `static-web-server`.
///
/// The server runs unprivileged on [`StaticSite::PORT`]. It sends `404.html` for missing files if the directory has one,
/// and answers `/health`. The files are those that exist when the image is built, also if git ignores them.
#[derive(Debug, Clone)]
pub struct StaticSite {
    directory: PathBuf,
    cache_dir: CacheDir,
    has_routes: bool,
}

impl StaticSite {
    /// The port of the server.
    pub const PORT: u16 = 8080;

    /// The path that answers as long as the server runs.
    pub const HEALTH: &'static str = "/health";

    /// The files in `directory`, relative to the project root. The server's program is cached in `cache_dir`.
    pub fn new(directory: impl Into<PathBuf>, cache_dir: impl Into<CacheDir>) -> Self {
        Self {
            directory: directory.into(),
            cache_dir: cache_dir.into(),
            has_routes: false,
        }
    }

    /// Sends `index.html` for paths without a file, for apps that have their routes in the browser.
    #[must_use]
    pub fn with_routes_in_browser(self) -> Self {
        Self {
            has_routes: true,
            ..self
        }
    }
}

impl Buildable for StaticSite {
    fn recipe(&self, context: &BuildContext) -> Result<ImageRecipe, BuildError> {
        let root = context.project_root.join(&self.directory);
        let files = files(&root)?;
        let has = |name: &str| {
            let path = format!("{SITE}/{name}");
            files.iter().any(|file| file.path == path)
        };
        if !has("index.html") {
            return Err(BuildError::Recipe {
                image: self.directory.display().to_string(),
                reason: format!("`{}` has no `index.html`", root.display()),
                help: "build the site first, or use the directory that contains its files"
                    .to_owned(),
            });
        }
        let (name, version, features) = SERVER;
        let server = CrateBinary::new(name, version, self.cache_dir.clone())
            .with_features(features.iter().copied())
            .with_runtime(Runtime {
                args: arguments(self.has_routes, has("404.html")),
                ..Runtime::default()
            });
        let mut recipe = server.recipe(context)?;
        // Above the program, because it changes more often.
        recipe.layers.push(Layer {
            kind: LayerKind::Assets,
            files,
        });
        Ok(recipe)
    }
}

/// The arguments of the server.
pub(super) fn arguments(has_routes: bool, has_404: bool) -> Vec<String> {
    let mut args = vec![
        format!("--root={SITE}"),
        format!("--port={}", StaticSite::PORT),
        "--health=true".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    if has_routes {
        args.push(format!("--page-fallback={SITE}/index.html"));
    }
    if has_404 {
        args.push(format!("--page404={SITE}/404.html"));
    }
    args
}

/// The regular files below `root`.
fn files(root: &Path) -> Result<Vec<FileEntry>, BuildError> {
    let unreadable = |path: &Path, source: io::Error| BuildError::File {
        path: path.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for found in WalkDir::new(root).sort_by_file_name() {
        let found = found.map_err(|error| {
            let path = error.path().unwrap_or(root).to_owned();
            unreadable(&path, error.into())
        })?;
        if found.file_type().is_dir() {
            continue;
        }
        let path = found.path();
        let invalid = |text| unreadable(path, io::Error::new(io::ErrorKind::InvalidData, text));
        if !found.file_type().is_file() {
            return Err(invalid("it is not a regular file"));
        }
        let relative = path.strip_prefix(root).unwrap_or(path).to_str();
        let relative = relative.ok_or_else(|| invalid("its name is not UTF-8"))?;
        files.push(FileEntry {
            path: format!("{SITE}/{relative}"),
            source: FileSource::Host(path.to_owned()),
            mode: 0o644,
        });
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use harmony_core::image::StepInputs;

    use super::*;
    use crate::testing::{context, recipe};

    fn built(root: &Path, site: &StaticSite) -> Result<ImageRecipe, BuildError> {
        let build = BuildContext {
            project_root: root.to_owned(),
            ..context(recipe(Vec::new()))
        };
        site.recipe(&build)
    }

    #[test]
    fn the_files_lie_above_their_server() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("dist/css")).unwrap();
        fs::write(root.path().join("dist/css/a.css"), "").unwrap();
        let site = StaticSite::new("dist", root.path().join("cache"));
        let no_index = built(root.path(), &site).unwrap_err();
        assert!(matches!(no_index, BuildError::Recipe { .. }), "{no_index}");
        fs::write(root.path().join("dist/index.html"), "").unwrap();
        fs::write(root.path().join("dist/404.html"), "").unwrap();
        let recipe = built(root.path(), &site.clone().with_routes_in_browser()).unwrap();
        let files = &recipe.layers.last().unwrap().files;
        let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "/srv/site/404.html",
                "/srv/site/css/a.css",
                "/srv/site/index.html"
            ]
        );
        assert_eq!(recipe.entrypoint[0], "/usr/local/bin/static-web-server");
        assert!(
            recipe
                .entrypoint
                .contains(&"--page404=/srv/site/404.html".to_owned())
        );
        let [step] = recipe.host_steps.as_slice() else {
            panic!("one step: {recipe:?}");
        };
        assert_eq!(step.inputs, StepInputs::Pinned);
        let portable = step.portable.as_ref().unwrap().join(" ");
        let here = root.path().display().to_string();
        assert!(!portable.contains(&here), "{portable}");
    }
}
