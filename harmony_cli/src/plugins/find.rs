//! Which commands there are.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const PREFIX: &str = "harmony-";

/// A `harmony-NAME` on `PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    name: String,
    path: PathBuf,
}

impl Plugin {
    /// What stands after `harmony-`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The plugins of a `PATH`, by name. As in a shell the first directory that has a name wins, and directories that
/// cannot be read are passed over.
pub fn find(path: &OsStr) -> Vec<Plugin> {
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for directory in std::env::split_paths(path) {
        let Ok(entries) = directory.read_dir() else {
            continue;
        };
        for entry in entries.flatten() {
            let file = entry.file_name();
            let name = file.to_str().and_then(|file| file.strip_prefix(PREFIX));
            if let Some(name) = name
                && is_name(name)
                && is_executable(&entry.path())
            {
                found.entry(name.to_owned()).or_insert_with(|| entry.path());
            }
        }
    }
    found
        .into_iter()
        .map(|(name, path)| Plugin { name, path })
        .collect()
}

/// Leaves out what build tools put beside programs, such as `harmony-fleet.d`.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn is_executable(path: &Path) -> bool {
    // follows links: an installed command may be one
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
}
