//! Removes the mounts below a directory.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

use super::error::LocalNodeError;

/// Unmounts everything below a directory, the innermost first.
pub(super) fn unmount_below(folder: &Path) -> Result<(), LocalNodeError> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for target in mounts_below(&mountinfo, folder) {
        let done = unmount(&target, UnmountFlags::empty())
            .or_else(|_| unmount(&target, UnmountFlags::DETACH));
        match done {
            // A mount that is listed twice can disappear together with its duplicate.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(LocalNodeError::file("unmount", target)(error.into())),
        }
    }
    Ok(())
}

/// The mount points below a directory, the innermost first.
fn mounts_below(mountinfo: &str, folder: &Path) -> Vec<PathBuf> {
    let mut targets: Vec<PathBuf> = mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|target| PathBuf::from(unescape(target)))
        .filter(|target| target.starts_with(folder) && target != folder)
        .collect();
    // Later mounts cover earlier ones.
    targets.reverse();
    targets.sort_by_key(|target| std::cmp::Reverse(target.components().count()));
    targets
}

/// The kernel writes space, tab, line break and backslash as three octal digits.
fn unescape(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (code, plain)| {
        text.replace(code, plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_mounts_come_first_and_others_stay() {
        let mountinfo = "\
20 1 0:1 / / rw - ext4 /dev/vda rw
21 20 0:2 / /state/a rw - tmpfs tmpfs rw
22 21 0:3 / /state/a/b rw - overlay overlay rw
23 20 0:4 / /state rw - ext4 /dev/vdb rw
24 20 0:5 / /statement rw - tmpfs tmpfs rw
25 20 0:6 / /state/with\\040space rw - tmpfs tmpfs rw
";
        assert_eq!(
            mounts_below(mountinfo, Path::new("/state")),
            [
                Path::new("/state/a/b"),
                Path::new("/state/with space"),
                Path::new("/state/a")
            ]
        );
    }
}
