//! Failures that need more words than the port's own errors have.

use std::path::PathBuf;
use std::time::Duration;

use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::codes;
use harmony_core::diagnostic::{AnyDiagnostic, BoxError, Diagnostic, FailureKind, Origin};
use harmony_core::proxy::ProxyError;
use harmony_types::{Digest, RegistryHost, Repository};

use crate::size::shown_size;

/// A failure of this adapter; it reaches callers inside [`RegistryError::Adapter`].
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file of additional authorities cannot be read.
    #[error("cannot read the certificate authorities in `{}`", path.display())]
    CaFileUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file of additional authorities holds none.
    #[error("`{}` holds no certificate in PEM form", path.display())]
    CaFileInvalid {
        /// The file.
        path: PathBuf,
        /// Why, where the parser says it.
        #[source]
        source: Option<BoxError>,
    },
    /// TLS cannot be set up on this machine at all.
    #[error("cannot set up TLS")]
    Tls {
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The environment names half a login.
    #[error("`{set}` is set, but `{missing}` is not")]
    HalfCredentials {
        /// The variable that is set.
        set: &'static str,
        /// The variable that is not.
        missing: &'static str,
    },
    /// The image or chart belongs to another registry; its credentials are not ours to use.
    #[error("`{reference}` is not in the registry `{registry}`")]
    OtherRegistry {
        /// The image or chart.
        reference: String,
        /// The registry of this client.
        registry: RegistryHost,
    },
    /// The image is named neither by tag nor by digest.
    #[error("`{reference}` has neither a tag nor a digest")]
    NoTag {
        /// The image.
        reference: String,
    },
    /// The digest in the reference is not the one of the image to push.
    #[error("`{reference}` names other content than the image to push, which is `{ours}`")]
    OtherDigest {
        /// The reference to push to.
        reference: String,
        /// The digest of the image.
        ours: Digest,
    },
    /// The image was built where this client cannot read it.
    #[error("the image for `{reference}` is {place}, not in an OCI layout")]
    NotInLayout {
        /// What it should be pushed as.
        reference: String,
        /// Where it is.
        place: String,
    },
    /// A prediction cannot be pushed.
    #[error("the image for `{reference}` was only predicted, not built")]
    NotBuilt {
        /// What it should be pushed as.
        reference: String,
    },
    /// The chart and the reference it should be pushed to do not fit together.
    #[error("the chart `{chart}` cannot be pushed as `{reference}`")]
    OtherChart {
        /// Name and version in the chart.
        chart: String,
        /// Where it should go.
        reference: String,
    },
    /// What is there is no Helm chart.
    #[error("`{reference}` is no Helm chart: {reason}")]
    NotAChart {
        /// What was read.
        reference: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// The tag of a release record holds something else.
    #[error("`{reference}` is not a release record: {reason}")]
    NotARecord {
        /// What was read.
        reference: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// The repository has to be made first.
    #[error("the registry `{registry}` has no repository `{repository}`")]
    NoRepository {
        /// Which registry.
        registry: RegistryHost,
        /// The repository to push to.
        repository: Repository,
        /// What the registry said.
        answer: String,
    },
    /// Something before the registry refuses requests as large as a layer.
    #[error("`{registry}` does not take {what} of {} in one request", shown_size(*size))]
    BodyLimit {
        /// Which registry.
        registry: RegistryHost,
        /// What was sent, such as "a layer".
        what: &'static str,
        /// Its size, in bytes.
        size: u64,
    },
    /// The registry wants to be asked less often, and we do not wait that long.
    #[error("the registry `{registry}` has had too many requests")]
    TooManyRequests {
        /// Which registry.
        registry: RegistryHost,
        /// How long it wants us to wait, where it says it.
        wait: Option<Duration>,
        /// What the registry said.
        answer: String,
    },
    /// A setting names a proxy that cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// There is no connection to the proxy.
    #[error("the proxy `{proxy}` cannot be reached")]
    ProxyUnreachable {
        /// The proxy, without its login.
        proxy: String,
        /// The variable that names it.
        setting: &'static str,
        /// The host that it should have led to.
        host: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The proxy does not connect us.
    #[error("the proxy `{proxy}` does not connect to `{host}`")]
    ProxyRefuses {
        /// The proxy, without its login.
        proxy: String,
        /// The variable that names it.
        setting: &'static str,
        /// The host that it should have led to.
        host: String,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The proxy wants a login, or another one.
    #[error("the proxy `{proxy}` {}", if *has_login { "refuses the login" } else { "wants a login" })]
    ProxyLogin {
        /// The proxy, without its login.
        proxy: String,
        /// The variable that names it.
        setting: &'static str,
        /// The host that it should have led to.
        host: String,
        /// Whether it was sent one.
        has_login: bool,
    },
    /// An index has no image for the wanted platform.
    #[error("`{reference}` has no image for {platform}")]
    NoPlatform {
        /// The index.
        reference: String,
        /// The wanted platform.
        platform: String,
        /// The platforms it has.
        available: Vec<String>,
    },
    /// What arrived does not have the digest it was asked for by.
    #[error("the registry sent other content than `{expected}` for {what}")]
    Corrupt {
        /// What was read.
        what: String,
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of what arrived.
        received: Digest,
    },
    /// The registry sent more than this kind of thing may have.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What was read.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// The registry points somewhere this client does not go.
    #[error("the registry `{registry}` points to `{target}`, which is refused: {reason}")]
    UnsafeTarget {
        /// The registry.
        registry: RegistryHost,
        /// Scheme and host it points to.
        target: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A write was tried while planning. A programming error: whoever writes has to look at the mode first.
    #[error("programming error: {method} {path} while planning")]
    WriteWhilePlanning {
        /// The method.
        method: String,
        /// What it was for.
        path: String,
    },
    /// What was pulled cannot be written here.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The project has a name that Harbor does not take.
    #[error("`{value}` is no name of a Harbor project: {reason}")]
    ProjectName {
        /// The refused name.
        value: String,
        /// Which rule it breaks.
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
            Self::NotARecord { .. } => codes::NOT_A_RECORD,
            Self::BodyLimit { .. } => codes::BODY_LIMIT,
            Self::NoRepository { .. } => codes::NO_REPOSITORY,
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
            | Self::ProjectName { .. } => FailureKind::Refused,
            Self::NotAChart { .. }
            | Self::NotARecord { .. }
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
            Self::NoPlatform { available, .. } => vec![format!("it has: {}", available.join(", "))],
            Self::Corrupt {
                expected, received, ..
            } => vec![
                format!("expected: {expected}"),
                format!("received: {received}"),
            ],
            Self::NoRepository { answer, .. } => vec![format!("it answered: {answer}")],
            Self::TooManyRequests { wait, answer, .. } => {
                let answered = format!("it answered: {answer}");
                let wait = wait.map(|wait| format!("it wants a pause of {} s", wait.as_secs()));
                [Some(answered), wait].into_iter().flatten().collect()
            }
            Self::ProxyUnreachable { setting, host, .. }
            | Self::ProxyRefuses { setting, host, .. }
            | Self::ProxyLogin { setting, host, .. } => {
                vec![format!("`{setting}` names it for `{host}`")]
            }
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::CaFileUnreadable { .. } | Self::CaFileInvalid { .. } => {
                "name a PEM file (`-----BEGIN CERTIFICATE-----`) in HARMONY_REGISTRY_CA, or unset it"
            }
            Self::Tls { .. } => {
                "install the certificate authorities of the distribution, on Debian: `apt-get install ca-certificates`"
            }
            Self::HalfCredentials { missing, .. } => {
                return vec![format!("set `{missing}` too, or unset both")];
            }
            Self::OtherRegistry { registry, .. } => {
                return vec![format!(
                    "name it below `{registry}`, or use a topology with that registry"
                )];
            }
            Self::NoTag { .. } => "add a tag, as in `registry.example.com/team/my-app:1.0.0`",
            Self::OtherDigest { .. } => "leave the digest out of the reference to push to",
            Self::NotInLayout { .. } => {
                "use a builder that writes an OCI layout or archive, or the registry the image is in"
            }
            Self::NotBuilt { .. } => "build with the same context that pushes",
            Self::OtherChart { .. } => {
                "push a chart under the name and version in its `Chart.yaml`"
            }
            Self::NotAChart { .. } => "check the reference: it may name an image",
            Self::NotARecord { .. } => {
                "check who may push to the registry, and release a new version: another program wrote this tag"
            }
            Self::NoRepository { repository, .. } => {
                return vec![format!(
                    "create the repository `{repository}` in the registry, then run the same command again"
                )];
            }
            Self::TooManyRequests { .. } => {
                "log in if you have not, or run the same command again later: what was sent is not sent twice"
            }
            Self::ProxyUnreachable { setting, host, .. }
            | Self::ProxyRefuses { setting, host, .. } => {
                return vec![
                    format!("check `{setting}`"),
                    format!("or add `{host}` to `NO_PROXY` to reach it directly"),
                ];
            }
            Self::ProxyLogin { setting, host, .. } => {
                return vec![
                    format!(
                        "write user and password into `{setting}`, as in `http://USER:PASSWORD@proxy.example.com:3128`"
                    ),
                    format!("or add `{host}` to `NO_PROXY` to reach it directly"),
                ];
            }
            Self::Proxy(_) => return Vec::new(),
            Self::BodyLimit { .. } => {
                "raise the limit for request bodies of the proxy before the registry: `client_max_body_size` of nginx, the \
                 annotation `nginx.ingress.kubernetes.io/proxy-body-size` of its ingress"
            }
            Self::NoPlatform { .. } => "use an image that is built for this platform",
            Self::Corrupt { .. } => {
                "run the same command again; if it stays, the registry's storage or a proxy on the way is broken"
            }
            Self::TooLarge { .. } => "check the reference: this is not what a release puts there",
            Self::UnsafeTarget { .. } => {
                "behind a proxy, let it pass `Host` and `X-Forwarded-Proto` on, or set the registry's public URL"
            }
            Self::WriteWhilePlanning { .. } => "report this as a bug of Harmony",
            Self::Write { .. } => {
                "free space or check the permissions, then run the same command again"
            }
            Self::ProjectName { .. } => {
                "write lower-case letters, digits, `.`, `_` and `-`, beginning and ending with a letter or digit"
            }
        };
        vec![hint.into()]
    }
}
