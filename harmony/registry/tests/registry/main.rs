//! The adapter against a real registry (Debian's docker-registry), which each test starts and stops.
//!
//! Failures are created at the protocol level: by a proxy that drops, cuts and refuses, and by killing the registry or
//! the pusher. Standard tools (skopeo, helm) check that they find what was pushed.

mod denials;
mod downloads;
mod faults;
mod fixture;
mod harbor;
mod hostile;
mod killed;
mod late;
mod limits;
mod logins;
mod moved;
mod office;
mod peculiar;
mod plan;
mod proxy;
mod push;
mod records;
mod scripted;
mod stock_tools;
mod token_servers;
mod tokens;
mod trouble;
