//! Settings: what the command line and the environment say, checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use harmony_fleet_adapters_nats::{NatsAuth, NatsOptions, NatsServers, SettingsError};
use harmony_reconciler_contracts::TenantId;
use secrecy::SecretString;

/// Keeps the registry of a fleet's devices and shows them in Kubernetes.
///
/// Serves `/healthz` (the process is alive) and `/readyz` (connected, registry loaded, devices shown).
#[derive(Debug, Parser)]
#[command(version)]
pub struct Args {
    /// NATS servers, separated by commas, for example `nats://nats:4222`
    #[arg(long, env = "FLEET_NATS_URL")]
    nats_url: String,
    /// NATS user
    #[arg(long, env = "FLEET_NATS_USER")]
    nats_user: Option<String>,
    /// NATS password; safer in the environment than on the command line
    #[arg(long, env = "FLEET_NATS_PASSWORD", hide_env_values = true, value_parser = secret)]
    nats_password: Option<SecretString>,
    /// File whose first line is the NATS password
    #[arg(long, env = "FLEET_NATS_PASSWORD_FILE")]
    nats_password_file: Option<PathBuf>,
    /// Whose devices: one operator for each tenant
    #[arg(long, env = "FLEET_TENANT", default_value = "default")]
    tenant: TenantId,
    /// Kubernetes namespace that shows the devices [default: the one that the operator runs in]
    #[arg(long, env = "FLEET_NAMESPACE")]
    namespace: Option<String>,
    /// Address of the health endpoints
    #[arg(long, env = "FLEET_HEALTH_ADDR", default_value = "0.0.0.0:8080")]
    health_addr: SocketAddr,
    /// Seconds between two readings of the whole registry
    #[arg(long, env = "FLEET_RESYNC_SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=3600))]
    resync_seconds: u64,
}

/// Between two checks of the connection: a deaf operator should know it before it takes devices for silent.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// Checked settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The connection to NATS.
    pub nats: NatsOptions,
    /// Whose devices.
    pub tenant: TenantId,
    /// Where to show them; `None` for the namespace that the cluster's configuration names.
    pub namespace: Option<String>,
    /// Where to serve health.
    pub health_addr: SocketAddr,
    /// Between two readings of the whole registry.
    pub resync: Duration,
}

impl Args {
    /// Checks the settings. Nothing is opened but the password file.
    pub fn resolve(self) -> Result<Settings, SettingsError> {
        let servers: NatsServers = self.nats_url.parse()?;
        let file = self
            .nats_password_file
            .filter(|path| !path.as_os_str().is_empty());
        let auth = NatsAuth::resolve(
            self.nats_user.as_deref(),
            self.nats_password,
            file.as_deref(),
        )?;
        let name = format!("harmony-fleet-operator {}", self.tenant);
        let mut nats = NatsOptions::new(servers, auth, name);
        nats.ping_interval = PING_INTERVAL;
        Ok(Settings {
            nats,
            tenant: self.tenant,
            namespace: self.namespace.filter(|text| !text.is_empty()),
            health_addr: self.health_addr,
            resync: Duration::from_secs(self.resync_seconds),
        })
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "clap's value parsers return a result"
)]
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(text.into())
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
        let bad_tenant = ["operator", "--nats-url", "x", "--tenant", "A B"];
        assert!(
            Args::try_parse_from(bad_tenant)
                .unwrap_err()
                .to_string()
                .contains("tenant id")
        );
    }
}
