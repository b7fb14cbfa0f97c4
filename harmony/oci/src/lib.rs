//! Images on disk: reads and writes the OCI image layout.
//!
//! ```text
//! files --tar--> layer --gzip--> blob --+
//!                config, manifest ------+--> Layout (directory) --archive--> one file
//! ```
//!
//! The builder writes layouts, the registry client uploads and downloads them, and the local node imports them. This
//! crate does not use the network and does not decide what is in an image. All functions block on disk I/O.
//!
//! | module | contents |
//! | --- | --- |
//! | [`layout`] | [`Layout`]: a directory or tar archive, its index and its blobs. Start here |
//! | [`image`] | [`Image`]: a layout with a single image, opened and verified |
//! | [`contents`] | everything that a manifest or an index refers to, in push order |
//! | [`write`] | new layouts, written at once ([`NewImage`]) or blob by blob ([`Incoming`]) |
//! | [`archive`] | an image as a single file, for `ctr image import`, `podman load`, `docker load` |
//! | [`documents`] | the manifest of an image and its descriptor |
//! | [`layer`] | a compressed layer: tar, gzip and both hashes in one pass |
//! | [`entry`] | reproducible tar entries |
//! | [`hash`] | digests of bytes, files and streams |
//! | [`file`](mod@file) | opening untrusted files |

pub mod archive;
pub mod contents;
pub mod documents;
pub mod entry;
mod error;
pub mod file;
pub mod hash;
pub mod image;
mod json;
pub mod layer;
pub mod layout;
pub mod write;

pub use documents::Documents;
pub use error::LayoutError;
pub use hash::sha256;
pub use image::Image;
pub use json::canonical_json;
pub use layer::{LayerBlob, LayerWriter};
pub use layout::Layout;
/// The types of the OCI specifications in the interface of this crate.
pub use oci_spec::image as spec;
pub use write::{Incoming, NewImage};
