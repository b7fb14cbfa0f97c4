//! Images get into the node without a registry: as an OCI image layout, through containerd's own import.
//!
//! A kubelet asks for an image by the name in the pod, `registry/repository@sha256:...`, and containerd answers from
//! the names it knows. An import therefore gives each image the name by digest, and the name by tag where there is
//! one; pods that name it then start with `imagePullPolicy: IfNotPresent` and nothing is pulled.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use harmony_core::Context;
use harmony_core::outcome::{Action, Change};
use harmony_types::{Digest, ImageRef};
use serde::Deserialize;
use serde_json::json;

use super::containerd::Containerd;
use super::error::LocalNodeError;
use super::files;
use super::tool;

/// Imports the one image of an OCI layout (a folder or a tar archive) under the names of `image`.
///
/// # Errors
/// [`LocalNodeError::Archive`] when the layout does not hold exactly one image, or not the one that `image` pins.
pub(in crate::local) async fn import(
    ctx: &Context,
    containerd: &Containerd,
    layout: &Path,
    image: &ImageRef,
) -> Result<Change, LocalNodeError> {
    let digest = manifest_digest(layout)?;
    if let Some(pinned) = image.digest()
        && *pinned != digest
    {
        let reason = format!("it holds {digest}, not {pinned}");
        return Err(LocalNodeError::Archive {
            path: layout.to_owned(),
            reason,
        });
    }
    let pinned = image.clone().with_digest(digest.clone());
    let repository = containerd_repository(image);
    let by_digest = format!("{repository}@{digest}");
    let by_tag = image.tag().map(|tag| format!("{repository}:{tag}"));
    let had_digest = containerd.digest_of(&by_digest).await?.is_some();
    let old_tag = match &by_tag {
        Some(name) => containerd.digest_of(name).await?,
        None => Some(digest.to_string()),
    };
    let tag_is_right = old_tag.as_deref() == Some(digest.as_str());
    let action = match (had_digest && tag_is_right, &by_tag, &old_tag) {
        (true, ..) => Action::Unchanged,
        (false, Some(_), Some(_)) => Action::Update,
        _ => Action::Create,
    };
    let change = Change::new(action, pinned);
    if ctx.is_planning() || action == Action::Unchanged {
        return Ok(change);
    }
    if !had_digest {
        load(containerd, layout, &repository).await?;
    }
    if let (Some(name), false) = (&by_tag, tag_is_right) {
        containerd.name_image(&by_digest, name).await?;
    }
    containerd.wait_until_noticed(&by_digest).await?;
    Ok(change)
}

/// Whether containerd has the image under that name; by digest where the reference has one.
pub(super) async fn is_present(
    containerd: &Containerd,
    image: &ImageRef,
) -> Result<bool, LocalNodeError> {
    let repository = containerd_repository(image);
    let name = match (image.digest(), image.tag()) {
        (Some(digest), _) => format!("{repository}@{digest}"),
        (None, Some(tag)) => format!("{repository}:{tag}"),
        (None, None) => format!("{repository}:latest"),
    };
    Ok(containerd.digest_of(&name).await?.is_some())
}

/// containerd writes Docker Hub's official images with `library/`, as Docker does.
fn containerd_repository(image: &ImageRef) -> String {
    let (registry, repository) = (image.registry().as_str(), image.repository().as_str());
    if registry == "docker.io" && !repository.contains('/') {
        return format!("{registry}/library/{repository}");
    }
    format!("{registry}/{repository}")
}

