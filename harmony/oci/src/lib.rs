//! Images on disk: the OCI image layout, read and written in one place.
//!
//! ```text
//! files --tar--> layer --gzip--> blob --+
//!                config, manifest ------+--> Layout (directory) --archive--> one file
//! ```
//!
//! The builder writes layouts, the registry sends and receives them, the local node imports them. All three use this
//! crate. It does not use the network, and it does not decide what is in an image. Everything here blocks on the disk.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`layout`] | [`Layout`]: a directory or tar archive, its index and its blobs. Start here |
//! | [`image`] | [`Image`]: a layout with one image; opened, verified |
//! | [`contents`] | everything that a manifest or an index refers to, in the order in which it is pushed |
//! | [`write`] | new layouts: in one piece ([`NewImage`]) or blob by blob ([`Incoming`]) |
//! | [`archive`] | an image as one file, for `ctr image import`, `podman load`, `docker load` |
//! | [`documents`] | the manifest of an image and its descriptor |
//! | [`layer`] | a compressed layer: tar, gzip and both hashes in one pass |
//! | [`entry`] | reproducible tar entries |
//! | [`hash`] | digests of bytes, of files, of what passes through |
//! | [`file`](mod@file) | opening files that may be anything |

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
/// The types of the OCI specifications that this crate's interface uses.
pub use oci_spec::image as spec;
pub use write::{Incoming, NewImage};
