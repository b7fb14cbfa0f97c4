//! Building container images: their content as data, and the adapters that build them.
//!
//! [`harmony_oci`] writes layouts, archives and layers. This crate implements the capability
//! [`ContainerBuilder`](harmony_core::capability::container_builder::ContainerBuilder). It must not know registries,
//! charts or Kubernetes: it returns an OCI layout on disk, which others push or import.
//!
//! ```text
//! Buildable --recipe()--> ImageRecipe --plan--> ImagePlan --+--> native: host steps, layers, OCI layout
//! (RustBinary, GoBinary,   (data, in               (sorted, +--> docker, BuildKit: Dockerfile, build context, daemon,
//!  Prebuilt, yours)         harmony_core)           checked)     OCI layout
//! ```
//!
//! All builders use the same plan, so an image has the same files, modes, user and entrypoint with either of them.
//!
//! | module | contents |
//! | --- | --- |
//! | [`native`] | [`NativeBuilder`]: no daemon, no root, reproducible digests. Start here |
//! | [`docker`] | [`DockerBuilder`]: Dockerfiles and recipes with a Docker daemon, and exporting the image |
//! | [`buildkit`] | [`BuildKitBuilder`]: Dockerfiles and recipes with a BuildKit daemon on this or another machine |
//! | [`buildable`] | the sources of images: [`RustBinary`], [`GoBinary`], [`CrateBinary`], [`DebianProgram`], [`Prebuilt`], [`StaticSite`], [`LeptosWebapp`], and [`Runtime`] |
//! | `plan` | from a recipe to sorted, validated, complete layers; pure |
//! | `request` | what a builder of Dockerfiles has to build |
//! | `dockerfile`, `context`, `stage` | a recipe as a Dockerfile, the files that it copies, as directories |
//! | `host_step` | runs cargo and go, with progress and cancellation |
//! | `child`, `progress` | running a program, and reading what BuildKit's clients print |
//! | `host_file` | reads and hashes files of the host |
//! | `fingerprint` | the inputs of a build, so that plans can predict digests |
//! | `startable` | whether the program can start in its image |
//! | `cache` | what is kept between runs, and for how long |

mod blocking;
pub mod buildable;
pub mod buildkit;
mod cache;
mod child;
mod context;
pub mod docker;
mod dockerfile;
mod fingerprint;
mod host_file;
mod host_step;
pub mod native;
mod plan;
mod progress;
mod request;
mod stage;
mod startable;
#[cfg(test)]
mod testing;

pub use buildable::{
    CrateBinary, DebianProgram, GoBinary, LeptosWebapp, Prebuilt, Rendering, Runtime, RustBinary,
    StaticSite,
};
pub use buildkit::{BuildKitBuilder, BuildKitEndpoint, ClientCertificates};
pub use docker::DockerBuilder;
pub use native::NativeBuilder;
