//! Values for several tests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{
    Base, BuildContext, Buildable, FileEntry, FileSource, ImageRecipe, ImageSource, Layer,
    LayerKind, User,
};
use harmony_core::inventory::Platform;
use harmony_types::ImageRef;

/// 2023-11-14T22:13:20Z
pub(crate) const CREATED: i64 = 1_700_000_000;

pub(crate) fn image() -> ImageRef {
    ImageRef::parse("registry.test/app:1.0.0").expect("the reference is valid")
}

pub(crate) fn file(path: &str, content: &str, mode: u32) -> FileEntry {
    FileEntry {
        path: path.into(),
        source: FileSource::Bytes(Arc::from(content.as_bytes())),
        mode,
    }
}

pub(crate) fn directory(path: &str, mode: u32) -> FileEntry {
    FileEntry {
        path: path.into(),
        source: FileSource::Directory,
        mode,
    }
}

pub(crate) fn link(path: &str, target: &str) -> FileEntry {
    FileEntry {
        path: path.into(),
        source: FileSource::Symlink(target.into()),
        mode: 0o777,
    }
}

/// The smallest static program for amd64: the header of an ELF file.
pub(crate) fn program() -> FileEntry {
    let mut header = [0; 64];
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    header[16] = 2; // an executable
    header[18] = 62; // for x86-64
    FileEntry {
        path: "/usr/local/bin/app".into(),
        source: FileSource::Bytes(Arc::from(header)),
        mode: 0o755,
    }
}

pub(crate) fn recipe(layers: Vec<(LayerKind, Vec<FileEntry>)>) -> ImageRecipe {
    ImageRecipe {
        base: Base::Scratch,
        host_steps: Vec::new(),
        layers: layers
            .into_iter()
            .map(|(kind, files)| Layer { kind, files })
            .collect(),
        entrypoint: vec!["/usr/local/bin/app".into()],
        cmd: Vec::new(),
        env: BTreeMap::new(),
        user: User::NONROOT,
        working_dir: "/".into(),
        labels: BTreeMap::new(),
    }
}

/// A recipe as a `Buildable`.
#[derive(Debug, Clone)]
pub(crate) struct Fixed(pub(crate) ImageRecipe);

impl Buildable for Fixed {
    fn recipe(&self, _: &BuildContext) -> Result<ImageRecipe, BuildError> {
        Ok(self.0.clone())
    }
}

pub(crate) fn context(recipe: ImageRecipe) -> BuildContext {
    BuildContext {
        project_root: PathBuf::from("/"),
        source: ImageSource::Buildable(Arc::new(Fixed(recipe))),
        platform: Platform {
            os: "linux",
            architecture: "amd64",
        },
        created: CREATED,
        labels: BTreeMap::from([(
            "org.opencontainers.image.version".to_owned(),
            "1.0.0".to_owned(),
        )]),
    }
}
