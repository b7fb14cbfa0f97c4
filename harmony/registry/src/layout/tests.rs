use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// A layout in the making.
struct Draft(TempDir);

impl Draft {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("oci-layout"), "{}").expect("a file");
        std::fs::create_dir_all(folder.path().join("blobs/sha256")).expect("a folder");
        Self(folder)
    }

    fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = hashing::sha256(bytes);
        std::fs::write(self.0.path().join(blob_path(&digest)), bytes).expect("a blob");
        digest
    }

    fn json(&self, value: &Value) -> Digest {
        self.blob(value.to_string().as_bytes())
    }

    fn image(&self, content: &[u8], base: &str) -> Digest {
        let (config, layer) = (self.blob(b"{}"), self.blob(content));
        self.json(&json!({
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE_MEDIA_TYPE,
            "config": {"mediaType": "c", "digest": config, "size": 2},
            "layers": [{"mediaType": "l", "digest": layer, "size": content.len()}],
            "annotations": {BASE_NAME: base},
        }))
    }

    fn read(&self, digest: &Digest) -> Result<Artifact, LayoutError> {
        let registry = RegistryHost::parse("r.example.com").expect("a host");
        read(self.0.path(), digest, &registry)
    }

    fn refusal(&self, digest: &Digest) -> String {
        self.read(digest).expect_err("a refusal").to_string()
    }
}

#[test]
fn an_index_comes_after_its_images_and_each_blob_once() {
    let draft = Draft::new();
    let (a, b) = (draft.image(b"a", ""), draft.image(b"b", ""));
    let entry =
        |digest: &Digest| json!({"mediaType": OCI_IMAGE_MEDIA_TYPE, "digest": digest, "size": 1});
    let index =
        draft.json(&json!({"schemaVersion": 2, "manifests": [entry(&a), entry(&b), entry(&a)]}));
    let artifact = draft.read(&index).expect("an artifact");
    let order: Vec<_> = artifact
        .manifests
        .iter()
        .map(|manifest| &manifest.digest)
        .collect();
    assert_eq!(order, [&a, &b, &index]);
    assert_eq!(artifact.manifests[2].media_type, OCI_IMAGE_INDEX_MEDIA_TYPE);
    // The config, which both share, and a layer of each.
    assert_eq!(artifact.blobs.len(), 3);
    assert_eq!(artifact.size(), 4);
}

#[test]
fn the_base_is_a_relative_when_it_is_in_the_same_registry() {
    let draft = Draft::new();
    let relative = |base| {
        let digest = draft.image(b"x", base);
        let artifact = draft.read(&digest).expect("an artifact");
        artifact.relative.map(|repository| repository.to_string())
    };
    assert_eq!(
        relative("r.example.com/base/debian:13"),
        Some("base/debian".into())
    );
    assert_eq!(relative("docker.io/library/debian:13"), None);
    assert_eq!(relative("no reference at all"), None);
}

#[test]
fn what_is_missing_or_changed_is_named() {
    let draft = Draft::new();
    let absent = hashing::sha256(b"absent");
    assert_eq!(draft.refusal(&absent), format!("`{absent}` is missing"));

    let image = draft.image(b"content", "");
    let layer = hashing::sha256(b"content");
    let path = draft.0.path().join(blob_path(&layer));
    std::fs::write(&path, "longer than it was").expect("a blob");
    assert_eq!(
        draft.refusal(&image),
        format!("`{layer}` has 18 bytes instead of 7")
    );
    std::fs::remove_file(&path).expect("the blob");
    assert_eq!(draft.refusal(&image), format!("`{layer}` is missing"));

    std::fs::write(draft.0.path().join(blob_path(&image)), "{}").expect("a blob");
    assert!(draft.refusal(&image).contains("has other content"));
}

#[test]
fn manifests_that_break_the_specification_are_refused() {
    let draft = Draft::new();
    let refusals = [
        json!("text"),
        json!({"mediaType": "application/vnd.example"}),
        json!({"schemaVersion": 2, "config": {"mediaType": "c", "digest": "sha256:short", "size": 1}, "layers": []}),
        json!({"schemaVersion": 2, "config": {"mediaType": "c", "digest": hashing::sha256(b""), "size": -1}, "layers": []}),
        json!({"schemaVersion": 2, "manifests": [{"mediaType": "m", "digest": "../../etc/passwd", "size": 1}]}),
    ]
    .map(|manifest| draft.refusal(&draft.json(&manifest)));
    for refusal in refusals {
        assert!(
            refusal.contains("is not valid") || refusal.contains("cannot be understood"),
            "{refusal}"
        );
    }
    let mut nested = draft.image(b"x", "");
    for _ in 0..=MAX_DEPTH {
        nested = draft.json(&json!({
            "schemaVersion": 2,
            "manifests": [{"mediaType": OCI_IMAGE_INDEX_MEDIA_TYPE, "digest": nested, "size": 1}],
        }));
    }
    assert!(draft.refusal(&nested).contains("nested too deep"));
}

#[test]
fn what_is_no_layout_says_why() {
    let registry = RegistryHost::parse("r.example.com").expect("a host");
    let digest = hashing::sha256(b"");
    let refusal = |path: &Path| {
        read(path, &digest, &registry)
            .expect_err("no layout")
            .to_string()
    };
    let folder = TempDir::new().expect("a folder");
    assert!(refusal(folder.path()).ends_with("is no OCI layout: it has no file `oci-layout`"));
    assert!(refusal(&folder.path().join("absent")).starts_with("cannot read `"));
    let file = folder.path().join("file.tar.gz");
    std::fs::write(&file, [0x1f, 0x8b, 8, 0, 1, 2, 3]).expect("a file");
    assert!(
        refusal(&file).contains("is no OCI layout"),
        "{}",
        refusal(&file)
    );
}

#[test]
fn blobs_of_an_archive_are_stretches_of_it() {
    let draft = Draft::new();
    let image = draft.image(b"the content", "");
    let path = draft.0.path().with_extension("tar");
    let mut archive = tar::Builder::new(File::create(&path).expect("a file"));
    archive
        .append_dir_all(".", draft.0.path())
        .and_then(|()| archive.finish())
        .expect("an archive");
    let registry = RegistryHost::parse("r.example.com").expect("a host");
    let artifact = read(&path, &image, &registry).expect("an artifact");
    let layer = artifact
        .blobs
        .iter()
        .find(|blob| blob.digest == hashing::sha256(b"the content"))
        .expect("the layer");
    let BlobSource::File { offset, .. } = &layer.source else {
        panic!("a stretch of the archive");
    };
    let whole = std::fs::read(&path).expect("the archive");
    std::fs::remove_file(&path).expect("the archive");
    let start = usize::try_from(*offset).expect("a small file");
    assert_eq!(&whole[start..start + 11], b"the content");
}
