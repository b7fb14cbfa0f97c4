//! An office: the registry and its token server are outside, and a proxy leads there. Names are known to the proxy only.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harmony_core::Context;
use harmony_core::capability::OciRegistry;
use harmony_core::capability::oci_registry::{RegistryError, RegistryLocation};
use harmony_core::outcome::Action;
use harmony_registry::testing::{Protection, RegistryPeer};
use harmony_registry::{Credentials, Environment, OciRegistryClient, RegistrySettings};
use harmony_types::ImageRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::fixture::{self, Image};
use crate::scripted::rendered;

const HOST: &str = "registry.example.test";

/// A proxy for HTTP `CONNECT` that leads everywhere to the one registry.
struct OfficeProxy {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for OfficeProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl OfficeProxy {
    /// Answers with this status unless it is 200; `login` is what it wants to be sent.
    async fn start(to: &str, status: u16, login: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (to, list) = (to.to_owned(), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (to, list) = (to.clone(), Arc::clone(&list));
                tokio::spawn(serve(connection, to, status, login, list));
            }
        });
        Self {
            address,
            asked,
            task,
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("the list").clone()
    }
}

async fn serve(
    mut connection: TcpStream,
    to: String,
    status: u16,
    login: Option<&'static str>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let line = head.lines().next().unwrap_or_default().to_owned();
    asked.lock().expect("the list").push(line);
    let wanted = login.map(|login| format!("basic {}", STANDARD.encode(login).to_lowercase()));
    let status = match wanted {
        Some(wanted) if !head.contains(&wanted) => 407,
        _ => status,
    };
    let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
    if status != 200 {
        drop(connection.write_all(answer.as_bytes()).await);
        return;
    }
    let Ok(mut upstream) = TcpStream::connect(&to).await else {
        return;
    };
    drop(connection.write_all(b"HTTP/1.1 200 ok\r\n\r\n").await);
    drop(copy_bidirectional(&mut connection, &mut upstream).await);
}

async fn outside() -> RegistryPeer {
    RegistryPeer::start_with(Protection::TlsFor(HOST.into()))
        .await
        .expect("a registry to test with")
}

fn client(peer: &RegistryPeer, host: &str, variables: &[(&str, String)]) -> OciRegistryClient {
    let variables = variables.to_vec();
    let environment = Environment::from_lookup(move |name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| value.into())
    });
    let settings = RegistrySettings::new(environment)
        .with_credentials(Credentials::new(RegistryPeer::USER, RegistryPeer::PASSWORD))
        .with_ca_file(peer.ca_file());
    let location = RegistryLocation::new(host.parse().expect("a host"), None);
    OciRegistryClient::new(Context::new(), location.expect("a location"), settings)
        .expect("a client")
}

fn image(host: &str) -> ImageRef {
    format!("{host}/team/app:1.0.0").parse().expect("a name")
}

async fn error(client: &OciRegistryClient) -> RegistryError {
    let resolved = client.resolve_image(&image(HOST)).await;
    resolved.expect_err("no way there")
}

#[tokio::test]
async fn a_registry_outside_is_reached_through_the_proxy() {
    let peer = outside().await;
    let proxy = OfficeProxy::start(peer.host().as_str(), 200, Some("us@er:p:w/d")).await;
    for (number, variable) in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .into_iter()
        .enumerate()
    {
        let address = format!("http://us%40er:p%3Aw%2Fd@{}", proxy.address);
        let client = client(&peer, HOST, &[(variable, address)]);
        let to = format!("{HOST}/team/app:1.0.{number}")
            .parse()
            .expect("a name");
        let pushed = client
            .push_image(&Image::small(variable).built(), &to)
            .await;
        assert_eq!(pushed.expect(variable).change.action, Action::Create);
    }
    let expected = format!("connect {HOST}:443 http/1.1");
    assert!(
        proxy.asked().iter().all(|line| *line == expected),
        "{:?}",
        proxy.asked()
    );
}

