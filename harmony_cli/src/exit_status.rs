//! The exit codes that every command of Harmony uses.

use std::process::ExitCode;

use harmony_core::diagnostic::FailureKind;
use serde::{Serialize, Serializer};

/// How a command ended, as its exit code. The numbers are a promise: scripts and CI jobs branch on them.
///
/// The prose for users is `docs/reference/exit-codes.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// 0: everything that was asked for holds now. A plan ends so whether or not it lists changes.
    Done,
    /// 1: it was tried and did not work; what was done stays, and running again continues from there.
    Failed,
    /// 2: the command line asks for something that does not exist. Nothing was touched.
    Usage,
    /// 3: refused by a check, before the refused step wrote anything.
    Refused,
    /// 130: stopped by Ctrl-C or SIGTERM, as shells report it (128 + SIGINT).
    Cancelled,
}

impl ExitStatus {
    /// The number that the process exits with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Cancelled => 130,
        }
    }

    /// The word that JSON documents carry beside the number.
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
