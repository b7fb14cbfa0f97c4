//! The project's own commands, called as `cargo xtask COMMAND`. People and continuous integration call the same ones.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool"
)]

mod command;
mod peers;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::Parser;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
enum Xtask {
    /// Checks what the compiler cannot: crate edges, dependency trees, circles between files, inherited lints, docs.
    Tidy(tidy::Args),
    /// Installs the peers that tests need, then runs tidy and every test.
    ///
    /// Needs root on Linux, because some tests run a Kubernetes node.
    Test(test::Args),
    /// Checks formatting and lints; warnings are errors.
    Lint,
}

fn main() -> ExitCode {
    let done = match Xtask::parse() {
        Xtask::Tidy(args) => tidy::run(&args),
        Xtask::Test(args) => test::run(&args),
        Xtask::Lint => test::lint(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
