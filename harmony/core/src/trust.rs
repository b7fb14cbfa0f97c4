//! Checks whether other users can change a file or directory, so that its content can be run or published safely.
//!
//! Whoever can write to a directory controls its content. Whoever can write to a directory above it, or owns a link on the
//! way, can replace it. So the whole path is checked. Root can do anything anyway, and is trusted.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A part of a path that other users can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untrusted {
    /// The file, a directory above it, or a link.
    pub path: PathBuf,
    /// Why.
    pub reason: Reason,
}

/// Why other users can change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It depends on the current directory.
    Relative,
    /// It belongs to another user.
    Foreign {
        /// The user id of the owner.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
    /// Every user can write to it.
    WritableByAll {
        /// Its permission bits.
        mode: u32,
    },
    /// A group of several users can write to it.
    WritableByGroup {
        /// The id of the group.
        group: u32,
        /// Its permission bits.
        mode: u32,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relative => f.write_str("it is relative to the current directory"),
            Self::Foreign { owner, .. } => write!(f, "it belongs to another user ({owner})"),
            Self::WritableByAll { mode } => {
                write!(f, "every user can write to it (mode {mode:o})")
            }
            Self::WritableByGroup { group, mode } => {
                write!(f, "the group {group} can write to it (mode {mode:o})")
            }
        }
    }
}

/// Returns the part of `path` that other users can change, if any.
///
/// # Errors
/// A part of the path cannot be inspected, or does not exist.
pub fn untrusted(path: &Path) -> io::Result<Option<Untrusted>> {
    look(path, true)
}

/// Like [`untrusted`], for a directory in which we are about to create something: a sticky directory such as `/tmp` is
/// allowed.
pub(crate) fn untrusted_above(path: &Path) -> io::Result<Option<Untrusted>> {
    look(path, false)
}

fn look(path: &Path, is_end: bool) -> io::Result<Option<Untrusted>> {
    if !path.is_absolute() {
        return Ok(Some(Untrusted {
            path: path.to_owned(),
            reason: Reason::Relative,
        }));
    }
    let user = User::current()?;
    // The path as written: links, and their directories.
    for part in path.ancestors() {
        let meta = fs::symlink_metadata(part)?;
        let reason = if meta.is_symlink() {
            user.is_foreign(&meta)
        } else {
            user.objection(&meta, is_end && part == path)
        };
        if let Some(reason) = reason {
            return Ok(Some(Untrusted {
                path: part.to_owned(),
                reason,
            }));
        }
    }
    // The path after resolving links.
    let resolved = fs::canonicalize(path)?;
    for part in resolved.ancestors() {
        if let Some(reason) = user.objection(&fs::metadata(part)?, is_end && part == resolved) {
            return Ok(Some(Untrusted {
                path: part.to_owned(),
                reason,
            }));
        }
    }
    Ok(None)
}

/// The current user, for ownership checks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    pub(crate) id: u32,
    pub(crate) group: u32,
    /// The owner of `/`, which is root, whatever its user id is here. In a user namespace without a mapping for root, this
    /// is the id of all unmapped users, which cannot be distinguished.
    pub(crate) root: u32,
}

impl User {
    pub(crate) fn current() -> io::Result<Self> {
        Ok(Self {
            id: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
            root: fs::metadata("/")?.uid(),
        })
    }

    fn is_foreign(self, meta: &Metadata) -> Option<Reason> {
        let owner = meta.uid();
        (![self.id, self.root, 0].contains(&owner)).then_some(Reason::Foreign {
            owner,
            user: self.id,
        })
    }

