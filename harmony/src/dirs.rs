//! The directories for cached files of the current user.

use harmony_core::cache_dir::CacheDir;

/// `$XDG_CACHE_HOME/harmony` or `~/.cache/harmony`. The directory can be deleted at any time. It is created and checked
/// when it is used.
pub fn cache() -> CacheDir {
    CacheDir::of_user()
}
