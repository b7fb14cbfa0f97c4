//! Takes over the image that the client wrote. Blocking.

use std::fs;
use std::io;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::BuiltImage;
use harmony_oci::{Image, LayoutError};
use tempfile::TempDir;

use crate::cache::{Cache, touch};
use crate::native::assemble::built;
use crate::native::layer::unwritable;

/// The reason why the image was not taken over.
#[derive(Debug)]
pub(super) enum LayoutFault {
    /// The client wrote something else than one intact image.
    Layout(LayoutError),
    Build(BuildError),
}

/// Verifies the image in `layout` and moves it to its place in the cache.
pub(super) fn keep(layout: TempDir, cache: &Cache) -> Result<BuiltImage, LayoutFault> {
    let image = Image::open(layout.path()).map_err(LayoutFault::Layout)?;
    image.verify().map_err(LayoutFault::Layout)?;
    let target = cache.image(image.digest());
    let existing = Image::open(&target).ok();
    if let Some(existing) = existing.filter(|image| image.verify().is_ok()) {
        touch(&target);
        return Ok(built(&existing));
    }
    let unwritable = |source| LayoutFault::Build(unwritable(&target)(source));
    if target.exists() {
        // It is damaged, and gets deleted with this directory.
        let damaged = tempfile::Builder::new()
            .prefix("damaged-")
            .tempdir_in(cache.staging())
            .map_err(unwritable)?;
        fs::rename(&target, damaged.path().join("image")).map_err(unwritable)?;
    }
    sync(&image).map_err(unwritable)?;
    let complete = layout.keep();
    if let Err(error) = fs::rename(&complete, &target) {
        // Another process was faster. What it wrote has the same name and therefore the same content.
        let _ = fs::remove_dir_all(&complete);
        if !target.exists() {
            return Err(unwritable(error));
        }
    }
    Image::open(&target)
        .map(|image| built(&image))
        .map_err(LayoutFault::Layout)
}

/// Writes the content to disk, because an image with a name is complete even after a crash.
fn sync(image: &Image) -> io::Result<()> {
    let root = image.layout().path();
    for blob in image.blobs() {
        let path = root.join("blobs").join(blob.digest().algorithm().as_ref());
        fs::File::open(path.join(blob.digest().digest()))?.sync_all()?;
    }
    fs::File::open(root.join("index.json"))?.sync_all()
}
