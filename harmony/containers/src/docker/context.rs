//! The build context: the archive for the daemon.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use harmony_core::capability::container_builder::BuildError;
use harmony_core::context::Context;
use harmony_core::image::FileSource;
use harmony_oci::entry::write_end;
use harmony_oci::file::open_regular;
use tokio::sync::mpsc;
use walkdir::WalkDir;

use crate::blocking::blocking;
use crate::docker::context_name;
use crate::docker::dockerfile::layer_folder;
use crate::docker::ignore::Ignore;
use crate::native::layer::write_entry;
use crate::plan::{ImagePlan, PlannedEntry};

/// The name of a rendered Dockerfile in its context.
const DOCKERFILE: &str = "Dockerfile";

/// The size of a chunk, in bytes.
const CHUNK: usize = 256 * 1024;

/// The files of a build, in the order in which they are sent. All files are dated 1970, because Docker's cache ignores
/// times.
#[derive(Debug, Clone)]
pub(super) struct BuildFiles {
    /// The path of the Dockerfile in the archive.
    pub(super) dockerfile: String,
    entries: Arc<Vec<PlannedEntry>>,
}

impl BuildFiles {
    /// The layers of `plan` in `layers/`, with the modes that they will have in the image.
    pub(super) fn of_plan(plan: &ImagePlan, dockerfile: String) -> Self {
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

    /// The files below `root` except for those excluded by `.dockerignore`. `dockerfile` is relative to `root`.
    pub(super) fn of_project(
        root: &Path,
        dockerfile: &Path,
        image: &str,
    ) -> Result<Self, BuildError> {
        let inside = dockerfile
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let name: PathBuf = dockerfile
            .components()
            .filter(|part| *part != Component::CurDir)
            .collect();
        let Some(name) = context_name(&name).filter(|name| inside && !name.is_empty()) else {
            return Err(BuildError::Recipe {
                image: image.to_owned(),
                reason: format!(
                    "its Dockerfile `{}` is outside of the project",
                    dockerfile.display()
                ),
                help: format!("use a path relative to `{}`", root.display()),
            });
        };
        let unreadable = |path: &Path, source: io::Error| BuildError::File {
            path: path.to_owned(),
            source,
        };
        let full = root.join(&name);
        open_regular(&full).map_err(|error| unreadable(&full, error))?;
        let ignore = Ignore::read(root, &name)?;
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
            // Docker needs these two even if they are ignored.
            if ignore.excludes(&path) && path != name && path != ignore.file() {
                if found.file_type().is_dir()
                    && !ignore.may_include_below()
                    && !name.starts_with(&format!("{path}/"))
                {
                    walk.skip_current_dir();
                }
                continue;
            }
            if let Some(entry) = entry(path, found.path(), found.file_type())? {
                entries.push(entry);
            }
        }
        Ok(Self {
            dockerfile: name,
            entries: Arc::new(entries),
        })
    }

    fn write(
        &self,
        out: &mut dyn Write,
        cancel: &tokio_util::sync::CancellationToken,
    ) -> Result<(), BuildError> {
        let path = Path::new("docker build context");
        for entry in self.entries.iter() {
            write_entry(entry, None, 0, out, path, cancel)?;
        }
        write_end(out)
            .and_then(|()| out.flush())
            .map_err(|source| BuildError::Write {
                path: path.to_owned(),
                source,
            })
    }
}

/// A file of a project; `None` for a file that cannot be archived, such as a socket.
fn entry(
    path: String,
    host: &Path,
    kind: fs::FileType,
) -> Result<Option<PlannedEntry>, BuildError> {
    let unreadable = |source: io::Error| BuildError::File {
        path: host.to_owned(),
        source,
    };
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

/// Starts writing the archive. Returns it in chunks, and a handle that returns the error of a file that could not be
/// read, if there was one.
pub(super) fn send(
    context: &Context,
    files: BuildFiles,
) -> (
    impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    impl Future<Output = Option<BuildError>>,
) {
    let (sender, receiver) = mpsc::channel::<Result<Bytes, io::Error>>(4);
    let body = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    let context = context.clone();
    let writing = tokio::spawn(async move {
        blocking(&context, move |cancel| {
            let abort = sender.clone();
            let mut out = BufWriter::with_capacity(CHUNK, Channel(sender));
            let written = files.write(&mut out, cancel);
            if written.is_err() {
                // Without this, the daemon would treat a truncated archive as complete.
                let _ = abort.blocking_send(Err(io::ErrorKind::InvalidData.into()));
            }
            written
        })
        .await
    });
    let error = async move {
        match writing.await {
            // The daemon stopped reading, and reports the reason itself.
            Ok(Ok(()) | Err(BuildError::Write { .. })) | Err(_) => None,
            Ok(Err(error)) => Some(error),
        }
    };
    (body, error)
}

/// The blocking end of the request body.
struct Channel(mpsc::Sender<Result<Bytes, io::Error>>);

impl Write for Channel {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(content)))
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(content.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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

    #[test]
    fn ignored_files_stay_here_but_the_dockerfile_goes() {
        let root = project(&[
            ("deploy/Dockerfile", "FROM scratch"),
            (".dockerignore", "target\ndeploy\n**/*.log\n"),
            ("src/main.rs", ""),
            ("src/debug.log", ""),
            ("target/app", ""),
        ]);
        let files =
            BuildFiles::of_project(root.path(), Path::new("./deploy/Dockerfile"), "app").unwrap();
        assert_eq!(files.dockerfile, "deploy/Dockerfile");
        assert_eq!(
            names(&files),
            [".dockerignore", "deploy/Dockerfile", "src", "src/main.rs"]
        );
    }

    #[test]
    fn a_dockerfile_is_below_its_project() {
        let root = project(&[("Dockerfile", "FROM scratch")]);
        for path in ["../Dockerfile", "/etc/passwd", "", "a/../../Dockerfile"] {
            let refused = BuildFiles::of_project(root.path(), Path::new(path), "app");
            assert!(matches!(refused, Err(BuildError::Recipe { .. })), "{path}");
        }
        let missing = BuildFiles::of_project(root.path(), Path::new("Other"), "app");
        assert!(matches!(missing, Err(BuildError::File { .. })));
    }
}
