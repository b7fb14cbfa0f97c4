//! The complete run, from the arguments to the exit code.
//!
//! ```text
//! arguments --> Scores that are meant --> ensure_ready, then each Score in order --> result on stdout --> exit code
//!                                           |  events --> progress
//!                                           |  Ctrl-C, SIGTERM --> cancellation
//! ```

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harmony_core::context::Cancelled;
use harmony_core::diagnostic::{FailureKind, Report};
use harmony_core::{Context, InterpretError, Inventory, Mode, Outcome, Score, Topology, composite};

use crate::approve::AskAtTerminal;
use crate::args::{Command, RunArgs};
use crate::exit_status::ExitStatus;
use crate::output::{self, RunError};
use crate::progress::{Form, Progress};
use crate::select::PartName;
use crate::summary::{self, Counts, ScoreResult};
use crate::{init, json, parse, render, select, signals};

/// The time that a cancelled Score has to finish cleanly before it is dropped.
const GRACE: Duration = Duration::from_secs(10);

/// Runs Scores on a topology according to the arguments, and shows the progress and the result. A deploy program needs
/// only this call, a topology and its Scores.
///
/// If `args` is `None`, uses the arguments of this process. Errors of the run are shown and determine the exit code,
/// which is one of [`ExitStatus`].
///
/// # Errors
/// [`RunError`]: the result could not be written.
pub async fn run<T: Topology>(
    inventory: Inventory,
    topology: T,
    scores: Vec<Box<dyn Score<T>>>,
    args: Option<RunArgs>,
) -> Result<ExitCode, RunError> {
    Runner::new(inventory, topology, scores).run(args).await
}

/// A run with more options than [`run()`].
#[derive(Debug)]
pub struct Runner<T: Topology> {
    inventory: Inventory,
    topology: T,
    scores: Vec<Box<dyn Score<T>>>,
    pick: bool,
}

impl<T: Topology> Runner<T> {
    pub fn new(inventory: Inventory, topology: T, scores: Vec<Box<dyn Score<T>>>) -> Self {
        Self {
            inventory,
            topology,
            scores,
            pick: false,
        }
    }

    /// Lets the user select Scores, on a terminal and only if neither a subcommand nor `--filter` was given.
    #[must_use]
    pub fn with_pick(self) -> Self {
        Self { pick: true, ..self }
    }

    /// Starts the run; see [`run()`].
    ///
    /// # Errors
    /// See [`run()`].
    pub async fn run(self, args: Option<RunArgs>) -> Result<ExitCode, RunError> {
        init();
        let args = match args {
            Some(args) => args,
            None => match parse::run_args(&self.topology) {
                Ok(args) => args,
                Err(exit) => return Ok(exit),
            },
        };
        if let Some(answer) = parse::answer(args.command.as_ref(), &args) {
            return answer;
        }
        if args.is_doctor() {
            let message = "this program does not examine its topology\n";
            let error = clap::Error::raw(clap::error::ErrorKind::InvalidSubcommand, message);
            return Ok(parse::refused(&error));
        }
        let parts = composite::flatten(self.scores);
        let names: Vec<PartName> = parts.iter().map(PartName::of).collect();
        if args.command == Some(Command::List) {
            return list(&self.topology, &names, &args);
        }
        let selected = match select::select(&names, &args, self.pick).await {
            Ok(selected) => selected,
            Err(error) => return Ok(args.fail(&*error)),
        };
        let scores = select::keep(parts, &selected);
        let planning = args.mode() == Mode::Plan;
        let topology = if planning {
            self.topology.into_planning()
        } else {
            self.topology
        };
        let began = Instant::now();
        let progress = Progress::start(topology.context(), form(&args));
        let listening = signals::listen(topology.context(), progress.screen().clone())?;
        if args.lock_charts {
            topology.context().record_pins();
        }
        if !args.yes {
            topology.context().set_approver(Arc::new(AskAtTerminal {
                screen: progress.screen().clone(),
                catch_up: progress.catch_up().clone(),
                never_ask: args.json,
            }));
        }
        let mut results = Vec::new();
        let ended = execute(&self.inventory, &topology, &scores, &mut results)
            .await
            .map_err(|error| as_cancelled(topology.context(), error));
        progress.finish().await;
        drop(listening);
        let end = End {
            topology: topology.name(),
            scores: scores.len(),
            results,
            failed: ended.err(),
            elapsed: began.elapsed(),
        };
        end.tell(&args)
    }
}

fn form(args: &RunArgs) -> Form {
    let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    // Log lines and bars would overwrite each other.
    let logging = std::env::var_os("RUST_LOG").is_some_and(|filter| !filter.is_empty());
    if args.quiet {
        Form::Quiet
    } else if args.json {
        Form::Json
    } else if console::user_attended_stderr() && !is_dumb && !logging {
        Form::Bars
    } else {
        Form::Lines
    }
}

