//! The agent of one device.
//!
//! Purpose: make the device known to the operator of its tenant, keep it known, and carry out commands.
//! It must not know: Kubernetes, the framework, other devices.
//!
//! Where to start: [`run()`], whose body is the list of steps; one module for each:
//! [`state`] (the state folder, whose writes are all or nothing), [`session`] (register, then heartbeats),
//! [`commands`] (what the operator and tools may ask), [`status`] (is this agent ready, answered to
//! another process over a socket in the state folder).
//!
//! Nothing that comes from the network ends the agent, and nothing on disk that cannot be read keeps
//! it from starting. While it is idle it writes nothing to disk.

pub mod args;
pub mod commands;
mod run;
pub mod session;
pub mod state;
pub mod status;

pub use args::{Args, Settings};
pub use run::{AgentError, main_with, run};
