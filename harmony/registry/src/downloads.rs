//! Downloads charts of others, from OCI registries and from chart repositories.

use bytes::Bytes;
use harmony_core::Context;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_types::{Digest, RegistryHost, Repository, Tag};
use reqwest::{Method, StatusCode, Url};

use crate::client::CHART_LIMIT;
use crate::scope::Scope;
use crate::settings::RegistrySettings;
use crate::transport::{Call, Target, Transport, retrying};
use crate::wire::Failure;
use crate::{chart, pull};

/// A client that reads charts from one server. Logins, proxies and certificate authorities are found as for an
/// [`OciRegistryClient`](crate::OciRegistryClient).
///
/// Uses TLS, except on this machine. Credentials are sent only to this server, and only if it asks for them. Other
/// servers that it refers to are contacted without credentials.
#[derive(Debug)]
pub struct ChartDownloads {
    context: Context,
    transport: Transport,
}

/// The path of a chart repository in the scope of a login. Web servers do not see it.
const WEB: &str = "charts";

impl ChartDownloads {
    /// A client for this server. `path` selects the login if there are several for one host.
    ///
    /// # Errors
    /// As for [`OciRegistryClient::new`](crate::OciRegistryClient::new).
    pub fn new(
        context: Context,
        server: &RegistryHost,
        path: Option<&Repository>,
        settings: RegistrySettings,
    ) -> Result<Self, RegistryError> {
        let transport = Transport::new(&context, server, path, settings)?;
        Ok(Self { context, transport })
    }

    /// The archive of a chart in an OCI registry, and its digest, which is verified.
    ///
    /// # Errors
    /// See [`RegistryError`]; [`RegistryError::NotFound`] if there is no such tag.
    pub async fn oci(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<(Digest, Bytes), RegistryError> {
        let read = async {
            let reference = format!("oci://{}/{repository}:{tag}", self.transport.registry());
            let scope = Scope::pull(repository.clone());
            let transport = &self.transport;
            let manifest = pull::manifest(transport, &scope, tag.as_str(), &reference).await?;
            let content = chart::parts(&manifest.bytes, &reference)?.content;
            let digest = content.0.clone();
            let bytes = pull::small_blob(transport, &scope, content, CHART_LIMIT).await?;
            Ok((digest, bytes))
        };
        self.context.unless_cancelled(read).await?
    }

    /// A file of a web server, of at most `limit` bytes. `location` is a URL, or a path relative to `folder`, which is a
    /// path of this server.
    ///
    /// # Errors
    /// See [`RegistryError`]; [`RegistryError::NotFound`] if there is no such file.
    pub async fn file(
        &self,
        folder: &str,
        location: &str,
        limit: u64,
    ) -> Result<Bytes, RegistryError> {
        let read = retrying(|| self.get(folder, location, limit));
        self.context.unless_cancelled(read).await?
    }

    async fn get(&self, folder: &str, location: &str, limit: u64) -> Result<Bytes, Failure> {
        let base = self.transport.base().await?;
        let folder = format!("{}/", folder.trim_end_matches('/'));
        let from = base.join(&folder).unwrap_or_else(|_| base.clone());
        let hop = self.transport.hop_to(&from, location).await?;
        let shown = without_query(&hop.url);
        let repository = Repository::parse(folder.trim_matches('/'))
            .unwrap_or_else(|_| WEB.parse().expect("a valid repository"));
        let operation = format!("downloading `{shown}`");
        let mut call = Call::new(Method::GET, "", Scope::pull(repository), operation);
        call.target = Target::Hop(hop);
        let response = self.transport.send(&call).await?;
        match response.status() {
            StatusCode::OK => {
                let wire = self.transport.wire();
                wire.body(response, &format!("`{shown}`"), limit).await
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                Err(RegistryError::NotFound { reference: shown }.into())
            }
            _ => Err(self.transport.rejection(&call, response).await),
        }
    }
}

/// Queries may contain a signature.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    harmony_types::printable::excerpt(url.as_str(), 300)
}
