//! From errors of the client to those of the ports.

use harmony_fleet_domain::RuntimeError;
use harmony_reconciler_contracts::FailureReason;

use crate::client::CallError;

/// An error without a cause of the client.
pub(crate) fn failure(reason: FailureReason, detail: &str) -> RuntimeError {
    RuntimeError {
        reason,
        detail: one_line(detail),
        source: None,
    }
}

/// Something that podman itself would not refuse, but this adapter does.
pub(crate) fn refused(detail: &str) -> RuntimeError {
    failure(FailureReason::PodmanRefused, detail)
}

/// An error of the client. `meaning` tells what a refusal of podman means.
pub(crate) fn from_call(
    error: CallError,
    meaning: impl FnOnce(&str) -> FailureReason,
) -> RuntimeError {
    match error {
        CallError::Refused { message, .. } => failure(meaning(&message), &message),
        CallError::Unreadable(_) | CallError::TooLong => RuntimeError {
            reason: FailureReason::PodmanRefused,
            detail: error.to_string(),
            source: with_source(error),
        },
        CallError::Unavailable { .. } | CallError::Broken(_) | CallError::TooSlow(_) => {
            RuntimeError {
                reason: FailureReason::PodmanUnavailable,
                detail: error.to_string(),
                source: with_source(error),
            }
        }
    }
}

/// The cause of an error, whose own words are the detail.
fn with_source(error: CallError) -> Option<harmony_fleet_domain::Cause> {
    match error {
        CallError::Unavailable { source, .. } => Some(source.into()),
        CallError::Broken(source) => Some(source.into()),
        CallError::Unreadable(source) => Some(source.into()),
        CallError::TooSlow(_) | CallError::TooLong | CallError::Refused { .. } => None,
    }
}

/// The longest detail, in characters.
const LONGEST: usize = 600;

/// A text in one line that is not too long. Of a long one, the end is kept as well: podman puts the cause there.
pub(crate) fn one_line(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    let length = line.chars().count();
    if length <= LONGEST {
        return line;
    }
    let start: String = line.chars().take(LONGEST / 3).collect();
    let end: String = line.chars().skip(length - LONGEST / 3 * 2).collect();
    format!("{start} ... {end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_one_line_with_its_end() {
        assert_eq!(one_line("a\n b\t c "), "a b c");
        let long = format!("begin {} end", "x ".repeat(1000));
        let line = one_line(&long);
        assert!(line.len() < 650 && line.starts_with("begin") && line.ends_with("end"));
    }
}
