//! The program of `examples/rust_webapp`, with monitoring that notices everything within seconds.

use std::path::Path;
use std::time::Duration;

use harmony::prelude::*;
use harmony::scores::monitoring::Timing;

use crate::alert_server::AlertServer;

/// The name of the app.
pub const APP: &str = "rust-webapp";

/// The app in a checkout.
///
/// # Errors
/// The package does not exist.
pub fn webapp(checkout: &Path) -> anyhow::Result<AppSpec> {
    Ok(AppSpec {
        project_root: checkout.to_path_buf(),
        ..AppSpec::rust(env!("CARGO_MANIFEST_DIR"), APP)?
    })
}

/// How the app serves, with its metrics at this path.
pub fn server(metrics: &str) -> HttpServer {
    HttpServer::on(8080)
        .with_health_path("/health")
        .with_metrics(metrics)
}

/// A receiver that is this server.
///
/// # Errors
/// None: its address is a valid URL.
pub fn webhook(receiver: &AlertServer) -> anyhow::Result<WebhookReceiver> {
    Ok(WebhookReceiver::new(receiver.url().parse()?))
}

/// Monitors the app, with this rule and this receiver.
pub fn monitoring(
    app: &AppSpec,
    target: &DeployTarget,
    server: &HttpServer,
    rule: AlertRule,
    receiver: WebhookReceiver,
) -> MonitoringScore {
    let second = Duration::from_secs(1);
    MonitoringScore::of(app, target)
        .scrape(server.target(&app.unit, &target.namespace))
        .alert(rule)
        .notify(receiver)
        .with_timing(Timing {
            scrape: second,
            group_wait: Duration::ZERO,
            group_interval: second,
            ..Timing::default()
        })
}
