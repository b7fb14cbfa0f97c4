//! The build context: the files that a Dockerfile can copy.

mod ignore;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{DockerfileText, FileSource};
use harmony_oci::file::open_regular;
use walkdir::WalkDir;

use crate::context::ignore::Ignore;
use crate::dockerfile::layer_folder;
use crate::plan::{ImagePlan, PlannedEntry};

/// The name of a rendered Dockerfile in its context.
const DOCKERFILE: &str = "Dockerfile";

/// The name of a generated Dockerfile in the context of a project.
const GENERATED: &str = ".harmony.Dockerfile";

/// The files of a build, in the order in which they are sent. All files are dated 1970, because Docker's cache ignores
/// times.
#[derive(Debug, Clone)]
pub(crate) struct BuildFiles {
    /// The path of the Dockerfile in the archive.
    pub(crate) dockerfile: String,
    pub(crate) entries: Arc<Vec<PlannedEntry>>,
}

impl BuildFiles {
    /// The layers of `plan` in `layers/`, with the modes that they will have in the image.
    pub(crate) fn of_plan(plan: &ImagePlan, dockerfile: String) -> Self {
        let mut entries = vec![PlannedEntry {
            path: DOCKERFILE.to_owned(),
            source: FileSource::Bytes(Arc::from(dockerfile.into_bytes())),
            mode: 0o644,
        }];
        for (index, layer) in plan.layers.iter().enumerate() {
            let folder = layer_folder(index);
            entries.push(PlannedEntry {
                path: folder.clone(),
                source: FileSource::Directory,
                mode: 0o755,
            });
            entries.extend(layer.entries.iter().map(|entry| PlannedEntry {
                path: format!("{folder}/{}", entry.path),
                ..entry.clone()
            }));
        }
        Self {
            dockerfile: DOCKERFILE.to_owned(),
            entries: Arc::new(entries),
        }
    }

    /// The files below `root` except for those excluded by `.dockerignore`.
    pub(crate) fn of_project(project: &ProjectDockerfile) -> Result<Self, BuildError> {
        let ProjectDockerfile { root, name } = project;
        let ignore = Ignore::read(root, name)?;
        let needed = |path: &str| path == name || path == ignore.file();
        let entries = walk(root, &ignore, needed, |folder| {
            name.starts_with(&format!("{folder}/"))
        })?;
        Ok(Self {
            dockerfile: name.clone(),
            entries: Arc::new(entries),
        })
    }

    /// The files below `root`, and a Dockerfile that is not one of them.
    pub(crate) fn of_text(root: &Path, dockerfile: &DockerfileText) -> Result<Self, BuildError> {
        let ignore = match Ignore::read(root, GENERATED)? {
            ignore if ignore.is_empty() => Ignore::of_lines(&dockerfile.ignored, root)?,
            ignore => ignore,
        };
        let mut entries = walk(root, &ignore, |path| path == ignore.file(), |_| false)?;
        entries.retain(|entry| entry.path != GENERATED);
        entries.push(PlannedEntry {
            path: GENERATED.to_owned(),
            source: FileSource::Bytes(Arc::from(dockerfile.text.as_bytes())),
            mode: 0o644,
        });
        Ok(Self {
            dockerfile: GENERATED.to_owned(),
            entries: Arc::new(entries),
        })
    }
}

/// A Dockerfile in its project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProjectDockerfile {
    pub(crate) root: PathBuf,
    /// The path relative to the root.
    pub(crate) name: String,
}

impl ProjectDockerfile {
    /// The Dockerfile at `path`, relative to `root`. `image` is used only in errors.
    pub(crate) fn find(root: &Path, path: &Path, image: &str) -> Result<Self, BuildError> {
        let is_inside = path
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let name: PathBuf = path
            .components()
            .filter(|part| *part != Component::CurDir)
            .collect();
        let Some(name) = context_name(&name).filter(|name| is_inside && !name.is_empty()) else {
            return Err(BuildError::Recipe {
                image: image.to_owned(),
                reason: format!(
                    "its Dockerfile `{}` is outside of the project",
                    path.display()
                ),
                help: format!("use a path relative to `{}`", root.display()),
            });
        };
        let full = root.join(&name);
        open_regular(&full).map_err(|error| unreadable(&full, error))?;
        Ok(Self {
            root: root.to_owned(),
            name,
        })
    }
}

