//! Cache directories, and whether they are secure.
//!
//! Cached content is used later: programs are run and layers are published. So only the current user may be able to
//! write it.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::codes;
use crate::diagnostic::{Diagnostic, FailureKind, Origin};
use crate::trust::{self, Reason, Untrusted};

/// The cache of root if its home directory belongs to another user, as with `sudo -E`.
const OF_ROOT: &str = "/var/cache/harmony";

/// A cache directory. Nothing is created before [`ready`](Self::ready).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheDir {
    base: Base,
    below: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Base {
    /// Determined when it is needed.
    User,
    At(PathBuf),
}

/// The reason why a directory cannot be used as a cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheDirError {
    /// The environment does not define a cache directory.
    #[error(
        "cannot determine the cache directory: neither HOME nor XDG_CACHE_HOME is set to an absolute path"
    )]
    NoHome,
    /// The directory, or a directory above it, belongs to another user.
    #[error("the cache directory `{}` is not secure: `{}` belongs to user {owner}, but the current user is {user}", cache.display(), path.display())]
    Foreign {
        /// The cache directory.
        cache: PathBuf,
        /// The directory with the problem.
        path: PathBuf,
        /// The user id of its owner.
        owner: u32,
        /// The user id of this process.
        user: u32,
    },
    /// Other users can write to the directory or to a directory above it.
    #[error("the cache directory `{}` is not secure: other users can write to `{}` (mode {mode:o})", cache.display(), path.display())]
    Shared {
        /// The cache directory.
        cache: PathBuf,
        /// The directory with the problem.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The directory cannot be created or inspected.
    #[error("cannot use the cache directory `{}`", path.display())]
    Unusable {
        /// The directory with the problem.
        path: PathBuf,
        /// The underlying error.
        #[source]
        source: io::Error,
    },
}

impl CacheDir {
    /// `$XDG_CACHE_HOME/harmony` or `~/.cache/harmony`; `/var/cache/harmony` for root with the environment of another
    /// user.
    pub fn of_user() -> Self {
        Self {
            base: Base::User,
            below: PathBuf::new(),
        }
    }

    /// A directory inside of this one.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> Self {
        Self {
            base: self.base.clone(),
            below: self.below.join(name),
        }
    }

    fn path(&self) -> Result<PathBuf, CacheDirError> {
        let base = match &self.base {
            Base::At(path) => path.clone(),
            Base::User => of_user(
                env::var_os("XDG_CACHE_HOME"),
                env::var_os("HOME"),
                rustix::process::geteuid().as_raw(),
                |path| fs::metadata(path).ok().map(|meta| meta.uid()),
            )
            .ok_or(CacheDirError::NoHome)?,
        };
        Ok(base.join(&self.below))
    }

    /// The path of the directory. Checks the existing part of the path, and creates nothing.
    ///
    /// # Errors
    /// See [`CacheDirError`].
    pub fn checked(&self) -> Result<PathBuf, CacheDirError> {
        let path = self.path()?;
        let existing = path.ancestors().find(|folder| folder.exists());
        check(&path, existing.unwrap_or(&path))?;
        Ok(path)
    }

    /// Creates the directory if necessary, and checks it.
    ///
    /// # Errors
    /// See [`CacheDirError`].
    pub fn ready(&self) -> Result<PathBuf, CacheDirError> {
        let path = self.path()?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|source| CacheDirError::Unusable {
                path: path.clone(),
                source,
            })?;
        check(&path, &path)?;
        Ok(path)
    }
}

/// Checks `existing`, which is `path` or the nearest folder above it that exists, and the whole way to it.
fn check(path: &Path, existing: &Path) -> Result<(), CacheDirError> {
    let unusable = |source| CacheDirError::Unusable {
        path: path.to_owned(),
        source,
    };
    let found = if path == existing {
        trust::untrusted(path)
    } else {
        trust::untrusted_above(existing)
    };
    if let Some(untrusted) = found.map_err(unusable)? {
        return Err(refused(path, untrusted));
    }
    // What is root's is as good as ours above the cache. The cache itself is ours alone.
    if path == existing {
        let owner = fs::metadata(path).map_err(unusable)?.uid();
        let user = rustix::process::geteuid().as_raw();
        if owner != user {
            let path = path.to_owned();
            let reason = Reason::Foreign { owner, user };
            return Err(refused(&path.clone(), Untrusted { path, reason }));
        }
    }
    Ok(())
}

fn refused(cache: &Path, Untrusted { path, reason }: Untrusted) -> CacheDirError {
    let cache = cache.to_owned();
    match reason {
        Reason::Relative => CacheDirError::NoHome,
        Reason::Foreign { owner, user } => CacheDirError::Foreign {
            cache,
            path,
            owner,
            user,
        },
        Reason::WritableByAll { mode } | Reason::WritableByGroup { mode, .. } => {
            CacheDirError::Shared { cache, path, mode }
        }
    }
}

impl From<PathBuf> for CacheDir {
    fn from(path: PathBuf) -> Self {
        Self {
            base: Base::At(path),
            below: PathBuf::new(),
        }
    }
}

impl From<&Path> for CacheDir {
    fn from(path: &Path) -> Self {
        path.to_owned().into()
    }
}

impl From<&PathBuf> for CacheDir {
    fn from(path: &PathBuf) -> Self {
        path.clone().into()
    }
}

impl From<&str> for CacheDir {
    fn from(path: &str) -> Self {
        PathBuf::from(path).into()
    }
}

