//! The configuration of a registry by the user and the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use harmony_core::capability::pull_accounts::RegistryLogin;
use harmony_core::proxy::ProxyVariables;
use secrecy::SecretString;

use crate::error::ClientError;

/// How to access a registry.
///
/// Explicit settings override the [`Environment`], which overrides the files of `docker login` and `podman login`.
#[derive(Debug, Clone)]
pub struct RegistrySettings {
    pub(crate) credentials: Option<Credentials>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) environment: Environment,
}

impl RegistrySettings {
    /// Uses the environment of this process.
    pub fn from_env() -> Self {
        Self::new(Environment::of_process())
    }

    /// Uses the given environment; for tests.
    pub fn new(environment: Environment) -> Self {
        Self {
            credentials: None,
            ca_file: None,
            environment,
        }
    }

    /// Sets the login, overriding the environment.
    #[must_use]
    pub fn with_credentials(self, credentials: Credentials) -> Self {
        Self {
            credentials: Some(credentials),
            ..self
        }
    }

    /// Sets a PEM file of certificate authorities to trust in addition to those of the machine, overriding the
    /// environment.
    #[must_use]
    pub fn with_ca_file(self, path: impl Into<PathBuf>) -> Self {
        Self {
            ca_file: Some(path.into()),
            ..self
        }
    }

    /// Removes the login of the settings and the environment: it is for our own registry, and these settings are for a
    /// server of others. Logins of that server are still found in the files of Docker and Podman.
    #[must_use]
    pub fn for_others(mut self) -> Self {
        self.credentials = None;
        self.environment.user = None;
        self.environment.password = None;
        self
    }

    /// The login in these settings or in the environment, for programs that pull from the registry on our behalf. Logins in
    /// the files of Docker and Podman are not for them.
    pub fn login(&self) -> Option<Credentials> {
        let named = || {
            let Environment { user, password, .. } = &self.environment;
            Some(Credentials::new(user.clone()?, password.clone()?))
        };
        self.credentials.clone().or_else(named)
    }

    /// The file of additional certificate authorities, if set.
    pub(crate) fn ca_file(&self) -> Option<&Path> {
        self.ca_file
            .as_deref()
            .or(self.environment.ca_file.as_deref())
    }

    /// The additional certificate authorities in PEM, for programs that pull from the registry on our behalf. `None` also if
    /// the file cannot be read: the client of the registry reports that.
    pub fn authorities(&self) -> Option<String> {
        std::fs::read_to_string(self.ca_file()?).ok()
    }

    /// A user without a password, or vice versa, is an error and not an anonymous login.
    pub(crate) fn check(&self) -> Result<(), ClientError> {
        if self.credentials.is_some() {
            return Ok(());
        }
        let (set, missing) = match (&self.environment.user, &self.environment.password) {
            (Some(_), None) => (Environment::USER, Environment::PASSWORD),
            (None, Some(_)) => (Environment::PASSWORD, Environment::USER),
            _ => return Ok(()),
        };
        Err(ClientError::HalfCredentials { set, missing })
    }
}

#[derive(Debug, Clone)]
pub struct Credentials {
    pub(crate) user: String,
    pub(crate) password: SecretString,
}

impl From<Credentials> for RegistryLogin {
    fn from(credentials: Credentials) -> Self {
        Self {
            user: credentials.user,
            password: credentials.password,
        }
    }
}

impl Credentials {
    /// `user` may be a robot account of Harbor, such as `robot$fleet+ci`.
    pub fn new(user: impl Into<String>, password: impl Into<SecretString>) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
        }
    }

    /// The user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password.
    pub fn password(&self) -> &SecretString {
        &self.password
    }
}

/// The environment variables. An empty variable counts as not set.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<SecretString>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) proxies: ProxyVariables,
    /// The directory of Docker's login file.
    docker_config: Option<PathBuf>,
    /// The configured path of Podman's login file.
    podman_auth_file: Option<PathBuf>,
    /// The default path of Podman's login file, which lasts until the machine stops.
    podman_runtime_file: Option<PathBuf>,
    config_dir: Option<PathBuf>,
    home: Option<PathBuf>,
}

impl Environment {
    pub const USER: &'static str = "HARMONY_REGISTRY_USER";
    pub const PASSWORD: &'static str = "HARMONY_REGISTRY_PASSWORD";
    /// A PEM file of certificate authorities to trust in addition to those of the machine.
    pub const CA: &'static str = "HARMONY_REGISTRY_CA";

    /// Reads the environment of this process.
    pub fn of_process() -> Self {
        let mut environment = Self::from_lookup(|name| std::env::var_os(name));
        if environment.podman_runtime_file.is_none() {
            environment.podman_runtime_file = podman_file_without_session();
        }
        environment
    }

