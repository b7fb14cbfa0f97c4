//! The `harmony-fleet` command, which lists and pings the devices of a fleet, and says what runs on them.
//!
//! The subcommands for people who run devices. They use only the ports of the domain; only [`connection`] uses NATS.
//! This crate must not use Kubernetes or know how the operator and the agent work.
//!
//! Start with [`Cli`], the command line, and [`run()`], which executes it. Each subcommand has its own module:
//! [`devices`], [`ping`], [`apply`] (and delete; the format is in [`file`](mod@file)), [`deployments`], [`status`], [`why`].
//! [`CliError`] contains all errors and their hints.

pub mod apply;
mod cli;
pub mod connection;
pub mod deployments;
pub mod devices;
mod error;
pub mod file;
#[cfg(test)]
mod fixture;
pub mod ping;
mod run;
mod snapshot;
pub mod status;
mod table;
pub mod why;

pub use cli::{Cli, Verb};
pub use error::{CliError, ExitStatus};
pub use run::{main_with, run};
