//! Parses the command line, and handles subcommands that need no topology.

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use clap_complete::Shell;
use harmony_core::Topology;

use crate::args::{Cli, Command, RunArgs};
use crate::exit_status::ExitStatus;
use crate::output::{self, RunError};
use crate::usage::{UnknownCode, UnknownTopology};
use crate::{explain, fail};

/// Parses the arguments of this process, for a program that flattens [`RunArgs`] into its own parser.
///
/// `--help`, `explain` and `completions` need no topology and are handled here, so that they work even if no topology
/// can be created. `completions` includes the program's own options.
///
/// ```no_run
/// # #[derive(clap::Parser)]
/// # struct MyArgs { #[command(flatten)] run: harmony_cli::RunArgs }
/// # fn main() -> std::process::ExitCode {
/// let MyArgs { run } = match harmony_cli::parse() {
///     Ok(args) => args,
///     Err(exit) => return exit,
/// };
/// # std::process::ExitCode::SUCCESS
/// # }
/// ```
///
/// # Errors
/// The exit code, if there is nothing else to do: because the request was handled, or because the command line is not
/// valid.
pub fn parse<A: CommandFactory + FromArgMatches>() -> Result<A, ExitCode> {
    let matches = A::command()
        .try_get_matches()
        .map_err(|error| refused(&error))?;
    if let Some(exit) = answered::<A>(&matches) {
        return Err(exit);
    }
    A::from_arg_matches(&matches).map_err(|error| refused(&error))
}

/// The arguments of a program without its own options and with a single topology.
pub(crate) fn run_args<T: Topology>(topology: &T) -> Result<RunArgs, ExitCode> {
    let Cli { run } = parse()?;
    match run.topology() {
        // the topology was created before the arguments were parsed, so there is no other one
        Some(asked) if asked != topology.name() => {
            Err(run.fail(&UnknownTopology::new(asked, &[topology.name()])))
        }
        _ => Ok(run),
    }
}

/// Handles a subcommand that needs no topology; `None` for all others.
pub(crate) fn answer(
    command: Option<&Command>,
    args: &RunArgs,
) -> Option<Result<ExitCode, RunError>> {
    match command {
        Some(Command::Explain { code }) => Some(print_page(code, args)),
        Some(Command::Completions { shell }) => Some(print_completions::<Cli>(*shell)),
        _ => None,
    }
}

fn answered<A: CommandFactory>(matches: &ArgMatches) -> Option<ExitCode> {
    let result = match matches.subcommand()? {
        ("explain", page) => {
            let code: &String = page.try_get_one("code").ok()??;
            let json = matches
                .try_get_one("json")
                .ok()
                .flatten()
                .copied()
                .unwrap_or(false);
            print_page(code, &RunArgs::default().with_json(json))
        }
        ("completions", script) => {
            let shell: &Shell = script.try_get_one("shell").ok()??;
            print_completions::<A>(*shell)
        }
        _ => return None,
    };
    // if stdout fails, there is nothing else to report
    Some(result.unwrap_or_else(|_| ExitStatus::Failed.into()))
}

fn print_page(code: &str, args: &RunArgs) -> Result<ExitCode, RunError> {
    match explain::page(code) {
        Some(page) => {
            output::data(&page.text())?;
            Ok(ExitStatus::Done.into())
        }
        None => Ok(args.fail(&UnknownCode::new(code))),
    }
}

fn print_completions<A: CommandFactory>(shell: Shell) -> Result<ExitCode, RunError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut A::command(), fail::program_name(), &mut script);
    output::data(&String::from_utf8_lossy(&script))?;
    Ok(ExitStatus::Done.into())
}

/// Help was requested, or the arguments are not valid.
pub(crate) fn refused(error: &clap::Error) -> ExitCode {
    // ignore errors of writing the help text
    let _ = error.print();
    let code = u8::try_from(error.exit_code()).unwrap_or(ExitStatus::Usage.code());
    ExitCode::from(code)
}