    /// An environment in which `lookup` returns the value of a variable.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let value = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let text = |name: &str| value(name).map(|value| value.to_string_lossy().into_owned());
        let path = |name: &str| value(name).map(PathBuf::from);
        Self {
            user: text(Self::USER),
            password: text(Self::PASSWORD).map(SecretString::from),
            ca_file: path(Self::CA),
            proxies: ProxyVariables::from_lookup(&lookup),
            docker_config: path("DOCKER_CONFIG"),
            podman_auth_file: path("REGISTRY_AUTH_FILE"),
            podman_runtime_file: path("XDG_RUNTIME_DIR").map(|folder| folder.join(PODMAN)),
            config_dir: path("XDG_CONFIG_HOME"),
            home: path("HOME"),
        }
    }

    /// The files that may contain a login, in the order in which they are read: those named by variables, then those of
    /// Docker and Podman. If a variable names a file, the default file of the same program is not read.
    pub(crate) fn login_files(&self) -> Vec<PathBuf> {
        const DOCKER: &str = "config.json";
        let home = |rest: &str| self.home.as_ref().map(|home| home.join(rest));
        let below = |folder: &Option<PathBuf>, rest| Some(folder.as_ref()?.join(rest));
        let mut named = vec![
            below(&self.docker_config, DOCKER),
            self.podman_auth_file.clone(),
        ];
        if self.docker_config.is_none() {
            named.push(home(".docker").map(|folder| folder.join(DOCKER)));
        }
        if self.podman_auth_file.is_none() {
            named.push(self.podman_runtime_file.clone());
            named.push(
                below(&self.config_dir, PODMAN)
                    .or_else(|| home(".config").map(|folder| folder.join(PODMAN))),
            );
        }
        named.into_iter().flatten().collect()
    }
}

/// Podman's file, below the folder of a session or that of a user's settings.
const PODMAN: &str = "containers/auth.json";

/// Podman's file when no session says where it is, as for root in a CI job: `/run/containers/0/auth.json`.
fn podman_file_without_session() -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let user = std::fs::metadata("/proc/self").ok()?.uid();
    Some(PathBuf::from(format!("/run/containers/{user}/auth.json")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let variables: BTreeMap<_, _> = variables.iter().copied().collect();
        Environment::from_lookup(|name| variables.get(name).map(OsString::from))
    }

    #[test]
    fn files_of_docker_come_before_those_of_podman() {
        let files = environment(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/u")]).login_files();
        assert_eq!(
            files,
            [
                "/h/.docker/config.json",
                "/run/u/containers/auth.json",
                "/h/.config/containers/auth.json"
            ]
            .map(PathBuf::from)
        );
        let files = environment(&[
            ("HOME", "/h"),
            ("DOCKER_CONFIG", "/d"),
            ("REGISTRY_AUTH_FILE", "/p.json"),
        ])
        .login_files();
        assert_eq!(files, ["/d/config.json", "/p.json"].map(PathBuf::from));
        let files = environment(&[("HOME", "/h"), ("REGISTRY_AUTH_FILE", "/p.json")]).login_files();
        assert_eq!(
            files,
            ["/p.json", "/h/.docker/config.json"].map(PathBuf::from),
            "a named file comes first"
        );
        let files = environment(&[
            ("HOME", "/h"),
            ("DOCKER_CONFIG", "/d"),
            ("XDG_CONFIG_HOME", "/x"),
        ])
        .login_files();
        assert_eq!(
            files,
            ["/d/config.json", "/x/containers/auth.json"].map(PathBuf::from)
        );
    }

    #[test]
    fn half_a_login_is_refused_and_an_empty_variable_is_none() {
        let check = |variables: &[(&str, &str)]| {
            RegistrySettings::new(environment(variables))
                .check()
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            check(&[("HARMONY_REGISTRY_USER", "ci")]),
            Err("`HARMONY_REGISTRY_USER` is set, but `HARMONY_REGISTRY_PASSWORD` is not".into())
        );
        assert_eq!(
            check(&[
                ("HARMONY_REGISTRY_PASSWORD", "x"),
                ("HARMONY_REGISTRY_USER", "")
            ]),
            Err("`HARMONY_REGISTRY_PASSWORD` is set, but `HARMONY_REGISTRY_USER` is not".into())
        );
        assert_eq!(check(&[]), Ok(()));
    }

    #[test]
    fn debug_output_hides_the_password() {
        let settings = RegistrySettings::new(environment(&[
            ("HARMONY_REGISTRY_USER", "ci"),
            ("HARMONY_REGISTRY_PASSWORD", "from-environment"),
        ]))
        .with_credentials(Credentials::new("me", "explicit-secret"));
        let shown = format!("{settings:?}");
        assert!(
            !shown.contains("from-environment") && !shown.contains("explicit-secret"),
            "{shown}"
        );
    }
}
