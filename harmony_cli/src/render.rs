//! Formats errors and warnings like rustc. The only module that uses the rendering library.

use annotate_snippets::{Group, Level, Origin, Renderer};
use harmony_core::diagnostic::Report;
use harmony_types::printable;

/// An error with its origin (a Score or a topology), evidence, causes and help, styled for a terminal and ending with a
/// newline.
///
/// ```text
/// error[H0303]: container `operator` keeps crashing
///  --> score fleet-operator, Deployment fleet/operator
///   |
///   = seen: exit code 3
///   = help: read the log above
/// ```
pub(crate) fn error(report: &Report, origin: Option<&str>) -> String {
    let message = one_line(&report.message);
    let code = report.code.to_string();
    let title = Level::ERROR.primary_title(message).id(code);
    let mut group = Group::with_title(title);
    if let Some(place) = place(report, origin) {
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
            group = group.element(
                level
                    .clone()
                    .with_name(name)
                    .message(printable::text(line.trim_end())),
            );
        }
    }
    draw(group)
}

/// A warning, for something that users should know although nothing failed.
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

fn place(report: &Report, origin: Option<&str>) -> Option<String> {
    let place = report.place.as_deref();
    match (origin, place) {
        (Some(origin), Some(place)) => Some(format!("{origin}, {}", one_line(place))),
        (Some(origin), None) => Some(origin.to_owned()),
        (None, place) => place.map(one_line),
    }
}

fn one_line(text: &str) -> String {
    printable::line(text)
}

#[cfg(test)]
mod tests {
    use harmony_core::codes;
    use harmony_core::diagnostic::FailureKind;

    use super::*;

    fn report() -> Report {
        Report {
            code: codes::CRASH_LOOP,
            kind: FailureKind::Failed,
            message: "container `operator` keeps crashing".into(),
            causes: vec!["connection refused".into()],
            place: Some("Deployment fleet/operator".into()),
            evidence: vec!["exit code 3".into(), "log: first line\nsecond line".into()],
            hints: vec!["fix it".into()],
        }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn an_error_tells_code_place_evidence_causes_and_help() {
        let drawn = plain(&error(&report(), Some("score fleet-operator")));
        assert_eq!(
            drawn,
            "\
error[H0303]: container `operator` keeps crashing
--> score fleet-operator, Deployment fleet/operator
 = seen: exit code 3
 = seen: log: first line
         second line
 = cause: connection refused
 = help: fix it
"
        );
    }

    #[test]
    fn an_error_without_details_is_one_line() {
        let bare = Report {
            causes: vec![],
            place: None,
            evidence: vec![],
            hints: vec![],
            ..report()
        };
        assert_eq!(
            plain(&error(&bare, None)),
            "error[H0303]: container `operator` keeps crashing\n"
        );
    }

    #[test]
    fn text_from_elsewhere_cannot_steer_the_terminal() {
        let hostile = Report {
            message: "bad \u{1b}[2Jname\nerror: forged".into(),
            evidence: vec!["\u{1b}]0;title\u{7}log".into()],
            ..report()
        };
        let drawn = plain(&error(&hostile, None));
        assert!(
            drawn.starts_with("error[H0303]: bad name error: forged\n"),
            "{drawn}"
        );
        assert!(!drawn.contains(['\u{1b}', '\u{7}']), "{drawn:?}");
    }

    #[test]
    fn carriage_returns_c1_and_bidi_controls_do_not_reach_the_terminal() {
        let remote = "pulled\rall good \u{9b}2J\u{9d}0;title\u{9c}user\u{202e}nimda";
        let hostile = Report {
            message: remote.into(),
            causes: vec![remote.into()],
            place: Some(remote.into()),
            evidence: vec![remote.into()],
            hints: vec![remote.into()],
            ..report()
        };
        for drawn in [error(&hostile, None), warning(remote)] {
            let unsafe_ones: Vec<_> = plain(&drawn)
                .chars()
                .filter(|c| *c != '\n' && printable::is_unsafe(*c))
                .collect();
            assert!(unsafe_ones.is_empty(), "{drawn:?}");
        }
    }

    #[test]
    fn a_long_line_is_not_cut() {
        let long = "x".repeat(500);
        let wide = Report {
            message: long.clone(),
            ..report()
        };
        assert!(plain(&error(&wide, None)).contains(&long));
    }

    #[test]
    fn a_warning_is_one_line() {
        assert_eq!(
            plain(&warning("the disk is nearly full")),
            "warning: the disk is nearly full\n"
        );
    }
}
