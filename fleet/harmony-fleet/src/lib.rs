//! The `harmony-fleet` command: see the devices of a fleet and reach them.
//!
//! Purpose: the verbs for people who run devices; they see the domain's ports only, and one place
//! ([`connection`]) knows NATS. It must not know: Kubernetes, how the operator or the agent work inside.
//!
//! Where to start: [`Cli`] is the command line; [`run()`] carries it out; one module for each verb:
//! [`devices`], [`ping`]. [`CliError`] is all that can go wrong, with a hint for each.

mod cli;
pub mod connection;
pub mod devices;
mod error;
pub mod ping;
mod run;

pub use cli::{Cli, Verb};
pub use error::{CliError, ExitStatus};
pub use run::{main_with, run};
