use std::io;
use std::path::PathBuf;

use harmony_types::Digest;

/// Why an image on disk cannot be used or written.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The directory, the archive or a file in it cannot be read.
    #[error("cannot read `{}`", path.display())]
    Open {
        /// Directory, archive or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is neither a directory nor a plain tar archive with a layout in it.
    #[error("`{}` is not an OCI layout: {reason}", path.display())]
    NotALayout {
        /// Directory or file.
        path: PathBuf,
        /// What is missing.
        reason: &'static str,
    },
    /// The index is not the JSON that the specification asks for.
    #[error("the index of `{}` cannot be understood", path.display())]
    Index {
        /// The layout.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The index names no image, or several.
    #[error("`{}` holds {count} images, not one", path.display())]
    Images {
        /// The layout.
        path: PathBuf,
        /// How many it holds.
        count: usize,
    },
    /// A blob does not exist.
    #[error("`{digest}` is missing")]
    Missing {
        /// Which one.
        digest: Digest,
    },
    /// A blob cannot be read.
    #[error("cannot read `{digest}`")]
    Blob {
        /// Which one.
        digest: Digest,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The size of a blob differs from what its manifest says.
    #[error("`{digest}` has {found} bytes instead of {expected}")]
    Size {
        /// Which one.
        digest: Digest,
        /// In the manifest, in bytes.
        expected: u64,
        /// On disk, in bytes.
        found: u64,
    },
    /// The content of a blob differs from what its name says.
    #[error("`{digest}` has other content, whose digest is `{found}`")]
    Changed {
        /// Which one.
        digest: Digest,
        /// What it is now.
        found: Digest,
    },
    /// A manifest or a configuration is not the JSON that the specification asks for.
    #[error("the manifest `{digest}` cannot be understood")]
    Malformed {
        /// Which one.
        digest: Digest,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A manifest breaks the specification.
    #[error("the manifest `{digest}` is not valid: {reason}")]
    Invalid {
        /// Which one.
        digest: Digest,
        /// How.
        reason: String,
    },
    /// The layout cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}
