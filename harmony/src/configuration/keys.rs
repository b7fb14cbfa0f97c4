//! All settings. A new one is added here and to [`ALL`], and read in `mod.rs`.

use std::path::PathBuf;

use harmony_core::capability::oci_registry::RegistryLocation;
use harmony_kubernetes::delivery::FluxController;
use harmony_registry::Environment;
use harmony_registry::harbor::Visibility;
use harmony_types::{
    KubeContext, LabelValue, Namespace, RegistryHost, RegistryHostError, Repository,
    RepositoryError,
};

use super::definition::{
    Info, Key, Kind, Raw, Variable, Wrong, boolean, choice, context, path, size, text,
};
use super::kubeconfig::Kubeconfig;

/// The variable with the path of the configuration file.
pub const CONFIG: &str = "HARMONY_CONFIG";

/// The variable with the registry and an optional path for our images and charts.
pub const REGISTRY: &str = "HARMONY_REGISTRY";

/// Which program builds images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BuilderKind {
    Native,
    Docker,
    BuildKit,
}

const BUILDERS: &[(&str, BuilderKind)] = &[
    ("native", BuilderKind::Native),
    ("docker", BuilderKind::Docker),
    ("buildkit", BuilderKind::BuildKit),
];

/// Which product the registry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RegistryKind {
    Oci,
    Harbor,
}

const REGISTRIES: &[(&str, RegistryKind)] =
    &[("oci", RegistryKind::Oci), ("harbor", RegistryKind::Harbor)];

/// How charts get to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeliveryKind {
    Direct,
    ArgoCd,
    Flux,
}

const DELIVERIES: &[(&str, DeliveryKind)] = &[
    ("direct", DeliveryKind::Direct),
    ("argocd", DeliveryKind::ArgoCd),
    ("flux", DeliveryKind::Flux),
];

const CONTROLLERS: &[(&str, FluxController)] = &[
    ("helm", FluxController::Helm),
    ("kustomize", FluxController::Kustomize),
];

const VISIBILITIES: &[(&str, Visibility)] = &[
    ("private", Visibility::Private),
    ("public", Visibility::Public),
];

pub(super) const BUILDER_KIND: Key<BuilderKind> = Key {
    info: Info {
        path: "builder.kind",
        variable: Some("HARMONY_BUILDER"),
        kind: Kind::Choice(&["native", "docker", "buildkit"]),
        default: "native",
        meaning: "What builds images. `native` assembles recipes on this machine without a daemon, and uses the Docker \
            engine of this machine for Dockerfiles. `docker` builds everything with a Docker engine, and `buildkit` \
            with a BuildKit daemon.",
        example: "native",
    },
    parse: |raw| choice(raw, BUILDERS),
};

pub(super) const BUILDER_ADDRESS: Key<String> = Key {
    info: Info {
        path: "builder.address",
        variable: Some("HARMONY_BUILDER_ADDRESS"),
        kind: Kind::Text,
        default: "for `docker`, `DOCKER_HOST` or the socket of this machine",
        meaning: "The address of the Docker engine or of the BuildKit daemon: `unix://` or `tcp://`. Required by `buildkit`.",
        example: "tcp://buildkit.example.com:1234",
    },
    parse: address,
};

pub(super) const BUILDER_CA: Key<PathBuf> = Key {
    info: Info {
        path: "builder.ca",
        variable: Some("HARMONY_BUILDER_CA"),
        kind: Kind::Path,
        default: "",
        meaning: "A PEM file with the authority of a BuildKit daemon. With `certificate` and `key`, the connection uses TLS, \
            and both sides verify each other.",
        example: "buildkit-ca.pem",
    },
    parse: path,
};

pub(super) const BUILDER_CERTIFICATE: Key<PathBuf> = Key {
    info: Info {
        path: "builder.certificate",
        variable: Some("HARMONY_BUILDER_CERTIFICATE"),
        kind: Kind::Path,
        default: "",
        meaning: "The certificate with which this machine identifies itself to the BuildKit daemon.",
        example: "buildkit-client.pem",
    },
    parse: path,
};

