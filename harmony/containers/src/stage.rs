//! Directories for the command line clients of builders, which send directories instead of archives. Blocking.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::FileSource;
use harmony_oci::file::open_regular;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::context::BuildFiles;
use crate::host_file::{COPY_BUFFER, check};
use crate::native::layer::unwritable;
use crate::plan::PlannedEntry;
use crate::request::Files;

/// The name of a Dockerfile that is not a file of the project.
const DOCKERFILE: &str = "Dockerfile";

/// What a client sends. Temporary files are deleted with it.
#[derive(Debug)]
pub(crate) struct Directories {
    /// The build context.
    pub(crate) context: PathBuf,
    /// The directory of the Dockerfile.
    pub(crate) dockerfiles: PathBuf,
    /// The path of the Dockerfile in that directory.
    pub(crate) dockerfile: String,
    _staged: Option<TempDir>,
}

impl Directories {
    /// The directories of `files`. Those of the project are used as they are; everything else is written to `staging`.
    pub(crate) fn of(
        files: &Files,
        staging: &Path,
        cancel: &CancellationToken,
    ) -> Result<Self, BuildError> {
        match files {
            Files::Project(project) => Ok(Self {
                context: project.root.clone(),
                dockerfiles: project.root.clone(),
                dockerfile: project.name.clone(),
                _staged: None,
            }),
            Files::Text { root, dockerfile } => {
                let staged = new_directory(staging)?;
                let write = |name: &str, text: &str| {
                    let path = staged.path().join(name);
                    fs::write(&path, text).map_err(unwritable(&path))
                };
                write(DOCKERFILE, &dockerfile.text)?;
                if !root.join(".dockerignore").is_file() {
                    let lines = dockerfile.ignored.join("\n");
                    write(&format!("{DOCKERFILE}.dockerignore"), &lines)?;
                }
                Ok(Self {
                    context: root.clone(),
                    dockerfiles: staged.path().to_owned(),
                    dockerfile: DOCKERFILE.to_owned(),
                    _staged: Some(staged),
                })
            }
            Files::Layers(files) => {
                let staged = new_directory(staging)?;
                write_all(files, staged.path(), cancel)?;
                Ok(Self {
                    context: staged.path().to_owned(),
                    dockerfiles: staged.path().to_owned(),
                    dockerfile: files.dockerfile.clone(),
                    _staged: Some(staged),
                })
            }
        }
    }
}

fn new_directory(staging: &Path) -> Result<TempDir, BuildError> {
    tempfile::Builder::new()
        .prefix("context-")
        .tempdir_in(staging)
        .map_err(unwritable(staging))
}

/// Writes all entries below `root`, with their modes and dated 1970. The date is part of the image.
fn write_all(
    files: &BuildFiles,
    root: &Path,
    cancel: &CancellationToken,
) -> Result<(), BuildError> {
    for entry in files.entries.iter() {
        write_entry(entry, &root.join(&entry.path), cancel)?;
    }
    // Only now, because creating a file needs the permission to write to its directory, and dates the directory.
    let is_directory = |entry: &&PlannedEntry| entry.source == FileSource::Directory;
    for entry in files.entries.iter().rev().filter(is_directory) {
        let path = root.join(&entry.path);
        File::open(&path)
            .and_then(|directory| finish(&directory, entry.mode))
            .map_err(unwritable(&path))?;
    }
    Ok(())
}

fn write_entry(
    entry: &PlannedEntry,
    path: &Path,
    cancel: &CancellationToken,
) -> Result<(), BuildError> {
    check(cancel)?;
    let unwritable = unwritable(path);
    match &entry.source {
        FileSource::Host(host) => {
            let unreadable = |source| BuildError::File {
                path: host.clone(),
                source,
            };
            let mut from = open_regular(host).map_err(unreadable)?;
            let mut to = File::create(path).map_err(&unwritable)?;
            let mut buffer = vec![0; COPY_BUFFER];
            loop {
                check(cancel)?;
                match from.read(&mut buffer).map_err(unreadable)? {
                    0 => break,
                    read => to.write_all(&buffer[..read]).map_err(&unwritable)?,
                }
            }
            finish(&to, entry.mode).map_err(unwritable)
        }
        FileSource::Bytes(bytes) => {
            let mut to = File::create(path).map_err(&unwritable)?;
            to.write_all(bytes)
                .and_then(|()| finish(&to, entry.mode))
                .map_err(unwritable)
        }
        FileSource::Directory => fs::create_dir_all(path).map_err(unwritable),
        FileSource::Symlink(target) => symlink(target, path)
            .and_then(|()| date_link(path))
            .map_err(unwritable),
    }
}

fn finish(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))?;
    file.set_modified(SystemTime::UNIX_EPOCH)
}

fn date_link(path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    let epoch = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: epoch,
        last_modification: epoch,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use harmony_core::image::LayerKind;

    use super::*;
    use crate::plan::ImagePlan;
    use crate::testing::{context, directory, file, link, recipe};

    #[test]
    fn staged_files_have_the_modes_and_the_date_of_the_image() {
        let recipe = recipe(vec![(
            LayerKind::Assets,
            vec![
                file("/etc/private", "x", 0o600),
                file("/etc/all", "x", 0o666),
                file("/closed/inside", "x", 0o444),
                directory("/closed", 0o555),
                directory("/tmp", 0o1777),
                directory("/shared", 0o2775),
                link("/link", "/no/where"),
            ],
        )]);
        let plan = ImagePlan::new(&recipe, &context(recipe.clone()), "app").unwrap();
        let files = BuildFiles::of_plan(&plan, "FROM scratch\n".into());
        let staging = tempfile::tempdir().unwrap();
        let directories = Directories::of(
            &Files::Layers(files),
            staging.path(),
            &CancellationToken::new(),
        )
        .unwrap();
        for (path, mode) in [
            ("etc", 0o755),
            ("etc/private", 0o600),
            ("etc/all", 0o666),
            ("closed", 0o555),
            ("closed/inside", 0o444),
            ("tmp", 0o1777),
            ("shared", 0o2775),
            ("link", 0o777),
        ] {
            let meta = directories.context.join("layers/0").join(path);
            let meta = fs::symlink_metadata(meta).unwrap();
            assert_eq!(meta.mode() & 0o7777, mode, "{path}");
            assert_eq!(meta.mtime(), 0, "{path}");
        }
        let context = directories.context.clone();
        drop(directories);
        assert!(!context.exists(), "it is temporary");
    }
}
