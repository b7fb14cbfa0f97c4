//! The settings from the command line and the environment, validated.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use harmony_fleet_adapters_nats::{NatsOptions, SettingsError};
use harmony_fleet_adapters_podman::PodmanSettings;
use harmony_fleet_daemon::NatsArgs;
use harmony_fleet_domain::settings;
use harmony_reconciler_contracts::{
    DeviceId, DeviceInfo, HeartbeatInterval, InvalidName, Labels, ShortText, TenantId, subjects,
};

/// Connect this device to a fleet: register it, send heartbeats and answer commands
///
/// Runs until it is stopped. It starts without a network connection and keeps trying to connect.
#[derive(Debug, Parser)]
#[command(version, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Option<Verb>,
    #[command(flatten)]
    nats: NatsArgs,
    /// The id of the device, unique within its tenant [default: derived from the full host name]
    #[arg(long, env = settings::DEVICE_ID)]
    device_id: Option<String>,
    /// The labels of the device, for example `site=lyon,line=3`
    #[arg(long, env = settings::LABELS, default_value = "")]
    labels: Labels,
    /// Seconds between two heartbeats
    #[arg(long, env = settings::HEARTBEAT_SECONDS, default_value_t = HeartbeatInterval::NOMINAL.seconds(), value_parser = clap::value_parser!(u32).range(i64::from(HeartbeatInterval::MIN_SECONDS)..=i64::from(HeartbeatInterval::MAX_SECONDS)))]
    heartbeat_seconds: u32,
    /// The socket of podman, which runs the containers of the device [default: that of the user's podman.socket]
    #[arg(long, env = settings::PODMAN_SOCKET, value_name = "PATH")]
    podman_socket: Option<PathBuf>,
    /// The directory for the state of the agent
    #[arg(
        long,
        env = settings::STATE_DIR,
        default_value = "/var/lib/harmony-fleet-agent",
        global = true
    )]
    pub state_dir: PathBuf,
}

/// The subcommands.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Verb {
    /// Show whether the running agent is registered and sends heartbeats; exits with 0 if it does, and with 1 otherwise
    Status,
}

/// The validated settings.
#[derive(Debug, Clone)]
pub struct Settings {
    pub nats: NatsOptions,
    pub tenant: TenantId,
    pub device: DeviceId,
    /// The time between two heartbeats.
    pub interval: HeartbeatInterval,
    /// What the device says about itself.
    pub info: DeviceInfo,
    /// Runs the containers.
    pub podman: PodmanSettings,
    /// The state directory.
    pub state_dir: PathBuf,
}

impl Args {
    /// Validates the settings. Only reads the password file and the host name.
    pub fn resolve(self) -> Result<Settings, ArgsError> {
        let hostname = host_name();
        let device = match self.device_id.filter(|text| !text.is_empty()) {
            Some(text) => text
                .parse()
                .map_err(|source| ArgsError::DeviceId { source })?,
            None => device_id_from(&hostname).ok_or_else(|| ArgsError::NoDeviceId {
                hostname: hostname.clone(),
            })?,
        };
        let tenant = self.nats.tenant.clone();
        let name = format!("harmony-fleet-agent {tenant}.{device}");
        let mut nats = self
            .nats
            .options(name)
            .map_err(|source| ArgsError::Nats { source })?;
        nats.inbox_prefix = Some(subjects::device_inbox_prefix(&device));
        Ok(Settings {
            nats,
            tenant,
            device,
            // The range is checked by clap.
            interval: HeartbeatInterval::from_seconds(self.heartbeat_seconds)
                .unwrap_or(HeartbeatInterval::NOMINAL),
            info: DeviceInfo {
                agent_version: env!("CARGO_PKG_VERSION").into(),
                os: std::env::consts::OS.into(),
                arch: std::env::consts::ARCH.into(),
                hostname: ShortText::from(hostname),
                labels: self.labels,
            },
            podman: match self
                .podman_socket
                .filter(|path| !path.as_os_str().is_empty())
            {
                Some(socket) => PodmanSettings::new(socket),
                None => PodmanSettings::of_this_user(),
            },
            state_dir: self.state_dir,
        })
    }
}

