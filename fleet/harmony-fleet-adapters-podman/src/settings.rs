//! Settings.

use std::path::PathBuf;

/// How to reach podman, and what is not decided by podman's own configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodmanSettings {
    /// The socket of podman's service.
    pub socket: PathBuf,
    /// Where the output of containers goes. By default, to the journal if it is podman's default, and otherwise to files.
    pub logs: Option<LogDriver>,
    /// The size of a log file, in bytes. Podman then starts it again from the beginning.
    pub log_bytes: u64,
    /// Whether registries need a trusted certificate. By default, podman's `registries.conf` decides.
    pub tls_verify: Option<bool>,
}

/// Where the output of containers goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogDriver {
    /// The journal of systemd: `journalctl CONTAINER_NAME=<name>`.
    Journal,
    /// A file for each container.
    File,
}

impl PodmanSettings {
    /// The defaults for a socket.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self {
            socket: socket.into(),
            logs: None,
            log_bytes: 5 << 20,
            tls_verify: None,
        }
    }

    /// The socket that podman's systemd unit creates for the user of this process.
    pub fn of_this_user() -> Self {
        let folder = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let is_root = rustix::process::geteuid().is_root();
        Self::new(default_socket(is_root, folder))
    }
}

fn default_socket(is_root: bool, runtime_folder: Option<PathBuf>) -> PathBuf {
    runtime_folder
        .filter(|_| !is_root)
        .unwrap_or_else(|| "/run".into())
        .join("podman/podman.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_the_socket_of_the_system() {
        let user = Some(PathBuf::from("/run/user/1000"));
        assert_eq!(
            default_socket(true, user.clone()),
            PathBuf::from("/run/podman/podman.sock")
        );
        assert_eq!(
            default_socket(false, user),
            PathBuf::from("/run/user/1000/podman/podman.sock")
        );
    }
}
