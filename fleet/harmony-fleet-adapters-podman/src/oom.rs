//! What the kernel says about memory.
//!
//! The podman of Debian 12 never says that a container was out of memory: its conmon writes the note into a folder where
//! podman does not look. The kernel's log names the control group of what it killed, which has the id of the container.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

/// Whether the kernel killed a program of this container because of its memory limit, as far as the kernel's log goes
/// back. Without the right to read the log, the answer is no.
pub(crate) async fn kernel_says(id: &str) -> bool {
    let id = id.to_owned();
    tokio::task::spawn_blocking(move || in_log(&id))
        .await
        .unwrap_or(false)
}

fn in_log(id: &str) -> bool {
    let Ok(mut log) = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open("/dev/kmsg")
    else {
        return false;
    };
    // Each read returns one record.
    let mut record = vec![0; 8 << 10];
    loop {
        match log.read(&mut record) {
            Ok(0) => return false,
            Ok(length) => {
                let is_about = std::str::from_utf8(&record[..length])
                    .is_ok_and(|record| is_kill_in(record, id));
                if is_about {
                    return true;
                }
            }
            // The oldest records were overwritten while reading.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(_) => return false,
        }
    }
}

fn is_kill_in(record: &str, id: &str) -> bool {
    record.contains("oom-kill:")
        && record
            .split_once("task_memcg=")
            .is_some_and(|(_, group)| group.contains(&format!("libpod-{id}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_group_names_the_container() {
        let record = "4,991,42044303369,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=libpod-1a2b,mems_allowed=0,oom_memcg=/libpod_parent/libpod-1a2b,task_memcg=/libpod_parent/libpod-1a2b,task=dd,pid=9921,uid=0\n";
        assert!(is_kill_in(record, "1a2b"));
        assert!(!is_kill_in(record, "ffff"));
        assert!(!is_kill_in("4,1,1,-;something about libpod-1a2b\n", "1a2b"));
    }
}
