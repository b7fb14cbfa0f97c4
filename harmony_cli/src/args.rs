//! The arguments of every binary that runs Scores.

use clap::{Args, Subcommand};
use clap_complete::Shell;
use harmony_core::Mode;

/// What a run should do. Pass `None` to [`run`](crate::run()) to use the arguments of this process.
///
/// A binary with its own options flattens it into its parser:
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
// A regular comment, because a doc comment on a flattened struct would replace the description of the binary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(about = None, long_about = None)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub struct RunArgs {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Run only the Scores whose names match the pattern, for example `fleet-*`; can be repeated
    #[arg(long, global = true, value_name = "GLOB")]
    pub(crate) filter: Vec<String>,

    /// The topology to run on
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) topology: Option<String>,

    /// Approve deletions without asking
    #[arg(long, short, global = true)]
    pub(crate) yes: bool,

    /// Record the digests of third-party charts that are not in `charts.lock` yet, without asking
    #[arg(long, global = true)]
    pub(crate) lock_charts: bool,

    /// Write JSON to stdout, one document per line: the events, then the result
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Do not show progress, only the result
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// Whether a user typed the arguments, so that a hint can suggest a subcommand of the same program.
    #[arg(skip = true)]
    pub(crate) typed: bool,
}

impl RunArgs {
    /// An apply or a plan without other options, for programs with a different command line.
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

    /// Writes JSON to stdout instead of text.
    #[must_use]
    pub fn with_json(self, json: bool) -> Self {
        Self { json, ..self }
    }

    /// Approves deletions in advance.
    #[must_use]
    pub fn with_yes(self, yes: bool) -> Self {
        Self { yes, ..self }
    }

    /// Disables progress.
    #[must_use]
    pub fn with_quiet(self, quiet: bool) -> Self {
        Self { quiet, ..self }
    }

    /// The requested topology, for a `match` in the program. Its last arm returns
    /// [`UnknownTopology`](crate::UnknownTopology).
    pub fn topology(&self) -> Option<&str> {
        self.topology.as_deref()
    }

    /// Plan or apply; the default is apply.
    pub fn mode(&self) -> Mode {
        match self.command {
            Some(Command::Plan) => Mode::Plan,
            _ => Mode::Apply,
        }
    }

    /// Returns true if JSON is written to stdout.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Returns true if the topology is to be examined: call [`doctor`](crate::doctor()).
    pub fn is_doctor(&self) -> bool {
        self.command == Some(Command::Doctor)
    }

    /// Returns true if the topology is not used: for `list`, `explain` and `completions`. Programs with expensive
    /// topologies can check this.
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
    /// Apply the changes (default)
    Apply,
    /// Show the changes that apply would make
    Plan,
    /// List the Scores in the order in which they run
    List,
    /// Check what the topology uses: builder, registry, clusters; changes nothing
    Doctor,
    /// Explain an error code
    Explain {
        /// The error code, for example H0301
        code: String,
    },
    /// Print a shell completion script
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// The parser of a binary without its own options.
#[derive(clap::Parser)]
#[command(
    about = "Plan and apply the Scores of this program",
    after_help = AFTER_HELP,
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// Examples and exit codes. A binary with its own parser adds it with `#[command(after_help = AFTER_HELP)]`.
pub const AFTER_HELP: &str = "\
Examples (add the name of this command in front):
  plan                       show what would change
  doctor                     check what the topology uses, and change nothing
  apply --filter 'fleet-*'   apply only the Scores whose names start with fleet-
  apply --yes --json         for scripts: ask no questions, write JSON to stdout
  explain H0301              explain an error code

Exit codes: 0 success, 1 failed, 2 usage error, 3 refused before any change, 130 cancelled";
