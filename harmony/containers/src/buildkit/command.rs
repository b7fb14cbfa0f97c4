//! The command lines of `buildctl`. Pure.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use harmony_core::image::{SecretId, SecretSource};
use harmony_core::process;
use tokio::process::Command;

use crate::buildkit::BuildKitEndpoint;
use crate::request::Request;
use crate::stage::Directories;

/// The build argument that BuildKit uses as the date of the image.
const DATE: &str = "SOURCE_DATE_EPOCH";

/// The time to connect, in seconds.
const CONNECT: &str = "15";

/// Asks the daemon for its workers.
pub(super) fn check(client: &Path, endpoint: &BuildKitEndpoint) -> Command {
    let mut command = process::async_command(client, &[]);
    command
        .args(connection(endpoint))
        .args(["debug", "workers"]);
    command
}

/// Builds `request` and writes the image to `layout`.
pub(super) fn build(
    client: &Path,
    endpoint: &BuildKitEndpoint,
    request: &Request,
    directories: &Directories,
    layout: &Path,
) -> Command {
    // The client fetches tokens for base images, so it needs the user's logins and proxies.
    let mut inherited = vec!["DOCKER_CONFIG"];
    inherited.extend(process::NETWORK);
    inherited.extend(secret_variables(request));
    let mut command = process::async_command(client, &inherited);
    command
        .args(connection(endpoint))
        .args(arguments(request, directories, layout));
    command
}

fn connection(endpoint: &BuildKitEndpoint) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec![
        "--addr".into(),
        endpoint.to_string().into(),
        "--timeout".into(),
        CONNECT.into(),
    ];
    if let Some(certificates) = endpoint.certificates() {
        for (flag, path) in [
            ("--tlscacert", &certificates.ca),
            ("--tlscert", &certificates.certificate),
            ("--tlskey", &certificates.key),
        ] {
            args.extend([flag.into(), path.into()]);
        }
    }
    args
}

fn arguments(request: &Request, directories: &Directories, layout: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = ["build", "--progress=plain", "--frontend=dockerfile.v0"]
        .map(OsString::from)
        .into();
    let mut add = |flag: &str, value: OsString| args.extend([flag.into(), value]);
    add("--local", joined("context=", &directories.context));
    add("--local", joined("dockerfile=", &directories.dockerfiles));
    let mut option = |name: &str, value: &str| add("--opt", format!("{name}={value}").into());
    option("filename", &directories.dockerfile);
    option("platform", &request.platform.to_string());
    if !request.build_args.contains_key(DATE) {
        option(&format!("build-arg:{DATE}"), &request.created.to_string());
    }
    for (name, value) in &request.build_args {
        option(&format!("build-arg:{name}"), value);
    }
    for (name, value) in &request.labels {
        option(&format!("label:{name}"), value);
    }
    for (id, source) in &request.secrets {
        add("--secret", secret(id, source));
    }
    add("--output", output(request, layout));
    args
}

/// Where the secret is; never the secret itself, which would be visible in the list of processes.
pub(crate) fn secret(id: &SecretId, source: &SecretSource) -> OsString {
    let id = field(format!("id={id}").as_ref());
    let place = match source {
        SecretSource::File(path) => ["type=file".into(), field(&joined("src=", path))],
        SecretSource::Env(name) => ["type=env".into(), field(format!("env={name}").as_ref())],
    };
    fields([id].into_iter().chain(place))
}

/// The variables that the client must see.
pub(crate) fn secret_variables(request: &Request) -> impl Iterator<Item = &str> {
    request.secrets.values().filter_map(|source| match source {
        SecretSource::Env(name) => Some(name.as_str()),
        SecretSource::File(_) => None,
    })
}

/// An OCI layout as a directory. Attestations would be further manifests in its index, and contain the time.
fn output(request: &Request, layout: &Path) -> OsString {
    let options = [
        "type=oci".into(),
        "tar=false".into(),
        "oci-mediatypes=true".into(),
        "compression=gzip".into(),
        "rewrite-timestamp=true".into(),
        field(&joined("dest=", layout)),
    ];
    let annotations = request
        .annotations
        .iter()
        .map(|(name, value)| field(format!("annotation.{name}={value}").as_ref()));
    fields(options.into_iter().chain(annotations))
}

fn joined(name: &str, path: &Path) -> OsString {
    let mut text = OsString::from(name);
    text.push(path);
    text
}

fn fields(fields: impl IntoIterator<Item = OsString>) -> OsString {
    let fields: Vec<_> = fields.into_iter().collect();
    fields.join(OsStr::new(","))
}

/// A field of a comma-separated list, in quotes if necessary.
fn field(text: &OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let bytes = text.as_bytes();
    let special = |byte: &u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    if !bytes.iter().any(special) {
        return text.to_owned();
    }
    let mut quoted = vec![b'"'];
    for byte in bytes {
        if *byte == b'"' {
            quoted.push(b'"');
        }
        quoted.push(*byte);
    }
    quoted.push(b'"');
    OsString::from_vec(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_with_a_comma_is_quoted() {
        for (text, expected) in [
            ("dest=/a/b", "dest=/a/b"),
            ("dest=/a,b", "\"dest=/a,b\""),
            ("annotation.a=say \"x\"", "\"annotation.a=say \"\"x\"\"\""),
        ] {
            assert_eq!(field(text.as_ref()), expected);
        }
    }

    #[test]
    fn a_secret_is_named_by_its_place() {
        let id: SecretId = "token".parse().unwrap();
        let file = SecretSource::File("/run/a,b".into());
        assert_eq!(secret(&id, &file), "id=token,type=file,\"src=/run/a,b\"");
        let env = SecretSource::Env("TOKEN".into());
        assert_eq!(secret(&id, &env), "id=token,type=env,env=TOKEN");
    }

    #[test]
    fn certificates_are_passed_to_the_client() {
        let endpoint: BuildKitEndpoint = "tcp://x:1".parse().unwrap();
        let endpoint = endpoint
            .with_certificates(crate::buildkit::ClientCertificates {
                ca: "/ca".into(),
                certificate: "/cert".into(),
                key: "/key".into(),
            })
            .unwrap();
        let args = connection(&endpoint);
        let args: Vec<_> = args.iter().map(|arg| arg.to_str().unwrap()).collect();
        assert_eq!(
            args.join(" "),
            "--addr tcp://x:1 --timeout 15 --tlscacert /ca --tlscert /cert --tlskey /key"
        );
    }
}
