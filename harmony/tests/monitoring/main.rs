//! Tests of `MonitoringScore` with the programs of Prometheus. `cargo xtask test` installs them from Debian's packages.

mod files;
mod receivers;
