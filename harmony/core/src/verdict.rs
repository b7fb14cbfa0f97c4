//! The reason why something does not work.

use std::fmt;

use serde::Serialize;

use crate::codes;
use crate::diagnostic::{Code, Diagnostic, FailureKind, Origin};

/// A conclusion about something that does not work, with a confidence and evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{summary}")]
pub struct Verdict {
    /// The kind of failure.
    pub class: FailureClass,
    /// The confidence of the conclusion.
    pub confidence: Confidence,
    /// One line: `container operator of Deployment fleet/operator keeps crashing (exit code 3)`.
    pub summary: String,
    /// The object or check it is about.
    pub subject: String,
    /// The facts that were observed, the cause first.
    pub evidence: Vec<String>,
    /// What to do about it.
    pub hints: Vec<String>,
}

/// The kind of failure of a verdict. Each kind has its own code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailureClass {
    /// The image does not exist (`H0301`).
    ImageNotFound,
    /// The image cannot be pulled for another reason (`H0302`).
    ImagePull,
    /// A container keeps exiting (`H0303`).
    CrashLoop,
    /// A container cannot be started at all (`H0304`).
    ContainerStart,
    /// A ConfigMap, Secret, key or volume that a pod refers to does not exist (`H0305`).
    MissingReference,
    /// The pod cannot be scheduled (`H0306`).
    Unschedulable,
    /// The controller cannot create pods (`H0307`).
    PodsRefused,
    /// It runs but does not become ready (`H0308`).
    NotReady,
    /// It is ready but does not work (`H0309`).
    SmokeCheckFailed,
    /// It is ready but does not work, and the check has its own code for what is wrong.
    CheckFailed(Code),
    /// A container exceeded its memory limit (`H0317`).
    OutOfMemory,
    /// A job failed (`H0318`).
    JobFailed,
    /// Something else changed or deleted it during the deploy (`H0319`).
    Superseded,
    /// The run was cancelled (`H0001`).
    Cancelled,
}

impl FailureClass {
    /// The code of this kind.
    pub fn code(self) -> Code {
        match self {
            Self::ImageNotFound => codes::IMAGE_NOT_FOUND,
            Self::ImagePull => codes::IMAGE_PULL,
            Self::CrashLoop => codes::CRASH_LOOP,
            Self::ContainerStart => codes::CONTAINER_START,
            Self::MissingReference => codes::MISSING_REFERENCE,
            Self::Unschedulable => codes::UNSCHEDULABLE,
            Self::PodsRefused => codes::PODS_REFUSED,
            Self::NotReady => codes::NOT_READY,
            Self::SmokeCheckFailed => codes::SMOKE_CHECK_FAILED,
            Self::CheckFailed(code) => code,
            Self::OutOfMemory => codes::OUT_OF_MEMORY,
            Self::JobFailed => codes::JOB_FAILED,
            Self::Superseded => codes::SUPERSEDED,
            Self::Cancelled => codes::CANCELLED,
        }
    }
}

/// The confidence of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Waiting cannot help.
    Final,
    /// It could have recovered, but did not within the grace period.
    AfterGrace,
    /// The deadline has passed, and the cause is not certain.
    Ambiguous,
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Final => "final",
            Self::AfterGrace => "after grace",
            Self::Ambiguous => "ambiguous",
        })
    }
}

impl Diagnostic for Verdict {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(self.class.code())
    }

    fn kind(&self) -> FailureKind {
        match self.class {
            FailureClass::Cancelled => FailureKind::Cancelled,
            _ => FailureKind::Failed,
        }
    }

    fn place(&self) -> Option<String> {
        Some(self.subject.clone())
    }

    fn evidence(&self) -> Vec<String> {
        self.evidence.clone()
    }

    fn hints(&self) -> Vec<String> {
        self.hints.clone()
    }
}
