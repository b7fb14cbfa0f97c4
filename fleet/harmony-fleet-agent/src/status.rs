//! The status of the agent, maintained by the running agent and queried by other processes.
//!
//! The running agent writes one line of JSON to everyone who connects to a Unix socket in the state directory. So the
//! status is always current, and needs no writes to disk. `harmony-fleet-agent status` queries it; in an image without
//! a shell it is used as a probe.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use harmony_fleet_domain::presence::stale_after;
use harmony_fleet_domain::settings;
use harmony_reconciler_contracts::{DeviceId, HeartbeatInterval};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::state::socket_in;

/// The time limit for reading or writing.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The state of the running agent.
#[derive(Debug)]
pub struct Status {
    device: DeviceId,
    interval: HeartbeatInterval,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    registered: bool,
    last_heartbeat: Option<Instant>,
    problem: Option<String>,
}

/// The answer of a running agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub device: DeviceId,
    /// Registered, and the last heartbeat was sent recently.
    pub ready: bool,
    /// Whether the operator accepted this boot.
    pub registered: bool,
    /// The time since the last heartbeat, in milliseconds.
    pub last_heartbeat_ms_ago: Option<u64>,
    /// The current problem, for users.
    pub problem: Option<String>,
}

impl Status {
    /// The initial status.
    pub fn new(device: DeviceId, interval: HeartbeatInterval) -> Self {
        Self {
            device,
            interval,
            inner: Mutex::default(),
        }
    }

    /// The operator accepted this boot.
    pub fn registered(&self) {
        let mut inner = self.inner();
        inner.registered = true;
        inner.problem = None;
    }

    /// The operator refused this boot. Returns true if this is new.
    pub fn refused(&self, problem: String) -> bool {
        self.inner().registered = false;
        self.trouble(problem)
    }

    /// A heartbeat was sent.
    pub fn heartbeat_sent(&self) {
        let mut inner = self.inner();
        inner.last_heartbeat = Some(Instant::now());
        inner.problem = None;
    }

    /// There is a problem. Returns true if this is new.
    pub fn trouble(&self, problem: String) -> bool {
        let mut inner = self.inner();
        let news = inner.problem.as_ref() != Some(&problem);
        inner.problem = Some(problem);
        news
    }

    /// The current status.
    pub fn report(&self) -> Report {
        let inner = self.inner();
        let age = inner.last_heartbeat.map(|at| at.elapsed());
        let recent = age.is_some_and(|age| age < stale_after(self.interval));
        Report {
            device: self.device.clone(),
            ready: inner.registered && recent,
            registered: inner.registered,
            last_heartbeat_ms_ago: age
                .map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            problem: inner.problem.clone(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = if self.ready { "ready" } else { "not ready" };
        write!(f, "device {}: {state}", self.device)?;
        match self.last_heartbeat_ms_ago {
            Some(ms) => write!(f, ", last heartbeat {} s ago", ms / 1000)?,
            None => f.write_str(", no heartbeat sent yet")?,
        }
        match &self.problem {
            Some(problem) => write!(f, ", {problem}"),
            None => Ok(()),
        }
    }
}

/// Opens the socket. A socket of an earlier run is replaced, because the caller holds the lock of the directory.
pub fn listen(socket: &Path) -> Result<UnixListener, StatusError> {
    let failed = |source| StatusError::Listen {
        socket: socket.to_owned(),
        source,
    };
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    UnixListener::bind(socket).map_err(failed)
}

/// Answers all queries. Never returns.
pub async fn serve(listener: UnixListener, status: &Status) {
    loop {
        match listener.accept().await {
            Ok((mut stream, _)) => {
                let answer = serde_json::to_vec(&status.report()).unwrap_or_default();
                // Errors of the reader are ignored.
                let _ = tokio::time::timeout(TIMEOUT, stream.write_all(&answer)).await;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot serve the status");
                tokio::time::sleep(TIMEOUT).await;
            }
        }
    }
}

/// Queries the agent that uses a state directory.
pub async fn ask(state_dir: &Path) -> Result<Report, StatusError> {
    let socket = socket_in(state_dir);
    let not_running = |source| StatusError::NotRunning {
        socket: socket.clone(),
        source,
    };
    let answer = async {
        let mut stream = UnixStream::connect(&socket).await?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await?;
        Ok(bytes)
    };
    let bytes = match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(bytes) => bytes.map_err(not_running)?,
        Err(elapsed) => return Err(not_running(elapsed.into())),
    };
    serde_json::from_slice(&bytes).map_err(|e| not_running(e.into()))
}

/// The reason why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    #[error("cannot serve the status on `{}`: set {} to a state directory with a shorter path", socket.display(), settings::STATE_DIR)]
    Listen {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("no agent answers on `{}`", socket.display())]
    NotRunning {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_registered_and_heard() {
        let status = Status::new("pump-1".parse().unwrap(), HeartbeatInterval::NOMINAL);
        assert!(!status.report().ready);
        assert!(status.trouble("no network".into()));
        assert!(!status.trouble("no network".into()), "known");
        status.registered();
        assert!(!status.report().ready, "no heartbeat yet");
        status.heartbeat_sent();
        assert!(status.report().ready);
        assert_eq!(status.report().problem, None);
        assert!(status.refused("duplicate".into()));
        assert!(!status.report().ready);
        assert!(status.report().to_string().contains("not ready"));
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced_and_a_dead_agent_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            ask(dir.path()).await,
            Err(StatusError::NotRunning { .. })
        ));
        let socket = socket_in(dir.path());
        drop(listen(&socket).unwrap());
        assert!(matches!(
            ask(dir.path()).await,
            Err(StatusError::NotRunning { .. })
        ));
        let listener = listen(&socket).unwrap();
        let status = Status::new("pump-1".parse().unwrap(), HeartbeatInterval::NOMINAL);
        let asked = async {
            let report = ask(dir.path()).await.unwrap();
            assert_eq!(report, status.report());
        };
        tokio::select! {
            () = serve(listener, &status) => {}
            () = asked => {}
        }
    }
}