    /// The problem with a file or directory; `is_end` if it is the last part of the path.
    pub(crate) fn objection(self, meta: &Metadata, is_end: bool) -> Option<Reason> {
        if let Some(foreign) = self.is_foreign(meta) {
            return Some(foreign);
        }
        let (group, mode) = (meta.gid(), meta.mode() & 0o7777);
        // In a sticky folder, such as /tmp, nobody can replace what belongs to others. What is in it may be anybody's.
        if mode & 0o1000 != 0 && !is_end {
            return None;
        }
        if mode & 0o002 != 0 {
            return Some(Reason::WritableByAll { mode });
        }
        // Many distributions give each user a group of the same number, and let that group write.
        let own_group = group == self.group && self.group == self.id;
        (mode & 0o020 != 0 && !own_group && group != 0)
            .then_some(Reason::WritableByGroup { group, mode })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn verdict(path: &Path) -> Option<(PathBuf, Reason)> {
        let untrusted = untrusted(path).unwrap()?;
        Some((untrusted.path, untrusted.reason))
    }

    #[test]
    fn the_folder_the_folders_above_it_and_the_file_count() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let bin = root.join("bin");
        fs::create_dir(&bin).unwrap();
        let program = bin.join("program");
        fs::write(&program, "").unwrap();
        // Whatever umask the test runs with.
        mode(&bin, 0o755);
        mode(&program, 0o755);
        assert_eq!(verdict(&program), None);
        for part in [&root, &bin, &program] {
            for bits in [0o757, 0o777] {
                mode(part, bits);
                let by_all = Reason::WritableByAll { mode: bits };
                assert_eq!(verdict(&program), Some((part.clone(), by_all)));
                mode(part, 0o755);
            }
        }
        // Sticky protects what is in a folder, and not who looks for anything in it.
        mode(&root, 0o1777);
        assert_eq!(verdict(&program), None);
        assert!(verdict(&root).is_some());
        mode(&root, 0o755);
        assert_eq!(
            verdict(Path::new("bin")),
            Some((PathBuf::from("bin"), Reason::Relative))
        );
        assert!(untrusted(&root.join("none")).is_err());
    }

    #[test]
    fn a_link_is_followed_and_where_it_is_counts_too() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (open, closed) = (root.join("open"), root.join("closed"));
        for one in [&open, &closed] {
            fs::create_dir(one).unwrap();
            fs::create_dir(one.join("bin")).unwrap();
            mode(one, 0o755);
            mode(&one.join("bin"), 0o755);
        }
        mode(&open, 0o777);
        // From a folder of ours to one in the reach of others, and the other way round.
        symlink(open.join("bin"), closed.join("to-open")).unwrap();
        symlink(closed.join("bin"), open.join("to-closed")).unwrap();
        for link in [closed.join("to-open"), open.join("to-closed")] {
            assert_eq!(verdict(&link).unwrap().0, open, "{link:?}");
        }
        symlink(closed.join("bin"), root.join("good")).unwrap();
        assert_eq!(verdict(&root.join("good")), None);
    }

    #[test]
    fn owners_and_groups_are_judged_by_who_we_are() {
        let folder = tempfile::tempdir().unwrap();
        let meta = |bits| {
            mode(folder.path(), bits);
            fs::metadata(folder.path()).unwrap()
        };
        let (owner, group) = (meta(0o755).uid(), meta(0o755).gid());
        let judge = |id, own, root, bits| {
            let user = User {
                id,
                group: own,
                root,
            };
            user.objection(&meta(bits), true)
        };
        // Another user's, unless that one is root here, whatever its number.
        let stranger = owner + 1;
        if owner != 0 {
            assert_eq!(
                judge(stranger, stranger, 0, 0o755),
                Some(Reason::Foreign {
                    owner,
                    user: stranger
                })
            );
        }
        assert_eq!(judge(stranger, stranger, owner, 0o755), None);
        // A group of several users may write, unless it is root's.
        let by_group = Reason::WritableByGroup { group, mode: 0o775 };
        let expected = (group != 0).then_some(by_group);
        assert_eq!(judge(owner, group + 1, 0, 0o775), expected);
        assert_eq!(judge(owner, owner + 5, 0, 0o775), expected);
    }
}
