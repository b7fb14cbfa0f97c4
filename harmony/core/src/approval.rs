//! Approval of deletions, takeovers and new content of others, before a step of a run writes anything.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use harmony_types::Digest;

use crate::cancelled::Cancelled;
use crate::codes;
use crate::diagnostic::{Diagnostic, FailureKind, Origin};
use crate::kubernetes::ObjectRef;
use crate::outcome::Subject;

/// An object of another owner that would become part of this run's Score or delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takeover {
    /// The object.
    pub object: ObjectRef,
    /// Its current owner: `chart:web@shop`, `Helm release web`, or the name of a field manager.
    pub owner: String,
}

/// `ConfigMap shop/settings belongs to chart:web@shop`
impl std::fmt::Display for Takeover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} belongs to {}", self.object, self.owner)
    }
}

/// Content of others that a run uses for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// What it is: `podinfo 6.14.1 of oci://ghcr.io/stefanprodan/charts`.
    pub what: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The file that records it.
    pub file: PathBuf,
}

/// Whether the digest of a [`Pin`] may be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinAnswer {
    /// It is recorded and used.
    Record,
    /// Nobody was asked, because this is a plan.
    Planned,
    /// Nobody approved it.
    Refuse,
}

/// Approves deletions; see [`Context::approve_deletions`](crate::Context::approve_deletions).
#[async_trait]
pub trait Approver: Debug + Send + Sync {
    /// Asks for approval of all `deletions` at once.
    ///
    /// # Errors
    /// See [`NotApproved`].
    async fn approve(&self, deletions: &[Subject]) -> Result<(), NotApproved>;

    /// Asks for approval of all `takeovers` at once; false means no. Approval of deletions does not include takeovers,
    /// so an approver that cannot ask returns false.
    ///
    /// # Errors
    /// [`Cancelled`] if the run was cancelled while waiting for the answer.
    async fn approve_takeovers(&self, _takeovers: &[Takeover]) -> Result<bool, Cancelled> {
        Ok(false)
    }

    /// Asks whether the digest of `pin` may be recorded; false means no.
    ///
    /// # Errors
    /// [`Cancelled`] if the run was cancelled while waiting for the answer.
    async fn approve_pin(&self, _pin: &Pin) -> Result<bool, Cancelled> {
        Ok(false)
    }
}

/// The approver of a run, shared by the clones of its context. Without an approver, all deletions are approved: the
/// author of a program that runs Scores directly has decided to do so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Approval {
    approver: Arc<OnceLock<Arc<dyn Approver>>>,
    records_pins: Arc<AtomicBool>,
}

impl Approval {
    pub(crate) fn set(&self, approver: Arc<dyn Approver>) {
        // the first approver wins: a run is started by one person
        let _ = self.approver.set(approver);
    }

    pub(crate) fn record_pins(&self) {
        self.records_pins.store(true, Ordering::Relaxed);
    }

    pub(crate) fn records_pins(&self) -> bool {
        self.records_pins.load(Ordering::Relaxed)
    }

    pub(crate) async fn ask_about_pin(&self, pin: &Pin) -> Result<bool, Cancelled> {
        match self.approver.get() {
            Some(approver) => approver.approve_pin(pin).await,
            None => Ok(false),
        }
    }

    pub(crate) async fn ask(&self, deletions: &[Subject]) -> Result<(), NotApproved> {
        match self.approver.get() {
            Some(approver) if !deletions.is_empty() => approver.approve(deletions).await,
            _ => Ok(()),
        }
    }

    pub(crate) async fn ask_about_takeovers(
        &self,
        takeovers: &[Takeover],
    ) -> Result<bool, Cancelled> {
        match self.approver.get() {
            Some(approver) => approver.approve_takeovers(takeovers).await,
            None => Ok(false),
        }
    }
}

/// Deletions were not approved. The step has written nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotApproved {
    /// The user declined.
    #[error("the deletions were declined")]
    Declined {
        /// The subjects that would have been deleted.
        deletions: Vec<Subject>,
    },
    /// There is no terminal, and the deletions were not approved in advance.
    #[error("deletions need approval, and there is no terminal to ask on")]
    NobodyToAsk {
        /// The subjects that would have been deleted.
        deletions: Vec<Subject>,
    },
    /// The run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Diagnostic for NotApproved {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::Declined { .. } | Self::NobodyToAsk { .. } => {
                Origin::Own(codes::DELETIONS_NOT_APPROVED)
            }
            Self::Cancelled(cancelled) => Origin::Inner(cancelled),
        }
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::Declined { deletions } | Self::NobodyToAsk { deletions } => deletions
                .iter()
                .map(|subject| format!("would delete {subject}"))
                .collect(),
            Self::Cancelled(_) => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Declined { .. } => {
                vec![
                    "run the command again and approve them, or keep these objects in the Score"
                        .into(),
                ]
            }
            Self::NobodyToAsk { .. } => {
                vec!["review the deletions with `plan`, then approve them with `--yes`".into()]
            }
            Self::Cancelled(_) => Vec::new(),
        }
    }
}