pub(super) const BUILDER_KEY: Key<PathBuf> = Key {
    info: Info {
        path: "builder.key",
        variable: Some("HARMONY_BUILDER_KEY"),
        kind: Kind::Path,
        default: "",
        meaning: "The private key of this certificate, readable only by its user.",
        example: "/run/secrets/buildkit-client.key",
    },
    parse: path,
};

pub(super) const REGISTRY_LOCATION: Key<RegistryLocation> = Key {
    info: Info {
        path: "registry.location",
        variable: Some(REGISTRY),
        kind: Kind::Text,
        default: "",
        meaning: "The registry for images, charts and release records, with an optional path. Connections use TLS, \
            except to a registry on this machine without TLS. Required by `production`, and by every release.",
        example: "registry.example.com/team",
    },
    parse: |raw| location(&text(raw)?),
};

pub(super) const REGISTRY_KIND: Key<RegistryKind> = Key {
    info: Info {
        path: "registry.kind",
        variable: Some("HARMONY_REGISTRY_KIND"),
        kind: Kind::Choice(&["oci", "harbor"]),
        default: "oci",
        meaning: "`oci` for any registry with the OCI API. `harbor` also creates the Harbor project, which is the first \
            part of the path in `location`, before the first push.",
        example: "harbor",
    },
    parse: |raw| choice(raw, REGISTRIES),
};

pub(super) const REGISTRY_USER: Key<String> = Key {
    info: Info {
        path: "registry.user",
        variable: Some(Environment::USER),
        kind: Kind::Text,
        default: "the login of `docker login` or `podman login`",
        meaning: "The user of the registry. Robot accounts of Harbor contain a `$`: write them in single quotes in a shell.",
        example: "robot$team+ci",
    },
    parse: text,
};

pub(super) const PASSWORD_VARIABLE: Key<String> = Key {
    info: Info {
        path: "registry.password-variable",
        variable: None,
        kind: Kind::Text,
        default: Environment::PASSWORD,
        meaning: "The name of the environment variable with the password of `registry.user`. The file never contains the \
            password itself.",
        example: "HARBOR_PASSWORD",
    },
    parse: variable_name,
};

pub(super) const PASSWORD_FILE: Key<PathBuf> = Key {
    info: Info {
        path: "registry.password-file",
        variable: Some("HARMONY_REGISTRY_PASSWORD_FILE"),
        kind: Kind::Path,
        default: "",
        meaning: "A file with the password of `registry.user`, for example a mounted secret. A line break at its end is \
            ignored.",
        example: "/run/secrets/registry-password",
    },
    parse: path,
};

pub(super) const REGISTRY_CA: Key<PathBuf> = Key {
    info: Info {
        path: "registry.ca",
        variable: Some(Environment::CA),
        kind: Kind::Path,
        default: "",
        meaning: "A PEM file of certificate authorities to trust in addition to those of the machine. For a self-signed \
            certificate, the certificate itself.",
        example: "registry-ca.pem",
    },
    parse: path,
};

pub(super) const HARBOR_VISIBILITY: Key<Visibility> = Key {
    info: Info {
        path: "registry.harbor.visibility",
        variable: None,
        kind: Kind::Choice(&["private", "public"]),
        default: "private",
        meaning: "Who may pull from a project that Harmony creates. An existing project keeps its visibility.",
        example: "private",
    },
    parse: |raw| choice(raw, VISIBILITIES),
};

pub(super) const HARBOR_STORAGE: Key<u64> = Key {
    info: Info {
        path: "registry.harbor.storage-limit",
        variable: None,
        kind: Kind::Size,
        default: "the default of Harbor",
        meaning: "The storage quota of a project that Harmony creates. An existing project keeps its quota.",
        example: "50 GiB",
    },
    parse: size,
};

