//! Errors that come before there is a run.

use std::process::ExitCode;

use harmony_core::Diagnostic;
use harmony_core::diagnostic::Report;

use crate::args::RunArgs;
use crate::exit_status::ExitStatus;
use crate::{json, output, render};

/// Shows an error that happened before there was a topology to run on, such as `CiTopology::from_env()`'s, and tells
/// the exit code for it.
///
/// ```
/// # use harmony_core::Diagnostic;
/// # fn topology() -> Result<(), harmony_core::context::Cancelled> { Ok(()) }
/// # fn main() -> std::process::ExitCode {
/// let topology = match topology() {
///     Ok(topology) => topology,
///     Err(error) => return harmony_cli::fail(&error),
/// };
/// # std::process::ExitCode::SUCCESS
/// # }
/// ```
pub fn fail(error: &dyn Diagnostic) -> ExitCode {
    RunArgs::default().fail(error)
}

impl RunArgs {
    /// As [`fail`](crate::fail()), in the form these arguments ask for.
    pub fn fail(&self, error: &dyn Diagnostic) -> ExitCode {
        let report = Report::of(error);
        let status = ExitStatus::from(report.kind);
        if self.json {
            // the exit code still tells
            let _ = json::failure(status, &report);
        } else {
            output::message(&render::error(&report, None));
            output::message(&self.more_about(&report));
        }
        status.into()
    }

    /// Where the error's page is. A usage error needs none, and a cancelled run less.
    pub(crate) fn more_about(&self, report: &Report) -> String {
        let status = ExitStatus::from(report.kind);
        if matches!(status, ExitStatus::Usage | ExitStatus::Cancelled) {
            return String::new();
        }
        let program = if self.typed {
            program_name()
        } else {
            "harmony".into()
        };
        format!(
            "for more about this error: {program} explain {}\n",
            report.code
        )
    }
}

/// The name that this program was called by.
pub(crate) fn program_name() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = std::path::Path::new(&path).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
