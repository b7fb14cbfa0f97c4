//! The processes of a health check.
//!
//! Podman has no request that ends a command in a container, and podman 4.3 does not even tell the process of a health
//! check. Each command has a conmon of its own, whose arguments name the command; its child is the command.

use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// Kills a command, with everything that it started: it leads a process group of its own.
pub(crate) fn kill(exec: &str) {
    let all = numbers();
    let monitors: Vec<i32> = all
        .iter()
        .copied()
        .filter(|process| is_monitor(&arguments(*process), exec))
        .collect();
    for process in all {
        if !parent(process).is_some_and(|parent| monitors.contains(&parent))
            || monitors.contains(&process)
        {
            continue;
        }
        let Some(pid) = Pid::from_raw(process) else {
            continue;
        };
        // Once the process is held, its number cannot become that of another one, and the second look tells that it is
        // still the same one.
        let Ok(_held) = pidfd_open(pid, PidfdFlags::empty()) else {
            continue;
        };
        if parent(process).is_some_and(|parent| monitors.contains(&parent))
            && let Err(error) = kill_process_group(pid, Signal::KILL)
        {
            tracing::warn!(exec, "a health check still runs: {error}");
        }
    }
}

/// The processes that were started with something in this folder as an argument.
#[cfg(feature = "testing")]
pub(crate) fn with_argument_in(folder: &std::path::Path) -> Vec<Pid> {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder.as_os_str().as_bytes();
    let named = numbers().into_iter().filter(|process| {
        arguments(*process)
            .split(|byte| *byte == 0)
            .any(|argument| argument.starts_with(folder))
    });
    named.filter_map(Pid::from_raw).collect()
}

fn numbers() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

fn arguments(process: i32) -> Vec<u8> {
    // A process that has ended has no arguments.
    fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default()
}

fn parent(process: i32) -> Option<i32> {
    parent_in(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// Whether these are the arguments of the conmon of a command: `conmon ... -u <id of the command> ...`.
fn is_monitor(arguments: &[u8], exec: &str) -> bool {
    let parts: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
    parts
        .first()
        .is_some_and(|program| program.ends_with(b"conmon"))
        && parts
            .windows(2)
            .any(|pair| pair == [b"-u".as_slice(), exec.as_bytes()])
}

/// `<number> (<name>) <state> <parent> ...`; the name may contain anything.
fn parent_in(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_is_found_by_its_command() {
        let arguments = b"/usr/bin/conmon\0-c\01a\0-u\02b\0-r\0/usr/bin/runc\0";
        assert!(is_monitor(arguments, "2b"));
        assert!(!is_monitor(arguments, "1a"));
        assert!(!is_monitor(b"/bin/sh\0-u\02b\0", "2b"));
    }

    #[test]
    fn the_name_of_a_process_may_contain_anything() {
        assert_eq!(parent_in("12 (a) S 1) S 34 5 6"), Some(34));
    }
}
