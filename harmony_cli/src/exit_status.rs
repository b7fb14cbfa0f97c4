//! The exit codes of all Harmony commands.

use std::process::ExitCode;

use harmony_core::diagnostic::FailureKind;
use serde::{Serialize, Serializer};

/// The result of a command as an exit code. Scripts and CI jobs rely on the numbers.
///
/// See `docs/reference/exit-codes.md` for the user documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// 0: the command succeeded. A plan succeeds whether or not it lists changes.
    Done,
    /// 1: an operation failed. Changes made so far stay; the next run continues from there.
    Failed,
    /// 2: the command line is not valid. Nothing was changed.
    Usage,
    /// 3: a check failed before its step wrote anything.
    Refused,
    /// 130: cancelled by Ctrl-C or SIGTERM, as reported by shells (128 + SIGINT).
    Cancelled,
}

impl ExitStatus {
    /// The exit code of the process.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Cancelled => 130,
        }
    }

    /// The name in JSON documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<FailureKind> for ExitStatus {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Failed => Self::Failed,
            FailureKind::Usage => Self::Usage,
            FailureKind::Refused => Self::Refused,
            FailureKind::Cancelled => Self::Cancelled,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

impl Serialize for ExitStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
