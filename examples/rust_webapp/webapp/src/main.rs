//! A small web app with metrics. It does not depend on Harmony.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The answers so far, by status.
static ANSWERS: Mutex<BTreeMap<u16, u64>> = Mutex::new(BTreeMap::new());

fn main() -> std::io::Result<()> {
    let started = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    for connection in TcpListener::bind("0.0.0.0:8080")?.incoming() {
        let connection = connection?;
        thread::spawn(move || {
            // A disconnected client is not a reason to exit.
            let _ = answer(connection, started);
        });
    }
    Ok(())
}

fn answer(mut connection: TcpStream, started: Duration) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut line = String::new();
    BufReader::new(&connection).read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default();
    let (status, content_type, body) = match path {
        "/" => (200, "text/html", "<h1>Hello from Rust</h1>\n".to_owned()),
        "/health" => (200, "text/plain", "ok\n".to_owned()),
        "/metrics" => (200, "text/plain; version=0.0.4", metrics(started)),
        _ => (404, "text/plain", format!("nothing at {path}\n")),
    };
    if !matches!(path, "/health" | "/metrics") {
        let mut answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry(status).or_default() += 1;
    }
    write!(
        connection,
        "HTTP/1.1 {status} \r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The metrics in the text format of Prometheus.
fn metrics(started: Duration) -> String {
    let answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
    let requests: String = answers
        .iter()
        .map(|(status, count)| format!("http_requests_total{{status=\"{status}\"}} {count}\n"))
        .collect();
    format!(
        "# HELP http_requests_total Answered requests by status.\n# TYPE http_requests_total counter\n{requests}\
         # HELP process_start_time_seconds When the program started, in seconds since 1970.\n\
         # TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {}\n",
        started.as_secs_f64()
    )
}
