//! `doctor`: examines the topology, and says what answers and what does not.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use anstyle::{AnsiColor, Style};
use harmony_core::capability::Checkup;
use harmony_core::chart::DeployTarget;
use harmony_core::checkup::{Finding, Standing};
use harmony_core::context::Cancelled;
use harmony_core::diagnostic::Report;
use harmony_core::{Mode, Topology};
use harmony_types::printable;

use crate::args::RunArgs;
use crate::exit_status::ExitStatus;
use crate::output::{self, RunError};
use crate::progress::Screen;
use crate::{init, json, signals, summary};

/// Examines `topology` for deploys to `targets`, and shows the findings. Changes nothing.
///
/// The exit code is 0 if nothing has failed, else 1.
///
/// # Errors
/// [`RunError`]: the result could not be written.
pub async fn doctor<T: Topology + Checkup>(
    topology: T,
    targets: &[DeployTarget],
    args: &RunArgs,
) -> Result<ExitCode, RunError> {
    init();
    let topology = topology.into_planning();
    let context = topology.context();
    debug_assert_eq!(context.mode(), Mode::Plan, "examining must not write");
    let listening = signals::listen(context, Screen::new(false))?;
    let began = Instant::now();
    let examined = context.unless_cancelled(topology.examine(targets)).await;
    drop(listening);
    let findings = match examined {
        Ok(findings) => findings,
        Err(cancelled @ Cancelled) => return Ok(args.fail(&cancelled)),
    };
    let status = match findings.iter().any(Finding::is_failed) {
        true => ExitStatus::Failed,
        false => ExitStatus::Done,
    };
    if args.json() {
        json::findings(topology.name(), status, began.elapsed(), &findings)?;
    } else {
        let title = format!("topology {}", topology.name());
        let mut text = shown(&title, &findings);
        let _ = writeln!(
            text,
            "{} ({})",
            totals(&findings),
            summary::seconds(began.elapsed())
        );
        output::data(&text)?;
    }
    Ok(status.into())
}

/// The findings by part, each failure with its reason and its help.
fn shown(title: &str, findings: &[Finding]) -> String {
    let heading = Style::new().bold();
    let mut text = String::new();
    let _ = writeln!(text, "{heading}{title}{heading:#}");
    let mut part = "";
    for finding in findings {
        if finding.part != part {
            part = &finding.part;
            let _ = writeln!(text, "\n{heading}{}{heading:#}", printable::line(part));
        }
        let (color, detail) = match &finding.standing {
            Standing::Ok { detail } => (AnsiColor::Green, detail.clone()),
            Standing::Failed { error } => (
                AnsiColor::Red,
                format!("{} [{}]", error.message, error.code),
            ),
            Standing::Skipped { reason } => (AnsiColor::Yellow, reason.clone()),
        };
        let style = color.on_default();
        let _ = writeln!(
            text,
            "  {style}{:<7}{style:#} {}: {}",
            finding.standing.to_string(),
            printable::line(&finding.check),
            printable::line(&detail)
        );
        if let Standing::Failed { error } = &finding.standing {
            details(&mut text, error);
        }
    }
    text.push('\n');
    text
}

/// Why it failed, and what to do about it.
fn details(text: &mut String, error: &Report) {
    let sections = [
        ("where", error.place.as_slice()),
        ("seen", &error.evidence[..]),
        ("cause", &error.causes[..]),
        ("help", &error.hints[..]),
    ];
    for (name, lines) in sections {
        for line in lines {
            let _ = writeln!(text, "            {name}: {}", printable::line(line));
        }
    }
}

/// `5 ok, 1 failed, 2 skipped`
fn totals(findings: &[Finding]) -> String {
    let count = |word: &str| {
        let found = findings
            .iter()
            .filter(|one| one.standing.to_string() == word);
        match found.count() {
            0 => None,
            count => Some(format!("{count} {word}")),
        }
    };
    let counts: Vec<String> = ["ok", "failed", "skipped"]
        .into_iter()
        .filter_map(count)
        .collect();
    match counts.as_slice() {
        [] => "nothing to examine".into(),
        counts => counts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use harmony_core::checkup::NoAnswer;

    use super::*;

    #[test]
    fn each_part_says_what_answers_and_what_to_do_otherwise() {
        let findings = [
            Finding::ok(
                "registry r.example.com",
                "answers",
                "https, requires a login",
            ),
            Finding::failed("registry r.example.com", "login", &NoAnswer::of("it")),
            Finding::skipped("registry r.example.com", "push", "`login` failed"),
            Finding::ok("cluster for production", "answers", "Kubernetes v1.34.2"),
        ];
        let text = shown("topology production", &findings);
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "\
topology production

registry r.example.com
  ok      answers: https, requires a login
  failed  login: it did not answer within 15 s [H0014]
            help: check the network, firewalls and proxies between this machine and it
  skipped push: `login` failed

cluster for production
  ok      answers: Kubernetes v1.34.2

"
        );
        assert_eq!(totals(&findings), "2 ok, 1 failed, 1 skipped");
        assert_eq!(totals(&[]), "nothing to examine");
    }
}
