//! All that can go wrong, and what to do about it.

use std::fmt::Write;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use harmony_fleet_adapters_nats::{ContextError, NatsConnectError, SettingsError};
use harmony_fleet_domain::{CommandFailure, DirectoryError, Presence};
use harmony_reconciler_contracts::{DeviceId, InvalidName};

use crate::devices::{ago, presence_word};

/// The command's exit codes. The list in `--help` is the promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// It worked.
    Done = 0,
    /// The fleet or the device is not reachable.
    Failed = 1,
    /// The command line or a setting is wrong.
    Usage = 2,
}

/// Why the command did not do it.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Nothing says where the fleet is.
    #[error("it is not known where the fleet is")]
    NoContext {
        /// The context file that was looked for.
        path: Option<PathBuf>,
    },
    /// The context file cannot be used.
    #[error("the fleet's context file cannot be used")]
    Context(#[from] ContextError),
    /// A setting cannot be used.
    #[error("the connection settings cannot be used")]
    Settings(#[from] SettingsError),
    /// The tenant is not one.
    #[error("the tenant cannot be used")]
    Tenant {
        /// Why not.
        #[source]
        source: InvalidName,
    },
    /// No connection.
    #[error("the fleet is not reachable")]
    Connect(#[from] NatsConnectError),
    /// No list of devices.
    #[error("cannot list the devices")]
    Directory(#[from] DirectoryError),
    /// The device did not do it.
    #[error("the command failed")]
    Command(#[from] CommandFailure),
    /// The operator does not know the device.
    #[error("there is no device `{device}`")]
    UnknownDevice {
        /// What was asked for.
        device: DeviceId,
        /// The devices that there are.
        known: Vec<DeviceId>,
    },
    /// The operator knows the device, but it does not answer.
    #[error("device `{device}` does not answer; it is {}, last seen: {}", presence_word(*presence), ago(*last_seen_ago))]
    NotAnswering {
        /// The device.
        device: DeviceId,
        /// What the operator thinks of it.
        presence: Option<Presence>,
        /// Its last sign of life.
        last_seen_ago: Option<Duration>,
        /// How the ping failed.
        #[source]
        source: CommandFailure,
    },
    /// A series with gaps.
    #[error("device `{device}` did not answer {missing} of {count} pings")]
    SomeSilent {
        /// The device.
        device: DeviceId,
        /// Pings without an answer.
        missing: u32,
        /// Pings sent.
        count: u32,
    },
    /// The list cannot be written as JSON.
    #[error("cannot write JSON")]
    Json(#[source] serde_json::Error),
    /// Nobody reads what is written.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

/// Most device names in a hint.
const NAMES_SHOWN: usize = 10;

impl CliError {
    /// The exit code.
    pub fn exit_status(&self) -> ExitStatus {
        match self {
            Self::NoContext { .. } | Self::Context(_) | Self::Settings(_) | Self::Tenant { .. } => {
                ExitStatus::Usage
            }
            _ => ExitStatus::Failed,
        }
    }

    /// What to do about it, in plain words.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoContext { path } => {
                let place = match path {
                    Some(path) => format!(" (`{}` is not there)", path.display()),
                    None => String::new(),
                };
                format!(
                    "deploy the fleet from this machine, which leaves a context file{place}; or give --nats-url, --ca-file, --user and --password-file"
                )
            }
            Self::Context(_) => "deploy the fleet again from this machine, which writes the file anew; or give --nats-url, --ca-file, --user and --password-file".into(),
            Self::Connect(NatsConnectError::Unreachable { .. }) => {
                "check that the fleet is running (one on this machine comes back with another deploy) and that this machine can reach it; another address can be given with --nats-url".into()
            }
            Self::Connect(NatsConnectError::Untrusted { .. }) => {
                "give the authority that signed its certificate with --ca-file, and with --server-name the name in it; after a new deploy the context file has both. If they are right, something else answers at this address".into()
            }
            Self::Connect(NatsConnectError::Refused { .. }) => {
                "check --user and --password-file; after a new deploy the context file has the present password".into()
            }
            Self::Directory(DirectoryError::NoOperator { .. } | DirectoryError::NoAnswer { .. }) => {
                "check that the operator (harmony-fleet-operator) is running, and that --tenant is right".into()
            }
            Self::Command(CommandFailure::NotConnected { .. } | CommandFailure::NoAnswer { .. }) => {
                "the operator does not answer either: check that it is running, and that --tenant is right".into()
            }
            Self::UnknownDevice { device, known } => known_devices(device, known),
            Self::NotAnswering { presence: Some(Presence::Online), .. } => {
                "it was there a moment ago: try again, and look at the agent's log on the device".into()
            }
            Self::NotAnswering { .. } => {
                "check that the device has power and network, and that harmony-fleet-agent runs on it".into()
            }
            _ => return None,
        })
    }

    /// The whole message for people: error, causes, hint.
    pub fn render(&self) -> String {
        let mut text = format!("error: {self}\n");
        let mut cause = std::error::Error::source(self);
        let mut shown = self.to_string();
        while let Some(error) = cause {
            let message = error.to_string();
            // Some client libraries put the cause into their own message too.
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
        return "no device has registered yet: start harmony-fleet-agent on it".into();
    }
    // Names that share the longest beginning with the one asked for come first.
    let common = |other: &DeviceId| {
        device
            .as_str()
            .bytes()
            .zip(other.as_str().bytes())
            .take_while(|(a, b)| a == b)
            .count()
    };
    let mut names: Vec<&DeviceId> = known.iter().collect();
    names.sort_by_key(|name| (std::cmp::Reverse(common(name)), name.as_str()));
    let shown: Vec<_> = names
        .iter()
        .take(NAMES_SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = match names.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more (see `harmony-fleet devices`)"),
    };
    format!("the devices are {}{more}", shown.join(", "))
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
                "error: there is no device `valve-29x`\nhint: the devices are `valve-29`, "
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
