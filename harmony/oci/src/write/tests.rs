use std::collections::HashMap;

use oci_spec::image::{Arch, Os};
use tempfile::TempDir;

use super::*;
use crate::entry::{write_end, write_file};
use crate::layer::{LayerBlob, LayerWriter};
use crate::layout::Layout;

fn layer(content: &[u8]) -> (Vec<u8>, LayerBlob) {
    let mut writer = LayerWriter::new(Vec::new());
    write_file(&mut writer, "app", content).unwrap();
    write_end(&mut writer).unwrap();
    writer.finish().unwrap()
}

fn documents(layer: &LayerBlob) -> Documents {
    let platform = (Os::Linux, Arch::Amd64);
    Documents::new(
        b"{}".to_vec(),
        std::slice::from_ref(layer),
        platform,
        HashMap::new(),
    )
    .unwrap()
}

/// Flips one bit without changing the size.
fn damage(path: &Path) {
    let mut content = fs::read(path).unwrap();
    let last = content.len() - 1;
    content[last] ^= 1;
    // The file may be shared by a link, and only this name should be damaged.
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn an_image_with_a_flipped_bit_anywhere_is_written_again() {
    let folder = TempDir::new().unwrap();
    let (content, layer) = layer(b"program");
    let documents = documents(&layer);
    let blob = folder.path().join("layer");
    fs::write(&blob, content).unwrap();
    let new = NewImage {
        documents: &documents,
        layers: vec![(layer.digest.clone(), blob)],
    };
    let target = folder.path().join("image");
    let image = new.write(&target, folder.path()).unwrap();
    image.verify().unwrap();
    let damaged = [
        blob_path(&layer.digest),
        blob_path(&sha256(&documents.config)),
        blob_path(&documents.digest),
        INDEX_FILE.into(),
    ];
    for name in damaged {
        damage(&target.join(&name));
        let opened = Image::open(&target).and_then(|image| image.verify());
        assert!(opened.is_err(), "{}", name.display());
        new.write(&target, folder.path()).unwrap().verify().unwrap();
    }
    let left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != "image" && name != "layer")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn an_incoming_image_counts_when_its_index_is_there() {
    let folder = TempDir::new().unwrap();
    let (content, layer) = layer(b"program");
    let documents = documents(&layer);
    let incoming = Incoming::new(folder.path());
    for (digest, content) in [
        (&layer.digest, &content),
        (&sha256(&documents.config), &documents.config),
    ] {
        assert!(!incoming.has(digest));
        let path = incoming.path(digest);
        let (mut file, unfinished) = beside(&path).unwrap();
        file.write_all(content).unwrap();
        assert!(!incoming.has(digest));
        unfinished.persist(&path).unwrap();
        assert!(incoming.has(digest));
    }
    assert!(Image::open(folder.path()).is_err());
    let media_type = crate::contents::media::MANIFEST;
    incoming
        .finish(&documents.digest, media_type, &documents.manifest)
        .unwrap();
    let image = Image::open(folder.path()).unwrap();
    image.verify().unwrap();
    assert_eq!(image.digest(), &documents.digest);
    damage(&incoming.path(&layer.digest));
    assert!(!incoming.has(&layer.digest));
}

#[test]
fn a_small_archive_is_a_layout() {
    let folder = TempDir::new().unwrap();
    let (content, layer) = layer(b"program");
    let documents = documents(&layer);
    let path = folder.path().join("small.tar");
    let mut file = File::create(&path).unwrap();
    crate::archive::write_small(&documents, &[&content], "tag", &mut file).unwrap();
    let image = Image::open(&path).unwrap();
    image.verify().unwrap();
    assert_eq!(image.digest(), &documents.digest);
    let mut copy = Vec::new();
    Layout::open(&path)
        .unwrap()
        .write_archive(&mut copy)
        .unwrap();
    assert_eq!(copy, fs::read(&path).unwrap());
}
