//! Finding the login for one registry.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use harmony_types::RegistryHost;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::endpoint;
use crate::settings::{Credentials, Environment, RegistrySettings};

/// How long a credential helper may take; some wait for a person or for a cloud that does not answer.
const HELPER_TIMEOUT: Duration = Duration::from_secs(5);

/// What a registry is told about who we are, and where that came from.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) login: Login,
    /// For error messages: the variable, the file, the helper; or where nothing was found. Never a secret.
    pub(crate) origin: String,
}

/// Who we are.
#[derive(Debug)]
pub(crate) enum Login {
    Anonymous,
    Password(Credentials),
    /// A token of a token server, from which it makes short-lived ones.
    IdentityToken(SecretString),
}

/// The first login found: settings, environment, docker's file, podman's files; else none. A file that cannot be
/// used is passed over and named in the origin.
pub(crate) async fn find(registry: &RegistryHost, settings: &RegistrySettings) -> Found {
    if let Some(credentials) = &settings.credentials {
        return Found {
            login: Login::Password(credentials.clone()),
            origin: "from the settings of this program".into(),
        };
    }
    let environment = &settings.environment;
    if let (Some(user), Some(password)) = (&environment.user, &environment.password) {
        return Found {
            login: Login::Password(Credentials::new(user.clone(), password.clone())),
            origin: format!(
                "from `{}` and `{}`",
                Environment::USER,
                Environment::PASSWORD
            ),
        };
    }
    let mut misses = vec![format!("`{}` is not set", Environment::USER)];
    for path in environment.login_files() {
        match look_up(&path, endpoint::login_key(registry)).await {
            Lookup::Found(found) => return found,
            Lookup::Miss(reason) => misses.push(format!("`{}` {reason}", path.display())),
        }
    }
    Found {
        login: Login::Anonymous,
        origin: format!("none ({})", misses.join("; ")),
    }
}

enum Lookup {
    Found(Found),
    /// Why not, as a predicate of the file's name.
    Miss(String),
}

async fn look_up(path: &Path, key: &str) -> Lookup {
    let content = match tokio::fs::read(path).await {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Lookup::Miss("does not exist".into());
        }
        Err(error) => return Lookup::Miss(format!("cannot be read: {error}")),
    };
    let Ok(helpers) = serde_json::from_slice::<Helpers>(&content) else {
        return Lookup::Miss("is not the JSON that `docker login` writes".into());
    };
    let helper = helpers.of(key);
    let origin = match &helper {
        Some(helper) => format!(
            "from `{}` or the helper `docker-credential-{helper}` it names",
            path.display()
        ),
        None => format!("from `{}`", path.display()),
    };
    match retrieve(content, key.to_owned()).await {
        Some(Ok(DockerCredential::UsernamePassword(user, password))) => Lookup::Found(Found {
            login: Login::Password(Credentials::new(user, password)),
            origin,
        }),
        Some(Ok(DockerCredential::IdentityToken(token))) => Lookup::Found(Found {
            login: Login::IdentityToken(token.into()),
            origin,
        }),
        Some(Err(error)) => Lookup::Miss(reason(&error, key, helper.as_deref())),
        None => Lookup::Miss(format!(
            "names the helper `docker-credential-{}`, which did not answer within {} s",
            helper.unwrap_or_default(),
            HELPER_TIMEOUT.as_secs()
        )),
    }
}

/// Reads the login, which may start a helper; `None` when the helper does not answer in time.
///
/// The helper is waited for by a thread of its own rather than by the runtime's blocking pool: the runtime waits for
/// that pool when it shuts down, and a helper that hangs must not keep a cancelled run alive.
async fn retrieve(
    content: Vec<u8>,
    key: String,
) -> Option<Result<DockerCredential, CredentialRetrievalError>> {
    let (sender, receiver) = oneshot::channel();
    let wait = move || {
        let found = docker_credential::get_credential_from_reader(content.as_slice(), &key);
        // Nobody waits any longer after the time-out.
        drop(sender.send(found));
    };
    std::thread::Builder::new()
        .name("credential-helper".into())
        .spawn(wait)
        .ok()?;
    tokio::time::timeout(HELPER_TIMEOUT, receiver)
        .await
        .ok()?
        .ok()
}

/// What went wrong, without what the helper wrote: nobody knows what a helper says.
fn reason(error: &CredentialRetrievalError, key: &str, helper: Option<&str>) -> String {
    let helper = helper.unwrap_or("(unknown)");
    match error {
        CredentialRetrievalError::NoCredentialConfigured => format!("has no login for `{key}`"),
        CredentialRetrievalError::HelperCommunicationError => {
            format!("names the helper `docker-credential-{helper}`, which cannot be run")
        }
        CredentialRetrievalError::MalformedHelperResponse => format!(
            "names the helper `docker-credential-{helper}`, whose answer cannot be understood"
        ),
        CredentialRetrievalError::HelperFailure { helper, stdout, .. } => {
            // The text is part of the protocol: a helper that works but has no such login says so.
            if stdout.contains("credentials not found") {
                format!("names the helper `{helper}`, which has no login for `{key}`")
            } else {
                format!("names the helper `{helper}`, which failed")
            }
        }
        CredentialRetrievalError::CredentialDecodingError => {
            format!("has a login for `{key}` that cannot be decoded")
        }
        CredentialRetrievalError::CredentialMismatchError => {
            format!("has two different logins for `{key}`")
        }
        CredentialRetrievalError::ConfigNotFound | CredentialRetrievalError::ConfigReadError => {
            "cannot be read".into()
        }
    }
}

/// The part of the file that names helpers; read to be able to say which one was asked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Helpers {
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
}

impl Helpers {
    fn of(&self, key: &str) -> Option<String> {
        let named = self.cred_helpers.get(key).filter(|name| !name.is_empty());
        named
            .or(self.creds_store.as_ref().filter(|name| !name.is_empty()))
            .cloned()
    }
}
