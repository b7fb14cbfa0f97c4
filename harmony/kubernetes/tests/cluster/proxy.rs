//! Clusters behind a proxy, as in an office. The proxy is a real one, on loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use harmony_core::Context;
use harmony_core::capability::KubernetesCluster;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_kubernetes::Cluster;
use serde_json::{Value, json};

use crate::stage::{in_namespace, kubeconfig};

/// Answers `CONNECT` by connecting to the cluster under test, whatever name was asked for, and notes what was asked.
struct Proxy {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn open(cluster: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let notes = Arc::clone(&asked);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (cluster, notes) = (cluster.clone(), Arc::clone(&notes));
                std::thread::spawn(move || serve(client, &cluster, &notes));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut client: TcpStream, cluster: &str, notes: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    notes.lock().unwrap().push(lines.join("\n"));
    let Ok(server) = TcpStream::connect(cluster) else {
        return;
    };
    client
        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        .unwrap();
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let back = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let mut server = server;
    let _ = std::io::copy(&mut reader, &mut server);
    let _ = server.shutdown(std::net::Shutdown::Both);
    let _ = back.join();
}

/// The kubeconfig of the cluster under test with another server, and a proxy if any.
fn changed(original: &Path, folder: &Path, server: &str, proxy: Option<&str>) -> (PathBuf, String) {
    let text = std::fs::read_to_string(original).unwrap();
    let mut config: Value = serde_yaml::from_str(&text).unwrap();
    let cluster = &mut config["clusters"][0]["cluster"];
    let address = cluster["server"].as_str().unwrap().to_owned();
    let address = address
        .trim_start_matches("https://")
        .trim_end_matches('/')
        .to_owned();
    let host = address.rsplit_once(':').unwrap().0.to_owned();
    cluster["server"] = json!(server);
    cluster["tls-server-name"] = json!(host);
    if let Some(proxy) = proxy {
        cluster["proxy-url"] = json!(proxy);
    }
    let path = folder.join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    (path, address)
}

const OUTSIDE: &str = "https://api.office.example:6443";

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_of_the_kubeconfig_leads_to_the_cluster() {
    in_namespace(|stage| async move {
        let folder = tempfile::tempdir().unwrap();
        let original = kubeconfig().await;
        let (_, address) = changed(&original, folder.path(), OUTSIDE, None);
        let proxy = Proxy::open(address);
        let url = format!("http://us%40er:s3cret@{}", proxy.address);
        let (named, _) = changed(&original, folder.path(), OUTSIDE, Some(&url));
        let context = Context::new();
        for context in [context.planning(), context] {
            let cluster = Cluster::connect(&context, &named, None).await.unwrap();
            let wanted = stage.objects([crate::stage::config_map("a", "b")]);
            cluster.apply(&stage.owner(), &wanted).await.unwrap();
            assert!(!format!("{cluster:?}").contains("s3cret"));
        }
        let asked = proxy.asked();
        assert!(
            asked[0].starts_with("CONNECT api.office.example:6443 "),
            "{asked:?}"
        );
        let login = "Basic dXNAZXI6czNjcmV0".to_lowercase();
        assert!(asked[0].to_lowercase().contains(&login), "{asked:?}");

        let (named, _) = changed(
            &original,
            folder.path(),
            OUTSIDE,
            Some("http://127.0.0.1:9"),
        );
        let error = Cluster::connect(&Context::new(), &named, None)
            .await
            .unwrap_err();
        let ClusterError::Unreachable { endpoint, .. } = &error else {
            panic!("{error:?}")
        };
        assert!(
            endpoint.ends_with("through the proxy http://127.0.0.1:9"),
            "{endpoint}"
        );
    })
    .await;
}

/// What [`in_an_office`] has this binary do with other variables set.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Some(named) = std::env::var_os("HARMONY_TEST_CHILD") else {
        return;
    };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let connected = Cluster::connect(&Context::new(), Path::new(&named), None).await;
    if let Err(error) = connected {
        panic!("{:?}", harmony_core::diagnostic::Report::of(&error));
    }
}

/// Connects with these variables; what it printed when it failed.
fn in_an_office(named: &Path, variables: &[(&str, &str)]) -> Result<(), String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "proxy::child", "--nocapture"]);
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.env("HARMONY_TEST_CHILD", named);
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_office_machine_reaches_its_own_node_and_the_cluster_outside() {
    let folder = tempfile::tempdir().unwrap();
    let original = kubeconfig().await;
    // A proxy that does not exist: whoever asks it fails.
    let nowhere = "http://proxy.office.example:3128";
    let office = [
        ("HTTPS_PROXY", nowhere),
        ("HTTP_PROXY", nowhere),
        ("NO_PROXY", "localhost,127.0.0.1,"),
    ];
    in_an_office(&original, &office).unwrap();
    in_an_office(&original, &[("https_proxy", nowhere)]).unwrap();

    let (outside, address) = changed(&original, folder.path(), OUTSIDE, None);
    let proxy = Proxy::open(address);
    let url = format!("http://{}", proxy.address);
    for name in ["HTTPS_PROXY", "https_proxy"] {
        let before = proxy.asked().len();
        in_an_office(&outside, &[(name, url.as_str())]).unwrap();
        assert!(proxy.asked().len() > before);
    }
    for excluded in ["*", ".office.example", "office.example:6443"] {
        let before = proxy.asked().len();
        let variables = [("HTTPS_PROXY", url.as_str()), ("NO_PROXY", excluded)];
        let error = in_an_office(&outside, &variables).unwrap_err();
        assert!(error.contains("Code(310)"), "{error}");
        assert_eq!(proxy.asked().len(), before, "{excluded}");
    }
    let error = in_an_office(&outside, &[("HTTPS_PROXY", "ftp://a:s3cret@b")]).unwrap_err();
    assert!(error.contains("Code(357)"), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}
