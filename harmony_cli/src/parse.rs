//! From the words of a command line to arguments, with all that can be answered without a topology answered on the way.

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use clap_complete::Shell;
use harmony_core::Topology;

use crate::args::{Cli, Command, RunArgs};
use crate::exit_status::ExitStatus;
use crate::output::{self, RunError};
use crate::usage::{UnknownCode, UnknownTopology};
use crate::{explain, fail};

/// The arguments of a binary that flattens [`RunArgs`] into its own parser, from this process.
///
/// `--help`, `explain` and `completions` need no topology and are answered here, so that they work where none can be
/// made; `completions` knows the binary's own options too.
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
/// With the exit code when everything is said, whether all went well or the command line means nothing.
pub fn parse<A: CommandFactory + FromArgMatches>() -> Result<A, ExitCode> {
    let matches = A::command()
        .try_get_matches()
        .map_err(|error| refused(&error))?;
    if let Some(exit) = answered::<A>(&matches) {
        return Err(exit);
    }
    A::from_arg_matches(&matches).map_err(|error| refused(&error))
}

/// The arguments of a binary that has no others, and one topology.
pub(crate) fn run_args<T: Topology>(topology: &T) -> Result<RunArgs, ExitCode> {
    let Cli { run } = parse()?;
    match run.topology() {
        // the topology was there before the arguments were read, so there is no other
        Some(asked) if asked != topology.name() => {
            Err(run.fail(&UnknownTopology::new(asked, &[topology.name()])))
        }
        _ => Ok(run),
    }
}

/// What a command that needs no topology came to; `None` for those that need one.
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
    // stdout that takes nothing cannot be told anything either
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

/// Help was asked for, or the words mean nothing.
pub(crate) fn refused(error: &clap::Error) -> ExitCode {
    // help that nobody reads is nothing to report
    let _ = error.print();
    let code = u8::try_from(error.exit_code()).unwrap_or(ExitStatus::Usage.code());
    ExitCode::from(code)
}