pub(super) const HARBOR_IMMUTABLE: Key<bool> = Key {
    info: Info {
        path: "registry.harbor.immutable-tags",
        variable: None,
        kind: Kind::Boolean,
        default: "false",
        meaning: "Adds a rule to the project that no tag can be overwritten or deleted, if it has none.",
        example: "true",
    },
    parse: boolean,
};

pub(super) const DELIVERY_KIND: Key<DeliveryKind> = Key {
    info: Info {
        path: "delivery.kind",
        variable: Some("HARMONY_DELIVERY"),
        kind: Kind::Choice(&["direct", "argocd", "flux"]),
        default: "direct",
        meaning: "How charts get to the clusters. `direct` applies their objects. `argocd` and `flux` let the \
            Argo CD or Flux of each cluster pull and apply them, with the login of this registry. Changing it moves \
            running apps: no object is created again.",
        example: "argocd",
    },
    parse: |raw| choice(raw, DELIVERIES),
};

pub(super) const DELIVERY_NAMESPACE: Key<Namespace> = Key {
    info: Info {
        path: "delivery.namespace",
        variable: Some("HARMONY_DELIVERY_NAMESPACE"),
        kind: Kind::Text,
        default: "`argocd` or `flux-system`",
        meaning: "The namespace of Argo CD, which also holds its Applications, or of Flux's controllers, in each cluster.",
        example: "argocd",
    },
    parse: namespace,
};

pub(super) const DELIVERY_CONTROLLER: Key<FluxController> = Key {
    info: Info {
        path: "delivery.controller",
        variable: Some("HARMONY_DELIVERY_CONTROLLER"),
        kind: Kind::Choice(&["helm", "kustomize"]),
        default: "helm",
        meaning: "The controller of Flux that applies, besides its source-controller. `helm` installs charts with the \
            helm-controller. `kustomize` is for clusters that have only the kustomize-controller: it applies the objects \
            that a release publishes beside its chart. Changing it moves running apps: no object is created again.",
        example: "kustomize",
    },
    parse: |raw| choice(raw, CONTROLLERS),
};

pub(super) const DELIVERY_SHARD: Key<LabelValue> = Key {
    info: Info {
        path: "delivery.shard",
        variable: Some("HARMONY_DELIVERY_SHARD"),
        kind: Kind::Text,
        default: "",
        meaning: "The shard of Flux that delivers, if Flux is sharded: the value of the label `sharding.fluxcd.io/key`.",
        example: "shard1",
    },
    parse: shard,
};

fn shard(raw: &Raw<'_>) -> Result<LabelValue, Wrong> {
    let name = text(raw)?;
    LabelValue::parse(&name).map_err(|error| Wrong::new(format!("is not valid: {error}"), ""))
}

fn namespace(raw: &Raw<'_>) -> Result<Namespace, Wrong> {
    let name = text(raw)?;
    Namespace::parse(&name).map_err(|error| Wrong::new(format!("is not valid: {error}"), ""))
}

/// The keys of one cluster.
#[derive(Debug)]
pub(super) struct ClusterKeys {
    pub(super) kubeconfig: &'static Key<PathBuf>,
    pub(super) context: &'static Key<KubeContext>,
}

const KUBECONFIG: Key<PathBuf> = Key {
    info: Info {
        path: "cluster.kubeconfig",
        variable: Some(Kubeconfig::FILE),
        kind: Kind::Path,
        default: "",
        meaning: "The kubeconfig file of the cluster for targets without a stage, and for a stage without a cluster of its \
            own. `ci` and `local` read only the variable.",
        example: "kubeconfig.yaml",
    },
    parse: path,
};

const CONTEXT: Key<KubeContext> = Key {
    info: Info {
        path: "cluster.context",
        variable: Some(Kubeconfig::CONTEXT),
        kind: Kind::Text,
        default: "the current context of the kubeconfig",
        meaning: "The context in this kubeconfig.",
        example: "tools",
    },
    parse: context,
};

