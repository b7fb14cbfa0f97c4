//! A chart repository on this machine: an `index.yaml` and archives.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

/// A repository at `/stable` of a port of its own, until the process ends.
#[derive(Clone)]
pub(crate) struct Repository {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Name, version, digest in the index, archive.
    charts: Vec<(String, String, String, Vec<u8>)>,
    requests: usize,
}

impl Repository {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let repository = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::default(),
        };
        let serving = repository.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.answer(connection));
            }
        });
        repository
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/stable", self.port)
    }

    pub(crate) fn publish(&self, name: &str, version: &str, archive: Vec<u8>) {
        let digest = crate::stage::sha256(&archive).replace("sha256:", "");
        let chart = (name.to_owned(), version.to_owned(), digest, archive);
        self.state.lock().unwrap().charts.push(chart);
    }

    /// Changes the archive, but not the index.
    pub(crate) fn damage(&self, name: &str, version: &str) {
        let mut state = self.state.lock().unwrap();
        for chart in &mut state.charts {
            if chart.0 == name && chart.1 == version {
                chart.3.push(0);
            }
        }
    }

    /// How many requests it has answered.
    pub(crate) fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    fn answer(&self, mut connection: std::net::TcpStream) {
        let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
        let Some(Ok(request)) = lines.next() else {
            return;
        };
        while lines
            .next()
            .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
        {}
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let body = self.file(&path);
        let status = if body.is_some() {
            "200 OK"
        } else {
            "404 Not Found"
        };
        let body = body.unwrap_or_default();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        // A client that asked for TLS is gone already.
        let _ = connection
            .write_all(head.as_bytes())
            .and_then(|()| connection.write_all(&body));
    }

    fn file(&self, path: &str) -> Option<Vec<u8>> {
        let mut state = self.state.lock().unwrap();
        let path = path.strip_prefix("/stable/")?;
        state.requests += 1;
        if path == "index.yaml" {
            let mut entries: BTreeMap<&str, Vec<serde_json::Value>> = BTreeMap::new();
            for (name, version, digest, _) in &state.charts {
                entries.entry(name).or_default().push(json!({
                    "name": name, "version": version, "digest": digest, "urls": [format!("charts/{name}-{version}.tgz")],
                }));
            }
            return Some(
                json!({ "apiVersion": "v1", "entries": entries })
                    .to_string()
                    .into_bytes(),
            );
        }
        let file = path.strip_prefix("charts/")?;
        let found = state
            .charts
            .iter()
            .find(|(name, version, ..)| file == format!("{name}-{version}.tgz"));
        found.map(|(.., archive)| archive.clone())
    }
}

/// A chart's archive, as `helm package` makes it.
pub(crate) fn archive(name: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, text) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, format!("{name}/{path}"), text.as_bytes())
            .unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}