/// Everything below `root` that is not ignored or is needed anyway. `holds_needed` says whether a directory contains
/// a needed file.
fn walk(
    root: &Path,
    ignore: &Ignore,
    is_needed: impl Fn(&str) -> bool,
    holds_needed: impl Fn(&str) -> bool,
) -> Result<Vec<PlannedEntry>, BuildError> {
    let mut entries = Vec::new();
    let mut walk = WalkDir::new(root)
        .min_depth(1)
        .sort_by_file_name()
        .into_iter();
    while let Some(found) = walk.next() {
        let found = found.map_err(|error| {
            let path = error.path().unwrap_or(root).to_owned();
            unreadable(&path, error.into())
        })?;
        let relative = found.path().strip_prefix(root).unwrap_or(found.path());
        let Some(path) = context_name(relative) else {
            return Err(unreadable(
                found.path(),
                io::Error::new(io::ErrorKind::InvalidData, "its name is not UTF-8"),
            ));
        };
        if ignore.excludes(&path) && !is_needed(&path) {
            if found.file_type().is_dir() && !ignore.may_include_below() && !holds_needed(&path) {
                walk.skip_current_dir();
            }
            continue;
        }
        if let Some(entry) = entry(path, found.path(), found.file_type())? {
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn unreadable(path: &Path, source: io::Error) -> BuildError {
    BuildError::File {
        path: path.to_owned(),
        source,
    }
}

/// The name of a file in the build context.
fn context_name(path: &Path) -> Option<String> {
    path.to_str().map(str::to_owned)
}

/// A file of a project; `None` for a file that cannot be archived, such as a socket.
fn entry(
    path: String,
    host: &Path,
    kind: fs::FileType,
) -> Result<Option<PlannedEntry>, BuildError> {
    let unreadable = |source| unreadable(host, source);
    let meta = fs::symlink_metadata(host).map_err(unreadable)?;
    let source = if kind.is_dir() {
        FileSource::Directory
    } else if kind.is_symlink() {
        let target = fs::read_link(host).map_err(unreadable)?;
        FileSource::Symlink(target.to_string_lossy().into_owned())
    } else if kind.is_file() {
        FileSource::Host(host.to_owned())
    } else {
        return Ok(None);
    };
    Ok(Some(PlannedEntry {
        path,
        source,
        mode: meta.permissions().mode() & 0o7777,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    fn names(files: &BuildFiles) -> Vec<&str> {
        files
            .entries
            .iter()
            .map(|entry| entry.path.as_str())
            .collect()
    }

    fn of_project(root: &Path, dockerfile: &str) -> Result<BuildFiles, BuildError> {
        let project = ProjectDockerfile::find(root, Path::new(dockerfile), "app")?;
        BuildFiles::of_project(&project)
    }

    #[test]
    fn ignored_files_stay_here_but_the_dockerfile_goes() {
        let root = project(&[
            ("deploy/Dockerfile", "FROM scratch"),
            (".dockerignore", "target\ndeploy\n**/*.log\n"),
            ("src/main.rs", ""),
            ("src/debug.log", ""),
            ("target/app", ""),
        ]);
        let files = of_project(root.path(), "./deploy/Dockerfile").unwrap();
        assert_eq!(files.dockerfile, "deploy/Dockerfile");
        assert_eq!(
            names(&files),
            [".dockerignore", "deploy/Dockerfile", "src", "src/main.rs"]
        );
    }

    #[test]
    fn a_generated_dockerfile_brings_its_own_ignored_files() {
        let root = project(&[("src/main.rs", ""), ("target/app", "")]);
        let text = DockerfileText {
            text: "FROM scratch".into(),
            ignored: vec!["target".into()],
        };
        let files = BuildFiles::of_text(root.path(), &text).unwrap();
        assert_eq!(names(&files), ["src", "src/main.rs", GENERATED]);
        fs::write(root.path().join(".dockerignore"), "src\n").unwrap();
        let files = BuildFiles::of_text(root.path(), &text).unwrap();
        assert_eq!(
            names(&files),
            [".dockerignore", "target", "target/app", GENERATED],
            "the file of the project is used instead"
        );
    }

    #[test]
    fn a_dockerfile_is_below_its_project() {
        let root = project(&[("Dockerfile", "FROM scratch")]);
        for path in ["../Dockerfile", "/etc/passwd", "", "a/../../Dockerfile"] {
            let refused = of_project(root.path(), path);
            assert!(matches!(refused, Err(BuildError::Recipe { .. })), "{path}");
        }
        let missing = of_project(root.path(), "Other");
        assert!(matches!(missing, Err(BuildError::File { .. })));
    }
}
