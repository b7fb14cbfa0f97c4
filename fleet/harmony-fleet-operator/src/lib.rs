//! The operator of a tenant's fleet.
//!
//! Manages the registry of devices, receives their heartbeats, tells them what to run, lists them for tools, and copies
//! them to Kubernetes. It must not know how decisions about devices are made (the domain does) or the framework that installs it.
//!
//! Where to start: [`run()`], whose body is the list of steps; one module for each:
//! [`load`] (registry into memory, at start and over and over), [`register`], [`heartbeats`], [`listing`],
//! [`forget`] (removes silent devices), [`dispatch`] (what devices should run), [`reflect`], [`rivals`] (two operators notice each other), [`endpoints`]
//! (serves [`health`] and [`metrics`]). They share a [`Fleet`].
//!
//! No temporary failure stops the operator: NATS, JetStream, the API server, a missing resource definition. Each loop
//! starts again from the complete state. Only invalid settings stop it.

pub mod args;
pub mod dispatch;
pub mod endpoints;
mod fleet;
pub mod forget;
pub mod health;
pub mod heartbeats;
pub mod listing;
pub mod load;
pub mod metrics;
pub mod reflect;
pub mod register;
pub mod rivals;
mod run;
mod subscription;

pub use args::{Args, Settings};
pub use fleet::{Fleet, Step};
pub use run::{OperatorError, run, run_with};
