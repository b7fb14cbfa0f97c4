//! Imports images into the node without a registry: from an OCI image layout, with containerd's own import.
//!
//! A kubelet asks for an image by the name in the pod, `registry/repository@sha256:...`, and containerd answers from
//! the names it knows. So an import creates the name by digest and, if there is one, the name by tag. Pods that use one
//! of these names start with `imagePullPolicy: IfNotPresent`, and nothing is pulled.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use harmony_core::Context;
use harmony_core::outcome::{Action, Change};
use harmony_oci::entry::{Entry, write_end, write_head, write_padding};
use harmony_oci::spec::{Arch, Os};
use harmony_oci::{Documents, Image, LayerWriter, Layout, LayoutError, archive};
use harmony_types::{Digest, ImageRef};
use serde_json::json;

use super::containerd::Containerd;
use super::error::LocalNodeError;
use super::files;
use super::tool;

/// Imports the image of an OCI layout (a directory or a tar archive) under the names of `image`.
///
/// # Errors
/// [`LocalNodeError::Layout`] if the layout does not contain exactly one intact image, [`LocalNodeError::Archive`] if
/// its digest is not that of `image`.
pub(crate) async fn import(
    ctx: &Context,
    containerd: &Containerd,
    layout: &Path,
    image: &ImageRef,
) -> Result<Change, LocalNodeError> {
    let digest = intact_image(layout).await?;
    if let Some(pinned) = image.digest()
        && *pinned != digest
    {
        let reason = format!("it contains {digest}, not {pinned}");
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

/// Writes an image to an archive of an OCI layout.
pub(super) async fn export(
    containerd: &Containerd,
    image: &ImageRef,
    archive: &Path,
) -> Result<(), LocalNodeError> {
    let digest = image.digest().map(ToString::to_string).unwrap_or_default();
    let name = format!("{}@{digest}", containerd_repository(image));
    let mut export = containerd.command(&["images", "export"]);
    export.arg(archive).arg(name);
    tool::finish(export, "").await.map(drop)
}

/// Returns true if containerd has the image under this name, by digest if the reference has one.
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

/// containerd stores the official images of Docker Hub with `library/`, like Docker.
fn containerd_repository(image: &ImageRef) -> String {
    let (registry, repository) = (image.registry().as_str(), image.repository().as_str());
    if registry == "docker.io" && !repository.contains('/') {
        return format!("{registry}/library/{repository}");
    }
    format!("{registry}/{repository}")
}

/// Writes a layout to the standard input of containerd's client, which may run in another mount namespace. A directory
/// is packed first.
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
        let layout = Layout::open(source).map_err(io::Error::other)?;
        layout.write_archive(&mut stdin)
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

/// The digest of the only image in a layout, after verifying all of its blobs.
async fn intact_image(layout: &Path) -> Result<Digest, LocalNodeError> {
    let path = layout.to_owned();
    let read = move || {
        let image = Image::open(path)?;
        image.verify()?;
        Ok(image.digest().clone())
    };
    let read: Result<Digest, LayoutError> = tokio::task::spawn_blocking(read)
        .await
        .map_err(io::Error::other)
        .map_err(LocalNodeError::file("read", layout))?;
    read.map_err(|source| LocalNodeError::Layout {
        path: layout.to_owned(),
        source,
    })
}

/// The pause image, which holds the namespaces of a pod. It contains a single program.
#[derive(Debug, Clone)]
pub(super) struct PauseImage {
    /// The name in the containerd configuration. It contains a hash of the content, so another program is another
    /// image.
    pub(super) name: String,
    archive: Vec<u8>,
}

const PAUSE_REPOSITORY: &str = "harmony.local/pause";

impl PauseImage {
    /// Assembles the image. The same program gives the same bytes.
    pub(super) fn assemble(program: &Path) -> Result<Self, LocalNodeError> {
        let read = fs::read(program).map_err(LocalNodeError::file("read", program))?;
        let (archive, digest) =
            pause_archive(&read).map_err(LocalNodeError::file("pack", program))?;
        Ok(Self {
            name: format!("{PAUSE_REPOSITORY}:{}", pause_tag(&digest)),
            archive,
        })
    }

    /// Imports the image unless it exists.
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

fn pause_tag(digest: &Digest) -> &str {
    digest.hex().get(..16).unwrap_or_default()
}

/// An OCI layout as a tar archive, and the digest of its image.
fn pause_archive(program: &[u8]) -> io::Result<(Vec<u8>, Digest)> {
    let mut layer = LayerWriter::new(Vec::new());
    let size = program.len() as u64;
    let entry = Entry {
        mode: 0o755,
        ..Entry::file("pause", size)
    };
    write_head(&mut layer, &entry)?;
    layer.write_all(program)?;
    write_padding(&mut layer, size)?;
    write_end(&mut layer)?;
    let (content, layer) = layer.finish()?;
    let (architecture, name) = if cfg!(target_arch = "aarch64") {
        (Arch::ARM64, "arm64")
    } else {
        (Arch::Amd64, "amd64")
    };
    let config = json!({
        "architecture": name,
        "os": "linux",
        // Not root: it needs no permissions to hold namespaces and reap processes.
        "config": { "Entrypoint": ["/pause"], "User": "65535:65535" },
        "rootfs": { "type": "layers", "diff_ids": [layer.diff_id] },
    });
    let config = config.to_string().into_bytes();
    let platform = (Os::Linux, architecture);
    let documents = Documents::new(config, &[layer], platform, HashMap::new())?;
    let mut out = Vec::new();
    archive::write_small(
        &documents,
        &[&content],
        pause_tag(&documents.digest),
        &mut out,
    )?;
    Ok((out, documents.digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_program_gives_the_same_image() {
        let (one, digest) = pause_archive(b"program").unwrap();
        assert_eq!(
            pause_archive(b"program").unwrap(),
            (one.clone(), digest.clone())
        );
        assert_ne!(pause_archive(b"other").unwrap().1, digest);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pause.tar");
        fs::write(&path, one).unwrap();
        assert_eq!(intact_image(&path).await.unwrap(), digest);
        let unpacked = folder.path().join("layout");
        tar::Archive::new(File::open(&path).unwrap())
            .unpack(&unpacked)
            .unwrap();
        assert_eq!(intact_image(&unpacked).await.unwrap(), digest);
    }

    #[tokio::test]
    async fn a_damaged_image_is_refused_with_its_blob() {
        let (mut archive, _) = pause_archive(b"program").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pause.tar");
        // The layer is the last blob, followed by the padding and the end of the archive.
        let at = archive.iter().rposition(|byte| *byte != 0).unwrap();
        archive[at] ^= 1;
        fs::write(&path, archive).unwrap();
        let error = intact_image(&path).await.unwrap_err();
        assert!(
            matches!(
                &error,
                LocalNodeError::Layout {
                    source: LayoutError::Changed { .. },
                    ..
                }
            ),
            "{error:?}"
        );
    }

    #[test]
    fn official_images_get_their_long_name() {
        let name = |image: &str| containerd_repository(&ImageRef::parse(image).unwrap());
        assert_eq!(name("docker.io/nginx:1"), "docker.io/library/nginx");
        assert_eq!(name("docker.io/library/nginx"), "docker.io/library/nginx");
        assert_eq!(name("127.0.0.1:5000/a/b:1"), "127.0.0.1:5000/a/b");
    }
}
