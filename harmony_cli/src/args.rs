//! The arguments that every binary of Scores understands.

use clap::{Args, Subcommand};
use clap_complete::Shell;
use harmony_core::Mode;

/// What a run is asked to do. `None` handed to [`run`](crate::run()) means those of this process.
///
/// A binary with options of its own flattens it into its parser:
///
/// ```
/// #[derive(clap::Parser)]
/// struct MyArgs {
///     #[command(flatten)]
///     run: harmony_cli::RunArgs,
///     /// How many copies
///     #[arg(long, default_value_t = 1)]
///     replicas: u32,
/// }
/// ```
// Not a docstring of clap's: a flattened struct must not replace the description of the binary that flattens it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(about = None, long_about = None)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub struct RunArgs {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Only the Scores whose name matches, such as `fleet-*`; may be repeated
    #[arg(long, global = true, value_name = "GLOB")]
    pub(crate) filter: Vec<String>,

    /// Where to run; the names are those of the binary
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) topology: Option<String>,

    /// Delete what no longer belongs without asking
    #[arg(long, short, global = true)]
    pub(crate) yes: bool,

    /// Write one JSON document per line to stdout: events, then the result
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Show no progress; the result is still printed
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// Whether a person typed the arguments, so that a hint may name a subcommand of the same program.
    #[arg(skip = true)]
    pub(crate) typed: bool,
}

impl RunArgs {
    /// An apply, or a plan, with nothing else asked for: for binaries whose command line has other words for it.
    #[must_use]
    pub fn for_mode(mode: Mode) -> Self {
        Self {
            command: match mode {
                Mode::Plan => Some(Command::Plan),
                Mode::Apply => Some(Command::Apply),
            },
            ..Self::default()
        }
    }

    /// With JSON documents on stdout instead of text.
    #[must_use]
    pub fn with_json(self, json: bool) -> Self {
        Self { json, ..self }
    }

    /// With deletions approved beforehand.
    #[must_use]
    pub fn with_yes(self, yes: bool) -> Self {
        Self { yes, ..self }
    }

    /// Without progress.
    #[must_use]
    pub fn with_quiet(self, quiet: bool) -> Self {
        Self { quiet, ..self }
    }

    /// The topology that was asked for, for the binary's `match`; see
    /// [`UnknownTopology`](crate::UnknownTopology) for its last arm.
    pub fn topology(&self) -> Option<&str> {
        self.topology.as_deref()
    }

    /// Plan or apply; apply when nothing is said.
    pub fn mode(&self) -> Mode {
        match self.command {
            Some(Command::Plan) => Mode::Plan,
            _ => Mode::Apply,
        }
    }

    /// True when stdout is for JSON documents.
    pub fn json(&self) -> bool {
        self.json
    }

    /// True when the topology will not be touched: `list`, `explain` and `completions`. A binary whose topologies are
    /// costly to create may ask.
    pub fn is_offline(&self) -> bool {
        matches!(
            self.command,
            Some(Command::List | Command::Explain { .. } | Command::Completions { .. })
        )
    }
}

/// The subcommands.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// Make it so; the default
    Apply,
    /// Show what apply would change, and change nothing
    Plan,
    /// Print the names of the Scores, in the order they run
    List,
    /// Print what an error code means and what to do about it
    Explain {
        /// Such as H0301
        code: String,
    },
    /// Print a script that completes this command in a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// The parser of a binary that has no options of its own.
#[derive(clap::Parser)]
#[command(
    about = "Runs the Scores of this binary: applies them, or plans what applying would change",
    after_help = AFTER_HELP,
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Examples and exit codes; a binary with a parser of its own adds it with `#[command(after_help = AFTER_HELP)]`.
pub const AFTER_HELP: &str = "\
Examples, each after the name of this command:
  plan                       what would change, without changing it
  apply --filter 'fleet-*'   only the Scores whose name begins with fleet-
  apply --yes --json         for a program: no questions, JSON documents on stdout
  explain H0301              what an error code means

Exit codes: 0 done, 1 failed, 2 usage, 3 refused before any write, 130 cancelled";
