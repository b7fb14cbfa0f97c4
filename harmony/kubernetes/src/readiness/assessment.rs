//! What the rules of each kind come to.

use std::sync::Arc;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;

use super::container::Finding;

/// What an object says of itself.
#[derive(Debug)]
pub(super) enum Assessment {
    /// It serves.
    Ready,
    /// It serves.
    Serving {
        /// With these pods.
        pods: Vec<Arc<Pod>>,
        /// What to tell beside that it is ready: `runs on no node`.
        note: Option<String>,
    },
    /// Its kind has a status, and nobody has written it.
    Silent {
        /// How long that may last before it counts as how it is meant to be.
        grace: SignedDuration,
    },
    /// Not yet.
    Waiting(Waiting),
}

/// What is known of an object that is not ready.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// A few words for whoever watches.
    pub(super) why: String,
    /// The pods of its current revision.
    pub(super) pods: Vec<Arc<Pod>>,
    /// Whether these pods are meant to end.
    pub(super) may_end: bool,
    /// What is wrong with the object itself rather than with a pod.
    pub(super) troubles: Vec<Finding>,
    /// What to say at the deadline beside the above.
    pub(super) hint: Option<String>,
}

impl Assessment {
    pub(super) fn serving(pods: Vec<Arc<Pod>>) -> Self {
        Self::Serving { pods, note: None }
    }

    /// As its spec asks, which may not be what was meant.
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
