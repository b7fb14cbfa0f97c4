//! The builders' daemons, each for one test, and images to compare.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod buildkit_daemon;
pub(crate) mod docker_engine;
pub(crate) mod everything;
pub(crate) mod image_files;
