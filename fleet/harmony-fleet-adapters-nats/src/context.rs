//! How tools on this machine find the fleet: a private file written by the deploy.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use harmony_reconciler_contracts::TenantId;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{NatsAuth, NatsAuthority, NatsOptions, SettingsError, file};

/// The address of the fleet's NATS server and the login for tools.
#[derive(Debug, Clone)]
pub struct FleetContext {
    /// The address of NATS, in the format of [`crate::NatsServers`].
    pub nats_url: String,
    pub tenant: TenantId,
    /// The NATS user.
    pub user: String,
    /// The NATS password; not shown by `Debug`.
    pub password: SecretString,
    /// The certificate authority of NATS.
    pub authority: Option<ContextAuthority>,
}

/// The authority that signed the certificate of NATS, as stored in a context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextAuthority {
    /// Its certificates, in PEM format.
    pub certificates: String,
    /// The name in the certificate of NATS.
    pub server_name: String,
}

/// The content of the file. Only here, the password is a plain string.
#[derive(Serialize, Deserialize)]
struct ContextFile {
    version: u16,
    nats_url: String,
    tenant: TenantId,
    user: String,
    password: String,
    /// Files of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authority: Option<ContextAuthority>,
}

impl FleetContext {
    /// The version of the file format.
    const VERSION: u16 = 1;

    /// The path of the file according to the XDG base directory specification:
    /// `$XDG_STATE_HOME/harmony/fleet/context.json`, or below `$HOME/.local/state`. `None` if neither variable is an
    /// absolute path.
    pub fn default_path() -> Option<PathBuf> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        path_below(variable("XDG_STATE_HOME"), variable("HOME"))
    }

    /// Reads the file; `None` if it does not exist.
    pub fn load(path: &Path) -> Result<Option<Self>, ContextError> {
        let bytes = match file::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(ContextError::Read {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let file: ContextFile =
            serde_json::from_slice(&bytes).map_err(|source| ContextError::Content {
                path: path.to_owned(),
                source,
            })?;
        Ok(Some(Self {
            nats_url: file.nats_url,
            tenant: file.tenant,
            user: file.user,
            password: file.password.into(),
            authority: file.authority,
        }))
    }

    /// Writes the file, readable only by its owner. The write is atomic: a reader never sees a part of it, and after a
    /// kill the file has its old or its new content.
    pub fn save(&self, path: &Path) -> Result<(), ContextError> {
        let failed = |source| ContextError::Write {
            path: path.to_owned(),
            source,
        };
        let content = ContextFile {
            version: Self::VERSION,
            nats_url: self.nats_url.clone(),
            tenant: self.tenant.clone(),
            user: self.user.clone(),
            password: self.password.expose_secret().to_owned(),
            authority: self.authority.clone(),
        };
        let mut json = serde_json::to_vec_pretty(&content).map_err(|e| failed(e.into()))?;
        json.push(b'\n');
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
        // `tempfile` creates files with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(&json)
            .and_then(|()| file.as_file().sync_all())
            .map_err(failed)?;
        file.persist(path).map_err(|e| failed(e.error))?;
        Ok(())
    }

    /// The connection settings of a tool with this name.
    ///
    /// # Errors
    /// The address or the authority cannot be used.
    pub fn options(&self, client: impl Into<String>) -> Result<NatsOptions, SettingsError> {
        let auth = NatsAuth::UserPassword {
            user: self.user.clone(),
            password: self.password.clone(),
        };
        let authority = self.authority.as_ref().map(|authority| {
            NatsAuthority::from_pem(&authority.certificates, Some(&authority.server_name))
        });
        let options = NatsOptions::for_tools(self.nats_url.parse()?, auth, client);
        Ok(options.with_authority(authority.transpose()?))
    }
}

/// The pure part of [`FleetContext::default_path`]. The specification requires ignoring relative paths.
fn path_below(state_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |path: Option<PathBuf>| path.filter(|p| p.is_absolute());
    let base = absolute(state_home).or_else(|| Some(absolute(home)?.join(".local/state")))?;
    Some(base.join("harmony/fleet/context.json"))
}

/// The error of reading or writing the context file.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    #[error("cannot read the fleet context `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the fleet context `{}` is damaged: deploy the fleet again, or delete the file", path.display())]
    Content {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("cannot write the fleet context `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn context() -> FleetContext {
        FleetContext {
            nats_url: "nats://127.0.0.1:4222".into(),
            tenant: "acme".parse().unwrap(),
            user: "tools".into(),
            password: "s3cret".into(),
            authority: Some(ContextAuthority {
                certificates: "-----BEGIN CERTIFICATE-----".into(),
                server_name: "fleet-nats".into(),
            }),
        }
    }

    #[test]
    fn the_path_follows_the_xdg_specification() {
        let path = |state: Option<&str>, home: Option<&str>| {
            path_below(state.map(PathBuf::from), home.map(PathBuf::from))
        };
        let below = |base: &str| Some(PathBuf::from(base).join("harmony/fleet/context.json"));
        assert_eq!(path(Some("/state"), Some("/home/me")), below("/state"));
        assert_eq!(path(None, Some("/home/me")), below("/home/me/.local/state"));
        assert_eq!(
            path(Some("relative"), Some("/home/me")),
            below("/home/me/.local/state")
        );
        assert_eq!(path(Some(""), None), None);
    }

    #[test]
    fn what_is_saved_is_loaded_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("harmony/fleet/context.json");
        assert!(FleetContext::load(&path).unwrap().is_none());
        context().save(&path).unwrap();
        context().save(&path).unwrap();
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        let loaded = FleetContext::load(&path).unwrap().unwrap();
        assert_eq!(loaded.nats_url, context().nats_url);
        assert_eq!(loaded.tenant, context().tenant);
        assert_eq!(loaded.password.expose_secret(), "s3cret");
        assert_eq!(loaded.authority, context().authority);
        assert!(!format!("{loaded:?}").contains("s3cret"));
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "no temporary file stays"
        );
    }

    #[test]
    fn a_damaged_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("context.json");
        for content in [
            "",
            "{}",
            "{\"version\":1,\"nats_url\":\"x\",\"tenant\":\"A B\",\"user\":\"u\",\"password\":\"p\"}",
        ] {
            fs::write(&path, content).unwrap();
            let error = FleetContext::load(&path).unwrap_err();
            assert!(error.to_string().contains("context.json"), "{error}");
        }
    }
}
