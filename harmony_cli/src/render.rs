//! Errors and warnings as rustc prints them. The only module that knows the library which draws them.

use annotate_snippets::{Group, Level, Origin, Renderer};
use harmony_core::diagnostic::Report;

/// An error with its score, evidence, causes and help; styled for a terminal, ends with a newline.
///
/// ```text
/// error[H0303]: container `operator` crashes at start
///  --> score fleet-operator, Deployment fleet/operator
///   |
///   = seen: exit code 3
///   = help: read the log above
/// ```
pub(crate) fn error(report: &Report, score: Option<&str>) -> String {
    let message = one_line(&report.message);
    let code = report.code.to_string();
    let title = Level::ERROR.primary_title(message).id(code);
    let mut group = Group::with_title(title);
    if let Some(place) = place(report, score) {
        group = group.element(Origin::path(place));
    }
    let sections = [
        ("seen", &report.evidence),
        ("cause", &report.causes),
        ("help", &report.hints),
    ];
    for (name, lines) in sections {
        let level = match name {
            "help" => Level::HELP,
            _ => Level::NOTE,
        };
        for line in lines {
            group = group.element(level.clone().with_name(name).message(clean(line)));
        }
    }
    draw(group)
}

/// A warning: something a person should know although nothing failed.
pub(crate) fn warning(message: &str) -> String {
    draw(Group::with_title(
        Level::WARNING.primary_title(one_line(message)),
    ))
}

fn draw(group: Group<'_>) -> String {
    let mut text = Renderer::styled().term_width(usize::MAX).render(&[group]);
    text.push('\n');
    text
}

fn place(report: &Report, score: Option<&str>) -> Option<String> {
    let place = report.place.as_deref();
    match (score, place) {
        (Some(score), Some(place)) => Some(format!("score {score}, {}", one_line(place))),
        (Some(score), None) => Some(format!("score {score}")),
        (None, place) => place.map(one_line),
    }
}

/// Text from elsewhere (a pod's log, a server's answer) must not steer the terminal.
fn clean(text: &str) -> String {
    anstream::adapter::strip_str(text.trim_end()).to_string()
}

fn one_line(text: &str) -> String {
    clean(text).replace('\n', " ")
}
