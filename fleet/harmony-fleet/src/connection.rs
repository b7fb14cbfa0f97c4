//! Connects to a fleet according to the settings.
//!
//! Settings come from the command line or the environment. If they contain no address, the context file of the deploy
//! is used.

use std::path::PathBuf;

use clap::Args;
use harmony_fleet_adapters_nats::{
    FleetContext, NatsAuth, NatsAuthority, NatsConnection, NatsDeploymentStore,
    NatsDesiredStatePublisher, NatsDeviceCommander, NatsDeviceDirectory, NatsObservedStateConsumer,
    NatsOptions, SettingsError,
};
use harmony_fleet_domain::settings;
use harmony_reconciler_contracts::TenantId;
use secrecy::SecretString;

use crate::CliError;

/// The name of the connection in the server's monitoring.
const CLIENT: &str = "harmony-fleet";

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub struct ConnectionArgs {
    /// Address of the fleet's NATS server, for example `tls://fleet.example.com:4222`
    #[arg(long, global = true, env = settings::NATS_URL)]
    pub nats_url: Option<String>,
    /// The NATS user
    #[arg(long, global = true, env = settings::NATS_USER)]
    pub user: Option<String>,
    /// A file with the password in its first line; alternatively, set `FLEET_NATS_PASSWORD`
    #[arg(long, global = true, env = settings::NATS_PASSWORD_FILE)]
    pub password_file: Option<PathBuf>,
    /// PEM file with the certificate authority of NATS; if set, the connection is encrypted
    #[arg(long, global = true, env = settings::NATS_CA_FILE)]
    pub ca_file: Option<PathBuf>,
    /// Server name in the certificate of NATS [default: the host of its address]
    #[arg(long, global = true, env = settings::NATS_SERVER_NAME)]
    pub server_name: Option<String>,
    /// Whose devices [default: that of the context file, else `default`]
    #[arg(long, global = true, env = settings::TENANT)]
    pub tenant: Option<TenantId>,
    /// Use this context file instead of the one in your home directory
    #[arg(long, global = true, env = settings::CONTEXT)]
    pub context: Option<PathBuf>,
}

/// A connection to a fleet.
#[derive(Debug, Clone)]
pub struct Fleet {
    pub tenant: TenantId,
    pub directory: NatsDeviceDirectory,
    pub commander: NatsDeviceCommander,
    pub deployments: NatsDeploymentStore,
    pub desired: NatsDesiredStatePublisher,
    pub observed: NatsObservedStateConsumer,
}

impl ConnectionArgs {
    /// Connects, or returns an error that says what is missing.
    pub async fn connect(&self) -> Result<Fleet, CliError> {
        let password = std::env::var(settings::NATS_PASSWORD)
            .ok()
            .map(SecretString::from);
        let (tenant, options) = self.resolve(password)?;
        let connection = NatsConnection::connect(&options).await?;
        let (connection, of) = (|| connection.clone(), || tenant.clone());
        Ok(Fleet {
            directory: NatsDeviceDirectory::new(connection(), of()),
            commander: NatsDeviceCommander::new(connection(), of()),
            deployments: NatsDeploymentStore::new(connection(), of()),
            desired: NatsDesiredStatePublisher::new(connection(), of()),
            observed: NatsObservedStateConsumer::new(connection(), of()),
            tenant,
        })
    }

    fn resolve(&self, password: Option<SecretString>) -> Result<(TenantId, NatsOptions), CliError> {
        let own_auth = || {
            NatsAuth::resolve(
                self.user.as_deref(),
                password,
                self.password_file.as_deref(),
            )
        };
        let own_authority = || {
            NatsAuthority::resolve(self.ca_file.as_deref(), self.server_name.as_deref())
                .map_err(SettingsError::from)
        };
        if let Some(url) = &self.nats_url {
            let tenant = self.tenant.clone().map_or_else(default_tenant, Ok)?;
            let options = NatsOptions::for_tools(url.parse()?, own_auth()?, CLIENT);
            return Ok((tenant, options.with_authority(own_authority()?)));
        }
        let path = self.context.clone().or_else(FleetContext::default_path);
        let context = match &path {
            Some(path) => FleetContext::load(path)?,
            None => None,
        };
        let context = context.ok_or(CliError::NoContext { path })?;
        let mut options = context.options(CLIENT)?;
        if self.user.is_some() {
            options.auth = own_auth()?;
        }
        if self.ca_file.is_some() || self.server_name.is_some() {
            options.authority = own_authority()?;
        }
        Ok((self.tenant.clone().unwrap_or(context.tenant), options))
    }
}

fn default_tenant() -> Result<TenantId, CliError> {
    "default"
        .parse()
        .map_err(|source| CliError::Tenant { source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(dir: &tempfile::TempDir) -> PathBuf {
        let path = dir.path().join("context.json");
        let context = FleetContext {
            nats_url: "nats://from-context:4222".into(),
            tenant: "acme".parse().unwrap(),
            user: "tools".into(),
            password: "s3cret".into(),
            authority: None,
        };
        context.save(&path).unwrap();
        path
    }

    #[test]
    fn the_context_file_is_used_unless_an_address_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let from_file = ConnectionArgs {
            context: Some(context(&dir)),
            ..Default::default()
        };
        let (tenant, options) = from_file.resolve(None).unwrap();
        assert_eq!(
            (tenant.as_str(), options.servers.to_string().as_str()),
            ("acme", "nats://from-context:4222")
        );
        assert!(matches!(options.auth, NatsAuth::UserPassword { user, .. } if user == "tools"));

        let other_tenant = ConnectionArgs {
            tenant: Some("other".parse().unwrap()),
            ..from_file.clone()
        };
        assert_eq!(other_tenant.resolve(None).unwrap().0.as_str(), "other");

        let by_hand = ConnectionArgs {
            nats_url: Some("nats://by-hand:1".into()),
            ..from_file
        };
        let (tenant, options) = by_hand.resolve(None).unwrap();
        assert_eq!(
            (tenant.as_str(), options.servers.to_string().as_str()),
            ("default", "nats://by-hand:1")
        );
        assert!(matches!(options.auth, NatsAuth::Anonymous));
    }

    #[test]
    fn without_any_address_the_error_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none.json");
        let args = ConnectionArgs {
            context: Some(path.clone()),
            ..Default::default()
        };
        let error = args.resolve(None).unwrap_err();
        assert!(
            matches!(&error, CliError::NoContext { path: Some(named) } if *named == path),
            "{error:?}"
        );
    }
}
