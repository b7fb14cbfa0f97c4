//! Sources for images. Each type provides a recipe for every builder.
//!
//! | type | builds |
//! | --- | --- |
//! | [`RustBinary`] | a statically linked binary of a cargo package |
//! | [`GoBinary`] | a command of a Go module at a version |
//! | [`DebianProgram`] | a program of a package of this machine's Debian |
//! | [`Prebuilt`] | an existing static program |
//!
//! All images are built from scratch. [`Runtime`] defines what they contain in addition to the program.

mod cargo_project;
mod debian_program;
mod go_binary;
mod prebuilt;
mod reproducible;
mod runtime;
mod rust_binary;

pub use debian_program::DebianProgram;
pub use go_binary::GoBinary;
pub use prebuilt::Prebuilt;
pub use runtime::Runtime;
pub use rust_binary::RustBinary;
