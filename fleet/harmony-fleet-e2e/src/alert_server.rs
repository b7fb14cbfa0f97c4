//! A receiver of alerts: an HTTP server on the address of the node, which pods can connect to.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use harmony::local::node::LocalNode;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::stack::eventually;

/// Records the JSON that is posted to it. Stops with the runtime of the test.
#[derive(Debug, Clone)]
pub struct AlertServer {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    status: AtomicU16,
    messages: Mutex<Vec<Value>>,
}

impl AlertServer {
    /// Starts it. It accepts everything.
    ///
    /// # Errors
    /// The node is not running.
    pub async fn start() -> anyhow::Result<Self> {
        let node = LocalNode::default().config().address;
        let listener = TcpListener::bind((node, 0)).await?;
        let server = Self {
            address: listener.local_addr()?,
            state: Arc::new(State {
                status: AtomicU16::new(200),
                messages: Mutex::default(),
            }),
        };
        let state = Arc::clone(&server.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&state)));
            }
        });
        Ok(server)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}/alerts", self.address)
    }

    /// Answers with this status from now on.
    pub fn answer_with(&self, status: u16) {
        self.state.status.store(status, Ordering::Relaxed);
    }

    /// The alerts of this name that it accepted, oldest first: their status.
    pub fn statuses(&self, alert: &str) -> Vec<String> {
        let messages = self
            .state
            .messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let alerts = messages
            .iter()
            .flat_map(|message| message["alerts"].as_array().into_iter().flatten());
        alerts
            .filter(|each| each["labels"]["alertname"] == alert)
            .filter_map(|each| Some(each["status"].as_str()?.to_owned()))
            .collect()
    }

    /// Waits until the last message about this alert has this status.
    ///
    /// # Errors
    /// It did not arrive in time.
    pub async fn told(&self, alert: &str, status: &str, patience: Duration) -> anyhow::Result<()> {
        let told = eventually(patience, async || {
            let last = self.statuses(alert).pop();
            Ok(last.filter(|last| last == status))
        });
        told.await.map(drop).map_err(|error| {
            error.context(format!(
                "no message that {alert} is {status}, but {:?}",
                self.statuses(alert)
            ))
        })
    }
}

/// One request for each connection.
async fn serve(stream: TcpStream, state: Arc<State>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let status = state.status.load(Ordering::Relaxed);
    if status == 200
        && let Ok(message) = serde_json::from_slice(&body)
    {
        let mut messages = state
            .messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        messages.push(message);
    }
    let answer = "not for you";
    let head = format!(
        "HTTP/1.1 {status} \r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    );
    stream.write_all(head.as_bytes()).await
}