/// The host name according to the kernel; empty if it cannot be read.
fn host_name() -> String {
    std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname"))
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// A device id derived from the complete host name, so that different machines get different ids.
///
/// A host name without a domain that is a valid id is used unchanged. In a full name, each dot becomes `--`. If this is
/// not unique (because the name contains `--` or an invalid character, or is too long), a hash of the name is appended.
/// `None` if nothing usable is left, or if many machines have this name.
fn device_id_from(hostname: &str) -> Option<DeviceId> {
    let name = hostname.trim_end_matches('.').to_lowercase();
    if name.split('.').next() == Some("localhost") {
        return None;
    }
    let safe: String = name.replace('.', DOT).replace(not_in_an_id, "-");
    let exact = !name.contains(DOT)
        && !name.contains(|c| c != '.' && not_in_an_id(c))
        && safe.len() <= DeviceId::MAX_LENGTH;
    if exact && let Ok(id) = safe.parse() {
        return Some(id);
    }
    let hash = format!("-{:08x}", fnv1a(name.as_bytes()));
    let start: String = safe
        .trim_matches('-')
        .chars()
        .take(DeviceId::MAX_LENGTH - hash.len())
        .collect();
    // Without a readable part, nobody would recognize the name.
    if start.is_empty() {
        return None;
    }
    format!("{}{hash}", start.trim_end_matches('-'))
        .parse()
        .ok()
}

/// The replacement of a dot in the host name.
const DOT: &str = "--";

fn not_in_an_id(c: char) -> bool {
    !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// A hash that is the same in every build (FNV-1a, 32 bits).
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// Invalid settings.
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    #[error(
        "the device id is not valid: set {} to a name such as `pump-1`",
        settings::DEVICE_ID
    )]
    DeviceId {
        #[source]
        source: InvalidName,
    },
    /// There is no device id, and none can be derived from the host name.
    #[error(
        "cannot derive a device id from the host name `{hostname}`: set {} to a name such as `pump-1`",
        settings::DEVICE_ID
    )]
    NoDeviceId { hostname: String },
    #[error("the NATS settings are not valid")]
    Nats {
        #[source]
        source: SettingsError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use proptest::prelude::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn settings_are_checked_and_keep_the_secret() {
        let parse = |extra: &[&str]| {
            let base = [
                "agent",
                "--nats-url",
                "nats://nats:4222",
                "--device-id",
                "pump-1",
            ];
            Args::try_parse_from(base.iter().chain(extra)).map(Args::resolve)
        };
        let settings = parse(&[
            "--nats-user",
            "dev",
            "--nats-password",
            "s3cret",
            "--labels",
            "site=lyon",
        ])
        .unwrap()
        .unwrap();
        assert!(!format!("{settings:?}").contains("s3cret"));
        assert_eq!(
            settings.nats.inbox_prefix.as_deref(),
            Some("_INBOX.device.pump-1")
        );
        assert_eq!(settings.interval, HeartbeatInterval::NOMINAL);
        assert_eq!(settings.info.labels.to_string(), "site=lyon");
        assert!(parse(&["--labels", "a b=c"]).is_err());
        assert!(parse(&["--heartbeat-seconds", "0"]).is_err());
        assert!(parse(&["--nats-password", "x"]).unwrap().is_err());
    }

    #[test]
    fn status_needs_only_the_folder() {
        let args = Args::try_parse_from(["agent", "status", "--state-dir", "/x"]).unwrap();
        assert!(matches!(args.verb, Some(Verb::Status)));
        assert_eq!(args.state_dir, Path::new("/x"));
        assert!(Args::try_parse_from(["agent"]).is_err());
    }

    #[test]
    fn host_names_become_device_ids() {
        for (hostname, id) in [
            ("pump-1", Some("pump-1")),
            ("PUMP-1", Some("pump-1")),
            (
                "gw.plant1.factory.example",
                Some("gw--plant1--factory--example"),
            ),
            ("localhost.localdomain", None),
            ("localhost", None),
            ("", None),
            ("---", None),
        ] {
            assert_eq!(
                device_id_from(hostname).map(|id| id.to_string()).as_deref(),
                id,
                "{hostname}"
            );
        }
    }

    #[test]
    fn different_host_names_become_different_device_ids() {
        let long = "gateway-of-the-cooling-water-station.north.plant1.factory.example";
        let names = [
            "gw.plant1.factory.example",
            "gw.plant2.factory.example",
            "gw",
            "gw-plant1.factory.example",
            "gw.plant1-factory.example",
            "gw--plant1--factory--example",
            "gw_plant1",
            "gw-plant1",
            "gw.plant1",
            &format!("{long}1"),
            &format!("{long}2"),
        ];
        let ids: std::collections::BTreeSet<_> = names
            .iter()
            .map(|name| device_id_from(name).unwrap())
            .collect();
        assert_eq!(ids.len(), names.len(), "{ids:?}");
    }

    proptest! {
        #[test]
        fn any_host_name_gives_an_id_or_none(hostname in any::<String>()) {
            let _ = device_id_from(&hostname);
        }
    }
}
