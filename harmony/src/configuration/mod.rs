//! The configuration of topologies: one small file, and environment variables that override it.
//!
//! ```text
//! harmony.toml --document--+
//!                          +--> reader --> Configuration, or one error with everything that is wrong
//! environment -------------+       |
//!                     keys: name, variable, type, meaning, parser --> reference page, JSON schema
//! ```
//!
//! | module | contents |
//! | --- | --- |
//! | `keys` | all settings and variables: start here |
//! | [`definition`] | what a setting is, and the parsers of common types |
//! | [`Kubeconfig`] | which cluster a topology uses |
//! | `document` | the file as a list of values with their lines |
//! | `reader` | reads settings from both sources |
//! | [`problem`] | [`ConfigurationError`] |
//! | [`reference`] | the reference page and the JSON schema |

pub mod definition;
mod document;
mod keys;
mod kubeconfig;
pub mod problem;
mod reader;
pub mod reference;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use harmony_containers::buildkit::{BuildKitEndpoint, ClientCertificates};
use harmony_core::capability::oci_registry::RegistryLocation;
use harmony_core::chart::Stage;
use harmony_kubernetes::delivery::{ArgoSettings, FluxController, FluxSettings};
use harmony_oci::file::read_regular;
use harmony_registry::harbor::HarborSettings;
use harmony_registry::{Credentials, Environment, RegistrySettings};
use harmony_types::{LabelValue, Namespace};

pub use keys::{CONFIG, REGISTRY};
pub use kubeconfig::Kubeconfig;
pub use problem::ConfigurationError;

use definition::Info;
use keys::{BuilderKind, ClusterKeys, DeliveryKind, RegistryKind};
use problem::Place;
use reader::{Found, Reader};

/// The name of the file beside a deploy crate.
const FILE: &str = "harmony.toml";

/// What a topology is made of.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What builds images.
    pub builder: BuilderChoice,
    /// The registry; its location is `None` if none is configured.
    pub registry: RegistryChoice,
    /// How charts get to a cluster.
    pub delivery: DeliveryChoice,
    /// The clusters.
    pub clusters: ClusterChoices,
}

/// What builds images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BuilderChoice {
    /// This machine, without a daemon. The Docker engine of this machine builds Dockerfiles.
    #[default]
    Native,
    /// A Docker engine.
    Docker {
        /// Its address; `None` for the engine of this machine.
        address: Option<String>,
    },
    /// A BuildKit daemon.
    BuildKit(BuildKitEndpoint),
}

/// How charts get to a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DeliveryChoice {
    /// This program applies the objects of the chart.
    #[default]
    Direct,
    /// The Argo CD of the cluster applies them.
    ArgoCd {
        /// Its namespace.
        namespace: Namespace,
    },
    /// The Flux of the cluster applies them.
    Flux {
        /// The namespace of its controllers.
        namespace: Namespace,
        /// The one that applies.
        controller: FluxController,
        /// The shard that delivers, if Flux is sharded.
        shard: Option<LabelValue>,
    },
}

/// A registry and how to use it.
#[derive(Debug, Clone)]
pub struct RegistryChoice {
    /// The registry and the path of our images and charts.
    pub location: Option<RegistryLocation>,
    /// The project settings of a Harbor registry; `None` for any other product.
    pub harbor: Option<HarborSettings>,
    /// Logins, certificate authorities, proxies.
    pub settings: RegistrySettings,
}

impl RegistryChoice {
    /// A registry without project settings.
    pub fn oci(location: RegistryLocation, settings: RegistrySettings) -> Self {
        Self {
            location: Some(location),
            harbor: None,
            settings,
        }
    }
}

/// The clusters by stage.
#[derive(Debug, Clone, Default)]
pub struct ClusterChoices {
    /// The cluster for targets without a stage.
    pub any: Option<Kubeconfig>,
    /// The staging cluster.
    pub staging: Option<Kubeconfig>,
    /// The production cluster.
    pub production: Option<Kubeconfig>,
}

