//! The errors of the command, with hints.

use std::fmt::Write;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use harmony_fleet_adapters_nats::{ContextError, NatsConnectError, SettingsError};
use harmony_fleet_domain::{CommandFailure, DirectoryError, Presence, StoreError, Unreadable};
use harmony_reconciler_contracts::{DeploymentName, DeviceId, InvalidName};

use crate::devices::{ago, presence_word};
use crate::file::FileProblem;

/// The exit codes of the command, as documented in `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Success.
    Done = 0,
    /// The fleet or the device cannot be reached.
    Failed = 1,
    /// The command line or a setting is not valid.
    Usage = 2,
}

/// The error of the command.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The address of the fleet is not known.
    #[error("the address of the fleet is not known")]
    NoContext {
        /// The path of the context file.
        path: Option<PathBuf>,
    },
    #[error("the fleet's context file cannot be used")]
    Context(#[from] ContextError),
    #[error("the connection settings are not valid")]
    Settings(#[from] SettingsError),
    #[error("the tenant is not valid")]
    Tenant {
        #[source]
        source: InvalidName,
    },
    #[error("cannot reach the fleet")]
    Connect(#[from] NatsConnectError),
    #[error("cannot list the devices")]
    Directory(#[from] DirectoryError),
    #[error("the command failed")]
    Command(#[from] CommandFailure),
    #[error("device `{device}` does not exist")]
    UnknownDevice {
        device: DeviceId,
        /// The known devices.
        known: Vec<DeviceId>,
    },
    /// The operator knows the device, but the device does not answer.
    #[error("device `{device}` does not answer; it is {}, last seen: {}", presence_word(*presence), ago(*last_seen_ago))]
    NotAnswering {
        device: DeviceId,
        /// The presence according to the operator.
        presence: Option<Presence>,
        /// When it was last heard.
        last_seen_ago: Option<Duration>,
        /// The error of the ping.
        #[source]
        source: CommandFailure,
    },
    /// Some pings were not answered.
    #[error("device `{device}` did not answer {missing} of {count} pings")]
    SomeSilent {
        device: DeviceId,
        missing: u32,
        count: u32,
    },
    #[error("cannot read `{file}`")]
    ReadFile {
        file: String,
        #[source]
        source: io::Error,
    },
    #[error("`{file}` is not valid")]
    File {
        file: String,
        #[source]
        source: FileProblem,
    },
    #[error("cannot use the stored deployments")]
    Store(#[from] StoreError),
    #[error("deployment `{name}` cannot be replaced")]
    NewerDeployment {
        name: DeploymentName,
        #[source]
        source: Unreadable,
    },
    #[error("deployment `{name}` cannot be read: {problem}")]
    UnreadableDeployment {
        name: DeploymentName,
        problem: String,
    },
    #[error("deployment `{name}` does not exist")]
    UnknownDeployment {
        name: DeploymentName,
        /// The known deployments.
        known: Vec<DeploymentName>,
    },
    /// The status was shown.
    #[error("deployment `{name}` fails on {failing} {}", if *failing == 1 { "device" } else { "devices" })]
    Failing {
        name: DeploymentName,
        failing: usize,
        /// One of them.
        first: Option<DeviceId>,
    },
    /// The status was shown.
    #[error("deployment `{name}` does not run on all online devices after {seconds} s")]
    NotYet { name: DeploymentName, seconds: u64 },
    #[error("cannot write JSON")]
    Json(#[source] serde_json::Error),
    /// Writing the output failed.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

/// The maximum number of device names in a hint.
const NAMES_SHOWN: usize = 10;

impl CliError {
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::NoContext { .. }
            | Self::Context(_)
            | Self::Settings(_)
            | Self::Tenant { .. }
            | Self::ReadFile { .. }
            | Self::File { .. } => ExitStatus::Usage,
            _ => ExitStatus::Failed,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoContext { path } => {
                let place = match path {
                    Some(path) => format!(" (`{}` does not exist)", path.display()),
                    None => String::new(),
                };
                format!(
                    "deploy the fleet from this machine, which creates a context file{place}, or use --nats-url, \
                     --ca-file, --user and --password-file"
                )
            }
            Self::Context(_) => "deploy the fleet again from this machine to recreate the file, or use --nats-url, --ca-file, --user \
             and --password-file".into(),
            Self::Connect(NatsConnectError::Unreachable { .. }) => {
                "check that the fleet is running and that this machine can reach it; if it should run on this \
                 machine, deploy it again; use --nats-url for another address".into()
            }
            Self::Connect(NatsConnectError::Untrusted { .. }) => {
                "give the authority that signed its certificate with --ca-file, and with --server-name the name in it; after a new deploy the context file has both. If they are right, something else answers at this address".into()
            }
            Self::Connect(NatsConnectError::Refused { .. }) => {
                "check --user and --password-file; a new deploy updates the password in the context file".into()
            }
            Self::Directory(DirectoryError::NoOperator { .. } | DirectoryError::NoAnswer { .. }) => {
                "check that the operator (harmony-fleet-operator) is running, and that --tenant is correct".into()
            }
            Self::Command(CommandFailure::NotConnected { .. } | CommandFailure::NoAnswer { .. }) => {
                "the operator does not answer either: check that it is running, and that --tenant is correct".into()
            }
            Self::UnknownDevice { device, known } => known_devices(device, known),
            Self::UnknownDeployment { name, known } => known_deployments(name, known),
            Self::Store(StoreError::Missing { .. }) => {
                "the operator (harmony-fleet-operator) creates it when it starts: check that it is running and that its version has deployments".into()
            }
            Self::Store(StoreError::Conflict { .. }) => "run the same command again".into(),
            Self::NewerDeployment { .. } | Self::UnreadableDeployment { .. } => {
                "use a newer harmony-fleet, or delete the deployment".into()
            }
            Self::Failing { name, first: Some(device), .. } => {
                format!("run `harmony-fleet why {device} {name}` for the whole story")
            }
            Self::NotYet { name, .. } => {
                format!("it may still come: run `harmony-fleet status {name}` again, with a longer --timeout if images are large")
            }
            Self::NotAnswering { presence: Some(Presence::Online), .. } => {
                "it was online a moment ago: try again, and check the log of the agent on the device".into()
            }
            Self::NotAnswering { .. } => {
                "check that the device has power and network, and that harmony-fleet-agent is running on it".into()
            }
            _ => return None,
        })
    }

    /// The complete message: error, causes, hint.
    pub fn render(&self) -> String {
        let mut text = format!("error: {self}\n");
        let mut cause = std::error::Error::source(self);
        let mut shown = self.to_string();
        while let Some(error) = cause {
            let message = error.to_string();
            // Some client libraries also include the cause in their own message.
            if !shown.ends_with(&message) {
                let _ = writeln!(text, "  because: {message}");
            }
            shown = message;
            cause = error.source();
        }
        if let Some(hint) = self.hint() {
            let _ = writeln!(text, "hint: {hint}");
        }
        text
    }
}

fn known_devices(device: &DeviceId, known: &[DeviceId]) -> String {
    if known.is_empty() {
        return "no device has registered yet: start harmony-fleet-agent on the device".into();
    }
    let names: Vec<_> = known.iter().map(DeviceId::as_str).collect();
    nearest("devices", device.as_str(), names)
}

fn known_deployments(name: &DeploymentName, known: &[DeploymentName]) -> String {
    if known.is_empty() {
        return "there is none: create one with `harmony-fleet apply FILE`".into();
    }
    let names: Vec<_> = known.iter().map(DeploymentName::as_str).collect();
    nearest("deployments", name.as_str(), names)
}

/// The names, and the nearest first. `kind` is also the command that lists them.
fn nearest(kind: &str, asked: &str, mut names: Vec<&str>) -> String {
    // Names with the longest common prefix come first.
    let common = |other: &str| {
        let pairs = asked.bytes().zip(other.bytes());
        pairs.take_while(|(a, b)| a == b).count()
    };
    names.sort_by_key(|name| (std::cmp::Reverse(common(name)), *name));
    let shown: Vec<_> = names
        .iter()
        .take(NAMES_SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = match names.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more (see `harmony-fleet {kind}`)"),
    };
    format!("the {kind} are {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_device_is_told_with_those_that_are_near() {
        let known: Vec<DeviceId> = (0..30)
            .map(|n| format!("valve-{n}").parse().unwrap())
            .collect();
        let error = CliError::UnknownDevice {
            device: "valve-29x".parse().unwrap(),
            known,
        };
        let text = error.render();
        assert!(
            text.starts_with(
                "error: device `valve-29x` does not exist\nhint: the devices are `valve-29`, "
            ),
            "{text}"
        );
        assert!(text.contains("and 20 more"), "{text}");
        assert_eq!(error.exit_status(), ExitStatus::Failed);
    }

    #[test]
    fn a_silent_device_is_told_with_what_is_known() {
        let device: DeviceId = "pump-1".parse().unwrap();
        let error = CliError::NotAnswering {
            device: device.clone(),
            presence: Some(Presence::Offline),
            last_seen_ago: Some(Duration::from_secs(7200)),
            source: CommandFailure::NotConnected { device },
        };
        let text = error.render();
        assert!(text.contains("it is offline, last seen: 2 h ago"), "{text}");
        assert!(
            text.contains("because: device `pump-1` is not connected"),
            "{text}"
        );
        assert!(
            text.contains("hint: check that the device has power"),
            "{text}"
        );
    }
}