/// Feeds a layout to containerd's standard input: it may be in another mount namespace. A folder is packed on the way.
async fn load(
    containerd: &Containerd,
    layout: &Path,
    repository: &str,
) -> Result<(), LocalNodeError> {
    let mut import = containerd.command(&[
        "images",
        "import",
        "--digests",
        "--base-name",
        repository,
        "-",
    ]);
    import
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let shown = tool::describe(&import);
    let failed = || LocalNodeError::process("run", format!("`{shown}`"));
    let mut child = import.spawn().map_err(failed())?;
    let Some(stdin) = child.stdin.take() else {
        return Err(failed()(io::ErrorKind::BrokenPipe.into()));
    };
    let mut stdin = File::from(stdin.into_owned_fd().map_err(failed())?);
    let source = layout.to_owned();
    let feeding = tokio::task::spawn_blocking(move || {
        if source.is_dir() {
            let mut archive = tar::Builder::new(stdin);
            archive.append_dir_all(".", &source)?;
            archive.finish()
        } else {
            io::copy(&mut File::open(&source)?, &mut stdin).map(drop)
        }
    });
    let output = child.wait_with_output().await.map_err(failed())?;
    let fed = feeding
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    if !output.status.success() {
        return Err(LocalNodeError::Tool {
            command: shown,
            status: output.status.to_string(),
            output: files::last_lines(&String::from_utf8_lossy(&output.stderr), 12),
        });
    }
    fed.map_err(LocalNodeError::file("read", layout))
}

#[derive(Debug, Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
struct Descriptor {
    digest: Digest,
}

/// The digest of the one image of a layout.
fn manifest_digest(layout: &Path) -> Result<Digest, LocalNodeError> {
    let refuse = |reason: String| LocalNodeError::Archive {
        path: layout.to_owned(),
        reason,
    };
    let index = read_index(layout)
        .map_err(LocalNodeError::file("read", layout))?
        .ok_or_else(|| refuse("it has no index.json".into()))?;
    let index: Index = serde_json::from_slice(&index)
        .map_err(|error| refuse(format!("its index.json: {error}")))?;
    match index.manifests.as_slice() {
        [one] => Ok(one.digest.clone()),
        several => Err(refuse(format!(
            "it holds {} images, not one",
            several.len()
        ))),
    }
}

fn read_index(layout: &Path) -> io::Result<Option<Vec<u8>>> {
    const NAME: &str = "index.json";
    if layout.is_dir() {
        return match fs::read(layout.join(NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        };
    }
    let mut archive = tar::Archive::new(File::open(layout)?);
    for entry in archive.entries()? {
        let mut entry = match entry {
            Ok(entry) => entry,
            // What is no tar archive at all has no index either, and that is the better message.
            Err(error) if error.kind() == io::ErrorKind::Other => return Ok(None),
            Err(error) => return Err(error),
        };
        let path = entry.path()?;
        if path.strip_prefix(".").unwrap_or(&path) == Path::new(NAME) {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            return Ok(Some(content));
        }
    }
    Ok(None)
}

/// The image that holds a pod's namespaces, made of nothing but one program.
#[derive(Debug, Clone)]
pub(super) struct PauseImage {
    /// As containerd's configuration names it; made of its content, so another program is another image.
    pub(super) name: String,
    archive: Vec<u8>,
}

const PAUSE_REPOSITORY: &str = "harmony.local/pause";

impl PauseImage {
    /// Assembles the image; the same program gives the same bytes.
    pub(super) fn assemble(program: &Path) -> Result<Self, LocalNodeError> {
        let read = fs::read(program).map_err(LocalNodeError::file("read", program))?;
        let (archive, manifest) =
            pause_archive(&read).map_err(LocalNodeError::file("pack", program))?;
        let tag = manifest.get(..16).unwrap_or(&manifest);
        Ok(Self {
            name: format!("{PAUSE_REPOSITORY}:{tag}"),
            archive,
        })
    }

    /// Imports the image unless it is there.
    pub(super) async fn ensure(&self, containerd: &Containerd) -> Result<(), LocalNodeError> {
        if containerd.digest_of(&self.name).await?.is_some() {
            return Ok(());
        }
        let mut file = tempfile::NamedTempFile::new()
            .map_err(LocalNodeError::file("create", "a temporary file"))?;
        let path: PathBuf = file.path().to_owned();
        io::Write::write_all(&mut file, &self.archive)
            .map_err(LocalNodeError::file("write", &path))?;
        let mut import = containerd.command(&["images", "import", "--base-name", PAUSE_REPOSITORY]);
        import.arg(&path);
        tool::finish(import, "").await?;
        containerd.wait_until_noticed(&self.name).await
    }
}

/// An OCI layout as a tar archive, and the hex digest of its manifest.
fn pause_archive(program: &[u8]) -> io::Result<(Vec<u8>, String)> {
    let layer = {
        let mut builder = tar::Builder::new(Vec::new());
        append(&mut builder, "pause", program, 0o755)?;
        builder.into_inner()?
    };
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        // Not root: it holds namespaces and reaps processes, and needs no right for either.
        "config": { "Entrypoint": ["/pause"], "User": "65535:65535" },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", files::sha256(&layer))] },
    })
    .to_string();
    let descriptor = |media_type: &str, content: &[u8]| {
        let digest = format!("sha256:{}", files::sha256(content));
        json!({ "mediaType": media_type, "digest": digest, "size": content.len() })
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
    })
    .to_string();
    let manifest_digest = files::sha256(manifest.as_bytes());
    let mut entry = descriptor(
        "application/vnd.oci.image.manifest.v1+json",
        manifest.as_bytes(),
    );
    if let Some(entry) = entry.as_object_mut() {
        let tag = manifest_digest.get(..16).unwrap_or(&manifest_digest);
        entry.insert(
            "annotations".into(),
            json!({ "org.opencontainers.image.ref.name": tag }),
        );
    }
    let index = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string();

    let mut archive = tar::Builder::new(Vec::new());
    append(
        &mut archive,
        "oci-layout",
        br#"{"imageLayoutVersion":"1.0.0"}"#,
        0o644,
    )?;
    append(&mut archive, "index.json", index.as_bytes(), 0o644)?;
    for blob in [config.as_bytes(), manifest.as_bytes(), &layer] {
        append(
            &mut archive,
            &format!("blobs/sha256/{}", files::sha256(blob)),
            blob,
            0o644,
        )?;
    }
    Ok((archive.into_inner()?, manifest_digest))
}