#[tokio::test]
async fn this_machine_and_what_is_listed_are_reached_directly() {
    let peer = fixture::peer().await;
    let dead = "http://127.0.0.1:1".to_owned();
    let all = [
        ("HTTPS_PROXY", dead.clone()),
        ("HTTP_PROXY", dead.clone()),
        ("ALL_PROXY", dead.clone()),
    ];
    let here = peer.host().as_str();
    let resolved = client(&peer, here, &all).resolve_image(&image(here)).await;
    assert_eq!(resolved.expect("an answer"), None);
    for list in [
        HOST,
        ".example.test",
        "*.example.test",
        "example.test:443",
        "10.0.0.0/8, *",
    ] {
        let variables = [("HTTPS_PROXY", dead.clone()), ("NO_PROXY", list.to_owned())];
        let error = error(&client(&peer, HOST, &variables)).await;
        // Nothing outside knows the name.
        assert!(
            matches!(error, RegistryError::Unreachable { .. }),
            "{list}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_proxy_in_the_way_is_named_with_its_variable() {
    let peer = outside().await;
    let dead = [("https_proxy", "http://user:s3cret@127.0.0.1:1".to_owned())];
    insta::assert_snapshot!(rendered(&error(&client(&peer, HOST, &dead)).await), @r"
    error[H0242]: the proxy `http://127.0.0.1:1` cannot be reached
    seen: set by `https_proxy`, for connections to `registry.example.test`
    help: check `https_proxy`
    help: or add `registry.example.test` to `NO_PROXY` to connect directly
    ");
    let unknown = [(
        "ALL_PROXY",
        "socks5://user:s3cret@proxy.invalid:1080".to_owned(),
    )];
    insta::assert_snapshot!(rendered(&error(&client(&peer, HOST, &unknown)).await), @r"
    error[H0242]: the proxy `socks5://proxy.invalid:1080` cannot be reached
    seen: set by `ALL_PROXY`, for connections to `registry.example.test`
    help: check `ALL_PROXY`
    help: or add `registry.example.test` to `NO_PROXY` to connect directly
    ");
    let not_one = [("HTTPS_PROXY", "ftp://user:s3cret@proxy.invalid".to_owned())];
    insta::assert_snapshot!(rendered(&error(&client(&peer, HOST, &not_one)).await), @r"
    error[H0357]: the proxy `ftp://proxy.invalid` in `HTTPS_PROXY` has an unsupported protocol
    help: set `HTTPS_PROXY` to an address such as `http://proxy.example.com:3128` or `socks5://proxy.example.com:1080`
    help: or add the server to `NO_PROXY` to connect directly
    ");
}

#[tokio::test]
async fn a_proxy_that_refuses_or_wants_a_login_is_told_apart() {
    let peer = outside().await;
    for (status, login) in [(403, None), (502, None), (200, Some("user:password"))] {
        let proxy = OfficeProxy::start(peer.host().as_str(), status, login).await;
        let address = format!("http://user:s3cret@{}", proxy.address);
        let client = client(&peer, HOST, &[("HTTPS_PROXY", address)]);
        let shown = rendered(&error(&client).await).replace(&proxy.address, "PROXY");
        if login.is_none() {
            insta::allow_duplicates! { insta::assert_snapshot!(shown, @r"
            error[H0243]: the proxy `http://PROXY` refused to connect to `registry.example.test`
            seen: set by `HTTPS_PROXY`, for connections to `registry.example.test`
            help: check `HTTPS_PROXY`
            help: or add `registry.example.test` to `NO_PROXY` to connect directly
            "); }
        } else {
            insta::assert_snapshot!(shown, @r"
            error[H0244]: the proxy `http://PROXY` refuses the login
            seen: set by `HTTPS_PROXY`, for connections to `registry.example.test`
            help: add the user and password to `HTTPS_PROXY`, as in `http://USER:PASSWORD@proxy.example.com:3128`
            help: or add `registry.example.test` to `NO_PROXY` to connect directly
            ");
        }
        assert_eq!(proxy.asked().len(), 1, "nothing to try again");
    }
}

/// A proxy for SOCKS 5 without a login, which leads everywhere to the one registry and resolves the names itself.
#[tokio::test]
async fn a_socks_proxy_is_sent_the_name() {
    let peer = outside().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let to = peer.host().to_string();
    let names: Arc<Mutex<Vec<String>>> = Arc::default();
    let list = Arc::clone(&names);
    let task = tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let (to, list) = (to.clone(), Arc::clone(&list));
            tokio::spawn(async move {
                // RFC 1928: version and methods, then version, CONNECT, a name and a port.
                let mut greeting = [0; 2];
                connection
                    .read_exact(&mut greeting)
                    .await
                    .expect("a greeting");
                let mut methods = vec![0; greeting[1].into()];
                connection.read_exact(&mut methods).await.expect("methods");
                connection.write_all(&[5, 0]).await.expect("an answer");
                let mut request = [0; 5];
                connection
                    .read_exact(&mut request)
                    .await
                    .expect("a request");
                assert_eq!(request[..4], [5, 1, 0, 3], "CONNECT to a name");
                let mut name = vec![0; usize::from(request[4]) + 2];
                connection.read_exact(&mut name).await.expect("a name");
                name.truncate(name.len() - 2);
                list.lock()
                    .expect("the list")
                    .push(String::from_utf8_lossy(&name).into_owned());
                let mut upstream = TcpStream::connect(&to).await.expect("the registry");
                let answer = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
                connection.write_all(&answer).await.expect("an answer");
                drop(copy_bidirectional(&mut connection, &mut upstream).await);
            });
        }
    });
    let variables = [("HTTPS_PROXY", format!("socks5://{address}"))];
    let resolved = client(&peer, HOST, &variables)
        .resolve_image(&image(HOST))
        .await;
    task.abort();
    assert_eq!(resolved.expect("an answer"), None);
    assert_eq!(names.lock().expect("the list")[0], HOST);
}
