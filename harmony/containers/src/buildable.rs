//! What images are made of: each type here says its recipe, for every builder.
//!
//! | type | makes |
//! | --- | --- |
//! | [`RustBinary`] | a binary of a cargo package, linked statically |
//! | [`GoBinary`] | a command of a Go module at a version |
//! | [`Prebuilt`] | a static program that is there already |
//!
//! All of them stand on nothing (`FROM scratch`): what the image carries beside the program is in [`Runtime`].

mod cargo_project;
mod go_binary;
mod prebuilt;
mod reproducible;
mod runtime;
mod rust_binary;

pub use go_binary::GoBinary;
pub use prebuilt::Prebuilt;
pub use runtime::Runtime;
pub use rust_binary::RustBinary;
