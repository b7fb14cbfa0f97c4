//! An image for tests: Debian's static busybox.

use std::fs;
use std::io;

use bytes::Bytes;
use harmony_reconciler_contracts::PinnedImage;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, LOCATION};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::json;
use sha2::{Digest, Sha256};

/// The static program in the image.
const BUSYBOX: &str = "/bin/busybox";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image with busybox, and `sh`, `sleep` and others as links to it. Its digest is known before anything is loaded.
#[derive(Debug, Clone)]
pub struct TestImage {
    name: String,
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

impl TestImage {
    /// An image for this machine. `name` is a repository, such as `localhost/app`.
    pub fn busybox(name: &str) -> io::Result<Self> {
        Self::busybox_for(name, architecture())
    }

    /// The same image, which claims to be for this processor.
    pub fn busybox_for(name: &str, architecture: &str) -> io::Result<Self> {
        Ok(Self::of_layer(name, architecture, layer(0)?))
    }

    /// An image for this machine with a file of this size.
    pub fn large(name: &str, bytes: usize) -> io::Result<Self> {
        Ok(Self::of_layer(name, architecture(), layer(bytes)?))
    }

    fn of_layer(name: &str, architecture: &str, layer: Vec<u8>) -> Self {
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            // As the first process of a container, it would ignore a request to end.
            "config": {"Entrypoint": [BUSYBOX], "Cmd": ["sleep", "1000000"], "StopSignal": "SIGKILL"},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
        });
        let config = config.to_string().into_bytes();
        let part = |kind: &str, content: &[u8]| {
            json!({
                "mediaType": format!("application/vnd.oci.image.{kind}"),
                "digest": digest(content),
                "size": content.len(),
            })
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": part("config.v1+json", &config),
            "layers": [part("layer.v1.tar", &layer)],
        });
        Self {
            name: name.to_owned(),
            manifest: manifest.to_string().into_bytes(),
            layer,
            config,
        }
    }

    /// The same image in another repository.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The reference by digest.
    ///
    /// # Panics
    /// If the name is not a repository with a registry.
    pub fn pinned(&self) -> PinnedImage {
        format!("{}@{}", self.name, digest(&self.manifest))
            .parse()
            .expect("a test names a repository")
    }

    /// Pushes it to the registry in its name, which speaks HTTP without TLS and lets everybody write.
    pub async fn push(&self) -> io::Result<()> {
        let (registry, repository) = self
            .name
            .split_once('/')
            .ok_or_else(|| io::Error::other("the image is in no registry"))?;
        for blob in [&self.layer, &self.config] {
            let uploads = format!("/v2/{repository}/blobs/uploads/");
            let upload = send(registry, Method::POST, &uploads, "", &[]).await?;
            let upload = upload.ok_or_else(|| io::Error::other("no place for an upload"))?;
            let path = upload.trim_start_matches(&format!("http://{registry}"));
            let and = if path.contains('?') { '&' } else { '?' };
            let path = format!("{path}{and}digest={}", digest(blob));
            send(
                registry,
                Method::PUT,
                &path,
                "application/octet-stream",
                blob,
            )
            .await?;
        }
        let path = format!("/v2/{repository}/manifests/{}", digest(&self.manifest));
        send(registry, Method::PUT, &path, MANIFEST, &self.manifest).await?;
        Ok(())
    }

    /// An archive in the OCI layout, as for `podman load` and `skopeo copy oci-archive:`.
    pub fn archive(&self) -> io::Result<Vec<u8>> {
        let index = json!({
            "schemaVersion": 2,
            "manifests": [{
                "mediaType": MANIFEST,
                "digest": digest(&self.manifest),
                "size": self.manifest.len(),
                "annotations": {"org.opencontainers.image.ref.name": format!("{}:test", self.name)},
            }],
        });
        let mut archive = tar::Builder::new(Vec::new());
        let layout = br#"{"imageLayoutVersion":"1.0.0"}"#;
        append(&mut archive, "oci-layout", layout, 0o644)?;
        append(
            &mut archive,
            "index.json",
            index.to_string().as_bytes(),
            0o644,
        )?;
        for blob in [&self.layer, &self.config, &self.manifest] {
            let path = format!("blobs/{}", digest(blob).replace(':', "/"));
            append(&mut archive, &path, blob, 0o644)?;
        }
        archive.into_inner()
    }
}

/// The processor of this machine, in the words of images.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `large` is the size of a file that nobody reads.
fn layer(large: usize) -> io::Result<Vec<u8>> {
    let busybox = fs::read(BUSYBOX).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{BUSYBOX}: {error}: `apt-get install -y busybox-static`"),
        )
    })?;
    let mut layer = tar::Builder::new(Vec::new());
    for (folder, mode) in [("bin/", 0o755), ("etc/", 0o755), ("tmp/", 0o1777)] {
        let mut header = header(mode);
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        layer.append_data(&mut header, folder, io::empty())?;
    }
    append(&mut layer, "bin/busybox", &busybox, 0o755)?;
    append(&mut layer, "etc/text", b"not a program\n", 0o644)?;
    if large > 0 {
        append(&mut layer, "etc/large", &vec![0; large], 0o644)?;
    }
    for name in [
        "sh", "sleep", "cat", "touch", "id", "grep", "ls", "dd", "nc",
    ] {
        let mut header = header(0o777);
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        layer.append_link(&mut header, format!("bin/{name}"), "busybox")?;
    }
    layer.into_inner()
}

fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    content: &[u8],
    mode: u32,
) -> io::Result<()> {
    let mut header = header(mode);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, path, content)
}

fn header(mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Sends a request to a registry, and returns the location in its answer.
async fn send(
    registry: &str,
    method: Method,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> io::Result<Option<String>> {
    let stream = tokio::net::TcpStream::connect(registry).await?;
    let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, registry)
        .header(CONTENT_TYPE, content_type)
        .body(Full::from(body.to_vec()))
        .map_err(io::Error::other)?;
    let answer = sender
        .send_request(request)
        .await
        .map_err(io::Error::other)?;
    connection.abort();
    let status = answer.status();
    if !status.is_success() {
        return Err(io::Error::other(format!("{path}: {status}")));
    }
    let location = answer.headers().get(LOCATION);
    let location = location.and_then(|value| value.to_str().ok());
    Ok(location.map(str::to_owned))
}

fn digest(content: &[u8]) -> String {
    let hex: String = Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}
