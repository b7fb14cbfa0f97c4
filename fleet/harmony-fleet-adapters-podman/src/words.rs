//! What podman's words mean.
//!
//! The API has no codes: nearly every refusal has the status 500 and a text. The texts come from podman, from runc or crun,
//! and from the client of registries. A text that is not known here is [`FailureReason::PodmanRefused`].

use harmony_reconciler_contracts::FailureReason;

/// Why a container was not created or not started.
pub(crate) fn of_container(message: &str) -> FailureReason {
    let has = |part: &str| message.contains(part);
    let has_any = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    if has_any(DISK_FULL) {
        FailureReason::DiskFull
    } else if has("no such secret") {
        FailureReason::SecretMissing
    } else if has("address already in use") || has("port is already allocated") {
        FailureReason::PortTaken
    } else if has("name") && has("already in use") {
        FailureReason::NameTaken
    } else if has("image not known") {
        FailureReason::ImageMissing
    } else if has_any(&[
        "command that was not found",
        "executable file not found",
        "exec format error",
        "OCI permission denied",
        // The user and the folder to start in are those of the image.
        "no matching entries in passwd file",
        "workdir",
    ]) {
        FailureReason::CannotStart
    } else {
        FailureReason::PodmanRefused
    }
}

/// Why an image was not pulled. `image` is its reference, which is a part of the message but says nothing.
pub(crate) fn of_pull(message: &str, image: &str) -> FailureReason {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let message = message.replace(image, "").replace(name, "");
    let has_any = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    if has_any(DISK_FULL) {
        FailureReason::DiskFull
    } else if has_any(&[
        "no image found in manifest list",
        "no image found in image index",
    ]) {
        FailureReason::WrongArchitecture
    } else if has_any(&[
        "unauthorized",
        "authentication required",
        "access to the resource is denied",
        ": denied",
        "invalid username/password",
        "401 (Unauthorized)",
        "403 (Forbidden)",
    ]) {
        FailureReason::ImageDenied
    } else if has_any(&[
        "manifest unknown",
        "name unknown",
        "repository name not known",
        "blob unknown",
        "404 (Not Found)",
    ]) {
        FailureReason::ImageMissing
    } else if has_any(&[
        "pinging container registry",
        "dial tcp",
        "no such host",
        "connection refused",
        "connection reset",
        "i/o timeout",
        "Client.Timeout",
        "deadline exceeded",
        "TLS handshake",
        "x509",
        "HTTP response to HTTPS client",
        "EOF",
        "toomanyrequests",
        "received unexpected HTTP status: 5",
    ]) {
        FailureReason::RegistryUnreachable
    } else {
        FailureReason::PodmanRefused
    }
}

const DISK_FULL: &[&str] = &["no space left on device", "disk quota exceeded"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_about_containers() {
        use FailureReason::{
            CannotStart, DiskFull, ImageMissing, NameTaken, PodmanRefused, PortTaken, SecretMissing,
        };
        for (message, reason) in [
            (
                r#"no secret with name or id "missing": no such secret"#,
                SecretMissing,
            ),
            (
                r#"creating container storage: the container name "taken" is already in use by 6e17. You have to remove that container to be able to reuse that name: that name is already in use"#,
                NameTaken,
            ),
            (
                "cannot listen on the TCP port: listen tcp4 :18080: bind: address already in use",
                PortTaken,
            ),
            (
                "rootlessport listen tcp 0.0.0.0:8080: bind: address already in use",
                PortTaken,
            ),
            (
                r#"runc: runc create failed: unable to start container process: exec: "/nope": stat /nope: no such file or directory: OCI runtime attempted to invoke a command that was not found"#,
                CannotStart,
            ),
            (
                "crun: open executable: Permission denied: OCI permission denied",
                CannotStart,
            ),
            (
                "unable to find user app: no matching entries in passwd file",
                CannotStart,
            ),
            (
                r#"workdir "/nope" does not exist on container 75e4"#,
                CannotStart,
            ),
            (
                "creating container storage: creating read-write layer with ID \"1\": mkdir /x: no space left on device",
                DiskFull,
            ),
            ("localhost/a@sha256:0: image not known", ImageMissing),
            (r#""CAP_NOPE": unknown capability"#, PodmanRefused),
        ] {
            assert_eq!(of_container(message), reason, "{message}");
        }
    }

    #[test]
    fn words_about_pulls() {
        use FailureReason::{
            DiskFull, ImageDenied, ImageMissing, PodmanRefused, RegistryUnreachable,
            WrongArchitecture,
        };
        let image = "r.example/denied/EOF@sha256:0";
        let source = format!("initializing source docker://{image}: ");
        for (message, reason) in [
            (
                "reading manifest 1 in r.example/denied/EOF: manifest unknown: manifest unknown",
                ImageMissing,
            ),
            (
                "reading manifest 1 in r.example/denied/EOF: name unknown: repository name not known to registry",
                ImageMissing,
            ),
            (
                "reading manifest 1 in r.example/denied/EOF: unauthorized: authentication required",
                ImageDenied,
            ),
            (
                "reading manifest 1 in r.example/denied/EOF: denied: requested access to the resource is denied",
                ImageDenied,
            ),
            (
                r#"pinging container registry r.example: Get "https://r.example/v2/": dial tcp: lookup r.example: no such host"#,
                RegistryUnreachable,
            ),
            (
                r#"pinging container registry r.example: Get "https://r.example/v2/": x509: certificate signed by unknown authority"#,
                RegistryUnreachable,
            ),
            (
                "writing blob: adding layer with blob \"sha256:1\": write /a: no space left on device",
                DiskFull,
            ),
            (
                "choosing an image from manifest list docker://r.example/denied/EOF@sha256:0: no image found in manifest list for architecture amd64, variant \"\", OS linux",
                WrongArchitecture,
            ),
            (
                "writing blob: mkdir /var/lib/containers: permission denied",
                PodmanRefused,
            ),
        ] {
            assert_eq!(
                of_pull(&format!("{source}{message}"), image),
                reason,
                "{message}"
            );
        }
    }
}
