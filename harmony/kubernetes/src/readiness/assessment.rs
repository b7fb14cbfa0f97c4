//! The results of the rules for each kind.

use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;

use super::container::Finding;

/// What an object reports about itself.
#[derive(Debug)]
pub(super) enum Assessment {
    Ready,
    Serving {
        pods: Vec<Arc<Pod>>,
        /// A note next to "ready": `runs on no node`.
        note: Option<String>,
    },
    /// Its kind has a status, but nobody has written it.
    Silent {
        /// How long that may last before the object counts as ready.
        grace: SignedDuration,
    },
    Waiting(Waiting),
}

/// What is known about an object that is not ready.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// A short reason for progress output.
    pub(super) why: String,
    /// The pods of its current revision.
    pub(super) pods: Vec<Arc<Pod>>,
    /// Whether these pods are meant to end.
    pub(super) may_end: bool,
    /// Problems of the object itself, as opposed to a pod.
    pub(super) troubles: Vec<Finding>,
    /// An additional hint at the deadline.
    pub(super) hint: Option<String>,
}

impl Assessment {
    pub(super) fn serving(pods: Vec<Arc<Pod>>) -> Self {
        Self::Serving { pods, note: None }
    }

    /// Ready as its spec says, which may not be what was meant.
    pub(super) fn noted(note: impl Into<String>) -> Self {
        Self::Serving {
            pods: Vec::new(),
            note: Some(note.into()),
        }
    }
}

impl Waiting {
    pub(super) fn because(why: impl Into<String>) -> Assessment {
        Assessment::Waiting(Self {
            why: why.into(),
            ..Self::default()
        })
    }

    pub(super) fn with(why: impl Into<String>, trouble: Finding) -> Assessment {
        Assessment::Waiting(Self {
            why: why.into(),
            troubles: vec![trouble],
            ..Self::default()
        })
    }
}
