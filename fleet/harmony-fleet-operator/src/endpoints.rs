//! `/healthz`, `/readyz` and `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::health::Health;
use crate::metrics::{self, Metrics};

/// Serves the endpoints. Does not return while the listener works.
pub async fn serve(listener: TcpListener, health: Health, metrics: Metrics) {
    let routes = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready).with_state(health))
        .route("/metrics", get(measured).with_state(metrics));
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!(%error, "the health endpoints ended");
    }
}

async fn ready(State(health): State<Health>) -> (StatusCode, String) {
    let missing = health.missing();
    if missing.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n")
    }
}

async fn measured(State(metrics): State<Metrics>) -> impl IntoResponse {
    let text = metrics.text().unwrap_or_default();
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}
