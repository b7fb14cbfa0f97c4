//! The adapter with a real podman.

mod bench;
mod containers;
mod health;
mod images;
