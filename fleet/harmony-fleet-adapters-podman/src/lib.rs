//! The containers of a device: podman, over its own REST API.
//!
//! Implements the ports [`ContainerRuntime`](harmony_fleet_domain::ContainerRuntime) and
//! [`ContainerSigns`](harmony_fleet_domain::ContainerSigns) for podman 4.3 and later. It uses the libpod API, because the
//! API that is compatible with Docker has no secrets for containers. It must not know NATS, deployments as a whole, or
//! decisions about when something runs.
//!
//! Start with [`Podman`].
//!
//! | module | contents |
//! | --- | --- |
//! | `settings` | [`PodmanSettings`]: the socket, logs, registries |
//! | `podman` | [`Podman`], which implements the ports with the other modules |
//! | `list` | which containers are ours, and whether they run |
//! | `inspect` | one container, and whether it is ours |
//! | `labels` | the labels of everything that we create |
//! | `pull` | images |
//! | `run` | creates and starts a container, with what it needs |
//! | `spec` | the container for podman, out of the container of the contract; pure |
//! | `files` | the files of a deployment, as an archive; pure |
//! | `check` | health checks |
//! | `processes` | ends a health check that takes too long |
//! | `logs` | the last lines of the output; pure |
//! | `changes` | waits for events |
//! | `oom` | what the kernel says about memory |
//! | `words` | what podman's words mean; pure |
//! | `client` | HTTP on the socket |
//! | `error` | from errors of the client to those of the ports |
//! | `testing` | a podman for tests (feature `testing`) |

mod changes;
mod check;
mod client;
mod error;
mod files;
mod inspect;
mod labels;
mod list;
mod logs;
mod oom;
mod podman;
mod processes;
mod pull;
mod run;
mod settings;
mod spec;
#[cfg(feature = "testing")]
pub mod testing;
mod words;

pub use podman::Podman;
pub use settings::{LogDriver, PodmanSettings};
