//! The settings from the command line and the environment, validated.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use harmony_fleet_adapters_nats::{Backoff, NatsOptions, SettingsError};
use harmony_fleet_daemon::NatsArgs;
use harmony_fleet_domain::{FleetState, settings};
use harmony_reconciler_contracts::{TenantId, subjects};

/// Manage the device registry of a fleet and write the devices to Kubernetes
///
/// Serves `/healthz` (the process is running), `/readyz` (connected, registry loaded, devices written) and `/metrics`.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Args {
    #[command(flatten)]
    nats: NatsArgs,
    /// The Kubernetes namespace for the devices [default: the namespace of the operator]
    #[arg(long, env = settings::NAMESPACE)]
    namespace: Option<String>,
    /// The address of the health endpoints
    #[arg(long, env = settings::HEALTH_ADDR, default_value = "0.0.0.0:8080")]
    health_addr: SocketAddr,
    /// Seconds between two full reads of the registry
    #[arg(long, env = settings::RESYNC_SECONDS, default_value = "60", value_parser = clap::value_parser!(u64).range(1..=3600))]
    resync_seconds: u64,
    /// Remove a device after this many seconds of silence
    #[arg(long, env = settings::FORGET_AFTER_SECONDS, default_value_t = FleetState::FORGET_AFTER.as_secs(), value_parser = clap::value_parser!(u64).range(60..))]
    forget_after_seconds: u64,
}

/// The time between two pings on the connection. An operator that has lost its connection must notice this before it
/// considers devices silent.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// The time between attempts to reconnect. Devices wait longer than this before their first heartbeat after a reconnect, so
/// that it is heard.
const RECONNECT: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(1));

/// The validated settings.
#[derive(Debug, Clone)]
pub struct Settings {
    pub nats: NatsOptions,
    pub tenant: TenantId,
    /// The namespace for the devices; `None` for the default namespace of the cluster configuration.
    pub namespace: Option<String>,
    pub health_addr: SocketAddr,
    /// The time between two full reads of the registry.
    pub resync: Duration,
    /// The silence after which a device is removed.
    pub forget_after: Duration,
}

/// The options of an operator's connection. They differ from those of devices, because there is only one operator.
pub fn for_operator(nats: NatsOptions) -> NatsOptions {
    NatsOptions {
        ping_interval: PING_INTERVAL,
        reconnect: RECONNECT,
        inbox_prefix: Some(subjects::OPERATOR_INBOX_PREFIX.to_owned()),
        ..nats
    }
}

impl Args {
    /// Validates the settings. Only reads the password file.
    pub fn resolve(self) -> Result<Settings, SettingsError> {
        let tenant = self.nats.tenant.clone();
        let nats = self
            .nats
            .options(format!("harmony-fleet-operator {tenant}"))?;
        Ok(Settings {
            nats: for_operator(nats),
            tenant,
            namespace: self.namespace.filter(|text| !text.is_empty()),
            health_addr: self.health_addr,
            resync: Duration::from_secs(self.resync_seconds),
            forget_after: Duration::from_secs(self.forget_after_seconds),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn settings_are_checked_and_keep_the_secret() {
        let parse = |extra: &[&str]| {
            let base = ["operator", "--nats-url", "nats://nats:4222"];
            Args::try_parse_from(base.iter().chain(extra))
                .unwrap()
                .resolve()
        };
        let settings = parse(&[
            "--nats-user",
            "op",
            "--nats-password",
            "s3cret",
            "--tenant",
            "acme",
        ])
        .unwrap();
        assert!(!format!("{settings:?}").contains("s3cret"));
        assert_eq!(settings.nats.servers.to_string(), "nats://nats:4222");
        assert!(parse(&["--nats-user", "op"]).is_err());
        let days = settings.forget_after.as_secs() / (24 * 60 * 60);
        assert_eq!(days, 30);
        let bad_tenant = ["operator", "--nats-url", "x", "--tenant", "A B"];
        assert!(
            Args::try_parse_from(bad_tenant)
                .unwrap_err()
                .to_string()
                .contains("tenant id")
        );
    }
}