impl ClusterChoices {
    /// The cluster for targets of this stage.
    pub fn of(&self, stage: Stage) -> Option<&Kubeconfig> {
        match stage {
            Stage::Only => self.any.as_ref(),
            Stage::Staging => self.staging.as_ref(),
            Stage::Production => self.production.as_ref(),
        }
    }
}

/// What a run needs, so that something that is missing is found before the run starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// It uses the registry.
    pub registry: bool,
    /// The stages that it deploys to.
    pub stages: Vec<Stage>,
}

impl Needs {
    /// A registry, and the clusters of these stages.
    pub fn of(stages: &[Stage]) -> Self {
        Self {
            registry: true,
            stages: stages.to_vec(),
        }
    }
}

/// Where settings are read from.
pub struct Sources<'a> {
    /// The file to read, if there is one.
    pub file: Option<PathBuf>,
    /// The value of an environment variable.
    pub lookup: &'a dyn Fn(&str) -> Option<OsString>,
    /// The names of all environment variables.
    pub names: Vec<String>,
}

impl std::fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl Configuration {
    /// Reads the configuration of this process: the file `asked`, else that in `HARMONY_CONFIG`, else `harmony.toml`
    /// beside the deploy crate or in the current directory, if there is one; and the environment.
    ///
    /// Nothing is contacted.
    ///
    /// # Errors
    /// Everything that is wrong, or missing although the run `needs` it.
    pub fn load(asked: Option<&Path>, needs: &Needs) -> Result<Self, ConfigurationError> {
        let lookup = |name: &str| std::env::var_os(name);
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        Self::from_sources(
            &Sources {
                file: find(asked, &lookup),
                lookup: &lookup,
                names: names.collect(),
            },
            needs,
        )
    }

    /// Like [`load`](Self::load), from these sources.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_sources(sources: &Sources<'_>, needs: &Needs) -> Result<Self, ConfigurationError> {
        let mut reader = Reader::open(sources.file.clone(), sources.lookup);
        let configuration = Self {
            file: sources.file.clone(),
            builder: builder(&mut reader, needs),
            registry: registry(&mut reader, needs),
            delivery: delivery(&mut reader),
            clusters: clusters(&mut reader, needs),
        };
        reader.refuse_unknown(sources.names.iter().cloned());
        ConfigurationError::unless_empty(sources.file.clone(), reader.problems)?;
        Ok(configuration)
    }
}

/// The configuration file. A file that was asked for does not have to exist, so that its absence is an error.
fn find(asked: Option<&Path>, lookup: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
    if let Some(asked) = asked {
        return Some(asked.to_owned());
    }
    if let Some(named) = set(CONFIG) {
        return Some(named.into());
    }
    let beside = set("CARGO_MANIFEST_DIR").map(|folder| Path::new(&folder).join(FILE));
    let here = Some(PathBuf::from(FILE));
    [beside, here]
        .into_iter()
        .flatten()
        .find(|path| path.exists())
}

fn builder(reader: &mut Reader<'_>, needs: &Needs) -> BuilderChoice {
    let kind = reader.read(&keys::BUILDER_KIND);
    let address = reader.read(&keys::BUILDER_ADDRESS);
    let before = reader.problems.len();
    let files = [
        &keys::BUILDER_CA,
        &keys::BUILDER_CERTIFICATE,
        &keys::BUILDER_KEY,
    ]
    .map(|key| (key.info.path, reader.read_file(key, needs.registry)));
    let are_valid = reader.problems.len() == before;
    let kind = value(kind).unwrap_or(BuilderKind::Native);
    if kind != BuilderKind::BuildKit {
        for (path, found) in &files {
            if let Some(found) = found {
                reader.problem(
                    found.place.clone(),
                    format!("`{path}` is only for BuildKit"),
                    "set `builder.kind = \"buildkit\"`, or remove it",
                );
            }
        }
    }
    match (kind, address) {
        (BuilderKind::Docker, address) => BuilderChoice::Docker {
            address: value(address),
        },
        (BuilderKind::BuildKit, Some(address)) if are_valid => {
            buildkit(reader, address, files).unwrap_or_default()
        }
        (BuilderKind::BuildKit, Some(_)) | (BuilderKind::Native, None) => BuilderChoice::Native,
        (BuilderKind::BuildKit, None) => {
            reader.problem(
                Place::Missing(keys::BUILDER_ADDRESS.info.path),
                "the address of the BuildKit daemon",
                "set it in the configuration file, or set HARMONY_BUILDER_ADDRESS, for example to \
                 `tcp://buildkit.example.com:1234`",
            );
            BuilderChoice::Native
        }
        (BuilderKind::Native, Some(address)) => {
            reader.problem(
                address.place,
                "`builder.address` needs a builder with an address",
                "set `builder.kind`, or remove `builder.address`",
            );
            BuilderChoice::Native
        }
    }
}

