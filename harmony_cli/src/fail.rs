//! Errors before a run starts.

use std::process::ExitCode;

use harmony_core::Diagnostic;
use harmony_core::diagnostic::Report;

use crate::args::RunArgs;
use crate::exit_status::ExitStatus;
use crate::{json, output, render};

/// Shows an error that occurred before there was a topology, such as an error of `CiTopology::from_env()`, and returns
/// its exit code.
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
    /// Like [`fail`](crate::fail()), in the output format of these arguments.
    pub fn fail(&self, error: &dyn Diagnostic) -> ExitCode {
        let report = Report::of(error);
        let status = ExitStatus::from(report.kind);
        if self.json {
            // the exit code still reports the error
            let _ = json::failure(status, &report);
        } else {
            output::message(&render::error(&report, None));
            output::message(&self.more_about(&report));
        }
        status.into()
    }

    /// Tells the user how to read about the error. Usage errors and cancelled runs do not need this.
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
            "for more information about this error, run `{program} explain {}`\n",
            report.code
        )
    }
}

/// The name that this program was called with.
pub(crate) fn program_name() -> String {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = std::path::Path::new(&path).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
