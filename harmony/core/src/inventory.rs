//! Facts about the current machine.

use std::fmt;

use serde::Serialize;

/// The physical facts that a Score can depend on. Currently, this is the platform of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// The operating system and processor of the workloads.
    pub platform: Platform,
}

impl Inventory {
    /// The facts about the machine that runs this process.
    pub fn autoload() -> Self {
        Self {
            platform: Platform::current(),
        }
    }
}

/// An operating system and a processor, as named in the OCI image specification (Go's `GOOS` and `GOARCH`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Platform {
    /// For example `linux`.
    pub os: &'static str,
    /// For example `amd64`.
    pub architecture: &'static str,
}

impl Platform {
    /// The platform that this process was compiled for. Containers always run on Linux.
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

    /// The Rust target for this platform, linked against glibc.
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
