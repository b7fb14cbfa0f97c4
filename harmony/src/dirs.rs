//! Where files of this user go that can be made again.

use std::path::PathBuf;

/// `$XDG_CACHE_HOME/harmony`, else `~/.cache/harmony`, else a folder in the system's temporary one. Safe to delete at
/// any time.
pub fn cache() -> PathBuf {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    base.unwrap_or_else(std::env::temp_dir).join("harmony")
}
