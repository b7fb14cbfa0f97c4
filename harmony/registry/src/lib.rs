//! OCI registries: images and Helm charts in, out, and looked up.
//!
//! [`OciRegistryClient`] implements the capabilities `OciRegistry` and `HelmRegistry` for any registry that speaks the
//! OCI distribution API; [`harbor::Harbor`] adds Harbor's projects. This crate must not know how images are built
//! (`harmony_containers`), what a release is (`harmony_release`) or anything of Kubernetes: it takes an OCI layout and
//! a packaged chart, and gives digests.
//!
//! ```text
//! client ---> push --+-> blob, manifest --+-> transport --+-> auth ---> token_server, credentials ---> login_file, credential_helper
//!        \--> pull --+                    |               +-> endpoint (where we go)
//!                                         |               \-> wire (the gate for plans), trust (TLS) ---> the registry
//!    image, chart ---> artifact ----------+                        \-> answer (what an error means)
//! ```
//!
//! | module | what it holds |
//! | --- | --- |
//! | `client` | [`OciRegistryClient`]: start here; what is promised, and the order of a push |
//! | [`settings`] | what the user and the environment say |
//! | [`error`] | failures beside those of the port |
//! | [`harbor`] | Harbor's projects |
//! | `push`, `blob`, `manifest` | the steps of a push; what to do about a published version is the pure `push::decide` |
//! | `pull` | images to a layout, charts to memory, checked |
//! | `record` | release records, and the versions that have one |
//! | `artifact`, `chart` | what is pushed, and where it comes from |
//! | `transport` | one call: login, redirects, retries |
//! | `auth`, `token_server`, `scope` | proving who we are, and for what |
//! | `credentials` | finding out who we are |
//! | `login_file`, `credential_helper` | the files of docker and podman, and the programs that they name |
//! | `endpoint` | pure: which hosts are gone to, and which get credentials |
//! | `wire`, `answer` | one request; what went wrong |
//! | `trust` | which servers are trusted |
//! | `testing` (feature) | a real registry for tests to start and stop |
//!
//! The manifests of charts are the types of `oci-client` (`oci-distribution`). Its client is not used; ADR-047 says why.
//! Images on disk are read and written by [`harmony_oci`].

mod answer;
mod artifact;
mod auth;
mod blob;
mod chart;
mod client;
mod credential_helper;
mod credentials;
mod endpoint;
pub mod error;
pub mod harbor;
mod login_file;
mod manifest;
mod pull;
mod push;
mod record;
mod scope;
pub mod settings;
mod size;
#[cfg(feature = "testing")]
pub mod testing;
mod token_server;
mod transport;
mod trust;
mod wire;

pub use client::OciRegistryClient;
pub use settings::{Credentials, Environment, RegistrySettings};
