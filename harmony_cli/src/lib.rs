//! The command line: runs and plans Scores, shows progress, and reports errors.
//!
//! ```text
//! main: harmony_cli::run(inventory, topology, scores, None)
//!   args  -> select -> run -> topology.ensure_ready(), each score.interpret()
//!                       |        `-- events --> progress: bars | lines | JSON
//!                       |-- signals: Ctrl-C cancels, twice exits
//!                       `-- summary: plan or result on stdout; render: errors on stderr; ExitStatus
//! ```
//!
//! **This crate must not use** any adapter, any concrete topology or Score, or releases. It runs the Scores that it is
//! given. It is the only crate that prints.
//!
//! | module | contents |
//! | --- | --- |
//! | `run` | [`run()`] and [`Runner`]: start here |
//! | `args`, `parse` | [`RunArgs`], [`parse()`]: list, plan, apply, doctor, explain, completions, and their options |
//! | `doctor` | [`doctor()`]: examines a topology |
//! | `select` | selects the Scores to run: `--filter`, or a question on a terminal |
//! | `approve` | approval of deletions: `--yes`, or a question |
//! | `progress` | shows the events of a run as bars or lines |
//! | `summary` | formats plans and results as text |
//! | `json` | formats plans, results and events as JSON |
//! | `render` | formats errors and warnings like rustc |
//! | `explain` | the documentation of error codes (`docs/reference/codes.md`) |
//! | `exit_status` | [`ExitStatus`]: the exit codes |
//! | `fail`, `usage` | errors before a run: [`fail()`], [`UnknownTopology`] |
//! | `signals`, `log`, `output` | Ctrl-C; `RUST_LOG`; stdout and stderr |
//! | [`plugins`] | the `harmony` command, which finds and runs `harmony-*` |

mod approve;
mod args;
mod doctor;
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
pub use doctor::doctor;
pub use exit_status::ExitStatus;
pub use fail::fail;
pub use log::init;
pub use output::RunError;
pub use parse::parse;
pub use run::{Runner, run};
pub use usage::UnknownTopology;
