//! Consent to deletions and takeovers, asked before a step of a run writes anything.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;

use crate::cancelled::Cancelled;
use crate::codes;
use crate::diagnostic::{Diagnostic, FailureKind, Origin};
use crate::kubernetes::ObjectRef;
use crate::outcome::Subject;

/// An object that belongs to somebody else, and would belong to this run's Score or delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takeover {
    /// Which object.
    pub object: ObjectRef,
    /// Who owns it: `chart:web@shop`, `Helm release web`, the name of a field manager.
    pub owner: String,
}

/// `ConfigMap shop/settings belongs to chart:web@shop`
impl std::fmt::Display for Takeover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} belongs to {}", self.object, self.owner)
    }
}

/// Who is asked before things are deleted; see [`Context::approve_deletions`](crate::Context::approve_deletions).
#[async_trait]
pub trait Approver: Debug + Send + Sync {
    /// Asks about all of `deletions` at once.
    ///
    /// # Errors
    /// See [`NotApproved`].
    async fn approve(&self, deletions: &[Subject]) -> Result<(), NotApproved>;

    /// Asks about all of `takeovers` at once; false means no. Consent to deletions is none to this, so an approver that
    /// cannot ask says no.
    ///
    /// # Errors
    /// [`Cancelled`] when the run was cancelled while it was asked.
    async fn approve_takeovers(&self, _takeovers: &[Takeover]) -> Result<bool, Cancelled> {
        Ok(false)
    }
}

/// The approver of a run, shared by the clones of its context. A run without one deletes what its Scores say: who
/// writes a program around Scores has consented by that.
#[derive(Debug, Clone, Default)]
pub(crate) struct Approval(Arc<OnceLock<Arc<dyn Approver>>>);

impl Approval {
    pub(crate) fn set(&self, approver: Arc<dyn Approver>) {
        // the first one stays: a run is asked for by one person
        let _ = self.0.set(approver);
    }

    pub(crate) async fn ask(&self, deletions: &[Subject]) -> Result<(), NotApproved> {
        match self.0.get() {
            Some(approver) if !deletions.is_empty() => approver.approve(deletions).await,
            _ => Ok(()),
        }
    }

    pub(crate) async fn ask_about_takeovers(
        &self,
        takeovers: &[Takeover],
    ) -> Result<bool, Cancelled> {
        match self.0.get() {
            Some(approver) => approver.approve_takeovers(takeovers).await,
            None => Ok(false),
        }
    }
}

/// Something would have been deleted that nobody agreed to. Nothing of the step was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotApproved {
    /// A person said no.
    #[error("the deletions were declined")]
    Declined {
        /// What would have been deleted.
        deletions: Vec<Subject>,
    },
    /// There is no terminal to ask at, and no consent was given beforehand.
    #[error("nobody is there to agree to the deletions")]
    NobodyToAsk {
        /// What would have been deleted.
        deletions: Vec<Subject>,
    },
    /// The run was cancelled while it was asked.
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
                vec!["run it again and agree, or keep these things in the Score".into()]
            }
            Self::NobodyToAsk { .. } => {
                vec!["look at it with `plan`, then agree with --yes".into()]
            }
            Self::Cancelled(_) => Vec::new(),
        }
    }
}
