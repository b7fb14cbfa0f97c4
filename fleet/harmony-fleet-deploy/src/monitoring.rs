//! The monitoring of the fleet: of its operator, which knows the devices.

use std::time::Duration;

use harmony::release::AppSpec;
use harmony::scores::MonitoringScore;
use harmony::scores::monitoring::{
    AlertRule, Dashboard, HttpAddress, PromQl, ScrapeTarget, Severity, WebhookReceiver, images,
};
use harmony::types::Namespace;

use crate::{operator, place};

/// The name of the monitoring, and the first part of the names of its objects.
pub const NAME: &str = "fleet";

/// Scrapes the operator, raises alerts about it and about its devices, and sends them to a webhook if there is one.
pub fn monitoring(namespace: &Namespace, webhook: Option<HttpAddress>) -> MonitoringScore {
    let operator = ScrapeTarget {
        labels: place::labels(operator::NAME),
        ..ScrapeTarget::new(
            operator::NAME.parse().expect("a valid name"),
            namespace.clone(),
            operator::HEALTH_PORT,
        )
    };
    let score = MonitoringScore::new(NAME.parse().expect("a valid name"), namespace.clone())
        .scrape(operator)
        .alert(AlertRule::target_down())
        .alert(AlertRule::restarts(3));
    let score = rules(namespace)
        .into_iter()
        .fold(score, MonitoringScore::alert);
    score
        .dashboard(dashboard(namespace))
        .notify_all(webhook.map(WebhookReceiver::new))
}

/// The operator, with the images of Prometheus and Alertmanager among its bundled images.
#[must_use]
pub fn with_images(operator: AppSpec) -> AppSpec {
    let mut operator = operator;
    operator.bundled.extend(images::bundled());
    operator
}

/// The rules about what the operator knows. `docs/reference/fleet.md` documents the metrics.
fn rules(namespace: &Namespace) -> Vec<AlertRule> {
    let rule = |name: &str, expression: &str, minutes: u64, severity, summary: &str| {
        AlertRule::raw(name, query(namespace, expression), summary)
            .lasting(Duration::from_secs(minutes * 60))
            .with_severity(severity)
    };
    vec![
        rule(
            "FleetNatsDisconnected",
            "fleet_nats_connected{FLEET} == 0",
            2,
            Severity::Critical,
            "the operator is not connected to NATS: no device is heard",
        ),
        rule(
            "FleetOperatorErrors",
            "sum by (step) (increase(fleet_operator_errors_total{FLEET}[10m])) > 5",
            0,
            Severity::Warning,
            "the step {{ $labels.step }} of the operator fails again and again",
        ),
        rule(
            "FleetDevicesOffline",
            "fleet_devices{FLEET,state=\"offline\"} > 0",
            15,
            Severity::Warning,
            "{{ $value }} devices are offline",
        ),
        rule(
            "FleetDuplicateDevices",
            "fleet_duplicate_devices{FLEET} > 0",
            1,
            Severity::Warning,
            "{{ $value }} device ids are used by two running agents",
        ),
        rule(
            "FleetTwoOperators",
            "fleet_other_operators{FLEET} > 0",
            1,
            Severity::Critical,
            "two operators run for one tenant",
        ),
    ]
}

fn dashboard(namespace: &Namespace) -> Dashboard {
    let graph = |title, expression: &str| (title, query(namespace, expression));
    let graphs = [
        graph("Devices by state", "sum by (state) (fleet_devices{FLEET})"),
        graph("Heartbeat age (s)", "fleet_heartbeat_age_seconds{FLEET}"),
        graph(
            "Failed attempts",
            "sum by (step) (increase(fleet_operator_errors_total{FLEET}[5m]))",
        ),
        graph("Connected to NATS", "fleet_nats_connected{FLEET}"),
    ];
    Dashboard::of_graphs("fleet".parse().expect("a valid name"), "Fleet", graphs)
}

/// The expression about the operator of this namespace, which replaces `FLEET`.
fn query(namespace: &Namespace, expression: &str) -> PromQl {
    let labels = format!("job=\"{}\",namespace=\"{namespace}\"", operator::NAME);
    let expression = expression.replace("FLEET", &labels);
    expression.parse().expect("balanced brackets")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_about_the_operator_of_one_namespace() {
        let score = monitoring(&"fleet".parse().unwrap(), None);
        assert_eq!(score.rules.len(), 7);
        assert_eq!(
            query(
                &"fleet".parse().unwrap(),
                "fleet_devices{FLEET,state=\"offline\"} > 0"
            )
            .to_string(),
            r#"fleet_devices{job="harmony-fleet-operator",namespace="fleet",state="offline"} > 0"#
        );
        assert!(score.receivers.is_empty());
        let address = "http://10.0.0.1/x".parse().unwrap();
        assert_eq!(
            monitoring(&"fleet".parse().unwrap(), Some(address))
                .receivers
                .len(),
            1
        );
    }
}
