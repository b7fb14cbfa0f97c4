//! Third-party charts: where they are published, under which name and version.

use std::fmt;

use harmony_types::{
    ChartName, ChartVersion, ChartVersionError, NameError, RegistryHost, RegistryHostError,
    Repository, RepositoryError,
};

use crate::chart::Chart;
use crate::error::RenderError;

/// A third-party chart: its origin, and one version of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemoteChart {
    origin: Origin,
    name: ChartName,
    version: ChartVersion,
}

/// Where a chart is published.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// An OCI registry, and the path in front of the name of the chart.
    Oci {
        registry: RegistryHost,
        path: Option<Repository>,
    },
    /// A web server with an `index.yaml`.
    Repository(RepositoryUrl),
}

/// The URL of a chart repository, without a trailing `/`: `https://charts.example.com/stable`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositoryUrl {
    text: String,
    host: RegistryHost,
}

/// The reason why text does not describe a third-party chart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteChartError {
    /// The URL is not that of a registry or a repository.
    #[error("`{url}` {problem}")]
    Url { url: String, problem: &'static str },
    #[error("`{url}` has an invalid host")]
    Host {
        url: String,
        #[source]
        source: RegistryHostError,
    },
    #[error("`{url}` has an invalid path")]
    Path {
        url: String,
        #[source]
        source: RepositoryError,
    },
    #[error("the chart of `{url}` has an invalid name")]
    Name {
        url: String,
        #[source]
        source: NameError,
    },
    #[error("the chart of `{url}` has an invalid version")]
    Version {
        url: String,
        #[source]
        source: ChartVersionError,
    },
}

const OCI: &str = "oci://";

impl RemoteChart {
    /// A chart in an OCI registry: `oci://ghcr.io/team/charts/web`, whose last part is the name of the chart.
    ///
    /// # Errors
    /// See [`RemoteChartError`].
    pub fn oci(url: &str, version: &str) -> Result<Self, RemoteChartError> {
        let wrong = |problem| RemoteChartError::Url {
            url: shown(url),
            problem,
        };
        let rest = url
            .strip_prefix(OCI)
            .ok_or_else(|| wrong("does not start with `oci://`"))?;
        let (path, name) = rest
            .rsplit_once('/')
            .filter(|(_, name)| !name.is_empty())
            .ok_or_else(|| wrong("has no chart name"))?;
        Self::new(Origin::parse(&format!("{OCI}{path}"))?, name, version)
    }

    /// A chart of a repository: the URL in front of `/index.yaml`, such as `https://charts.example.com/stable`, and
    /// its name there.
    ///
    /// # Errors
    /// See [`RemoteChartError`].
    pub fn repository(url: &str, name: &str, version: &str) -> Result<Self, RemoteChartError> {
        Self::new(
            Origin::Repository(RepositoryUrl::parse(url)?),
            name,
            version,
        )
    }

    /// A chart with this name of `origin`.
    ///
    /// # Errors
    /// See [`RemoteChartError`].
    pub fn new(origin: Origin, name: &str, version: &str) -> Result<Self, RemoteChartError> {
        let name = ChartName::parse(name).map_err(|source| RemoteChartError::Name {
            url: origin.to_string(),
            source,
        })?;
        let version = ChartVersion::parse(version).map_err(|source| RemoteChartError::Version {
            url: format!("{origin}/{name}"),
            source,
        })?;
        if let Origin::Oci {
            path: Some(path), ..
        } = &origin
        {
            path.join(&name).map_err(|source| RemoteChartError::Path {
                url: origin.to_string(),
                source,
            })?;
        }
        Ok(Self {
            origin,
            name,
            version,
        })
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    pub fn name(&self) -> &ChartName {
        &self.name
    }

    pub fn version(&self) -> &ChartVersion {
        &self.version
    }

    /// Checks that an archive is this chart.
    ///
    /// # Errors
    /// [`RenderError::Archive`] or [`RenderError::File`].
    pub fn check(&self, archive: &[u8]) -> Result<(), RenderError> {
        let metadata = Chart::from_archive(archive)?.metadata()?;
        let version = metadata["version"].as_str().unwrap_or_default();
        let is_version =
            ChartVersion::parse(version).is_ok_and(|found| found.is_same(&self.version));
        if metadata["name"] == self.name.as_str() && is_version {
            return Ok(());
        }
        let name = metadata["name"].as_str().unwrap_or_default();
        Err(RenderError::Archive {
            problem: format!("is not that of {self}: it contains the chart `{name} {version}`"),
        })
    }
}

/// `podinfo 6.14.1 of oci://ghcr.io/stefanprodan/charts`
impl fmt::Display for RemoteChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {}", self.name, self.version, self.origin)
    }
}

impl Origin {
    /// Parses `oci://registry/path` or the URL of a repository.
    ///
    /// # Errors
    /// See [`RemoteChartError`].
    pub fn parse(url: &str) -> Result<Self, RemoteChartError> {
        let Some(rest) = url.strip_prefix(OCI) else {
            return Ok(Self::Repository(RepositoryUrl::parse(url)?));
        };
        let (host, path) = match rest.split_once('/') {
            Some((host, path)) => (host, Some(path)),
            None => (rest, None),
        };
        let path = path.map(Repository::parse).transpose();
        Ok(Self::Oci {
            registry: host_of(url, host)?,
            path: path.map_err(|source| RemoteChartError::Path {
                url: shown(url),
                source,
            })?,
        })
    }

