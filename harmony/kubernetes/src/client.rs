//! Creates a client from an explicit kubeconfig. While planning, its transport refuses writes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::proxy::{Protocol, Proxy, ProxyVariables};
use harmony_core::{Context, Mode, process};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use percent_encoding::percent_decode_str;
use tower::{BoxError, ServiceBuilder};

use crate::read_only::ReadOnlyLayer;

/// The timeout for connecting to the API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The timeout for reading the version of the API server.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// A client and the address of its server.
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) endpoint: String,
}

/// Reads a file and no pipe or device, which would be waited for, or read for ever.
fn read(kubeconfig: &Path) -> Result<Kubeconfig, KubeconfigError> {
    if std::fs::metadata(kubeconfig).is_ok_and(|found| !found.is_file()) {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
        return Err(KubeconfigError::ReadConfig(source, kubeconfig.to_owned()));
    }
    Kubeconfig::read_from(kubeconfig)
}

/// Reads a context of a kubeconfig file (by default the current one) and asks the server for its version.
///
/// Ignores `KUBECONFIG`, `~/.kube/config` and the service account of a pod.
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
    let mut parsed = read(kubeconfig).map_err(|error| unusable(&[], error.into()))?;
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
    let named_proxy = take_proxy(&mut parsed, named);
    keep_from_plugins(&mut parsed, &process::inherited(OUR_VARIABLES));
    let mut config = Config::from_custom_kubeconfig(parsed, &options)
        .await
        .map_err(|error| unusable(error.into()))?;
    config.proxy_url = None;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    let proxy = match named_proxy.filter(|value| !value.trim().is_empty()) {
        // The kubeconfig's own proxy is always used, as by kubectl.
        Some(value) => Some(Proxy::parse("proxy-url", &value)?),
        None => ProxyVariables::of_process().proxy_for(&config.cluster_url)?,
    };
    if let Some(proxy) = proxy
        .as_ref()
        .filter(|proxy| proxy.protocol() == Protocol::Https)
    {
        return Err(proxy.unsupported().into());
    }
    let endpoint = match &proxy {
        Some(proxy) => format!("{} through the proxy {}", config.cluster_url, proxy.shown()),
        None => config.cluster_url.to_string(),
    };
    let client = match (proxy, context.mode()) {
        (None, Mode::Apply) => ClientBuilder::try_from(config).map(ClientBuilder::build),
        (None, Mode::Plan) => ClientBuilder::try_from(config)
            .map(|builder| builder.with_layer(&ReadOnlyLayer).build()),
        (Some(proxy), mode) => through_proxy(config, &proxy, mode),
    };
    let client = client.map_err(|error| unusable(error.into()))?;
    let greeting = tokio::time::timeout(GREETING_TIMEOUT, client.apiserver_version());
    let unreachable = |source| ClusterError::Unreachable {
        endpoint: endpoint.clone(),
        source,
    };
    match context.unless_cancelled(greeting).await? {
        Ok(Ok(_version)) => Ok(Connected { client, endpoint }),
        // The server exists, but does not accept the credentials of this kubeconfig.
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403) => {
            Err(unusable(status.message.into()))
        }
        Ok(Err(error)) => Err(unreachable(error.into())),
        Err(elapsed) => Err(unreachable(elapsed.into())),
    }
}

/// Our settings, logins among them. A program that a kubeconfig names to log in with needs those of its cloud, which
/// nobody can list; ours it does not need.
const OUR_VARIABLES: &[&str] = &[
    "HARMONY_*",
    "FLEET_*",
    "CARGO_REGISTRY_TOKEN",
    "CARGO_REGISTRIES_*_TOKEN",
];

/// Lets the programs that the kubeconfig names start without these variables.
fn keep_from_plugins(kubeconfig: &mut Kubeconfig, variables: &BTreeMap<OsString, OsString>) {
    let users = kubeconfig.auth_infos.iter_mut();
    let plugins = users.filter_map(|user| user.auth_info.as_mut()?.exec.as_mut());
    for plugin in plugins {
        let names = variables.keys().filter_map(|name| name.to_str());
        plugin
            .drop_env
            .get_or_insert_default()
            .extend(names.map(str::to_owned));
    }
}

/// Takes the `proxy-url` of the cluster that the context names. It leaves a value behind that keeps the client library
/// from searching the environment for a proxy, because the library would apply `NO_PROXY` to the proxy instead of the
/// server.
fn take_proxy(kubeconfig: &mut Kubeconfig, context: Option<&str>) -> Option<String> {
    let context = context.or(kubeconfig.current_context.as_deref())?;
    let context = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == context)?;
    let cluster = context.context.as_ref()?.cluster.clone();
    let cluster = kubeconfig
        .clusters
        .iter_mut()
        .find(|named| named.name == cluster)?;
    cluster
        .cluster
        .as_mut()?
        .proxy_url
        .replace("http://decided.invalid".to_owned())
}

/// The client library's own stack, with a connector that opens a tunnel through the proxy.
fn through_proxy(config: Config, proxy: &Proxy, mode: Mode) -> Result<Client, kube::Error> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let credentials = credentials(proxy.uri());
    match proxy.protocol() {
        Protocol::Http | Protocol::Https => {
            let mut tunnel = Tunnel::new(proxy.uri().clone(), connector);
            if let Some((user, password)) = credentials {
                let login = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
                if let Ok(login) = login.parse() {
                    tunnel = tunnel.with_auth(login);
                }
            }
            with_connector(config, tunnel, mode)
        }
        Protocol::Socks5 => {
            let mut socks = SocksV5::new(proxy.uri().clone(), connector);
            if let Some((user, password)) = credentials {
                socks = socks.with_auth(user, password);
            }
            with_connector(config, socks, mode)
        }
    }
}

fn with_connector<H>(config: Config, connector: H, mode: Mode) -> Result<Client, kube::Error>
where
    H: 'static + Clone + Send + Sync + tower::Service<http::Uri>,
    H::Response: 'static
        + hyper_util::client::legacy::connect::Connection
        + hyper::rt::Read
        + hyper::rt::Write
        + Send
        + Unpin,
    H::Future: 'static + Send,
    H::Error: 'static + Send + Sync + std::error::Error,
{
    let namespace = config.default_namespace.clone();
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    let builder = ClientBuilder::new(service, namespace);
    Ok(match mode {
        Mode::Plan => builder.with_layer(&ReadOnlyLayer).build(),
        Mode::Apply => builder.build(),
    })
}

/// The user and password in the address of a proxy.
fn credentials(proxy: &http::Uri) -> Option<(String, String)> {
    let (login, _) = proxy.authority()?.as_str().rsplit_once('@')?;
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((decoded(user), decoded(password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_logs_in_does_not_see_our_variables() {
        let mut kubeconfig = Kubeconfig::from_yaml(
            "{apiVersion: v1, kind: Config, users: [{name: a, user: {exec: {command: aws}}}, {name: b, user: {token: t}}]}",
        )
        .unwrap();
        let ours = [("HARMONY_REGISTRY_PASSWORD".into(), "s3cret".into())].into();
        keep_from_plugins(&mut kubeconfig, &ours);
        let exec = kubeconfig.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(
            exec.exec.as_ref().unwrap().drop_env,
            Some(vec!["HARMONY_REGISTRY_PASSWORD".to_owned()])
        );
    }
}
