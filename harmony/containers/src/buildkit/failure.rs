//! The cause of a failure, from the output of the client. Pure.

use harmony_core::capability::container_builder::BuildError;
use harmony_core::diagnostic::BoxError;
use harmony_types::ImageRef;

use crate::buildkit::BuildKitEndpoint;
use crate::progress::Output;

const CLIENT_CERTIFICATE: &str = "the daemon requires a client certificate that its authority signed: set the CA, certificate and key of the client";

/// Texts in the output of a client whose TCP connection was closed by the daemon. With TLS 1.3, a daemon rejects a client
/// after the handshake, so the client often fails in the middle of something else before it has read the reason.
const CLOSED: &[(&[&str], &str)] = &[(
    &[
        "error reading server preface",
        "broken pipe",
        "connection reset by peer",
    ],
    CLIENT_CERTIFICATE,
)];

/// Texts in the output of a client that cannot connect, and what helps.
const CONNECTING: &[(&[&str], &str)] = &[
    (
        &["permission denied"],
        "you may not use the socket: run the command as root, or start buildkitd with `--group` and a group of yours",
    ),
    (
        &[
            "certificate signed by unknown authority",
            "certificate is valid for",
            "certificate is not valid for any names",
            "legacy Common Name field",
            "cannot validate certificate",
        ],
        "the certificate of the daemon does not match the authority or the host name: check the CA file, and use the \
         name in the certificate",
    ),
    (
        &["certificate has expired or is not yet valid"],
        "the certificate of the daemon has expired, or a clock is wrong: renew it, and compare the clocks of both machines",
    ),
    (
        &["tls: expired certificate"],
        "the certificate of the client has expired, or a clock is wrong: renew it, and compare the clocks of both machines",
    ),
    (
        &[
            "certificate required",
            "bad certificate",
            "unknown certificate authority",
        ],
        CLIENT_CERTIFICATE,
    ),
    (
        &["first record does not look like a TLS handshake"],
        "the daemon does not use TLS: start it with `--tlscacert`, `--tlscert` and `--tlskey`, or connect without \
         certificates",
    ),
    (
        &["private key does not match", "failed to find any PEM data"],
        "check that the certificate and the key of the client are PEM files that belong together",
    ),
    (
        &["no such host"],
        "check the host name in the address of the BuildKit daemon",
    ),
];

/// Texts in the output of a failed build, and what helps.
const BUILDING: &[(&[&str], &str)] = &[
    (
        &["no space left on device"],
        "free some space on the disk of the BuildKit daemon, for example with `buildctl prune`",
    ),
    (
        &[
            "failed to resolve source metadata for docker.io/docker/dockerfile",
            "frontend grpc server closed unexpectedly",
        ],
        "the line `# syntax=` makes the daemon pull that frontend: remove the line, or let the daemon reach the registry",
    ),
    (
        &[
            "pull access denied",
            "authorization failed",
            "401 Unauthorized",
            "403 Forbidden",
        ],
        "the registry denied access to a base image: check its name, and log in with `docker login` on this machine",
    ),
    (
        &["failed to resolve source metadata", "failed to do request"],
        "the daemon cannot pull a base image: check its name, and that the machine of the daemon can reach the registry",
    ),
    (
        &["is not allowed"],
        "a step needs a permission that the daemon does not grant: remove `RUN --security` or `RUN --network=host`",
    ),
    (
        &["exec format error"],
        "a step runs a program for another processor: install QEMU on the machine of the daemon, or use a daemon that \
         runs on that processor",
    ),
    (
        &[
            "dockerfile parse error",
            "unknown instruction",
            "failed to read dockerfile",
        ],
        "fix the Dockerfile; the error above shows the line",
    ),
    (
        &["operation not permitted", "failed to mount"],
        "the daemon has too few permissions to run this step: run buildkitd as root, or read BuildKit's page on rootless \
         mode",
    ),
];

/// The daemon cannot be reached.
pub(super) fn unreachable(endpoint: &BuildKitEndpoint, output: &Output) -> BuildError {
    let text = output.text();
    let closed = || known(CLOSED, &text).filter(|_| endpoint.is_tcp());
    let help = known(CONNECTING, &text).or_else(closed).unwrap_or(
        "start buildkitd at this address, or correct the address; the `NativeBuilder` builds recipes without a daemon",
    );
    BuildError::Unreachable {
        endpoint: endpoint.to_string(),
        output: output.evidence(),
        help: help.to_owned(),
    }
}

/// The build failed.
pub(super) fn of_build(
    endpoint: &BuildKitEndpoint,
    image: &ImageRef,
    output: &Output,
) -> BuildError {
    let help = known(BUILDING, &output.text())
        .unwrap_or("fix what BuildKit reports above, then run the same command again");
    BuildError::Daemon {
        endpoint: endpoint.to_string(),
        doing: format!("building {image}"),
        output: output.evidence(),
        help: help.to_owned(),
        source: None,
    }
}

/// The image of the daemon cannot be used.
pub(super) fn unusable(
    endpoint: &BuildKitEndpoint,
    image: &str,
    source: impl Into<BoxError>,
) -> BuildError {
    BuildError::Daemon {
        endpoint: endpoint.to_string(),
        doing: format!("exporting {image}"),
        output: Vec::new(),
        help: "report this as a bug, with the version of BuildKit and the way the image was built"
            .to_owned(),
        source: Some(source.into()),
    }
}

fn known(causes: &[(&[&str], &'static str)], text: &str) -> Option<&'static str> {
    causes
        .iter()
        .find(|(texts, _)| texts.iter().any(|part| text.contains(part)))
        .map(|(_, help)| *help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(lines: &[&str]) -> String {
        let mut output = Output::default();
        for line in lines {
            output.add((*line).into());
        }
        let endpoint = "tcp://x:1".parse().unwrap();
        let image = ImageRef::parse("registry.test/app:1").unwrap();
        let errors = [
            unreachable(&endpoint, &output),
            of_build(&endpoint, &image, &output),
        ];
        let hints = errors.map(|error| match error {
            BuildError::Unreachable { help, .. } | BuildError::Daemon { help, .. } => help,
            other => panic!("{other}"),
        });
        hints.join("\n")
    }

    #[test]
    fn known_causes_have_hints_of_their_own() {
        for (line, expected) in [
            ("dial unix /x: connect: permission denied", "as root"),
            (
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                "CA file",
            ),
            (
                "remote error: tls: certificate required",
                "client certificate",
            ),
            (
                "dial unix /x: connect: no such file or directory",
                "start buildkitd",
            ),
            (
                "error: failed to solve: no space left on device",
                "buildctl prune",
            ),
            (
                "error: failed to solve: failed to resolve source metadata for docker.io/docker/dockerfile:1: dial tcp",
                "# syntax=",
            ),
            (
                "error: failed to solve: a.example/x: failed to resolve source metadata for a.example/x",
                "base image",
            ),
            ("error: security.insecure is not allowed", "does not grant"),
            ("exec /bin/sh: exec format error", "QEMU"),
            ("Dockerfile:1 dockerfile parse error", "shows the line"),
            (
                "process \"x\" did not complete successfully: exit code: 1",
                "fix what BuildKit reports",
            ),
        ] {
            let hint = hint(&[line]);
            assert!(hint.contains(expected), "{line}: {hint}");
        }
    }
}
