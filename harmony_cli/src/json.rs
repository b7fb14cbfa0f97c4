//! The output of `--json`, one document per line. `docs/reference/json.md` describes the schema.

use std::time::Duration;

use harmony_core::Mode;
use harmony_core::checkup::Finding;
use harmony_core::diagnostic::Report;
use harmony_core::event::{Event, SCHEMA_VERSION};
use serde::Serialize;

use crate::exit_status::ExitStatus;
use crate::output::{self, RunError};
use crate::select::PartName;
use crate::summary::{Counts, ScoreResult};

/// A line of `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a, B> {
    schema_version: u32,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(flatten)]
    body: B,
}

/// The last document of a plan or an apply.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunResult<'a> {
    pub(crate) mode: Mode,
    pub(crate) topology: &'a str,
    pub(crate) status: ExitStatus,
    pub(crate) exit_code: u8,
    pub(crate) elapsed_seconds: f64,
    pub(crate) counts: Counts,
    pub(crate) scores: &'a [ScoreResult],
    pub(crate) error: Option<FailedScore<'a>>,
}

/// The reason why a run failed.
#[derive(Serialize)]
pub(crate) struct FailedScore<'a> {
    pub(crate) score: Option<&'a str>,
    #[serde(flatten)]
    pub(crate) report: &'a Report,
}

/// Writes one event.
pub(crate) fn event(event: &Event, elapsed: Duration) {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        elapsed_seconds: f64,
        #[serde(flatten)]
        event: &'a Event,
    }
    let elapsed_seconds = rounded(elapsed);
    // a closed stdout is reported once, with the result
    let _ = write(
        "event",
        Body {
            elapsed_seconds,
            event,
        },
    );
}

/// Writes the result of a plan or an apply.
pub(crate) fn result(result: &RunResult<'_>) -> Result<(), RunError> {
    write("result", result)
}

/// Writes an error that occurred before the run.
pub(crate) fn failure(status: ExitStatus, report: &Report) -> Result<(), RunError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        status: ExitStatus,
        exit_code: u8,
        error: FailedScore<'a>,
    }
    let body = Body {
        status,
        exit_code: status.code(),
        error: FailedScore {
            score: None,
            report,
        },
    };
    write("result", body)
}

/// Writes the names of the Scores, and of the composites that contain them.
pub(crate) fn list(topology: &str, parts: &[&PartName]) -> Result<(), RunError> {
    #[derive(Serialize)]
    struct Body<'a> {
        topology: &'a str,
        scores: Vec<&'a str>,
        parts: &'a [&'a PartName],
    }
    let scores = parts.iter().map(|part| part.name.as_str()).collect();
    write(
        "list",
        Body {
            topology,
            scores,
            parts,
        },
    )
}

/// Writes the findings of `doctor`.
pub(crate) fn findings(
    topology: &str,
    status: ExitStatus,
    elapsed: Duration,
    findings: &[Finding],
) -> Result<(), RunError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<'a> {
        topology: &'a str,
        status: ExitStatus,
        exit_code: u8,
        elapsed_seconds: f64,
        findings: &'a [Finding],
    }
    let body = Body {
        topology,
        status,
        exit_code: status.code(),
        elapsed_seconds: rounded(elapsed),
        findings,
    };
    write("findings", body)
}

/// Seconds, rounded to milliseconds.
pub(crate) fn rounded(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 1000.0).round() / 1000.0
}

fn write(kind: &str, body: impl Serialize) -> Result<(), RunError> {
    let document = Document {
        schema_version: SCHEMA_VERSION,
        kind,
        body,
    };
    let line = serde_json::to_string(&document).map_err(RunError::Json)?;
    let mut line = harmony_types::printable::json(&line);
    line.push('\n');
    output::data(&line)
}