/// The daemon at `address`, with TLS if there are certificates: all three or none.
fn buildkit(
    reader: &mut Reader<'_>,
    address: Found<String>,
    files: [(&'static str, Option<Found<PathBuf>>); 3],
) -> Option<BuilderChoice> {
    let place = address.place;
    let endpoint = match address.value.parse::<BuildKitEndpoint>() {
        Ok(endpoint) => endpoint,
        Err(error) => {
            reader.problem(place, format!("`builder.address`: {error}"), "");
            return None;
        }
    };
    let missing: Vec<&str> = files
        .iter()
        .filter(|(_, found)| found.is_none())
        .map(|(path, _)| *path)
        .collect();
    let some = files.iter().find_map(|(_, found)| found.as_ref());
    let endpoint = match files.each_ref().map(|(_, found)| found.as_ref()) {
        [None, None, None] => Ok(endpoint),
        [Some(ca), Some(certificate), Some(key)] => {
            endpoint.with_certificates(ClientCertificates {
                ca: ca.value.clone(),
                certificate: certificate.value.clone(),
                key: key.value.clone(),
            })
        }
        _ => {
            let place = some.map_or(place, |found| found.place.clone());
            reader.problem(
                place,
                "TLS with BuildKit needs an authority, a certificate and a key",
                format!("also set {}", definition::names(&missing)),
            );
            return None;
        }
    };
    match endpoint {
        Ok(endpoint) => Some(BuilderChoice::BuildKit(endpoint)),
        Err(error) => {
            reader.problem(place, format!("`builder.address`: {error}"), "");
            None
        }
    }
}

fn registry(reader: &mut Reader<'_>, needs: &Needs) -> RegistryChoice {
    let before = reader.problems.len();
    let location = reader.read(&keys::REGISTRY_LOCATION);
    if location.is_none() && needs.registry && reader.problems.len() == before {
        reader.problem(
            Place::Missing(keys::REGISTRY_LOCATION.info.path),
            "the registry for images and charts",
            "set it in the configuration file, or set HARMONY_REGISTRY, for example to `registry.example.com/team`",
        );
    }
    let kind = reader.read(&keys::REGISTRY_KIND);
    let settings = HarborSettings {
        visibility: value(reader.read(&keys::HARBOR_VISIBILITY)).unwrap_or_default(),
        storage_limit: value(reader.read(&keys::HARBOR_STORAGE)),
        immutable_tags: value(reader.read(&keys::HARBOR_IMMUTABLE)).unwrap_or_default(),
    };
    let harbor = match value(kind).unwrap_or(RegistryKind::Oci) {
        RegistryKind::Harbor => {
            if let Some(location) = &location
                && location.value.project().is_none()
            {
                reader.problem(
                    location.place.clone(),
                    format!(
                        "`{}` has no project, and Harbor stores everything in projects",
                        location.value
                    ),
                    format!("add a project, for example `{}/team`", location.value),
                );
            }
            Some(settings)
        }
        RegistryKind::Oci => {
            if let Some(line) = reader.section("registry.harbor") {
                reader.problem(
                    Place::Line(line),
                    "`registry.harbor` is only for Harbor",
                    "set `registry.kind = \"harbor\"`, or remove the section",
                );
            }
            None
        }
    };
    let mut settings = login(reader, needs);
    if let Some(ca) = reader.read_file(&keys::REGISTRY_CA, needs.registry) {
        settings = settings.with_ca_file(ca.value);
    }
    RegistryChoice {
        location: value(location),
        harbor,
        settings,
    }
}

/// The login: user and password of the environment, else those of the file, else the logins of other programs. A password
/// that the run does not need may be missing.
fn login(reader: &mut Reader<'_>, needs: &Needs) -> RegistrySettings {
    let settings = RegistrySettings::from_env();
    let user = reader.read(&keys::REGISTRY_USER);
    let variable = reader.read(&keys::PASSWORD_VARIABLE);
    let file = reader.read(&keys::PASSWORD_FILE);
    if let (Some(_), Some(file)) = (&variable, &file) {
        reader.problem(
            file.place.clone(),
            "`registry.password-file` and `registry.password-variable` are both set",
            "remove one of them",
        );
        return settings;
    }
    let named = reader.variable(Environment::PASSWORD).map(|_| {
        let name = Environment::PASSWORD.to_owned();
        (
            Place::Variable(name.clone()),
            PasswordSource::Variable(name),
        )
    });
    let variable = variable.map(|found| (found.place, PasswordSource::Variable(found.value)));
    let file = file.map(|found| (found.place, PasswordSource::File(found.value)));
    let source = named.or(variable).or(file);
    match (user, source) {
        (None, None) => settings,
        (Some(user), None) => {
            reader.problem(
                user.place,
                format!("the user `{}` has no password", user.value),
                format!(
                    "set {}, `registry.password-variable` or `registry.password-file`",
                    Environment::PASSWORD
                ),
            );
            settings
        }
        (None, Some((place, _))) => {
            reader.problem(
                place,
                "a password without a user",
                format!(
                    "set `registry.user` or {}, or remove the password",
                    Environment::USER
                ),
            );
            settings
        }
        (Some(user), Some((place, source))) => match source.read(reader) {
            Ok(password) => settings.with_credentials(Credentials::new(user.value, password)),
            Err(what) if needs.registry => {
                reader.problem(place, what, "");
                settings
            }
            Err(_) => settings,
        },
    }
}

enum PasswordSource {
    Variable(String),
    File(PathBuf),
}

impl PasswordSource {
    fn read(&self, reader: &Reader<'_>) -> Result<String, String> {
        const LIMIT: u64 = 64 * 1024;
        match self {
            Self::Variable(name) => reader
                .variable(name)
                .ok_or_else(|| format!("the variable {name} with the password is not set")),
            Self::File(path) => {
                let unreadable = |reason: String| {
                    format!("cannot read the password in `{}`: {reason}", path.display())
                };
                let bytes = read_regular(path, LIMIT)
                    .map_err(|error| unreadable(definition::reason(&error)))?;
                let text = String::from_utf8(bytes)
                    .map_err(|_| unreadable("it is not UTF-8 text".into()))?;
                let password = text.trim_end_matches(['\r', '\n']);
                match password {
                    "" => Err(unreadable("it is empty".into())),
                    password => Ok(password.to_owned()),
                }
            }
        }
    }
}

fn delivery(reader: &mut Reader<'_>) -> DeliveryChoice {
    let kind = value(reader.read(&keys::DELIVERY_KIND)).unwrap_or(DeliveryKind::Direct);
    let namespace = reader.read(&keys::DELIVERY_NAMESPACE);
    let controller = reader.read(&keys::DELIVERY_CONTROLLER);
    let shard = reader.read(&keys::DELIVERY_SHARD);
    if let (DeliveryKind::Direct, Some(namespace)) = (kind, &namespace) {
        reader.problem(
            namespace.place.clone(),
            "`delivery.namespace` is only for Argo CD and Flux",
            "set `delivery.kind = \"argocd\"` or `delivery.kind = \"flux\"`, or remove it",
        );
    }
    let of_flux = [
        controller.as_ref().map(|key| ("controller", &key.place)),
        shard.as_ref().map(|key| ("shard", &key.place)),
    ];
    for (key, place) in of_flux.into_iter().flatten() {
        if kind != DeliveryKind::Flux {
            reader.problem(
                place.clone(),
                format!("`delivery.{key}` is only for Flux"),
                "set `delivery.kind = \"flux\"`, or remove it",
            );
        }
    }
    let namespace = value(namespace);
    match kind {
        DeliveryKind::Direct => DeliveryChoice::Direct,
        DeliveryKind::ArgoCd => DeliveryChoice::ArgoCd {
            namespace: namespace.unwrap_or_else(|| ArgoSettings::default().namespace),
        },
        DeliveryKind::Flux => DeliveryChoice::Flux {
            namespace: namespace.unwrap_or_else(|| FluxSettings::default().namespace),
            controller: value(controller).unwrap_or_default(),
            shard: value(shard),
        },
    }
}

fn clusters(reader: &mut Reader<'_>, needs: &Needs) -> ClusterChoices {
    let before = reader.problems.len();
    let any = required(reader, &keys::CLUSTER, None, needs, Stage::Only);
    let usual = any.as_ref();
    // A stage may mean the cluster whose setting is not valid.
    let nothing = Needs::default();
    let needs = if reader.problems.len() > before {
        &nothing
    } else {
        needs
    };
    let staging = required(reader, &keys::STAGING, usual, needs, Stage::Staging);
    let production = required(reader, &keys::PRODUCTION, usual, needs, Stage::Production);
    ClusterChoices {
        any,
        staging,
        production,
    }
}

fn required(
    reader: &mut Reader<'_>,
    keys: &ClusterKeys,
    usual: Option<&Kubeconfig>,
    needs: &Needs,
    stage: Stage,
) -> Option<Kubeconfig> {
    let before = reader.problems.len();
    let is_needed = match stage {
        Stage::Only => !needs.stages.is_empty(),
        stage => needs.stages.contains(&stage),
    };
    let found = cluster(reader, keys, usual, is_needed);
    // A value that is not valid is not missing.
    if found.is_none() && needs.stages.contains(&stage) && reader.problems.len() == before {
        let Info { path, variable, .. } = keys.kubeconfig.info;
        let (what, or) = match stage {
            Stage::Only => ("the cluster".to_owned(), ""),
            stage => (format!("the {stage} cluster"), " or `cluster.kubeconfig`"),
        };
        reader.problem(
            Place::Missing(path),
            format!("the kubeconfig of {what}"),
            format!(
                "set it{or} in the configuration file, or set {}",
                variable.unwrap_or_default()
            ),
        );
    }
    found
}

/// A cluster. Without a kubeconfig of its own, it is in that of `usual`; a context of another file is not used.
fn cluster(
    reader: &mut Reader<'_>,
    keys: &ClusterKeys,
    usual: Option<&Kubeconfig>,
    is_needed: bool,
) -> Option<Kubeconfig> {
    let before = reader.problems.len();
    let kubeconfig = reader.read_file(keys.kubeconfig, is_needed);
    let context = reader.read(keys.context);
    let is_valid = reader.problems.len() == before;
    match (kubeconfig, context, usual) {
        (Some(path), context, _) => Some(Kubeconfig {
            path: path.value,
            context: context.map(|context| context.value.to_string()),
        }),
        (None, Some(context), Some(usual)) => Some(Kubeconfig {
            path: usual.path.clone(),
            context: Some(context.value.to_string()),
        }),
        (None, Some(context), None) => {
            if is_valid {
                reader.problem(
                    context.place,
                    format!("`{}` without a kubeconfig", keys.context.info.path),
                    format!("set `{}`", keys.kubeconfig.info.path),
                );
            }
            None
        }
        (None, None, usual) => usual.cloned(),
    }
}

fn value<T>(found: Option<Found<T>>) -> Option<T> {
    found.map(|found| found.value)
}

#[cfg(test)]
mod tests;
