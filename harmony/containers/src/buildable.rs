//! Sources for images. Each type provides a recipe for every builder.
//!
//! | type | builds |
//! | --- | --- |
//! | [`RustBinary`] | a statically linked binary of a cargo package |
//! | [`GoBinary`] | a command of a Go module at a version |
//! | [`DebianProgram`] | a program of a package of this machine's Debian |
//! | [`CrateBinary`] | a program of crates.io at a version |
//! | [`Prebuilt`] | an existing static program |
//! | [`StaticSite`] | a directory of files, with a server for it |
//! | [`LeptosWebapp`] | a Leptos app, rendered on the server or in the browser |
//!
//! All images are built from scratch. [`Runtime`] defines what they contain in addition to the program.

mod cargo_project;
mod crate_binary;
mod debian_program;
mod go_binary;
mod leptos_webapp;
mod prebuilt;
mod reproducible;
mod runtime;
mod rust_binary;
mod static_site;

pub use crate_binary::CrateBinary;
pub use debian_program::DebianProgram;
pub use go_binary::GoBinary;
pub use leptos_webapp::{LeptosWebapp, Rendering};
pub use prebuilt::Prebuilt;
pub use runtime::Runtime;
pub use rust_binary::RustBinary;
pub use static_site::StaticSite;