const STAGING_KUBECONFIG: Key<PathBuf> = Key {
    info: Info {
        path: "cluster.staging.kubeconfig",
        variable: Some("HARMONY_STAGING_KUBECONFIG"),
        kind: Kind::Path,
        default: "`cluster.kubeconfig`",
        meaning: "The kubeconfig file of the staging cluster.",
        example: "staging.yaml",
    },
    parse: path,
};

const STAGING_CONTEXT: Key<KubeContext> = Key {
    info: Info {
        path: "cluster.staging.context",
        variable: Some("HARMONY_STAGING_KUBE_CONTEXT"),
        kind: Kind::Text,
        default: "the current context of the kubeconfig",
        meaning: "The context of the staging cluster.",
        example: "staging-eu",
    },
    parse: context,
};

const PRODUCTION_KUBECONFIG: Key<PathBuf> = Key {
    info: Info {
        path: "cluster.production.kubeconfig",
        variable: Some("HARMONY_PRODUCTION_KUBECONFIG"),
        kind: Kind::Path,
        default: "`cluster.kubeconfig`",
        meaning: "The kubeconfig file of the production cluster.",
        example: "production.yaml",
    },
    parse: path,
};

const PRODUCTION_CONTEXT: Key<KubeContext> = Key {
    info: Info {
        path: "cluster.production.context",
        variable: Some("HARMONY_PRODUCTION_KUBE_CONTEXT"),
        kind: Kind::Text,
        default: "the current context of the kubeconfig",
        meaning: "The context of the production cluster.",
        example: "production-eu",
    },
    parse: context,
};

pub(super) const CLUSTER: ClusterKeys = ClusterKeys {
    kubeconfig: &KUBECONFIG,
    context: &CONTEXT,
};

pub(super) const STAGING: ClusterKeys = ClusterKeys {
    kubeconfig: &STAGING_KUBECONFIG,
    context: &STAGING_CONTEXT,
};

pub(super) const PRODUCTION: ClusterKeys = ClusterKeys {
    kubeconfig: &PRODUCTION_KUBECONFIG,
    context: &PRODUCTION_CONTEXT,
};

/// All settings, in the order of the reference page.
pub(super) const ALL: &[Info] = &[
    BUILDER_KIND.info,
    BUILDER_ADDRESS.info,
    BUILDER_CA.info,
    BUILDER_CERTIFICATE.info,
    BUILDER_KEY.info,
    REGISTRY_LOCATION.info,
    REGISTRY_KIND.info,
    REGISTRY_USER.info,
    PASSWORD_VARIABLE.info,
    PASSWORD_FILE.info,
    REGISTRY_CA.info,
    HARBOR_VISIBILITY.info,
    HARBOR_STORAGE.info,
    HARBOR_IMMUTABLE.info,
    DELIVERY_KIND.info,
    DELIVERY_NAMESPACE.info,
    DELIVERY_CONTROLLER.info,
    DELIVERY_SHARD.info,
    KUBECONFIG.info,
    CONTEXT.info,
    STAGING_KUBECONFIG.info,
    STAGING_CONTEXT.info,
    PRODUCTION_KUBECONFIG.info,
    PRODUCTION_CONTEXT.info,
];

/// The variables that are not settings of the file.
pub(super) const VARIABLES: &[Variable] = &[
    Variable {
        name: CONFIG,
        meaning: "The configuration file. The option `--config` overrides it. By default, `harmony.toml` in the folder of \
            the deploy crate if it was started with `cargo run`, else in the current directory.",
        example: "/etc/harmony/harmony.toml",
    },
    Variable {
        name: Environment::PASSWORD,
        meaning: "The password of `HARMONY_REGISTRY_USER` or `registry.user`.",
        example: "s3cret",
    },
    Variable {
        name: harmony_containers::buildkit::CLIENT_VARIABLE,
        meaning: "The `buildctl` program, for `builder.kind = \"buildkit\"`. By default, the one on `PATH`.",
        example: "/usr/local/bin/buildctl",
    },
    Variable {
        name: "HARMONY_HELM",
        meaning: "The `helm` program, for charts that only helm can render. By default, the one on `PATH`.",
        example: "/usr/local/bin/helm",
    },
];

