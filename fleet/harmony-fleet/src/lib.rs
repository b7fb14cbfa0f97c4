//! The `harmony-fleet` command, which lists and pings the devices of a fleet.
//!
//! The subcommands for people who run devices. They use only the ports of the domain; only [`connection`] uses NATS.
//! This crate must not use Kubernetes or know how the operator and the agent work.
//!
//! Start with [`Cli`], the command line, and [`run()`], which executes it. Each subcommand has its own module:
//! [`devices`], [`ping`]. [`CliError`] contains all errors and their hints.

mod cli;
pub mod connection;
pub mod devices;
mod error;
pub mod ping;
mod run;

pub use cli::{Cli, Verb};
pub use error::{CliError, ExitStatus};
pub use run::{main_with, run};
