//! Settings: what the command line and the environment say, checked.

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use harmony_fleet_adapters_nats::{NatsAuth, NatsOptions, NatsServers, SettingsError};
use harmony_reconciler_contracts::{
    DeviceId, DeviceInfo, HeartbeatInterval, InvalidName, Labels, ShortText, TenantId, subjects,
};
use secrecy::SecretString;

/// Makes this device part of a fleet: registers it, sends heartbeats, answers commands.
///
/// Runs until it is stopped. It does not need the network to start, and never gives up on it.
#[derive(Debug, Parser)]
#[command(version, subcommand_negates_reqs = true)]
pub struct Args {
    /// What to do instead of running
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// NATS servers, separated by commas, for example `nats://fleet.example.com:4222`
    #[arg(long, env = "FLEET_NATS_URL", required = true)]
    nats_url: Option<String>,
    /// NATS user
    #[arg(long, env = "FLEET_NATS_USER")]
    nats_user: Option<String>,
    /// NATS password; safer in the environment than on the command line
    #[arg(long, env = "FLEET_NATS_PASSWORD", hide_env_values = true, value_parser = secret)]
    nats_password: Option<SecretString>,
    /// File whose first line is the NATS password
    #[arg(long, env = "FLEET_NATS_PASSWORD_FILE")]
    nats_password_file: Option<PathBuf>,
    /// Whose device it is
    #[arg(long, env = "FLEET_TENANT", default_value = "default")]
    tenant: TenantId,
    /// Name of the device, unique in its tenant [default: made from the host name]
    #[arg(long, env = "FLEET_DEVICE_ID")]
    device_id: Option<String>,
    /// Labels of the device, for example `site=lyon,line=3`
    #[arg(long, env = "FLEET_LABELS", default_value = "")]
    labels: Labels,
    /// Seconds between two heartbeats
    #[arg(long, env = "FLEET_HEARTBEAT_SECONDS", default_value_t = HeartbeatInterval::NOMINAL.seconds(), value_parser = clap::value_parser!(u32).range(i64::from(HeartbeatInterval::MIN_SECONDS)..=i64::from(HeartbeatInterval::MAX_SECONDS)))]
    heartbeat_seconds: u32,
    /// Folder that holds what the agent must remember
    #[arg(
        long,
        env = "FLEET_STATE_DIR",
        default_value = "/var/lib/harmony-fleet-agent",
        global = true
    )]
    pub state_dir: PathBuf,
}

/// What to do instead of running.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Verb {
    /// Tell whether the running agent is registered and sends heartbeats: exit code 0 if so, else 1
    Status,
}

/// Checked settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The connection to NATS.
    pub nats: NatsOptions,
    /// Whose device.
    pub tenant: TenantId,
    /// The device.
    pub device: DeviceId,
    /// Between two heartbeats.
    pub interval: HeartbeatInterval,
    /// What the device says about itself.
    pub info: DeviceInfo,
    /// What the agent remembers is here.
    pub state_dir: PathBuf,
}

impl Args {
    /// Checks the settings. Nothing is opened but the password file and the host name.
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
        let wrong_nats = |source| ArgsError::Nats { source };
        let servers: NatsServers = self
            .nats_url
            .unwrap_or_default()
            .parse()
            .map_err(wrong_nats)?;
        let file = self
            .nats_password_file
            .filter(|path| !path.as_os_str().is_empty());
        let auth = NatsAuth::resolve(
            self.nats_user.as_deref(),
            self.nats_password,
            file.as_deref(),
        )
        .map_err(wrong_nats)?;
        let name = format!("harmony-fleet-agent {}.{device}", self.tenant);
        let mut nats = NatsOptions::new(servers, auth, name);
        nats.inbox_prefix = Some(subjects::device_inbox_prefix(&device));
        Ok(Settings {
            nats,
            tenant: self.tenant,
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
            state_dir: self.state_dir,
        })
    }
}

/// The host name as the kernel knows it; empty when it cannot be read.
fn host_name() -> String {
    std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname"))
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// A device id made from a host name: its first part in lower case, with hyphens for what an id may
/// not have. `None` when nothing usable is left, or when the name is that of many machines.
fn device_id_from(hostname: &str) -> Option<DeviceId> {
    let first = hostname.split('.').next()?.to_lowercase();
    if first == "localhost" {
        return None;
    }
    let safe: String = first
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(DeviceId::MAX_LENGTH)
        .collect();
    safe.trim_matches('-').parse().ok()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "clap's value parsers return a result"
)]
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(text.into())
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    /// The device id is not one.
    #[error("the device id cannot be used: set FLEET_DEVICE_ID to a name such as `pump-1`")]
    DeviceId {
        /// Why not.
        #[source]
        source: InvalidName,
    },
    /// There is no device id, and the host name does not give one.
    #[error(
        "no device id can be made from the host name `{hostname}`: set FLEET_DEVICE_ID to a name such as `pump-1`"
    )]
    NoDeviceId {
        /// The host name.
        hostname: String,
    },
    /// The NATS settings cannot be used.
    #[error("the NATS settings cannot be used")]
    Nats {
        /// Why not.
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
        assert_eq!(settings.nats.inbox_prefix.as_deref(), Some("_INBOX.pump-1"));
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
            ("Pump_1.factory.example", Some("pump-1")),
            ("_x_", Some("x")),
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

    proptest! {
        #[test]
        fn any_host_name_gives_an_id_or_none(hostname in any::<String>()) {
            let _ = device_id_from(&hostname);
        }
    }
}
