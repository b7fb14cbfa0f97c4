//! Why what was built cannot be sent.

use std::io;
use std::path::PathBuf;

use harmony_types::Digest;

/// An image cannot be read from where it was built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayoutError {
    /// The layout itself cannot be read.
    #[error("cannot read `{}`", path.display())]
    Open {
        /// Directory or archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is neither a directory nor a plain tar archive of a layout.
    #[error("`{}` is no OCI layout: {reason}", path.display())]
    NotALayout {
        /// Directory or file.
        path: PathBuf,
        /// What is missing.
        reason: &'static str,
    },
    /// A blob is not there.
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
    /// A blob has not the size that its manifest says.
    #[error("`{digest}` has {found} bytes instead of {expected}")]
    Size {
        /// Which one.
        digest: Digest,
        /// In the manifest, in bytes.
        expected: u64,
        /// On disk, in bytes.
        found: u64,
    },
    /// A blob has not the content that its name says.
    #[error("`{digest}` has other content, whose digest is `{found}`")]
    Changed {
        /// Which one.
        digest: Digest,
        /// What it is now.
        found: Digest,
    },
    /// A manifest cannot be understood.
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
}