fn address(raw: &Raw<'_>) -> Result<String, Wrong> {
    let text = text(raw)?;
    if ["unix://", "tcp://"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
    {
        return Ok(text);
    }
    Err(Wrong::new(
        format!("is `{text}`, which is not an address of a builder"),
        "write `unix://<socket>` or `tcp://<host>:<port>`",
    ))
}

fn variable_name(raw: &Raw<'_>) -> Result<String, Wrong> {
    let text = text(raw)?;
    let is_name = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !text.starts_with(|c: char| c.is_ascii_digit());
    if is_name {
        return Ok(text);
    }
    // It is probably the password.
    Err(Wrong::new(
        "is not the name of an environment variable",
        "write the name of a variable such as `HARBOR_PASSWORD`, never the password itself",
    ))
}

/// `registry.example.com/team`
fn location(text: &str) -> Result<RegistryLocation, Wrong> {
    let invalid = |reason: String, hint: String| {
        Wrong::new(
            format!("is `{text}`, which is not a valid registry: {reason}"),
            hint,
        )
    };
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(invalid(
            format!("it has the scheme `{scheme}`"),
            format!("write `{rest}`"),
        ));
    }
    if text.contains('@') {
        return Err(Wrong::new(
            "contains a login",
            "set `registry.user` and a variable or file with the password",
        ));
    }
    let (host, project) = match text.trim_end_matches('/').split_once('/') {
        Some((host, project)) => (host, Some(project)),
        None => (text.trim_end_matches('/'), None),
    };
    let host: RegistryHost = host
        .parse()
        .map_err(|error: RegistryHostError| invalid(error.to_string(), error.hint()))?;
    let repository = |error: RepositoryError| invalid(error.to_string(), error.hint());
    let project = project
        .map(str::parse::<Repository>)
        .transpose()
        .map_err(repository)?;
    RegistryLocation::new(host, project).map_err(repository)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_path_are_told_apart() {
        let shown = |text: &str| location(text).map(|location| location.to_string());
        assert_eq!(
            shown("registry.example.com").unwrap(),
            "registry.example.com"
        );
        assert_eq!(
            shown("localhost:5000/team/apps/").unwrap(),
            "localhost:5000/team/apps"
        );
        for wrong in [
            "registry.example.com/Team",
            "https://registry.example.com",
            "registry.example.com/a//b",
            "me:secret@registry.example.com",
        ] {
            let error = location(wrong).expect_err(wrong);
            assert!(!error.what.contains("secret"), "{error:?}");
        }
    }

    #[test]
    fn every_choice_is_documented() {
        let names = |kind: Kind| match kind {
            Kind::Choice(names) => names.to_vec(),
            other => panic!("a choice, not {other:?}"),
        };
        let of =
            |all: Vec<&'static str>, info: Info| assert_eq!(names(info.kind), all, "{}", info.path);
        of(
            BUILDERS.iter().map(|(name, _)| *name).collect(),
            BUILDER_KIND.info,
        );
        of(
            REGISTRIES.iter().map(|(name, _)| *name).collect(),
            REGISTRY_KIND.info,
        );
        of(
            DELIVERIES.iter().map(|(name, _)| *name).collect(),
            DELIVERY_KIND.info,
        );
        of(
            CONTROLLERS.iter().map(|(name, _)| *name).collect(),
            DELIVERY_CONTROLLER.info,
        );
        of(
            VISIBILITIES.iter().map(|(name, _)| *name).collect(),
            HARBOR_VISIBILITY.info,
        );
    }
}
