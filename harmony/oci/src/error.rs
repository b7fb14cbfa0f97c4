use std::io;
use std::path::PathBuf;

use harmony_types::Digest;

/// The reason why an image on disk cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The directory, the archive or a file in it cannot be read.
    #[error("cannot read `{}`", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is neither a directory nor an uncompressed tar archive with a layout.
    #[error("`{}` is not an OCI layout: {reason}", path.display())]
    NotALayout { path: PathBuf, reason: &'static str },
    /// The index is not valid JSON according to the specification.
    #[error("cannot parse the index of `{}`", path.display())]
    Index {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// The index does not contain exactly one image.
    #[error("`{}` contains {count} images instead of one", path.display())]
    Images { path: PathBuf, count: usize },
    #[error("`{digest}` is missing")]
    Missing { digest: Digest },
    #[error("cannot read `{digest}`")]
    Blob {
        digest: Digest,
        #[source]
        source: io::Error,
    },
    /// The size of a blob differs from that in its manifest.
    #[error("`{digest}` has {found} bytes instead of {expected}")]
    Size {
        digest: Digest,
        /// The size in the manifest, in bytes.
        expected: u64,
        /// The size on disk, in bytes.
        found: u64,
    },
    /// The content of a blob does not match its digest.
    #[error("`{digest}` is damaged: the digest of its content is `{found}`")]
    Changed {
        digest: Digest,
        /// The digest of the content.
        found: Digest,
    },
    /// A manifest or a configuration is not valid JSON according to the specification.
    #[error("cannot parse the manifest `{digest}`")]
    Malformed {
        digest: Digest,
        #[source]
        source: serde_json::Error,
    },
    /// A manifest violates the specification.
    #[error("the manifest `{digest}` is not valid: {reason}")]
    Invalid { digest: Digest, reason: String },
    #[error("cannot write `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}
