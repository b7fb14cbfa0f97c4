//! Where files of this user go that can be made again.

use harmony_core::cache_dir::CacheDir;

/// `$XDG_CACHE_HOME/harmony`, else `~/.cache/harmony`. Safe to delete at any time. It is made and checked when it is used.
pub fn cache() -> CacheDir {
    CacheDir::of_user()
}
