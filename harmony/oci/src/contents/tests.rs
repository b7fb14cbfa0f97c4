use std::fs::File;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::hash::sha256;
use crate::layout::blob_path;

/// A layout under construction.
struct Draft(TempDir);

impl Draft {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("oci-layout"), "{}").expect("a file");
        std::fs::create_dir_all(folder.path().join("blobs/sha256")).expect("a folder");
        Self(folder)
    }

    fn blob(&self, bytes: &[u8]) -> Digest {
        let digest = sha256(bytes);
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
            "mediaType": media::MANIFEST,
            "config": {"mediaType": "c", "digest": config, "size": 2},
            "layers": [{"mediaType": "l", "digest": layer, "size": content.len()}],
            "annotations": {BASE_NAME: base},
        }))
    }

    fn read(&self, digest: &Digest) -> Result<Contents, LayoutError> {
        Layout::open(self.0.path())?.contents(digest)
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
        |digest: &Digest| json!({"mediaType": media::MANIFEST, "digest": digest, "size": 1});
    let index =
        draft.json(&json!({"schemaVersion": 2, "manifests": [entry(&a), entry(&b), entry(&a)]}));
    let contents = draft.read(&index).expect("contents");
    let order: Vec<_> = contents
        .manifests
        .iter()
        .map(|manifest| &manifest.digest)
        .collect();
    assert_eq!(order, [&a, &b, &index]);
    assert_eq!(contents.manifests[2].media_type, media::INDEX);
    // The configuration, which both share, and one layer each.
    assert_eq!(contents.blobs.len(), 3);
    assert_eq!(contents.size, 4);
}

#[test]
fn the_base_is_named() {
    let draft = Draft::new();
    let digest = draft.image(b"x", "r.example.com/base/debian:13");
    let contents = draft.read(&digest).expect("contents");
    assert_eq!(
        contents.base.as_deref(),
        Some("r.example.com/base/debian:13")
    );
}

#[test]
fn what_is_missing_or_changed_is_named() {
    let draft = Draft::new();
    let absent = sha256(b"absent");
    assert_eq!(draft.refusal(&absent), format!("`{absent}` is missing"));

    let image = draft.image(b"content", "");
    let layer = sha256(b"content");
    let path = draft.0.path().join(blob_path(&layer));
    std::fs::write(&path, "longer than it was").expect("a blob");
    assert_eq!(
        draft.refusal(&image),
        format!("`{layer}` has 18 bytes instead of 7")
    );
    std::fs::remove_file(&path).expect("the blob");
    assert_eq!(draft.refusal(&image), format!("`{layer}` is missing"));

    std::fs::write(draft.0.path().join(blob_path(&image)), "{}").expect("a blob");
    assert!(draft.refusal(&image).contains("is damaged"));
}

#[test]
fn manifests_that_break_the_specification_are_refused() {
    let draft = Draft::new();
    let refusals = [
        json!("text"),
        json!({"mediaType": "application/vnd.example"}),
        json!({"schemaVersion": 2, "config": {"mediaType": "c", "digest": "sha256:short", "size": 1}, "layers": []}),
        json!({"schemaVersion": 2, "config": {"mediaType": "c", "digest": sha256(b""), "size": -1}, "layers": []}),
        json!({"schemaVersion": 2, "manifests": [{"mediaType": "m", "digest": "../../etc/passwd", "size": 1}]}),
    ]
    .map(|manifest| draft.refusal(&draft.json(&manifest)));
    for refusal in refusals {
        assert!(
            refusal.contains("is not valid") || refusal.contains("cannot parse"),
            "{refusal}"
        );
    }
    let mut nested = draft.image(b"x", "");
    for _ in 0..=MAX_DEPTH {
        nested = draft.json(&json!({
            "schemaVersion": 2,
            "manifests": [{"mediaType": media::INDEX, "digest": nested, "size": 1}],
        }));
    }
    assert!(draft.refusal(&nested).contains("nested too deep"));
}

#[test]
fn other_things_than_layouts_are_refused_with_the_reason() {
    let refusal = |path: &Path| Layout::open(path).expect_err("not a layout").to_string();
    let folder = TempDir::new().expect("a folder");
    assert!(refusal(folder.path()).ends_with("is not an OCI layout: it has no file `oci-layout`"));
    assert!(refusal(&folder.path().join("absent")).starts_with("cannot read `"));
    let file = folder.path().join("file.tar.gz");
    std::fs::write(&file, [0x1f, 0x8b, 8, 0, 1, 2, 3]).expect("a file");
    assert!(
        refusal(&file).contains("is not an OCI layout"),
        "{}",
        refusal(&file)
    );
}

#[test]
fn blobs_of_an_archive_are_stretches_of_it() {
    let draft = Draft::new();
    let image = draft.image(b"the content", "");
    std::fs::write(draft.0.path().join("index.json"), "{}").expect("an index");
    let path = draft.0.path().with_extension("tar");
    let mut archive = File::create(&path).expect("a file");
    Layout::open(draft.0.path())
        .expect("a layout")
        .write_archive(&mut archive)
        .expect("an archive");
    let layout = Layout::open(&path).expect("a layout");
    let contents = layout.contents(&image).expect("contents");
    let layer = sha256(b"the content");
    layout.verify(&layer, 11).expect("intact");
    let place = contents
        .blobs
        .into_iter()
        .find(|blob| blob.digest == layer)
        .expect("the layer")
        .place;
    let whole = std::fs::read(&path).expect("the archive");
    std::fs::remove_file(&path).expect("the archive");
    let start = usize::try_from(place.offset).expect("a small file");
    assert_eq!(&whole[start..start + 11], b"the content");
}

#[test]
fn sizes_that_no_disk_has_are_refused() {
    let largest = u64::try_from(i64::MAX).expect("positive");
    assert_eq!(total_size([1, 2, 3]), Ok(6));
    assert_eq!(total_size([largest]), Ok(largest));
    for sizes in [[largest; 3], [u64::MAX; 3], [largest, 1, 0]] {
        assert!(total_size(sizes).is_err());
    }
}
