//! Tests a device with everything that a real one has: nats-server, the operator's library, the agent's program, podman
//! and the command.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail by panic, and show the log of the agent"
)]

mod bad_releases;
mod bench;
mod lifetime;
mod releases;
mod rig;
#[path = "../support/mod.rs"]
mod support;
