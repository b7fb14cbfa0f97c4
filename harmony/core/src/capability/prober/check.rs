//! Smoke checks as data.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use harmony_types::{Namespace, ResourceName};

use super::Prober;
use crate::kubernetes::ObjectRef;

/// Something that must hold for a deployed thing to count as working.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SmokeCheck {
    /// A GET is answered with this status and, when given, this text in the body.
    Http {
        /// Whom to ask.
        service: ServicePort,
        /// The path, beginning with `/`.
        path: String,
        /// The status that is expected.
        status: u16,
        /// A text that the body must hold.
        contains: Option<String>,
    },
    /// A connection is accepted.
    Tcp {
        /// By whom.
        service: ServicePort,
    },
    /// A command inside a ready pod of the workload exits with 0.
    Exec {
        /// The workload.
        workload: ObjectRef,
        /// Program and arguments; no shell.
        command: Vec<String>,
    },
    /// A NATS server greets and, when it lets anybody in, answers a ping.
    Nats {
        /// Where it listens.
        service: ServicePort,
    },
    /// Anything else.
    Custom(Arc<dyn CustomCheck>),
}

impl fmt::Display for SmokeCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http {
                service,
                path,
                status,
                ..
            } => write!(f, "GET http://{service}{path} answers {status}"),
            Self::Tcp { service } => write!(f, "{service} accepts connections"),
            Self::Exec { workload, command } => {
                write!(f, "`{}` succeeds in {workload}", command.join(" "))
            }
            Self::Nats { service } => write!(f, "NATS answers at {service}"),
            Self::Custom(check) => f.write_str(&check.describe()),
        }
    }
}

/// A port of a service, within the namespace of the Score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// The service's name.
    pub service: ResourceName,
    /// The service's port number.
    pub port: u16,
}

impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.port)
    }
}

/// A check that an app writes itself, such as "one device answers a ping".
#[async_trait]
pub trait CustomCheck: fmt::Debug + Send + Sync {
    /// What must hold, as a sentence without a full stop: `every device answers a ping`.
    fn describe(&self) -> String;

    /// Looks once. It is called again until it passes or the deadline is over, so it does not retry itself.
    ///
    /// # Errors
    /// What was seen instead.
    async fn run(&self, prober: &dyn Prober, namespace: &Namespace) -> Result<(), ProbeFailure>;
}

/// What a check saw instead of what it expects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{seen}")]
pub struct ProbeFailure {
    /// A few words: `status 503`, `connection refused`.
    pub seen: String,
    /// More of it, such as the beginning of a body.
    pub details: Vec<String>,
}

impl ProbeFailure {
    /// Seen in a few words.
    pub fn new(seen: impl Into<String>) -> Self {
        Self {
            seen: seen.into(),
            details: Vec::new(),
        }
    }

    /// With more of it.
    #[must_use]
    pub fn with_details(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }
}
