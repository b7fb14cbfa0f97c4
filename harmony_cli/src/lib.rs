//! The command line of Scores: run them, plan them, show what happens, and say what went wrong.
//!
//! ```text
//! main: harmony_cli::run(inventory, topology, scores, None)
//!   args  -> select -> run -> topology.ensure_ready(), each score.interpret()
//!                       |        `-- events --> progress: bars | lines | JSON
//!                       |-- signals: Ctrl-C cancels, twice exits
//!                       `-- summary: plan or result on stdout; render: errors on stderr; ExitStatus
//! ```
//!
//! **What this crate must not know**: any adapter, any concrete topology or Score, and releases; it runs whatever Score
//! it is given. It is the only crate that prints.
//!
//! | module | what it holds |
//! | --- | --- |
//! | `run` | [`run()`] and [`Runner`]: start here |
//! | `args`, `parse` | [`RunArgs`], [`parse()`]: list, plan, apply, explain, completions, and their options |
//! | `select` | which Scores are meant: `--filter`, or a question on a terminal |
//! | `approve` | consent to deletions: `--yes`, or a question |
//! | `progress` | the run's events as bars, lines or nothing |
//! | `summary` | plans and results as text |
//! | `json` | plans, results and events as documents |
//! | `render` | errors and warnings as rustc prints them |
//! | `explain` | the pages of the error codes (`docs/reference/codes.md`) |
//! | `exit_status` | [`ExitStatus`]: what each exit code means |
//! | `fail`, `usage` | errors before a run: [`fail()`], [`UnknownTopology`] |
//! | `signals`, `log`, `output` | Ctrl-C; `RUST_LOG`; the two streams |
//! | [`plugins`] | the `harmony` command: finds and runs `harmony-*` |

mod approve;
mod args;
mod exit_status;
mod explain;
mod fail;
mod json;
mod log;
mod output;
mod parse;
pub mod plugins;
mod progress;
mod render;
mod run;
mod select;
mod signals;
mod summary;
mod usage;

pub use args::{AFTER_HELP, RunArgs};
pub use exit_status::ExitStatus;
pub use fail::fail;
pub use log::init;
pub use output::RunError;
pub use parse::parse;
pub use run::{Runner, run};
pub use usage::UnknownTopology;
