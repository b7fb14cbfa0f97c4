//! Errors that need more detail than those of the port.

use std::path::PathBuf;
use std::time::Duration;

use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::codes;
use harmony_core::diagnostic::{AnyDiagnostic, BoxError, Diagnostic, FailureKind, Origin};
use harmony_core::proxy::ProxyError;
use harmony_types::{Digest, RegistryHost, Repository};

use harmony_types::printable;

/// An error of this adapter; callers get it inside [`RegistryError::Adapter`].
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file of additional certificate authorities cannot be read.
    #[error("cannot read the certificate authorities in `{}`", path.display())]
    CaFileUnreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The file of additional certificate authorities contains none.
    #[error("`{}` contains no PEM certificate", path.display())]
    CaFileInvalid {
        path: PathBuf,
        /// The reason, if the parser gives one.
        #[source]
        source: Option<BoxError>,
    },
    /// TLS cannot be set up on this machine.
    #[error("cannot set up TLS")]
    Tls {
        #[source]
        source: BoxError,
    },
    /// The environment has only one half of a login.
    #[error("`{set}` is set, but `{missing}` is not")]
    HalfCredentials {
        /// The variable that is set.
        set: &'static str,
        /// The variable that is missing.
        missing: &'static str,
    },
    /// The image or chart belongs to another registry, whose credentials this client must not use.
    #[error("`{reference}` is not in the registry `{registry}`")]
    OtherRegistry {
        reference: String,
        /// The registry of this client.
        registry: RegistryHost,
    },
    /// The image has neither a tag nor a digest.
    #[error("`{reference}` has neither a tag nor a digest")]
    NoTag { reference: String },
    /// The digest in the reference is not that of the image to push.
    #[error("`{reference}` refers to different content than the image to push, `{ours}`")]
    OtherDigest { reference: String, ours: Digest },
    /// The image was built where this client cannot read it.
    #[error("the image for `{reference}` is {place}, not in an OCI layout")]
    NotInLayout { reference: String, place: String },
    /// A predicted image cannot be pushed.
    #[error("the image for `{reference}` was only predicted, not built")]
    NotBuilt { reference: String },
    /// The chart does not match the reference it should be pushed to.
    #[error("the chart `{chart}` cannot be pushed as `{reference}`")]
    OtherChart {
        /// Name and version in the chart.
        chart: String,
        /// The target.
        reference: String,
    },
    /// The artifact is not a Helm chart.
    #[error("`{reference}` is not a Helm chart: {reason}")]
    NotAChart {
        reference: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// The tag of a release record contains something else.
    #[error("`{reference}` is not a release record: {reason}")]
    NotARecord {
        reference: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// The tag of the objects of a chart contains something else.
    #[error("`{reference}` has no objects of a chart: {reason}")]
    NotObjects {
        reference: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// The repository must be created first.
    #[error("the registry `{registry}` has no repository `{repository}`")]
    NoRepository {
        registry: RegistryHost,
        repository: Repository,
        /// The answer of the registry.
        answer: String,
    },
    /// The tag exists and cannot be overwritten, and this login may not see what it refers to.
    #[error("the registry `{registry}` protects the tag while {operation}")]
    ImmutableTag {
        registry: RegistryHost,
        /// The operation.
        operation: String,
        /// The answer of the registry.
        answer: String,
    },
    /// A proxy in front of the registry refuses requests as large as a layer.
    #[error("`{registry}` does not accept {what} of {} in one request", printable::size(*size))]
    BodyLimit {
        registry: RegistryHost,
        /// What was sent, such as "a layer".
        what: &'static str,
        /// Its size, in bytes.
        size: u64,
    },
    /// The registry limits requests, and asks for a longer pause than we wait.
    #[error("too many requests to the registry `{registry}`")]
    TooManyRequests {
        /// The registry.
        registry: RegistryHost,
        /// The requested pause, if given.
        wait: Option<Duration>,
        /// The answer of the registry.
        answer: String,
    },
    /// A setting contains a proxy that cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The proxy cannot be connected to.
    #[error("the proxy `{proxy}` cannot be reached")]
    ProxyUnreachable {
        /// The proxy, without its login.
        proxy: String,
        /// The variable that sets it.
        setting: &'static str,
        /// The host to connect to through the proxy.
        host: String,
        #[source]
        source: BoxError,
    },
    /// The proxy refused to connect to the host.
    #[error("the proxy `{proxy}` refused to connect to `{host}`")]
    ProxyRefuses {
        /// The proxy, without its login.
        proxy: String,
        /// The variable that sets it.
        setting: &'static str,
        /// The host to connect to through the proxy.
        host: String,
        #[source]
        source: BoxError,
    },
    /// The proxy requires a login, or another one.
    #[error("the proxy `{proxy}` {}", if *has_login { "refuses the login" } else { "wants a login" })]
    ProxyLogin {
        /// The proxy, without its login.
        proxy: String,
        /// The variable that sets it.
        setting: &'static str,
        /// The host to connect to through the proxy.
        host: String,
        /// Whether it was sent one.
        has_login: bool,
    },
    /// An index has no image for the platform.
    #[error("`{reference}` has no image for {platform}")]
    NoPlatform {
        reference: String,
        /// The requested platform.
        platform: String,
        /// The available platforms.
        available: Vec<String>,
    },
    /// The content does not match its digest.
    #[error("the registry sent content that does not match `{expected}` for {what}")]
    Corrupt {
        what: String,
        /// The requested digest.
        expected: Digest,
        /// The digest of the received content.
        received: Digest,
    },
    /// The registry sent more than is allowed for this kind of content.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        what: String,
        /// The limit.
        limit: u64,
    },
    /// The registry redirects to a place that this client does not contact.
    #[error("refused to follow the registry `{registry}` to `{target}`: {reason}")]
    UnsafeTarget {
        registry: RegistryHost,
        /// Scheme and host of that place.
        target: String,
        reason: &'static str,
    },
    /// A write was attempted while planning. A bug: code that writes must check the mode first.
    #[error("internal error: tried to send {method} {path} while planning")]
    WriteWhilePlanning {
        method: String,
        /// The purpose of the request.
        path: String,
    },
    /// What was pulled cannot be written to this machine.
    #[error("cannot write `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// A robot account of Harbor cannot be used.
    #[error("the robot account `{name}` is {state}")]
    RobotUnusable {
        /// Its name.
        name: String,
        /// `disabled` or `expired`.
        state: &'static str,
    },
    /// Harbor does not accept the name of the project.
    #[error("`{value}` is not a valid Harbor project name: {reason}")]
    ProjectName {
        /// The refused name.
        value: String,
        reason: &'static str,
    },
}

impl From<ClientError> for RegistryError {
    fn from(error: ClientError) -> Self {
        Self::Adapter(AnyDiagnostic::new(error))
    }
}

impl Diagnostic for ClientError {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(match self {
            Self::CaFileUnreadable { .. } => codes::CA_FILE_UNREADABLE,
            Self::CaFileInvalid { .. } => codes::CA_FILE_INVALID,
            Self::Tls { .. } => codes::TLS_SETUP,
            Self::HalfCredentials { .. } => codes::HALF_CREDENTIALS,
            Self::OtherRegistry { .. } => codes::OTHER_REGISTRY,
            Self::NoTag { .. } => codes::NO_TAG,
            Self::OtherDigest { .. } => codes::OTHER_DIGEST,
            Self::NotInLayout { .. } => codes::NOT_IN_LAYOUT,
            Self::NotBuilt { .. } => codes::PLANNED_NOT_BUILT,
            Self::OtherChart { .. } => codes::OTHER_CHART,
            Self::NotAChart { .. } => codes::NOT_A_CHART,
            Self::NotARecord { .. } | Self::NotObjects { .. } => codes::NOT_A_RECORD,
            Self::BodyLimit { .. } => codes::BODY_LIMIT,
            Self::NoRepository { .. } => codes::NO_REPOSITORY,
            Self::ImmutableTag { .. } => codes::IMMUTABLE_TAG,
            Self::TooManyRequests { .. } => codes::TOO_MANY_REQUESTS,
            Self::Proxy(error) => return Origin::Inner(error),
            Self::ProxyUnreachable { .. } => codes::PROXY_UNREACHABLE,
            Self::ProxyRefuses { .. } => codes::PROXY_REFUSES,
            Self::ProxyLogin { .. } => codes::PROXY_LOGIN,
            Self::NoPlatform { .. } => codes::NO_PLATFORM,
            Self::Corrupt { .. } => codes::CORRUPT_CONTENT,
            Self::TooLarge { .. } => codes::ANSWER_TOO_LARGE,
            Self::UnsafeTarget { .. } => codes::UNSAFE_REDIRECT,
            Self::WriteWhilePlanning { .. } => codes::WRITE_WHILE_PLANNING,
            Self::Write { .. } => codes::PULL_NOT_WRITTEN,
            Self::RobotUnusable { .. } => codes::ROBOT_UNUSABLE,
            Self::ProjectName { .. } => codes::HARBOR_PROJECT_NAME,
        })
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::CaFileUnreadable { .. }
            | Self::CaFileInvalid { .. }
            | Self::Tls { .. }
            | Self::HalfCredentials { .. }
            | Self::OtherRegistry { .. }
            | Self::NoTag { .. }
            | Self::OtherDigest { .. }
            | Self::NotInLayout { .. }
            | Self::NotBuilt { .. }
            | Self::OtherChart { .. }
            | Self::WriteWhilePlanning { .. }
            | Self::Proxy(_)
            | Self::RobotUnusable { .. }
            | Self::ProjectName { .. }
            | Self::ImmutableTag { .. } => FailureKind::Refused,
            Self::NotAChart { .. }
            | Self::NotARecord { .. }
            | Self::NotObjects { .. }
            | Self::BodyLimit { .. }
            | Self::NoRepository { .. }
            | Self::TooManyRequests { .. }
            | Self::ProxyUnreachable { .. }
            | Self::ProxyRefuses { .. }
            | Self::ProxyLogin { .. }
            | Self::NoPlatform { .. }
            | Self::Corrupt { .. }
            | Self::TooLarge { .. }
            | Self::UnsafeTarget { .. }
            | Self::Write { .. } => FailureKind::Failed,
        }
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::NoPlatform { available, .. } => {
                vec![format!("available platforms: {}", available.join(", "))]
            }
            Self::Corrupt {
                expected, received, ..
            } => vec![
                format!("expected: {expected}"),
                format!("received: {received}"),
            ],
            Self::NoRepository { answer, .. } | Self::ImmutableTag { answer, .. } => {
                vec![format!("it answered: {answer}")]
            }
            Self::TooManyRequests { wait, answer, .. } => {
                let answered = format!("it answered: {answer}");
                let wait = wait.map(|wait| format!("it asks for a pause of {} s", wait.as_secs()));
                [Some(answered), wait].into_iter().flatten().collect()
            }
            Self::ProxyUnreachable { setting, host, .. }
            | Self::ProxyRefuses { setting, host, .. }
            | Self::ProxyLogin { setting, host, .. } => {
                vec![format!("set by `{setting}`, for connections to `{host}`")]
            }
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::CaFileUnreadable { .. } | Self::CaFileInvalid { .. } => {
                "set HARMONY_REGISTRY_CA to a PEM file (`-----BEGIN CERTIFICATE-----`), or unset it"
            }
            Self::Tls { .. } => {
                "install the certificate authorities of the Linux distribution; on Debian, run `apt-get install \
                 ca-certificates`"
            }
            Self::HalfCredentials { missing, .. } => {
                return vec![format!("set `{missing}` too, or unset both")];
            }
            Self::OtherRegistry { registry, .. } => {
                return vec![format!(
                    "use a name that starts with `{registry}`, or a topology with the other registry"
                )];
            }
            Self::NoTag { .. } => "add a tag, as in `registry.example.com/team/my-app:1.0.0`",
            Self::OtherDigest { .. } => "remove the digest from the target reference",
            Self::NotInLayout { .. } => {
                "use a builder that writes an OCI layout or archive, or the registry the image is in"
            }
            Self::NotBuilt { .. } => "build and push with the same context",
            Self::OtherChart { .. } => {
                "push a chart under the name and version in its `Chart.yaml`"
            }
            Self::NotAChart { .. } => "check the reference: it may refer to an image",
            Self::NotARecord { .. } | Self::NotObjects { .. } => {
                "another program wrote this tag: check who can push to the registry, and release a new version"
            }
            Self::NoRepository { repository, .. } => {
                return vec![
                    format!(
                        "create the repository `{repository}` in the registry, then run the same command again"
                    ),
                    "if the registry is Harbor, set `registry.kind = \"harbor\"` in the configuration file, so that the \
                     project is created"
                        .into(),
                ];
            }
            Self::ImmutableTag { .. } => {
                return vec![
                    "a published version never changes: increase the version and tag again".into(),
                    "or let this login pull too, so that the same content is recognised and accepted".into(),
                ];
            }
            Self::TooManyRequests { .. } => {
                "log in if you are not logged in, or run the same command again later; content that was already \
                 uploaded is not uploaded again"
            }
            Self::ProxyUnreachable { setting, host, .. }
            | Self::ProxyRefuses { setting, host, .. } => {
                return vec![
                    format!("check `{setting}`"),
                    format!("or add `{host}` to `NO_PROXY` to connect directly"),
                ];
            }
            Self::ProxyLogin { setting, host, .. } => {
                return vec![
                    format!(
                        "add the user and password to `{setting}`, as in \
                         `http://USER:PASSWORD@proxy.example.com:3128`"
                    ),
                    format!("or add `{host}` to `NO_PROXY` to connect directly"),
                ];
            }
            Self::Proxy(_) => return Vec::new(),
            Self::BodyLimit { .. } => {
                "increase the request size limit of the proxy in front of the registry: `client_max_body_size` in \
                 nginx, or the annotation `nginx.ingress.kubernetes.io/proxy-body-size` of its ingress"
            }
            Self::NoPlatform { .. } => "use an image that is built for this platform",
            Self::Corrupt { .. } => {
                "run the same command again; if the error persists, the storage of the registry or a proxy is \
                 faulty"
            }
            Self::TooLarge { .. } => {
                "check the reference: a release does not create anything this large"
            }
            Self::UnsafeTarget { .. } => {
                "if the registry is behind a proxy, forward `Host` and `X-Forwarded-Proto`, or configure the \
                 public URL of the registry"
            }
            Self::WriteWhilePlanning { .. } => "please report this as a bug in Harmony",
            Self::Write { .. } => {
                "free some space or check the permissions, then run the same command again"
            }
            Self::RobotUnusable { .. } => {
                "enable it in Harbor or give it more time, or delete it there: the next run creates it again"
            }
            Self::ProjectName { .. } => {
                "use lower-case letters, digits, `.`, `_` and `-`, starting and ending with a letter or digit"
            }
        };
        vec![hint.into()]
    }
}
