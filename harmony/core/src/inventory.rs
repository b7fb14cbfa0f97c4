//! What the machine at hand is.

use std::fmt;

use serde::Serialize;

/// The physical facts that a Score may depend on. Today: the platform that images are built for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// The operating system and processor that workloads run on.
    pub platform: Platform,
}

impl Inventory {
    /// The facts of the machine that this process runs on.
    pub fn autoload() -> Self {
        Self {
            platform: Platform::current(),
        }
    }
}

/// An operating system and a processor, in the names of the OCI image specification (Go's `GOOS` and `GOARCH`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Platform {
    /// Such as `linux`.
    pub os: &'static str,
    /// Such as `amd64`.
    pub architecture: &'static str,
}

impl Platform {
    /// The platform this process was compiled for; containers always run on Linux.
    pub const fn current() -> Self {
        Self {
            os: "linux",
            architecture: if cfg!(target_arch = "aarch64") {
                "arm64"
            } else {
                "amd64"
            },
        }
    }

    /// The Rust target whose binaries run there, linked against glibc.
    pub fn rust_target(&self) -> &'static str {
        match self.architecture {
            "arm64" => "aarch64-unknown-linux-gnu",
            _ => "x86_64-unknown-linux-gnu",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}
