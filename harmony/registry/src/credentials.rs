//! Finding the login for one registry.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use harmony_types::{RegistryHost, Repository};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};
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
///
/// `path` is where our repositories are: a file may have several logins for one registry, by path.
pub(crate) async fn find(
    registry: &RegistryHost,
    path: Option<&Repository>,
    settings: &RegistrySettings,
) -> Found {
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
    for file in environment.login_files() {
        match look_up(&file, registry, path).await {
            Lookup::Found(found) => return found,
            Lookup::Miss(reason) => misses.push(format!("`{}` {reason}", file.display())),
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

async fn look_up(file: &Path, registry: &RegistryHost, path: Option<&Repository>) -> Lookup {
    let content = match tokio::fs::read(file).await {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Lookup::Miss("does not exist".into());
        }
        Err(error) => return Lookup::Miss(format!("cannot be read: {error}")),
    };
    let Ok(config) = serde_json::from_slice::<Config>(&content) else {
        return Lookup::Miss("is not the JSON that `docker login` writes".into());
    };
    let key = endpoint::login_key(registry);
    let Ok(content) = serde_json::to_vec(&config.for_registry(registry, path, key)) else {
        return Lookup::Miss("is not the JSON that `docker login` writes".into());
    };
    let helper = config.helper(registry, key);
    let origin = match &helper {
        Some(helper) => format!(
            "from `{}` or the helper `docker-credential-{helper}` it names",
            file.display()
        ),
        None => format!("from `{}`", file.display()),
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

/// What docker and podman write. Both leave empty fields behind, and name one registry in several ways.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    auths: Option<BTreeMap<String, Map<String, Value>>>,
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: Option<BTreeMap<String, String>>,
}

impl Config {
    /// The same file with nothing but what is for this registry, under the one name `key`: the login of the longest path
    /// that fits, and the helper.
    fn for_registry(&self, registry: &RegistryHost, path: Option<&Repository>, key: &str) -> Value {
        let mut auths = Map::new();
        if let Some(login) = self.login(registry, path) {
            auths.insert(key.to_owned(), Value::Object(login));
        }
        let mut config = Map::from_iter([("auths".to_owned(), Value::Object(auths))]);
        if let Some(helper) = self.own_helper(registry, key) {
            config.insert("credHelpers".into(), json!({ key: helper }));
        }
        if let Some(store) = self.creds_store.as_ref().filter(|store| !store.is_empty()) {
            config.insert("credsStore".into(), json!(store));
        }
        Value::Object(config)
    }

    /// The login of the longest path that fits. Empty fields are none, and an entry without any other is a mark that a
    /// helper has the login.
    fn login(
        &self,
        registry: &RegistryHost,
        path: Option<&Repository>,
    ) -> Option<Map<String, Value>> {
        let ours = path.map(Repository::as_str).unwrap_or_default();
        let fits = self.auths.iter().flatten().filter_map(|(name, entry)| {
            let (host, below) = split(name);
            let is_ours = below.is_empty()
                || ours == below
                || ours
                    .strip_prefix(below)
                    .is_some_and(|rest| rest.starts_with('/'));
            let given: Map<String, Value> = entry
                .iter()
                .filter(|(_, value)| value.as_str().is_some_and(|text| !text.is_empty()))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            (same_registry(host, registry) && is_ours && !given.is_empty())
                .then_some((below.len(), given))
        });
        fits.max_by_key(|(length, _)| *length)
            .map(|(_, login)| login)
    }

    fn own_helper(&self, registry: &RegistryHost, key: &str) -> Option<&String> {
        let helpers = self.cred_helpers.as_ref()?;
        let named = helpers.get(key).or_else(|| {
            let mut all = helpers.iter();
            all.find(|(name, _)| same_registry(split(name).0, registry))
                .map(|(_, helper)| helper)
        });
        named.filter(|name| !name.is_empty())
    }

    /// The helper that would be asked, for messages.
    fn helper(&self, registry: &RegistryHost, key: &str) -> Option<String> {
        let store = self.creds_store.as_ref().filter(|name| !name.is_empty());
        self.own_helper(registry, key).or(store).cloned()
    }
}

/// `https://index.docker.io/v1/` and `registry.example.com/team`: the host, and the path below it.
fn split(name: &str) -> (&str, &str) {
    let bare = name
        .strip_prefix("https://")
        .or_else(|| name.strip_prefix("http://"));
    let has_scheme = bare.is_some();
    let (host, below) = bare
        .unwrap_or(name)
        .split_once('/')
        .unwrap_or((bare.unwrap_or(name), ""));
    // With a scheme it is the address of an API, such as `/v1/` or `/v2/`, not a path of repositories.
    (
        host,
        if has_scheme {
            ""
        } else {
            below.trim_matches('/')
        },
    )
}

/// Docker Hub has many names.
fn same_registry(host: &str, registry: &RegistryHost) -> bool {
    const HUB: [&str; 4] = [
        "docker.io",
        "index.docker.io",
        "registry-1.docker.io",
        "registry.hub.docker.com",
    ];
    let ours = registry.as_str();
    host.eq_ignore_ascii_case(ours) || (HUB.contains(&host) && HUB.contains(&ours))
}

#[cfg(test)]
mod config_tests {
    use super::*;

    fn login(config: &Value, registry: &str, path: Option<&str>) -> Option<String> {
        let config: Config = serde_json::from_value(config.clone()).expect("a config");
        let path = path.map(|path| path.parse().expect("a path"));
        let login = config.login(&registry.parse().expect("a host"), path.as_ref())?;
        Some(login["auth"].as_str().expect("a login").to_owned())
    }

    #[test]
    fn the_longest_path_that_fits_counts() {
        let config = json!({ "auths": {
            "r.example.com": { "auth": "all" },
            "r.example.com/team": { "auth": "team" },
            "r.example.com/team/apps": { "auth": "apps" },
            "r.example.com/other": { "auth": "other" },
        }});
        let of = |path| login(&config, "r.example.com", path);
        assert_eq!(of(None).as_deref(), Some("all"));
        assert_eq!(of(Some("team")).as_deref(), Some("team"));
        assert_eq!(of(Some("team/apps/web")).as_deref(), Some("apps"));
        assert_eq!(of(Some("teams")).as_deref(), Some("all"));
        assert_eq!(login(&config, "q.example.com", None), None);
    }

    #[test]
    fn empty_fields_are_none() {
        let config = json!({ "auths": { "r.example.com": { "auth": "", "identitytoken": "" } }, "credsStore": "x" });
        assert_eq!(login(&config, "r.example.com", None), None);
        let read: Config = serde_json::from_value(config).expect("a config");
        let host: RegistryHost = "r.example.com".parse().expect("a host");
        assert_eq!(
            read.for_registry(&host, None, "r.example.com"),
            json!({ "auths": {}, "credsStore": "x" })
        );
        assert!(
            serde_json::from_value::<Config>(json!({ "auths": null, "credHelpers": null })).is_ok()
        );
    }

    #[test]
    fn docker_hub_is_found_by_each_of_its_names() {
        for name in [
            "https://index.docker.io/v1/",
            "https://index.docker.io/v1",
            "index.docker.io",
            "docker.io",
            "registry-1.docker.io",
            "docker.io/library",
        ] {
            let config = json!({ "auths": { name: { "auth": "hub" } } });
            let found = login(&config, "docker.io", Some("library"));
            assert_eq!(found.as_deref(), Some("hub"), "{name}");
        }
        let config = json!({ "credHelpers": { "index.docker.io": "desktop" } });
        let read: Config = serde_json::from_value(config).expect("a config");
        let hub: RegistryHost = "docker.io".parse().expect("a host");
        assert_eq!(
            read.helper(&hub, endpoint::login_key(&hub)).as_deref(),
            Some("desktop")
        );
    }
}
