//! Smoke checks as data.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use harmony_types::{Namespace, ResourceName};

use super::Prober;
use crate::diagnostic::Code;
use crate::kubernetes::ObjectRef;

/// A condition that must be true for a workload to count as working.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SmokeCheck {
    /// A GET request returns this status and, if given, a body with this text.
    Http {
        /// The service to ask.
        service: ServicePort,
        /// The path, starting with `/`.
        path: String,
        /// The expected status.
        status: u16,
        /// A text that the body must contain.
        contains: Option<String>,
    },
    /// The port accepts connections.
    Tcp {
        /// The service to connect to.
        service: ServicePort,
    },
    /// A command in a ready pod of the workload exits with 0.
    Exec {
        /// The workload.
        workload: ObjectRef,
        /// The program and its arguments; not a shell command.
        command: Vec<String>,
    },
    /// A NATS server sends its greeting and, if it allows anonymous users, answers a ping.
    Nats {
        /// The service to connect to.
        service: ServicePort,
    },
    /// Any other check.
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

/// A port of a service in the namespace of the Score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// The name of the service.
    pub service: ResourceName,
    /// The port number of the service.
    pub port: u16,
}

impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.port)
    }
}

/// A custom check of an app, such as "one device answers a ping".
#[async_trait]
pub trait CustomCheck: fmt::Debug + Send + Sync {
    /// The condition, as a sentence without a full stop: `every device answers a ping`.
    fn describe(&self) -> String;

    /// Checks once. It is called repeatedly until it passes or the deadline is over, so it does not have to retry.
    ///
    /// # Errors
    /// What was observed instead.
    async fn run(&self, prober: &dyn Prober, namespace: &Namespace) -> Result<(), ProbeFailure>;
}

/// What a check observed instead of the expected result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{seen}")]
pub struct ProbeFailure {
    /// A short description: `status 503`, `connection refused`.
    pub seen: String,
    /// Details, such as the start of a body.
    pub details: Vec<String>,
    /// The code of the error, for a check that knows which part does not work; otherwise `H0309`.
    pub code: Option<Code>,
    /// What to do about it. Without hints, the user is told to read the log of the app.
    pub hints: Vec<String>,
}

impl ProbeFailure {
    /// A failure with this short description.
    pub fn new(seen: impl Into<String>) -> Self {
        Self {
            seen: seen.into(),
            details: Vec::new(),
            code: None,
            hints: Vec::new(),
        }
    }

    /// Sets the code of the error.
    #[must_use]
    pub fn with_code(self, code: Code) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds details.
    #[must_use]
    pub fn with_details(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }
}