    /// The host and port of the server.
    pub fn host(&self) -> &RegistryHost {
        match self {
            Self::Oci { registry, .. } => registry,
            Self::Repository(url) => url.host(),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oci {
                registry,
                path: Some(path),
            } => write!(f, "{OCI}{registry}/{path}"),
            Self::Oci {
                registry,
                path: None,
            } => write!(f, "{OCI}{registry}"),
            Self::Repository(url) => f.write_str(&url.text),
        }
    }
}

impl RepositoryUrl {
    /// Parses a URL. It uses TLS, except on this machine, and contains no login, because it is written to a lock file
    /// and to logs.
    ///
    /// # Errors
    /// See [`RemoteChartError`].
    pub fn parse(url: &str) -> Result<Self, RemoteChartError> {
        let wrong = |problem| RemoteChartError::Url {
            url: shown(url),
            problem,
        };
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| wrong("is not a URL: it has no `https://`"))?;
        let text = url.trim_end_matches('/');
        let rest = rest.trim_end_matches('/');
        let authority = rest.split('/').next().unwrap_or_default();
        if authority.contains('@') {
            return Err(wrong(
                "contains a login: remove it, and use `docker login HOST`",
            ));
        }
        if !rest
            .chars()
            .all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '\\'))
        {
            return Err(wrong("has a query, a fragment, a space or a quote"));
        }
        if rest.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(wrong("has `.` or `..` in its path"));
        }
        let host = host_of(url, authority)?;
        match scheme {
            "https" => {}
            "http" if host.is_loopback() => {}
            "http" => {
                return Err(wrong(
                    "does not use TLS: write `https://`; only servers on this machine may use `http://`",
                ));
            }
            _ => return Err(wrong("is neither `https://` nor `oci://`")),
        }
        Ok(Self {
            text: text.to_owned(),
            host,
        })
    }

    /// The host and port of the server.
    pub fn host(&self) -> &RegistryHost {
        &self.host
    }

    /// The path, empty or starting with `/`, without a trailing `/`.
    pub fn path(&self) -> &str {
        let rest = self.text.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').map_or("", |at| &rest[at..])
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn host_of(url: &str, host: &str) -> Result<RegistryHost, RemoteChartError> {
    RegistryHost::parse(host).map_err(|source| RemoteChartError::Host {
        url: shown(url),
        source,
    })
}

/// A URL for errors, without a login.
fn shown(url: &str) -> String {
    let without = match url.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let host = authority
                .rsplit_once('@')
                .map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    };
    harmony_types::printable::excerpt(&without, 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_of_registries_and_repositories_are_parsed() {
        let chart =
            RemoteChart::oci("oci://ghcr.io/stefanprodan/charts/podinfo", "6.14.1").unwrap();
        assert_eq!(chart.name().as_str(), "podinfo");
        assert_eq!(
            chart.origin().to_string(),
            "oci://ghcr.io/stefanprodan/charts"
        );
        assert_eq!(
            chart.to_string(),
            "podinfo 6.14.1 of oci://ghcr.io/stefanprodan/charts"
        );
        let bare = RemoteChart::oci("oci://localhost:5000/web", "v1.0.0+a").unwrap();
        assert_eq!(bare.origin().to_string(), "oci://localhost:5000");
        let chart =
            RemoteChart::repository("https://charts.example.com/a/b/", "web", "v1").unwrap();
        assert_eq!(chart.origin().to_string(), "https://charts.example.com/a/b");
        let Origin::Repository(url) = chart.origin() else {
            panic!()
        };
        assert_eq!(
            (url.host().as_str(), url.path()),
            ("charts.example.com", "/a/b")
        );
        for origin in [chart.origin(), bare.origin()] {
            assert_eq!(Origin::parse(&origin.to_string()).as_ref(), Ok(origin));
        }
    }

    #[test]
    fn what_is_not_a_chart_is_refused_without_its_login() {
        let repository = |url: &str| {
            RemoteChart::repository(url, "web", "1.0.0")
                .unwrap_err()
                .to_string()
        };
        assert!(repository("http://charts.example.com").contains("does not use TLS"));
        assert!(RemoteChart::repository("http://127.0.0.1:8080", "web", "1.0.0").is_ok());
        let login = repository("https://me:secret@charts.example.com/x");
        assert!(
            login.contains("contains a login") && !login.contains("secret"),
            "{login}"
        );
        for url in [
            "charts.example.com",
            "ftp://a.example.com",
            "https://a.example.com/?x",
            "https://a.example.com/../b",
            "https:///a",
        ] {
            repository(url);
        }
        for url in [
            "ghcr.io/a/web",
            "oci://ghcr.io",
            "oci://ghcr.io/",
            "oci://ghcr.io/Team/web",
        ] {
            RemoteChart::oci(url, "1.0.0").unwrap_err();
        }
        assert!(RemoteChart::repository("https://a.example.com", "../web", "1.0.0").is_err());
        assert!(RemoteChart::repository("https://a.example.com", "web", "^1").is_err());
    }
}
