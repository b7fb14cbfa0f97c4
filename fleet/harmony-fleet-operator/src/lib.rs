//! The operator of one tenant's fleet.
//!
//! Purpose: keep the registry of devices, hear their heartbeats, list them to tools, and show them in
//! Kubernetes. It must not know: how a decision about a device is made (that is the domain's),
//! the framework that installs it.
//!
//! Where to start: [`run()`], whose body is the list of steps; one module for each:
//! [`load`] (registry into memory, at start and over and over), [`register`], [`heartbeats`], [`listing`],
//! [`forget`] (those that are silent for long), [`reflect`], [`rivals`] (two operators notice each other), [`health`]. They share a [`Fleet`].
//!
//! Nothing that may go away again ends the operator: NATS, JetStream, the API server, a missing resource
//! definition. Each loop starts from the whole truth and tries again. Only settings that cannot be
//! used end it.

pub mod args;
mod fleet;
pub mod forget;
pub mod health;
pub mod heartbeats;
pub mod listing;
pub mod load;
pub mod reflect;
pub mod register;
pub mod rivals;
mod run;
mod subscription;

pub use args::{Args, Settings};
pub use fleet::Fleet;
pub use run::{OperatorError, run};
