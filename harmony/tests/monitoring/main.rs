//! Tests of `MonitoringScore` with the programs of Prometheus. `cargo xtask test` installs them from Debian's packages.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod files;
mod receivers;
