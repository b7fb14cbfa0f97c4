//! The verdict for a smoke check that did not pass.

use std::time::Duration;

use super::{Confidence, FailureClass, ProbeFailure, SmokeCheck, Verdict};

impl Verdict {
    pub(super) fn failed_check(
        check: &SmokeCheck,
        failure: &ProbeFailure,
        tries: u32,
        after: Duration,
    ) -> Self {
        let mut evidence = vec![format!(
            "{} ({tries} tries in {} s)",
            failure.seen,
            after.as_secs()
        )];
        evidence.extend(failure.details.iter().cloned());
        let mut hints = failure.hints.clone();
        if hints.is_empty() {
            hints.push(
                "the app is ready but does not work: read its log, then fix the app or the check"
                    .into(),
            );
        }
        Self {
            class: failure
                .code
                .map_or(FailureClass::SmokeCheckFailed, FailureClass::CheckFailed),
            confidence: Confidence::AfterGrace,
            summary: format!("smoke check failed: {check}"),
            subject: check.to_string(),
            evidence,
            hints,
        }
    }

    pub(super) fn cancelled_check(check: &SmokeCheck) -> Self {
        Self {
            class: FailureClass::Cancelled,
            confidence: Confidence::Final,
            summary: "cancelled during the smoke checks".into(),
            subject: check.to_string(),
            evidence: Vec::new(),
            hints: vec![
                "the deployed objects stay; run the same command again to check them".into(),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::prober::ServicePort;
    use crate::codes;
    use crate::diagnostic::Report;

    fn report(failure: &ProbeFailure) -> Report {
        let service = ServicePort {
            service: "web".parse().unwrap(),
            port: 80,
        };
        let check = SmokeCheck::Tcp { service };
        let verdict = Verdict::failed_check(&check, failure, 3, Duration::from_secs(30));
        Report::of(&verdict)
    }

    #[test]
    fn a_check_can_say_which_part_is_broken_and_what_to_do() {
        let plain = report(&ProbeFailure::new("connection refused"));
        assert_eq!(plain.code, codes::SMOKE_CHECK_FAILED);
        assert!(plain.hints[0].contains("read its log"), "{plain}");
        let failure = ProbeFailure::new("status 403")
            .with_code(codes::MONITORING_RECEIVER)
            .with_hint("check the token");
        let typed = report(&failure);
        assert_eq!(typed.code, codes::MONITORING_RECEIVER);
        assert_eq!(typed.hints, ["check the token"]);
        assert_eq!(typed.evidence, ["status 403 (3 tries in 30 s)"]);
    }
}
