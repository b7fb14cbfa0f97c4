//! Why something does not work.

use std::fmt;

use serde::Serialize;

use crate::codes;
use crate::diagnostic::{Code, Diagnostic, FailureKind, Origin};

/// The conclusion about something that does not work: what, how sure, and on which evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{summary}")]
pub struct Verdict {
    /// What kind of failure it is.
    pub class: FailureClass,
    /// How sure that is.
    pub confidence: Confidence,
    /// One line: `container operator of Deployment fleet/operator crashes at start (exit code 3)`.
    pub summary: String,
    /// The object or check it is about.
    pub subject: String,
    /// What was seen, the cause first.
    pub evidence: Vec<String>,
    /// What to do about it.
    pub hints: Vec<String>,
}

/// What kind of failure a verdict is about; each has its own code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FailureClass {
    /// The image does not exist (`H0301`).
    ImageNotFound,
    /// The image cannot be pulled for another reason (`H0302`).
    ImagePull,
    /// A container ends again and again (`H0303`).
    CrashLoop,
    /// A container cannot be started at all (`H0304`).
    ContainerStart,
    /// A ConfigMap, Secret, key or volume that a pod names is missing (`H0305`).
    MissingReference,
    /// No node takes the pod (`H0306`).
    Unschedulable,
    /// The controller could not create pods (`H0307`).
    PodsRefused,
    /// It runs but does not say it is ready (`H0308`).
    NotReady,
    /// It is ready but does not work (`H0309`).
    SmokeCheckFailed,
    /// A container used more memory than it may (`H0317`).
    OutOfMemory,
    /// A job failed (`H0318`).
    JobFailed,
    /// Something else changed or removed it while it was awaited (`H0319`).
    Superseded,
    /// The run was cancelled (`H0001`).
    Cancelled,
}

impl FailureClass {
    /// Its code.
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
            Self::OutOfMemory => codes::OUT_OF_MEMORY,
            Self::JobFailed => codes::JOB_FAILED,
            Self::Superseded => codes::SUPERSEDED,
            Self::Cancelled => codes::CANCELLED,
        }
    }
}

/// How sure a verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// It cannot get better by waiting.
    Final,
    /// It could have got better, and had the time.
    AfterGrace,
    /// Time ran out and the cause is not certain.
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
