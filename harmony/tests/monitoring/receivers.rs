//! A real Alertmanager, with the configuration of a `MonitoringScore`, delivers an alert and its resolution to servers of
//! the test: HTTP for webhooks and chats, SMTP for e-mail.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use harmony::scores::MonitoringScore;
use harmony::scores::monitoring::{
    DiscordReceiver, EmailReceiver, HttpAddress, NtfyReceiver, ScrapeTarget, SecretKey,
    SlackReceiver, Timing, WebhookReceiver,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

/// What a server got: the first line of a request and its headers, and the body.
type Received = Arc<Mutex<Vec<(String, String)>>>;

fn listen(serve: fn(TcpStream, &Received) -> std::io::Result<()>) -> (SocketAddr, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let received = Received::default();
    let shared = Arc::clone(&received);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || serve(stream, &shared));
        }
    });
    (address, received)
}

fn http(stream: TcpStream, received: &Received) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    received.lock().unwrap().push((head, body));
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    reader.get_mut().write_all(answer.as_bytes())
}

fn smtp(stream: TcpStream, received: &Received) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    reader.get_mut().write_all(b"220 test\r\n")?;
    let mut envelope = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let answer = match line.get(..4).unwrap_or_default() {
            "DATA" => {
                reader.get_mut().write_all(b"354 go on\r\n")?;
                let mut message = String::new();
                while !message.ends_with("\r\n.\r\n") {
                    reader.read_line(&mut message)?;
                }
                received.lock().unwrap().push((envelope.clone(), message));
                "250 taken\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => {
                envelope.push_str(&line);
                "250 ok\r\n"
            }
        };
        reader.get_mut().write_all(answer.as_bytes())?;
    }
}

/// An Alertmanager that ends with the test.
struct Alertmanager {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Alertmanager {
    fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alertmanager.yml");
        std::fs::write(&file, config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        drop(port);
        let child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("the Debian package prometheus-alertmanager: {error}"));
        Self {
            child,
            address,
            _folder: folder,
        }
    }

    async fn post(&self, alert: &Value) {
        let url = format!("http://{}/api/v2/alerts", self.address);
        let began = Instant::now();
        loop {
            let sent = reqwest::Client::new()
                .post(&url)
                .json(&json!([alert]))
                .send()
                .await;
            if sent.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "Alertmanager does not answer");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a server got something that fits, and returns it.
async fn got(
    received: &Received,
    what: &str,
    fits: impl Fn(&str, &str) -> bool,
) -> (String, String) {
    let began = Instant::now();
    loop {
        let found = received
            .lock()
            .unwrap()
            .iter()
            .find(|(head, body)| fits(head, body))
            .cloned();
        if let Some(found) = found {
            return found;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "{what}: only {:#?}",
            received.lock().unwrap()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn every_receiver_is_told_about_an_alert_and_its_resolution() {
    harmony::install_crypto();
    let (web, requests) = listen(http);
    let (mail, messages) = listen(smtp);
    let address = |path: &str| {
        format!("http://{web}{path}")
            .parse::<HttpAddress>()
            .unwrap()
    };
    let key = |name: &str| SecretKey::new(name.parse().unwrap(), "value");
    let namespace: harmony::types::Namespace = "shop".parse().unwrap();
    let target = ScrapeTarget::new("web".parse().unwrap(), namespace.clone(), 80);
    let email = EmailReceiver::new(mail.to_string(), "alerts@example.com", "me@example.com");
    let score = MonitoringScore::new("web".parse().unwrap(), namespace)
        .scrape(target)
        .notify(WebhookReceiver::new(address("/hook")).with_token(key("hook")))
        .notify(NtfyReceiver::new(&address(""), "topic").unwrap())
        .notify(email.without_tls())
        .notify(SlackReceiver::new(key("slack")))
        .notify(DiscordReceiver::new(key("discord")))
        .with_timing(Timing {
            group_wait: Duration::ZERO,
            group_interval: Duration::from_secs(1),
            ..Timing::default()
        });
    let [_, _, (_, config)] = score.files();
    // The files are without secrets; here, each secret is an address of the test's server.
    let config = config.replace("https://secret.invalid/", &format!("http://{web}/secret"));
    let alertmanager = Alertmanager::start(&config);

    let mut alert = json!({
        "labels": { "alertname": "TargetDown", "job": "web" },
        "annotations": { "summary": "web is down" },
    });
    alertmanager.post(&alert).await;
    let hook = |status: &'static str| {
        move |head: &str, body: &str| {
            head.starts_with("POST /hook ") && body.contains(&format!("\"status\":\"{status}\""))
        }
    };
    let (head, _) = got(&requests, "webhook", hook("firing")).await;
    let token = format!("Authorization: Bearer http://{web}/secret");
    assert!(head.contains(&token), "{head}");
    let topic = "POST /topic?template=alertmanager ";
    got(&requests, "ntfy", |head, body| {
        head.starts_with(topic) && body.contains("firing")
    })
    .await;
    let chat = |field: &'static str| {
        move |head: &str, body: &str| head.starts_with("POST /secret ") && body.contains(field)
    };
    let (_, slack) = got(&requests, "slack", chat("\"attachments\"")).await;
    let (_, discord) = got(&requests, "discord", chat("\"embeds\"")).await;
    for text in [slack, discord] {
        assert!(text.contains("web is down"), "{text}");
    }
    let (envelope, message) = got(&messages, "e-mail", |_, _| true).await;
    assert!(envelope.contains("RCPT TO:<me@example.com>"), "{envelope}");
    assert!(message.contains("TargetDown"), "{message}");

    alert["endsAt"] = jiff::Timestamp::now().to_string().into();
    alertmanager.post(&alert).await;
    got(&requests, "webhook", hook("resolved")).await;
    got(&messages, "e-mail", |_, message| {
        message.to_lowercase().contains("resolved")
    })
    .await;
}
