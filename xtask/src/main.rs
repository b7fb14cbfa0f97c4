//! Build automation, run with `cargo xtask COMMAND`, for people and for CI.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool"
)]

mod bench;
mod builders;
mod codegen;
mod command;
mod faults;
mod peers;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::Parser;

/// Build automation for this repository
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
enum Xtask {
    /// Check dependencies, circles between modules, lints and docs
    Tidy(tidy::Args),
    /// Install the servers that tests need, then run tidy and all tests
    ///
    /// Requires root on Linux, because some tests run a Kubernetes node.
    Test(test::Args),
    /// Check formatting and run clippy; warnings are errors
    Lint,
    /// Write the reference pages that are generated from the code
    Codegen,
    /// Build the same images with every builder, and write the comparison to docs/reference/builders.md
    ///
    /// Requires root, because it runs a Docker engine and a BuildKit daemon.
    Builders,
    /// Deploy broken apps by all deliveries and to a device, kill deliveries and controllers, and write docs/reference/faults.md
    /// and docs/reference/bad-releases.md
    ///
    /// Requires root, because it runs a Kubernetes node. Takes about 30 minutes; CI runs a part of it.
    Faults(faults::Args),
    /// Measure what the goals are about, and print each figure beside its goal
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let done = match Xtask::parse() {
        Xtask::Tidy(args) => tidy::run(&args),
        Xtask::Test(args) => test::run(&args),
        Xtask::Lint => test::lint(),
        Xtask::Codegen => codegen::run(),
        Xtask::Builders => builders::run(),
        Xtask::Faults(args) => faults::run(&args),
        Xtask::Bench(args) => bench::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
