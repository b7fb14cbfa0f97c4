//! Connecting to a Docker daemon.

use std::env;
use std::fmt;

use bollard::{API_DEFAULT_VERSION, Docker};
use harmony_core::capability::container_builder::BuildError;
use harmony_core::context::Context;
use harmony_core::diagnostic::BoxError;

const DEFAULT: &str = "unix:///var/run/docker.sock";

/// How long the daemon may take to start a response, in seconds. The classic builder prints nothing while it unpacks
/// the build context.
const TIMEOUT: u64 = 600;

/// The address of a daemon, as in `DOCKER_HOST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint(String);

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Endpoint {
    pub(super) fn new(address: impl Into<String>) -> Self {
        Self(address.into())
    }

    pub(super) fn from_env() -> Self {
        let host = env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        Self(host.unwrap_or_else(|| DEFAULT.to_owned()))
    }

    /// Connects, and negotiates the API version.
    pub(super) async fn connect(&self, context: &Context) -> Result<Docker, BuildError> {
        let docker = self
            .client()
            .map_err(|error| self.unreachable(error.into()))?;
        context
            .unless_cancelled(docker.negotiate_version())
            .await?
            .map_err(|error| self.unreachable(error.into()))
    }

    fn client(&self) -> Result<Docker, bollard::errors::Error> {
        match self.0.as_str() {
            unix if unix.starts_with("unix://") => {
                Docker::connect_with_unix(unix, TIMEOUT, API_DEFAULT_VERSION)
            }
            tcp if tcp.starts_with("tcp://") || tcp.starts_with("http://") => {
                Docker::connect_with_http(tcp, TIMEOUT, API_DEFAULT_VERSION)
            }
            other => Err(bollard::errors::Error::UnsupportedURISchemeError {
                uri: other.to_owned(),
            }),
        }
    }

    fn unreachable(&self, source: BoxError) -> BuildError {
        BuildError::Daemon {
            endpoint: self.0.clone(),
            doing: "connecting to docker".to_owned(),
            output: Vec::new(),
            help: "start the Docker daemon and check that you can use its socket, or set DOCKER_HOST to \
             `unix://<socket>` or `tcp://<host>:<port>`; the `NativeBuilder` builds recipes without Docker"
                .to_owned(),
            source: Some(source),
        }
    }

    /// The error of a request that failed after connecting.
    pub(super) fn failed(&self, doing: String, help: &str, source: BoxError) -> BuildError {
        BuildError::Daemon {
            endpoint: self.0.clone(),
            doing,
            output: Vec::new(),
            help: help.to_owned(),
            source: Some(source),
        }
    }
}
