//! Requests to Prometheus and Alertmanager through a tunnel.

use std::time::Duration;

use harmony_core::capability::Prober;
use harmony_core::capability::prober::Tunnel;
use harmony_core::diagnostic::causes;
use harmony_core::verify::ProbeFailure;
use serde_json::Value;

use super::Place;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to a place, closed on drop.
pub(super) struct Client {
    tunnel: Tunnel,
    http: reqwest::Client,
}

impl Client {
    pub(super) async fn connect(prober: &dyn Prober, place: &Place) -> Result<Self, ProbeFailure> {
        let (namespace, service) = place;
        let tunnel = prober
            .connect(namespace, service)
            .await
            .map_err(|error| seen(&error))?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| seen(&error))?;
        Ok(Self { tunnel, http })
    }

    /// The `data` of an answer of Prometheus.
    pub(super) async fn query(&self, path: &str) -> Result<Value, ProbeFailure> {
        let text = self.text(path).await?;
        let mut answer: Value = serde_json::from_str(&text).map_err(|error| seen(&error))?;
        Ok(answer["data"].take())
    }

    pub(super) async fn text(&self, path: &str) -> Result<String, ProbeFailure> {
        let request = self.http.get(self.url(path));
        let text = async { request.send().await?.error_for_status()?.text().await };
        text.await.map_err(|error| seen(&error))
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<(), ProbeFailure> {
        let request = self.http.post(self.url(path)).json(body);
        let answer = request.send().await.map_err(|error| seen(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let body = answer.text().await.unwrap_or_default();
        Err(ProbeFailure::new(format!("status {status}")).with_details(vec![body]))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.tunnel.address())
    }
}

fn seen(error: &(dyn std::error::Error + 'static)) -> ProbeFailure {
    ProbeFailure::new(error.to_string()).with_details(causes(error))
}