fn append(
    builder: &mut tar::Builder<Vec<u8>>,
    path: &str,
    content: &[u8],
    mode: u32,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    header.set_mtime(0);
    builder.append_data(&mut header, path, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_program_gives_the_same_image() {
        let (one, digest) = pause_archive(b"program").unwrap();
        assert_eq!(
            pause_archive(b"program").unwrap(),
            (one.clone(), digest.clone())
        );
        assert_ne!(pause_archive(b"other").unwrap().1, digest);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pause.tar");
        fs::write(&path, one).unwrap();
        assert_eq!(manifest_digest(&path).unwrap().hex(), digest);
        let unpacked = folder.path().join("layout");
        tar::Archive::new(File::open(&path).unwrap())
            .unpack(&unpacked)
            .unwrap();
        assert_eq!(manifest_digest(&unpacked).unwrap().hex(), digest);
    }

    #[test]
    fn what_is_no_single_image_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let reason = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            match manifest_digest(&path) {
                Err(LocalNodeError::Archive { reason, .. }) => reason,
                other => panic!("{other:?}"),
            }
        };
        let with_index = |index: &str| {
            let mut builder = tar::Builder::new(Vec::new());
            append(&mut builder, "./index.json", index.as_bytes(), 0o644).unwrap();
            builder.into_inner().unwrap()
        };
        assert_eq!(
            reason("text", &b"no archive at all ".repeat(100)),
            "it has no index.json"
        );
        assert_eq!(
            reason("none", &with_index(r#"{"manifests":[]}"#)),
            "it holds 0 images, not one"
        );
        assert!(reason("broken", &with_index("{")).starts_with("its index.json: "));
        assert!(
            reason(
                "digest",
                &with_index(r#"{"manifests":[{"digest":"md5:x"}]}"#)
            )
            .starts_with("its index.json")
        );
        assert!(matches!(
            manifest_digest(Path::new("/no/such")),
            Err(LocalNodeError::File { .. })
        ));
    }

    #[test]
    fn official_images_get_their_long_name() {
        let name = |image: &str| containerd_repository(&ImageRef::parse(image).unwrap());
        assert_eq!(name("docker.io/nginx:1"), "docker.io/library/nginx");
        assert_eq!(name("docker.io/library/nginx"), "docker.io/library/nginx");
        assert_eq!(name("127.0.0.1:5000/a/b:1"), "127.0.0.1:5000/a/b");
    }
}
