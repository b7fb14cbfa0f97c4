//! The content of an image from scratch in addition to its program.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use harmony_core::image::{
    Base, FileEntry, FileSource, HostStep, ImageRecipe, Layer, LayerKind, User,
};

/// The directory of programs in the image; it is on `PATH`.
const BIN: &str = "/usr/local/bin";

/// How a program runs in its image, and the files it finds there.
///
/// An image from scratch is empty, so every image gets the few files that programs expect:
///
/// | path | purpose |
/// | --- | --- |
/// | `/etc/passwd`, `/etc/group` | libraries that look up the name or home of the user find `root` and `nonroot` (65532) |
/// | `/etc/nsswitch.conf` | `hosts: files dns`: the C library resolves names with code that is linked into the program, and does not look for shared libraries |
/// | `/tmp` | mode 1777 |
/// | `/etc/ssl/certs/ca-certificates.crt` | only with [`ca_certificates`](Self::ca_certificates) |
///
/// The container runtime provides `/etc/hosts` and `/etc/resolv.conf`.
///
/// ```
/// use harmony_containers::{RustBinary, Runtime};
///
/// let operator = RustBinary::new("my-operator").with_runtime(Runtime {
///     ca_certificates: true,
///     ..Runtime::default()
/// });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// The fixed arguments of the program.
    pub args: Vec<String>,
    /// Arguments that a pod can replace.
    pub cmd: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// The user that runs the program.
    pub user: User,
    /// The working directory; created if it does not exist.
    pub working_dir: String,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Whether the image contains the public root certificates (Mozilla's list in this version of Harmony), for
    /// programs that use TLS with public servers. They do not come from the host, so that the image is the same
    /// everywhere.
    pub ca_certificates: bool,
    /// Additional files: static assets, time zones, templates. They are in a separate layer below the program.
    pub files: Vec<FileEntry>,
}

impl Default for Runtime {
    /// Unprivileged, in `/`, without arguments.
    fn default() -> Self {
        Self {
            args: Vec::new(),
            cmd: Vec::new(),
            env: BTreeMap::new(),
            user: User::NONROOT,
            working_dir: "/".to_owned(),
            labels: BTreeMap::new(),
            ca_certificates: false,
            files: Vec::new(),
        }
    }
}

impl Runtime {
    /// The recipe for the program at `host`, which exists after `host_steps`, with the name `name`.
    pub(crate) fn recipe(
        &self,
        name: &str,
        host: PathBuf,
        host_steps: Vec<HostStep>,
    ) -> ImageRecipe {
        let program = format!("{BIN}/{name}");
        let layers = [
            (LayerKind::Assets, self.base_files()),
            (LayerKind::Assets, self.files.clone()),
            (
                LayerKind::Binary,
                vec![FileEntry {
                    path: program.clone(),
                    source: FileSource::Host(host),
                    mode: 0o755,
                }],
            ),
        ];
        ImageRecipe {
            base: Base::Scratch,
            host_steps,
            layers: layers
                .into_iter()
                .filter(|(_, files)| !files.is_empty())
                .map(|(kind, files)| Layer { kind, files })
                .collect(),
            entrypoint: [program].into_iter().chain(self.args.clone()).collect(),
            cmd: self.cmd.clone(),
            env: self.env.clone(),
            user: self.user,
            working_dir: self.working_dir.clone(),
            labels: self.labels.clone(),
        }
    }

    fn base_files(&self) -> Vec<FileEntry> {
        const PASSWD: &str = "root:x:0:0:root:/root:/sbin/nologin\n\
                              nonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n";
        const GROUP: &str = "root:x:0:\nnonroot:x:65532:\n";
        const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";
        let mut files = vec![
            text("/etc/passwd", PASSWD),
            text("/etc/group", GROUP),
            text("/etc/nsswitch.conf", NSSWITCH),
            FileEntry {
                path: "/tmp".to_owned(),
                source: FileSource::Directory,
                mode: 0o1777,
            },
        ];
        if self.ca_certificates {
            files.push(text("/etc/ssl/certs/ca-certificates.crt", &ca_bundle()));
        }
        files
    }
}

fn text(path: &str, content: &str) -> FileEntry {
    FileEntry {
        path: path.to_owned(),
        source: FileSource::Bytes(Arc::from(content.as_bytes())),
        mode: 0o644,
    }
}

/// The root certificates in PEM, in the order of their crate.
fn ca_bundle() -> String {
    /// RFC 7468, section 2.
    const LINE: usize = 64;
    let mut bundle = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let mut rest: &str = &base64::engine::general_purpose::STANDARD.encode(certificate);
        bundle.push_str("-----BEGIN CERTIFICATE-----\n");
        while !rest.is_empty() {
            let (line, tail) = rest.split_at(LINE.min(rest.len()));
            // Writing to a string cannot fail.
            let _ = writeln!(bundle, "{line}");
            rest = tail;
        }
        bundle.push_str("-----END CERTIFICATE-----\n");
    }
    bundle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_is_pem_that_openssl_reads() {
        let bundle = ca_bundle();
        let certificates = webpki_root_certs::TLS_SERVER_ROOT_CERTS.len();
        assert!(certificates > 50);
        assert_eq!(
            bundle.matches("-----BEGIN CERTIFICATE-----\n").count(),
            certificates
        );
        assert!(bundle.lines().all(|line| line.len() <= 64));
        let decoded: Vec<_> = bundle
            .split("-----END CERTIFICATE-----\n")
            .filter_map(|part| part.strip_prefix("-----BEGIN CERTIFICATE-----\n"))
            .map(|body| {
                base64::engine::general_purpose::STANDARD
                    .decode(body.replace('\n', ""))
                    .unwrap()
            })
            .collect();
        assert!(
            decoded
                .iter()
                .zip(webpki_root_certs::TLS_SERVER_ROOT_CERTS)
                .all(|(decoded, der)| decoded[..] == der[..])
        );
    }

    #[test]
    fn what_rarely_changes_lies_below_what_often_does() {
        let runtime = Runtime {
            args: vec!["serve".into()],
            files: vec![text("/srv/index.html", "<html>")],
            ..Runtime::default()
        };
        let recipe = runtime.recipe("app", "/host/app".into(), Vec::new());
        let kinds: Vec<_> = recipe.layers.iter().map(|layer| layer.kind).collect();
        assert_eq!(
            kinds,
            [LayerKind::Assets, LayerKind::Assets, LayerKind::Binary]
        );
        assert_eq!(recipe.entrypoint, ["/usr/local/bin/app", "serve"]);
        assert_eq!(recipe.user, User::NONROOT);
    }
}
