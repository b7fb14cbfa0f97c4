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
        Self {
            class: FailureClass::SmokeCheckFailed,
            confidence: Confidence::AfterGrace,
            summary: format!("smoke check failed: {check}"),
            subject: check.to_string(),
            evidence,
            hints: vec![
                "the app is ready but does not work: read its log, then fix the app or the check"
                    .into(),
            ],
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