/// Pure: `owner` returns the owner of a path.
fn of_user(
    cache_home: Option<OsString>,
    home: Option<OsString>,
    user: u32,
    owner: impl Fn(&Path) -> Option<u32>,
) -> Option<PathBuf> {
    let absolute = |value: Option<OsString>| {
        value
            .map(PathBuf::from)
            .filter(|path| path.is_absolute() && path != Path::new("/"))
    };
    let (folder, cache) = if let Some(folder) = absolute(cache_home) {
        (folder.clone(), folder)
    } else {
        let home = absolute(home)?;
        (home.clone(), home.join(".cache"))
    };
    if user == 0 && owner(&folder).is_some_and(|owner| owner != 0) {
        return Some(OF_ROOT.into());
    }
    Some(cache.join("harmony"))
}

impl Diagnostic for CacheDirError {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(match self {
            Self::NoHome => codes::NO_CACHE_DIR,
            Self::Foreign { .. } | Self::Shared { .. } => codes::CACHE_DIR_UNTRUSTED,
            Self::Unusable { .. } => codes::CACHE_DIR_UNUSABLE,
        })
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn hints(&self) -> Vec<String> {
        const ELSEWHERE: &str = "or set XDG_CACHE_HOME to a directory that belongs to you and that only you can write to";
        match self {
            Self::NoHome => vec![
                "set HOME to your home directory, or XDG_CACHE_HOME to a directory that only you can write to"
                    .into(),
            ],
            Self::Foreign { cache, path, .. } if cache == path => vec![
                format!("remove `{}`; it contains only cached files", path.display()),
                ELSEWHERE.into(),
            ],
            Self::Foreign { .. } => vec![ELSEWHERE["or ".len()..].into()],
            Self::Shared { path, .. } => vec![
                format!("run `chmod go-w {}`", path.display()),
                ELSEWHERE.into(),
            ],
            Self::Unusable { .. } => vec![
                "check that the directory exists and that you can write to it".into(),
                ELSEWHERE.into(),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn place(cache: Option<&str>, home: Option<&str>, user: u32, owner: u32) -> Option<String> {
        let found = of_user(
            cache.map(OsString::from),
            home.map(OsString::from),
            user,
            |_| Some(owner),
        );
        found.map(|path| path.display().to_string())
    }

    #[test]
    fn the_cache_is_in_the_home_and_nowhere_without_one() {
        let home = Some("/home/a");
        for (cache, home, user, owner, expected) in [
            (None, home, 7, 7, Some("/home/a/.cache/harmony")),
            (Some("/c"), home, 7, 7, Some("/c/harmony")),
            (Some("c"), home, 7, 7, Some("/home/a/.cache/harmony")),
            (Some(""), None, 7, 7, None),
            (None, None, 7, 7, None),
            (None, Some(""), 7, 7, None),
            (None, Some("relative"), 7, 7, None),
            (None, Some("/"), 7, 0, None),
            (None, None, 0, 0, None),
            (None, Some("/root"), 0, 0, Some("/root/.cache/harmony")),
            (None, home, 0, 7, Some("/var/cache/harmony")),
        ] {
            assert_eq!(place(cache, home, user, owner).as_deref(), expected);
        }
    }

    #[test]
    fn a_cache_that_others_can_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("a/harmony");
        let ready = || CacheDir::from(&cache).join("images").ready();
        let unmade = CacheDir::from(&cache).join("images").checked().unwrap();
        assert!(!unmade.exists());
        let path = ready().unwrap();
        assert_eq!(path, unmade);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        for (of, mode) in [
            (path.as_path(), 0o777),
            (path.as_path(), 0o1777),
            (path.as_path(), 0o702),
            (cache.as_path(), 0o757),
            (folder.path(), 0o707),
        ] {
            let before = fs::metadata(of).unwrap().permissions();
            fs::set_permissions(of, fs::Permissions::from_mode(mode)).unwrap();
            let error = ready().unwrap_err();
            assert!(
                matches!(&error, CacheDirError::Shared { path, .. } if path == of),
                "{error:?}"
            );
            fs::set_permissions(of, before).unwrap();
        }
        ready().unwrap();
        // For a link, its target counts.
        let shared = folder.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
        let link = folder.path().join("link");
        symlink(&shared, &link).unwrap();
        assert!(CacheDir::from(link).ready().is_err());
    }

    #[test]
    fn a_cache_behind_a_link_in_the_reach_of_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (open, own) = (folder.path().join("open"), folder.path().join("own"));
        for one in [&open, &own] {
            fs::create_dir(one).unwrap();
            fs::set_permissions(one, fs::Permissions::from_mode(0o755)).unwrap();
        }
        // What it points to is ours now, and something else after the next write of somebody else.
        symlink(&own, open.join("link")).unwrap();
        let cache = CacheDir::from(open.join("link")).join("harmony");
        cache.ready().unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        for error in [cache.ready().unwrap_err(), cache.checked().unwrap_err()] {
            assert!(
                matches!(&error, CacheDirError::Shared { path, .. } if *path == open),
                "{error:?}"
            );
        }
    }

    #[test]
    fn a_cache_of_somebody_else_is_refused() {
        // For root everything of root's is its own, so another owner needs root to be made.
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        fs::create_dir(&cache).unwrap();
        let made_foreign = std::os::unix::fs::chown(&cache, Some(12_345), None).is_ok();
        let (cache, owner) = if made_foreign {
            (cache, 12_345)
        } else {
            (PathBuf::from("/"), 0)
        };
        let error = CacheDir::from(cache).checked().unwrap_err();
        assert!(
            matches!(error, CacheDirError::Foreign { owner: found, .. } if found == owner),
            "{error:?}"
        );
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(
            CacheDir::from(file).ready(),
            Err(CacheDirError::Unusable { .. })
        ));
    }
}
