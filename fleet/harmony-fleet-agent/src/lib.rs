//! The agent of a device.
//!
//! Registers the device with the operator of its tenant, sends heartbeats, and executes commands. It must not know
//! Kubernetes, the framework or other devices.
//!
//! Start with [`run()`], which lists the steps. Each step has its own module: [`state`] (the state directory with
//! atomic writes), [`session`] (registration and heartbeats), [`commands`] (commands from the operator and tools),
//! [`workload`] (makes the device run what it should run), [`status`] (tells other processes on a socket in the state directory whether the agent is ready).
//!
//! Nothing from the network stops the agent, and invalid files do not prevent it from starting. An idle agent writes
//! nothing to disk.

pub mod args;
pub mod commands;
mod random;
mod run;
pub mod session;
pub mod state;
pub mod status;
#[cfg(feature = "testing")]
pub mod testing;
pub mod workload;

pub use args::{Args, Settings};
pub use harmony_fleet_adapters_podman::PodmanSettings;
pub use run::{AgentError, main_with, run, run_on};
