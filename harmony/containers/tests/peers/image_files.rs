//! The content of an image that was built.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use harmony_core::image::{Built, BuiltImage, ImageLocation};
use harmony_oci::Image;

pub(crate) fn image_of(built: Built) -> BuiltImage {
    match built {
        Built::Image(image) => image,
        Built::Predicted(_) => panic!("nothing was built"),
    }
}

pub(crate) fn layout(image: &BuiltImage) -> Image {
    match &image.location {
        ImageLocation::OciLayout(path) => Image::open(path).unwrap(),
        other => panic!("the image is at {other:?}"),
    }
}

/// What a container sees: type, mode, owner, content, link of each path.
pub(crate) type Node = (tar::EntryType, u32, (u64, u64), Vec<u8>, Option<PathBuf>);

pub(crate) fn files(layout: &Image) -> BTreeMap<String, Node> {
    let mut files = BTreeMap::new();
    for layer in layout.manifest().layers() {
        let content = layout.blob(layer).unwrap().open().unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(content));
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry
                .path()
                .unwrap()
                .to_str()
                .unwrap()
                .trim_end_matches('/')
                .to_owned();
            assert!(!path.contains(".wh."), "{path}");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let header = entry.header();
            let node = (
                header.entry_type(),
                header.mode().unwrap() & 0o7777,
                (header.uid().unwrap(), header.gid().unwrap()),
                content,
                entry.link_name().unwrap().map(std::borrow::Cow::into_owned),
            );
            files.insert(path, node);
        }
    }
    files
}
