//! What the pods of our own Scores have in common: no privileges, and a mark of the configuration that they read at start.

use k8s_openapi::api::core::v1::{
    Capabilities, PodSecurityContext, SeccompProfile, SecurityContext,
};
use sha2::{Digest as _, Sha256};

/// The annotation whose value changes with the configuration, so that the pod is replaced and reads the new one.
pub(super) const CONFIG_MARK: &str = "harmony.dev/config";

/// The first 32 bits of the hash: enough to see a change, too little to try passwords against.
pub(super) fn mark(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let hash = hash.finalize();
    hash.iter()
        .take(4)
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A pod that runs as this unprivileged user and group, which own its volumes.
pub(super) fn pod(user: i64) -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(user),
        run_as_group: Some(user),
        fs_group: Some(user),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".into(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

/// No capabilities, no new privileges, no writable file system.
pub(super) fn container() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".into()]),
            ..Capabilities::default()
        }),
        ..SecurityContext::default()
    }
}
