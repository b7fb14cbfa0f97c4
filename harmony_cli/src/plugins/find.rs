//! Finds the commands.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use harmony_core::trust::{self, Reason, Untrusted};

const PREFIX: &str = "harmony-";

/// A `harmony-NAME` program on `PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    name: String,
    path: PathBuf,
}

impl Plugin {
    /// The name after `harmony-`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The plugins of a `PATH`, by name. As in a shell the first directory that has a name wins, and directories that
/// cannot be read are passed over. What others could have put there is left out; see [`skipped`].
pub fn find(path: &OsStr) -> Vec<Plugin> {
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for directory in std::env::split_paths(path) {
        for (name, file) in plugins_in(&directory) {
            if distrust(&file).is_none() {
                found.entry(name).or_insert(file);
            }
        }
    }
    found
        .into_iter()
        .map(|(name, path)| Plugin { name, path })
        .collect()
}

/// A program of exactly that name on a `PATH`, if [`find`] would use it.
pub(super) fn find_program(path: &OsStr, name: &str) -> Option<PathBuf> {
    let directories = std::env::split_paths(path);
    let mut programs = directories.map(|directory| directory.join(name));
    programs.find(|program| is_executable(program) && distrust(program).is_none())
}

/// What is on a `PATH` and not used, each once, with the reason: directories, and single programs. Whoever can write
/// there decides what `harmony` starts: a checkout of somebody else's, or `/tmp`, must not.
pub(super) fn skipped(path: &OsStr) -> Vec<(PathBuf, String)> {
    let directories = std::env::split_paths(path);
    let files = directories.flat_map(|directory| plugins_in(&directory));
    let mut skipped = Vec::new();
    for (_, file) in files {
        if let Some(found) = distrust(&file)
            && !skipped.contains(&found)
        {
            skipped.push(found);
        }
    }
    skipped
}

/// Why a program is not started: what is in the reach of others, and how.
fn distrust(file: &Path) -> Option<(PathBuf, String)> {
    match trust::untrusted(file) {
        Ok(None) => None,
        Ok(Some(Untrusted {
            reason: Reason::Relative,
            ..
        })) => {
            let directory = file.parent().unwrap_or(file).to_owned();
            Some((directory, Reason::Relative.to_string()))
        }
        Ok(Some(untrusted)) => Some((untrusted.path, untrusted.reason.to_string())),
        Err(error) => Some((file.to_owned(), format!("it cannot be looked at: {error}"))),
    }
}

fn plugins_in(directory: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = directory.read_dir() else {
        return Vec::new();
    };
    let named = entries.flatten().filter_map(|entry| {
        let file = entry.file_name();
        let name = file.to_str()?.strip_prefix(PREFIX)?.to_owned();
        (is_name(&name) && is_executable(&entry.path())).then(|| (name, entry.path()))
    });
    named.collect()
}

/// Excludes files that build tools put next to programs, such as `harmony-fleet.d`.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn is_executable(path: &Path) -> bool {
    // follows links, because an installed command may be a link
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_programs_count_and_the_first_directory_wins() {
        let first = tempfile::tempdir().expect("a directory");
        let second = tempfile::tempdir().expect("a directory");
        let file = |directory: &Path, name: &str, mode: u32| {
            let path = directory.join(name);
            fs::write(&path, "").expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
        };
        file(first.path(), "harmony-fleet", 0o755);
        file(first.path(), "harmony-fleet.d", 0o755);
        file(first.path(), "harmony-notes", 0o644);
        file(first.path(), "harmony-", 0o755);
        file(first.path(), "harmonyx", 0o755);
        fs::create_dir(first.path().join("harmony-directory")).expect("a directory");
        file(second.path(), "harmony-fleet", 0o755);
        file(second.path(), "harmony-node", 0o755);
        let path =
            std::env::join_paths([first.path(), Path::new("/does/not/exist"), second.path()])
                .expect("a PATH");

        let found = find(&path);

        let names: Vec<&str> = found.iter().map(Plugin::name).collect();
        assert_eq!(names, ["fleet", "node"]);
        assert_eq!(found[0].path(), first.path().join("harmony-fleet"));
    }

    #[test]
    fn directories_that_others_decide_about_are_skipped_and_named() {
        let shared = tempfile::tempdir().expect("a directory");
        let own = tempfile::tempdir().expect("a directory");
        for directory in [shared.path(), own.path()] {
            let path = directory.join("harmony-fleet");
            fs::write(&path, "").expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
        }
        fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o777)).expect("its mode");
        let path =
            std::env::join_paths([Path::new("."), shared.path(), own.path()]).expect("a PATH");
        let found = find(&path);
        assert_eq!(found[0].path(), own.path().join("harmony-fleet"));
        assert_eq!(
            find_program(&path, "harmony-fleet"),
            Some(own.path().join("harmony-fleet"))
        );
        assert_eq!(
            skipped(&path),
            [(
                shared.path().to_path_buf(),
                "every user can write to it (mode 777)".to_owned()
            )]
        );
        assert_eq!(
            distrust(Path::new("bin/harmony-fleet")),
            Some((
                "bin".into(),
                "it is relative to the current directory".into()
            ))
        );
    }

    #[test]
    fn a_single_program_that_others_may_write_to_is_skipped_and_named() {
        let own = tempfile::tempdir().expect("a directory");
        let path = own.path().join("harmony-fleet");
        fs::write(&path, "").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("its mode");
        assert!(find(own.path().as_os_str()).is_empty());
        let [(named, _)] = skipped(own.path().as_os_str())
            .try_into()
            .expect("one of them");
        assert_eq!(named, path);
    }
}
