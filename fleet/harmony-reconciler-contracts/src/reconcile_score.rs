//! What a device should run.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{PodmanV0, ShortText};

/// What a device should run, adjacently tagged: `{"type": "PodmanV0", "data": {...}}`.
///
/// A variant that this build does not know is kept as it is, so that an older operator passes it on and an older agent can
/// report it, and so is a known variant with data that this build does not understand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Tagged", into = "Tagged")]
pub enum ReconcileScore {
    /// Containers that podman runs.
    PodmanV0(PodmanV0),
    /// Something that this build does not understand.
    Unknown(UnknownScore),
}

/// A [`ReconcileScore`] that this build does not understand, unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct UnknownScore {
    tag: String,
    data: Value,
    problem: Option<String>,
}

impl UnknownScore {
    /// The name of the variant.
    pub fn tag(&self) -> ShortText {
        self.tag.as_str().into()
    }
}

impl fmt::Display for UnknownScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not supported", self.tag())?;
        match &self.problem {
            Some(problem) => write!(f, " in this form: {problem}"),
            None => Ok(()),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Tagged {
    #[serde(rename = "type")]
    tag: String,
    #[serde(default)]
    data: Value,
}

const PODMAN_V0: &str = "PodmanV0";

impl From<Tagged> for ReconcileScore {
    fn from(Tagged { tag, data }: Tagged) -> Self {
        let problem = match tag.as_str() {
            PODMAN_V0 => match PodmanV0::deserialize(&data) {
                Ok(containers) => return Self::PodmanV0(containers),
                Err(error) => Some(error.to_string()),
            },
            _ => None,
        };
        Self::Unknown(UnknownScore { tag, data, problem })
    }
}

impl From<ReconcileScore> for Tagged {
    fn from(score: ReconcileScore) -> Self {
        match score {
            ReconcileScore::PodmanV0(containers) => Self {
                tag: PODMAN_V0.into(),
                data: serde_json::to_value(containers).unwrap_or_default(),
            },
            ReconcileScore::Unknown(UnknownScore { tag, data, .. }) => Self { tag, data },
        }
    }
}
