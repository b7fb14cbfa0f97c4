//! Finds the login for a repository: settings, environment, the files of Docker and Podman, and their helpers.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harmony_oci::file::read_regular;
use harmony_types::{RegistryHost, Repository};
use tokio::sync::{Mutex, OnceCell};

use crate::credential_helper::{self, Answer};
use crate::login_file::{self, Login, LoginFile};
use crate::settings::{Credentials, Environment, RegistrySettings};

/// The maximum size of a login file.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;

/// The identity sent to a registry, and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) login: Login,
    /// For error messages: the variable, file or helper, or where nothing was found. Never a secret.
    pub(crate) origin: String,
}

/// The logins of one registry; each is looked up once.
#[derive(Debug)]
pub(crate) struct Logins {
    registry: RegistryHost,
    /// The path of our repositories.
    project: Option<Repository>,
    settings: RegistrySettings,
    files: OnceCell<Vec<Source>>,
    found: Mutex<HashMap<Option<Repository>, Arc<Found>>>,
    /// The answers of helpers, by helper and login name.
    asked: Mutex<HashMap<(String, String), Arc<Answer>>>,
}

/// A file, and its content or why it cannot be used.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    content: Result<LoginFile, String>,
}

impl Logins {
    pub(crate) fn new(
        registry: RegistryHost,
        project: Option<Repository>,
        settings: RegistrySettings,
    ) -> Self {
        Self {
            registry,
            project,
            settings,
            files: OnceCell::new(),
            found: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    /// The login for a repository.
    pub(crate) async fn of(&self, repository: &Repository) -> Arc<Found> {
        self.find(Some(repository)).await
    }

    /// The login for things outside of repositories, such as Harbor's projects.
    pub(crate) async fn any(&self) -> Arc<Found> {
        self.find(self.project.as_ref()).await
    }

    /// The first login found: settings, environment, files; else none. A file that cannot be used is skipped and named
    /// in the origin.
    async fn find(&self, repository: Option<&Repository>) -> Arc<Found> {
        // Held while a helper runs: the blobs of an image are sent in parallel.
        let mut known = self.found.lock().await;
        if let Some(found) = known.get(&repository.cloned()) {
            return Arc::clone(found);
        }
        let found = Arc::new(match self.given() {
            Some(found) => found,
            None => self.in_files(repository).await,
        });
        known.insert(repository.cloned(), Arc::clone(&found));
        found
    }

    fn given(&self) -> Option<Found> {
        if let Some(credentials) = &self.settings.credentials {
            return Some(Found {
                login: Login::Password(credentials.clone()),
                origin: "from the settings of this program".into(),
            });
        }
        let environment = &self.settings.environment;
        let (user, password) = environment
            .user
            .as_ref()
            .zip(environment.password.as_ref())?;
        let origin = format!(
            "from `{}` and `{}`",
            Environment::USER,
            Environment::PASSWORD
        );
        Some(Found {
            login: Login::Password(Credentials::new(user.clone(), password.clone())),
            origin: match lost_dollar(user) {
                true => format!(
                    "{origin}; the user is `{user}`, but robot accounts are named `robot$...`, and a shell replaces `$...` \
                     except in single quotes"
                ),
                false => origin,
            },
        })
    }

    async fn in_files(&self, repository: Option<&Repository>) -> Found {
        let mut misses = vec![format!("`{}` is not set", Environment::USER)];
        for source in self.files().await {
            match self.look_up(source, repository).await {
                Ok(found) => return found,
                Err(reason) => misses.push(format!("`{}` {reason}", source.path.display())),
            }
        }
        Found {
            login: Login::Anonymous,
            origin: format!("none ({})", misses.join("; ")),
        }
    }

    async fn files(&self) -> &[Source] {
        let read = || async {
            let paths = self.settings.environment.login_files();
            let read = move || paths.into_iter().map(Source::read).collect();
            tokio::task::spawn_blocking(read).await.unwrap_or_default()
        };
        self.files.get_or_init(read).await
    }

    /// The login in one file, or why there is none, as a predicate for the file name.
    async fn look_up(
        &self,
        source: &Source,
        repository: Option<&Repository>,
    ) -> Result<Found, String> {
        let file = source.content.as_ref().map_err(Clone::clone)?;
        let place = file.place(&self.registry, repository);
        let path = source.path.display();
        let mut miss = format!("has no login for `{}`", self.registry);
        if let Some((helper, names)) = place.helper {
            for name in names {
                match &*self.ask(helper, name).await {
                    Answer::Login(login) => {
                        return Ok(Found {
                            login: login.clone(),
                            origin: format!(
                                "from the helper `docker-credential-{helper}` in `{path}`"
                            ),
                        });
                    }
                    Answer::Unknown => {
                        miss = format!(
                            "sets the helper `docker-credential-{helper}`, which has no login for `{}`",
                            self.registry
                        );
                    }
                    Answer::Failed(reason) => {
                        miss =
                            format!("sets the helper `docker-credential-{helper}`, which {reason}");
                        break;
                    }
                }
            }
        }
        let Some(entry) = place.entry else {
            return Err(miss);
        };
        match login_file::login(entry) {
            Ok(Some(login)) => Ok(Found {
                login,
                origin: format!("from `{path}`"),
            }),
            Ok(None) => Err(miss),
            Err(login_file::Undecodable) => Err(format!(
                "has a login for `{}` that cannot be decoded",
                self.registry
            )),
        }
    }

    async fn ask(&self, helper: &str, name: &str) -> Arc<Answer> {
        let mut asked = self.asked.lock().await;
        let key = (helper.to_owned(), name.to_owned());
        if let Some(answer) = asked.get(&key) {
            return Arc::clone(answer);
        }
        let answer = Arc::new(credential_helper::ask(helper, name).await);
        asked.insert(key, Arc::clone(&answer));
        answer
    }
}

/// Whether this is what a shell makes of a robot account of Harbor, such as `robot$fleet+ci`, in double quotes.
fn lost_dollar(user: &str) -> bool {
    user == "robot" || user.starts_with("robot+")
}

impl Source {
    fn read(path: PathBuf) -> Self {
        let content = read(&path);
        Self { path, content }
    }
}

fn read(path: &Path) -> Result<LoginFile, String> {
    let content =
        read_regular(path, FILE_LIMIT).map_err(|error: io::Error| match error.kind() {
            ErrorKind::NotFound => "does not exist".to_owned(),
            _ => format!("cannot be read: {error}"),
        })?;
    LoginFile::parse(&content).ok_or_else(|| "is not the JSON that `docker login` writes".into())
}
