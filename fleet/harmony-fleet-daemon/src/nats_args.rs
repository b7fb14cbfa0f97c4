//! The connection to the fleet's NATS, from the command line and the environment.

use std::convert::Infallible;
use std::path::PathBuf;

use harmony_fleet_adapters_nats::{
    NatsAuth, NatsAuthority, NatsOptions, NatsServers, SettingsError,
};
use harmony_fleet_domain::settings;
use harmony_reconciler_contracts::TenantId;
use secrecy::SecretString;

/// The arguments of all programs of the fleet.
#[derive(Debug, Clone, clap::Args)]
pub struct NatsArgs {
    /// NATS servers, separated by commas, for example `tls://fleet.example.com:4222`
    #[arg(long, env = settings::NATS_URL, required = true)]
    nats_url: Option<String>,
    /// The NATS user
    #[arg(long, env = settings::NATS_USER)]
    nats_user: Option<String>,
    /// The NATS password; use the environment variable to keep it out of the process list
    #[arg(long, env = settings::NATS_PASSWORD, hide_env_values = true, value_parser = secret)]
    nats_password: Option<SecretString>,
    /// A file with the NATS password in its first line
    #[arg(long, env = settings::NATS_PASSWORD_FILE)]
    nats_password_file: Option<PathBuf>,
    /// PEM file with the certificate authority of NATS; if set, connections are encrypted
    #[arg(long, env = settings::NATS_CA_FILE)]
    nats_ca_file: Option<PathBuf>,
    /// Server name in the certificate of NATS [default: the host of its address]
    #[arg(long, env = settings::NATS_SERVER_NAME)]
    nats_server_name: Option<String>,
    /// The tenant whose devices these are
    #[arg(long, env = settings::TENANT, default_value = "default")]
    pub tenant: TenantId,
}

impl NatsArgs {
    /// The connection settings of a client with this name. Only reads the files of the password and the
    /// certificate authority.
    ///
    /// # Errors
    /// The setting that is not valid.
    pub fn options(&self, client: impl Into<String>) -> Result<NatsOptions, SettingsError> {
        let servers: NatsServers = self.nats_url.as_deref().unwrap_or_default().parse()?;
        let file = self.nats_password_file.as_deref();
        let auth = NatsAuth::resolve(
            self.nats_user.as_deref(),
            self.nats_password.clone(),
            file.filter(|path| !path.as_os_str().is_empty()),
        )?;
        let authority = NatsAuthority::resolve(
            self.nats_ca_file.as_deref(),
            self.nats_server_name.as_deref(),
        )?;
        Ok(NatsOptions::new(servers, auth, client).with_authority(authority))
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "clap's value parsers return a result"
)]
fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        nats: NatsArgs,
    }

    #[test]
    fn settings_are_checked_and_keep_the_secret() {
        let options = |extra: &[&str]| {
            let base = ["program", "--nats-url", "nats://nats:4222"];
            let program = Program::try_parse_from(base.iter().chain(extra)).unwrap();
            program.nats.options("test")
        };
        let good = options(&["--nats-user", "op", "--nats-password", "s3cret"]).unwrap();
        assert!(!format!("{good:?}").contains("s3cret"));
        assert_eq!(good.servers.to_string(), "nats://nats:4222");
        assert!(options(&["--nats-user", "op"]).is_err());
        assert!(options(&["--nats-password", "x"]).is_err());
        assert!(good.authority.is_none());
        assert!(options(&["--nats-ca-file", "/none/ca.crt"]).is_err());
        assert!(options(&["--nats-server-name", "fleet-nats"]).is_err());
    }
}