/// Prepares the topology and runs each Score. `results` contains the completed ones even if a later one fails.
async fn execute<T: Topology>(
    inventory: &Inventory,
    topology: &T,
    scores: &[Box<dyn Score<T>>],
    results: &mut Vec<ScoreResult>,
) -> Result<(), InterpretError> {
    let context = topology.context();
    let ready = unless_stuck(context, topology.name(), topology.ensure_ready()).await?;
    results.push(ScoreResult {
        score: format!("topology {}", topology.name()),
        outcome: ready,
    });
    for score in scores {
        let name = score.name();
        let interpreted = score.interpret(inventory, topology);
        let outcome = unless_stuck(context, &name, interpreted).await?;
        results.push(ScoreResult {
            score: name,
            outcome,
        });
    }
    Ok(())
}

/// Cancelled work gets time to finish cleanly. After that it is dropped, which every Interpret must support.
async fn unless_stuck(
    context: &Context,
    name: &str,
    work: impl Future<Output = Result<Outcome, InterpretError>>,
) -> Result<Outcome, InterpretError> {
    let patience = async {
        context.cancellation().cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        biased;
        result = work => result,
        () = patience => Err(InterpretError::new(name, Cancelled)),
    }
}

/// A program that fails because Ctrl-C reached it too was cancelled, whatever it says.
fn as_cancelled(context: &Context, error: InterpretError) -> InterpretError {
    if context.cancellation().is_cancelled() && error.kind() == FailureKind::Failed {
        tracing::debug!(report = ?error.report(), "failed after it was cancelled");
        return InterpretError::new(error.score(), Cancelled);
    }
    error
}

/// The result of a run.
struct End<'a> {
    topology: &'a str,
    scores: usize,
    results: Vec<ScoreResult>,
    failed: Option<InterpretError>,
    elapsed: Duration,
}

impl End<'_> {
    /// Returns true if preparing the topology failed. The preparation is the first result.
    fn in_preparation(&self) -> bool {
        self.results.is_empty()
    }

    fn origin(&self, error: &InterpretError) -> String {
        if self.in_preparation() {
            format!("topology {}", self.topology)
        } else {
            format!("score {}", error.score())
        }
    }

    fn tell(&self, args: &RunArgs) -> Result<ExitCode, RunError> {
        let status = match &self.failed {
            None => ExitStatus::Done,
            Some(error) => error.kind().into(),
        };
        let report = self.failed.as_ref().map(InterpretError::report);
        if args.json {
            self.tell_json(args, status, report.as_ref())?;
        } else {
            self.tell_text(args, report.as_ref())?;
        }
        Ok(status.into())
    }

    fn tell_json(
        &self,
        args: &RunArgs,
        status: ExitStatus,
        report: Option<&Report>,
    ) -> Result<(), RunError> {
        json::result(&json::RunResult {
            mode: args.mode(),
            topology: self.topology,
            status,
            exit_code: status.code(),
            elapsed_seconds: json::rounded(self.elapsed),
            counts: Counts::of_all(&self.results),
            scores: &self.results,
            error: report.map(|report| json::FailedScore {
                score: self
                    .failed
                    .as_ref()
                    .filter(|_| !self.in_preparation())
                    .map(InterpretError::score),
                report,
            }),
        })
    }

    fn tell_text(&self, args: &RunArgs, report: Option<&Report>) -> Result<(), RunError> {
        let planning = args.mode() == Mode::Plan;
        if planning {
            output::data(&summary::plan(&self.results))?;
        }
        match (&self.failed, report) {
            (Some(error), Some(report)) => {
                output::message(&render::error(report, Some(&self.origin(error))));
                if !planning {
                    output::message(&summary::stopped(&self.results, self.scores, report.kind));
                }
                output::message(&args.more_about(report));
            }
            _ if planning => {}
            _ => output::data(&summary::applied(&self.results, self.elapsed))?,
        }
        Ok(())
    }
}

fn list<T: Topology>(
    topology: &T,
    names: &[PartName],
    args: &RunArgs,
) -> Result<ExitCode, RunError> {
    let matching = match select::matching(names, args) {
        Ok(matching) => matching,
        Err(error) => return Ok(args.fail(&error)),
    };
    let listed: Vec<&PartName> = matching.iter().map(|index| &names[*index]).collect();
    if args.json {
        json::list(topology.name(), &listed)?;
    } else {
        let lines = listed.iter().map(|part| format!("{}\n", part.name));
        output::data(&lines.collect::<String>())?;
    }
    Ok(ExitStatus::Done.into())
}
