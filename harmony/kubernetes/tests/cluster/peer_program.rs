//! Compiles `peer.rs`, which behaves as its arguments say, as a static program. Also used by the tests of other crates.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program `peer` in `folder`.
pub(crate) fn compile(folder: &Path) -> PathBuf {
    let program = folder.join("peer");
    let source = folder.join("peer.rs");
    std::fs::write(&source, include_str!("peer.rs")).unwrap();
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let status = Command::new(rustc)
        .args([
            "--edition=2024",
            "-O",
            "-Cstrip=symbols",
            "-Ctarget-feature=+crt-static",
        ])
        // Named, so that the flag reaches the program and not the host's macros.
        .args(["--target", &target, "-o"])
        .args([&program, &source])
        .status()
        .unwrap();
    assert!(status.success());
    program
}
