//! OCI registries: pushes, pulls and looks up images and Helm charts.
//!
//! [`OciRegistryClient`] implements the capabilities `OciRegistry` and `HelmRegistry` for any registry with the OCI
//! distribution API; [`harbor::Harbor`] adds Harbor's projects and robot accounts. This crate must not know how images are built
//! (`harmony_containers`), what a release is (`harmony_release`), or Kubernetes. It takes an OCI layout or a packaged
//! chart, and returns digests.
//!
//! ```text
//! client ---> push --+-> blob, manifest --+-> transport --+-> auth ---> token_server, credentials ---> login_file, credential_helper
//!        \--> pull --+                    |               +-> endpoint (where we go)
//!                                         |               \-> wire (the gate for plans), trust (TLS) ---> the registry
//!    image, chart ---> artifact ----------+                        \-> answer (what an error means)
//! ```
//!
//! | module | contents |
//! | --- | --- |
//! | `client` | [`OciRegistryClient`]: start here; its guarantees, and the order of a push |
//! | [`settings`] | the configuration by the user and the environment |
//! | [`error`] | errors in addition to those of the port |
//! | [`harbor`] | Harbor's projects and robot accounts |
//! | `push`, `blob`, `manifest` | the steps of a push; what to do about a published version is the pure `push::decide` |
//! | [`downloads`] | charts of others, from registries and repositories |
//! | `pull` | images to a layout, charts to memory, verified |
//! | `checkup` | what of the registry answers, for `doctor` |
//! | `record` | release records, and the versions that have one |
//! | `artifact`, `chart` | what is pushed, and where it comes from |
//! | `transport` | one call: login, redirects, retries |
//! | `auth`, `token_server`, `scope` | authentication and its scope |
//! | `credentials` | finding the login |
//! | `login_file`, `credential_helper` | the files of Docker and Podman, and the helpers that they name |
//! | `endpoint` | pure: which hosts are contacted, and which get credentials |
//! | `wire`, `answer` | one request; what went wrong |
//! | `trust` | which servers are trusted |
//! | `testing` (feature) | a real registry for tests |
//!
//! The manifests of charts are types of `oci-client` (`oci-distribution`). Its client is not used; see ADR-047. Images
//! on disk are read and written by [`harmony_oci`].

mod answer;
mod artifact;
mod auth;
mod blob;
mod chart;
mod checkup;
mod client;
mod credential_helper;
mod credentials;
pub mod downloads;
mod endpoint;
pub mod error;
pub mod harbor;
mod login_file;
mod manifest;
mod objects;
mod pull;
mod push;
mod record;
mod scope;
pub mod settings;
#[cfg(feature = "testing")]
pub mod testing;
mod token_server;
mod transport;
mod trust;
mod wire;

pub use client::OciRegistryClient;
pub use downloads::ChartDownloads;
pub use settings::{Credentials, Environment, RegistrySettings};
