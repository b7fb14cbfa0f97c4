//! A web app and its monitoring. The app is deployed first; then Prometheus watches it, and the server in
//! `ALERT_WEBHOOK` is told when it is down.

use harmony::prelude::*;

fn main() -> ExitCode {
    harmony::main(|| {
        let server = HttpServer::on(8080)
            .with_health_path("/health")
            .with_metrics("/metrics");
        let app = AppSpec::rust(env!("CARGO_MANIFEST_DIR"), "rust-webapp")?.serving(server.clone());
        let webhook = std::env::var("ALERT_WEBHOOK")
            .ok()
            .map(|url| url.parse())
            .transpose()?;
        let target = DeployTarget::namespace("rust-webapp".parse()?);
        Ok(App::of(app).to(target).monitored(move |app, target| {
            MonitoringScore::of(app, target)
                .scrape(server.target(&app.unit, &target.namespace))
                .alert(AlertRule::target_down())
                .alert(AlertRule::error_rate(0.05))
                .notify_all(webhook.clone().map(WebhookReceiver::new))
        }))
    })
}
