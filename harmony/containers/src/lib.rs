//! Builds container images: what is in them as data, and the adapters that make them.
//!
//! Layouts, archives and layers are written by [`harmony_oci`]. This crate implements the port [`ContainerBuilder`](harmony_core::capability::container_builder::ContainerBuilder).
//! It must not know registries, charts or Kubernetes: it hands over an OCI layout on disk, and others push or import
//! it.
//!
//! ```text
//! Buildable --recipe()--> ImageRecipe --plan--> ImagePlan --+--> native: host steps, layers, OCI layout
//! (RustBinary, GoBinary,   (data, in               (sorted, +--> docker: Dockerfile, build context, daemon, OCI layout
//!  Prebuilt, yours)         harmony_core)           checked)
//! ```
//!
//! Both builders work from the same plan, so an image has the same files, modes, user and entrypoint whichever makes
//! it.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`native`] | [`NativeBuilder`]: no daemon, no root, same inputs same digest. Start here |
//! | [`docker`] | [`DockerBuilder`]: Dockerfiles and recipes by a docker daemon, and the way out of it |
//! | [`buildable`] | [`RustBinary`], [`GoBinary`], [`Prebuilt`], and what their images carry: [`Runtime`] |
//! | `plan` | recipe to sorted, checked, complete layers; pure |
//! | `host_step` | runs cargo and go, with progress and cancellation |
//! | `host_file` | reads and hashes the host's files |
//! | `fingerprint` | what a build depends on, so that plans can tell digests |
//! | `startable` | whether the program of an image can start in it |
//! | `cache` | what is kept between runs, and for how long |

mod blocking;
pub mod buildable;
mod cache;
pub mod docker;
mod fingerprint;
mod host_file;
mod host_step;
pub mod native;
mod plan;
mod startable;
#[cfg(test)]
mod testing;

pub use buildable::{GoBinary, Prebuilt, Runtime, RustBinary};
pub use docker::DockerBuilder;
pub use native::NativeBuilder;
