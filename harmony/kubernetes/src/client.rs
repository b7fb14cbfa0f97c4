//! A client from an explicit kubeconfig; in planning mode one whose transport refuses writes.

use std::path::Path;
use std::time::Duration;

use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::{Context, Mode};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::read_only::ReadOnlyLayer;

/// How long a connection to the API server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the API server may take to say its version.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// A client, and the address it talks to.
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) endpoint: String,
}

/// Reads that file, takes that context (else the file's current one) and asks the server for its version.
///
/// Neither `KUBECONFIG` nor `~/.kube/config` nor a pod's service account is looked at.
pub(crate) async fn connect(
    context: &Context,
    kubeconfig: &Path,
    named: Option<&str>,
) -> Result<Connected, ClusterError> {
    let unusable = |contexts: &[String], source| ClusterError::Kubeconfig {
        path: kubeconfig.to_owned(),
        context: named.map(str::to_owned),
        contexts: contexts.to_vec(),
        source,
    };
    let parsed = Kubeconfig::read_from(kubeconfig).map_err(|error| unusable(&[], error.into()))?;
    let contexts: Vec<String> = parsed
        .contexts
        .iter()
        .map(|context| context.name.clone())
        .collect();
    let unusable = |source| unusable(&contexts, source);
    let options = KubeConfigOptions {
        context: named.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let mut config = Config::from_custom_kubeconfig(parsed, &options)
        .await
        .map_err(|error| unusable(error.into()))?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    let endpoint = config.cluster_url.to_string();
    let builder = ClientBuilder::try_from(config).map_err(|error| unusable(error.into()))?;
    let client = match context.mode() {
        Mode::Plan => builder.with_layer(&ReadOnlyLayer).build(),
        Mode::Apply => builder.build(),
    };
    let greeting = tokio::time::timeout(GREETING_TIMEOUT, client.apiserver_version());
    let unreachable = |source| ClusterError::Unreachable {
        endpoint: endpoint.clone(),
        source,
    };
    match context.unless_cancelled(greeting).await? {
        Ok(Ok(_version)) => Ok(Connected { client, endpoint }),
        // A server that wants other credentials is there, but this kubeconfig does not open it.
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403) => {
            Err(unusable(Box::new(kube::Error::Api(status))))
        }
        Ok(Err(error)) => Err(unreachable(error.into())),
        Err(elapsed) => Err(unreachable(elapsed.into())),
    }
}
