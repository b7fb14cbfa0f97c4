//! Checks see what a user of the service would see.

use std::time::{Duration, Instant};

use harmony_core::capability::Prober;
use harmony_core::verify::{ServicePort, SmokeCheck};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{deployment, in_namespace, service};

fn port(service: &str) -> ServicePort {
    ServicePort {
        service: service.parse().unwrap(),
        port: 80,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_tcp_nats_and_exec_see_the_truth() {
    in_namespace(|stage| async move {
        let objects = [
            deployment("web", &["http", "8080"]).await,
            service("web", json!("main")),
            deployment("bus", &["nats", "8080"]).await,
            service("bus", json!(8080)),
            // Its pods are ready, but nobody listens there.
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "deaf" },
                "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": 9999 }] } }),
        ];
        stage.deploy(objects, 60).await.unwrap();
        let probe = |check: SmokeCheck| {
            let stage = stage.clone();
            async move { stage.cluster.probe(&stage.namespace, &check).await }
        };
        let http = |service: &str, path: &str, contains: Option<&str>| SmokeCheck::Http {
            service: port(service),
            path: path.into(),
            status: 200,
            contains: contains.map(str::to_owned),
        };
        probe(http("web", "/ok", Some("this is web-"))).await.unwrap();
        let failure = probe(http("web", "/other", None)).await.unwrap_err();
        assert_eq!(failure.seen, "status 503 instead of 200");
        assert!(failure.details[0].starts_with("body: this is web-"), "{failure:?}");
        let failure = probe(http("web", "/ok", Some("elsewhere"))).await.unwrap_err();
        assert_eq!(failure.seen, "the body does not contain `elsewhere`");

        probe(SmokeCheck::Tcp { service: port("web") }).await.unwrap();
        for check in [SmokeCheck::Tcp { service: port("deaf") }, http("deaf", "/ok", None), SmokeCheck::Nats { service: port("deaf") }] {
            let failure = probe(check.clone()).await.unwrap_err();
            assert_eq!(failure.seen, "connection refused", "{check}: {failure:?}");
        }
        let failure = probe(SmokeCheck::Tcp { service: port("missing") }).await.unwrap_err();
        assert!(failure.seen.contains("the Service does not exist"), "{failure:?}");

        probe(SmokeCheck::Nats { service: port("bus") }).await.unwrap();
        let failure = probe(SmokeCheck::Nats { service: port("web") }).await.unwrap_err();
        assert!(!failure.seen.is_empty());

        let exec = |command: &[&str]| SmokeCheck::Exec {
            workload: stage.reference("apps/v1", "Deployment", "web"),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
        };
        probe(exec(&["/peer", "say", "fine", "0"])).await.unwrap();
        let failure = probe(exec(&["/peer", "say", "not fine", "4"])).await.unwrap_err();
        assert_eq!((failure.seen.as_str(), failure.details), ("exit code 4", vec!["not fine".to_owned()]));
        let failure = probe(exec(&["/not-there"])).await.unwrap_err();
        assert!(format!("{failure:?}").contains("not-there"), "{failure:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_leads_to_the_service_until_it_is_dropped() {
    in_namespace(|stage| async move {
        stage
            .deploy(
                [
                    deployment("web", &["http", "8080"]).await,
                    service("web", json!("main")),
                ],
                60,
            )
            .await
            .unwrap();
        let tunnel = stage
            .cluster
            .connect(&stage.namespace, &port("web"))
            .await
            .unwrap();
        assert!(tunnel.address().ip().is_loopback());
        let ask = async |address| -> std::io::Result<String> {
            let mut stream = TcpStream::connect(address).await?;
            stream
                .write_all(b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n")
                .await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok(answer)
        };
        let first = ask(tunnel.address()).await.unwrap();
        assert!(first.starts_with("HTTP/1.1 200"), "{first}");
        // Its pod is replaced, the tunnel stays.
        stage.somebody_else(&["delete", "pod", "-l", "app=web", "--wait=true"]);
        let began = Instant::now();
        let second = loop {
            match ask(tunnel.address()).await {
                Ok(answer) if answer.starts_with("HTTP/1.1 200") => break answer,
                _ if began.elapsed() > Duration::from_secs(30) => {
                    panic!("the tunnel does not find the new pod")
                }
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        };
        assert_ne!(first, second, "another pod answers");
        let address = tunnel.address();
        drop(tunnel);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(TcpStream::connect(address).await.is_err());
        assert!(
            stage
                .cluster
                .connect(&stage.namespace, &port("missing"))
                .await
                .is_err()
        );
    })
    .await;
}
