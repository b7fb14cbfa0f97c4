//! The tools of Prometheus and Alertmanager accept the files.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use harmony::scores::MonitoringScore;
use harmony::scores::monitoring::{
    AlertReceiver, AlertRule, DiscordReceiver, EmailReceiver, HttpAddress, MonitoringError,
    NtfyReceiver, ScrapeTarget, SecretKey, SecretValues, SlackReceiver, Timing, WebhookReceiver,
};
use harmony::types::ResourceName;
use serde_json::{Value, json};

fn key(secret: &str) -> SecretKey {
    SecretKey::new(secret.parse().unwrap(), "value")
}

/// A receiver of another crate.
#[derive(Debug)]
struct PagerDuty(ResourceName);

impl AlertReceiver for PagerDuty {
    fn name(&self) -> &ResourceName {
        &self.0
    }

    fn integration(&self) -> &'static str {
        "pagerduty"
    }

    fn secrets(&self) -> Vec<SecretKey> {
        vec![key("pager")]
    }

    fn alertmanager(&self, secrets: &SecretValues) -> Value {
        json!({ "routing_key": secrets.text(&key("pager")) })
    }

    fn alertmanager_config(&self) -> Value {
        json!({ "routingKey": key("pager").selector() })
    }
}

/// Every rule and every receiver.
fn score() -> MonitoringScore {
    let address = |text: &str| text.parse::<HttpAddress>().unwrap();
    let webhook = WebhookReceiver::new(address("http://10.0.0.1:8080/x"));
    let secret_webhook =
        WebhookReceiver::at_secret_url(key("teams")).named("teams".parse().unwrap());
    let ntfy = NtfyReceiver::new(&address("https://ntfy.sh"), "shop").unwrap();
    let email = EmailReceiver::new("mail.example.com:587", "a@example.com", "b@example.com");
    let namespace: harmony::types::Namespace = "shop".parse().unwrap();
    let target = ScrapeTarget::new("web".parse().unwrap(), namespace.clone(), 8080);
    MonitoringScore::new("web".parse().unwrap(), namespace)
        .scrape(target)
        .alert(AlertRule::target_down())
        .alert(AlertRule::restarts(3))
        .alert(AlertRule::error_rate(0.05))
        .alert(AlertRule::latency(Duration::from_millis(1500)))
        .alert(AlertRule::memory(1 << 30))
        .alert(AlertRule::raw(
            "Queue",
            "sum(queue_length) > 100".parse().unwrap(),
            "too long",
        ))
        .notify(webhook.with_token(key("hook")))
        .notify(secret_webhook)
        .notify(ntfy.with_token(key("push")))
        .notify(email.with_login("a", key("mail")))
        .notify(SlackReceiver::new(key("slack")))
        .notify(DiscordReceiver::new(key("discord")))
        .notify(PagerDuty("pager".parse().unwrap()))
        .with_timing(Timing {
            scrape: Duration::from_millis(500),
            group_wait: Duration::ZERO,
            ..Timing::default()
        })
}

fn accepts(tool: &str, args: &[&str], file: &Path) {
    let output = Command::new(tool).args(args).arg(file).output();
    let output = output.unwrap_or_else(|error| {
        panic!("`{tool}` of the Debian packages prometheus and prometheus-alertmanager: {error}")
    });
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(
        output.status.success(),
        "{tool}: {}",
        String::from_utf8_lossy(&said)
    );
}

#[test]
fn the_tools_of_prometheus_accept_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, text) in score().files() {
        let rules = at("rules.yml").display().to_string();
        std::fs::write(at(name), text.replace("/etc/prometheus/rules.yml", &rules)).unwrap();
    }
    accepts("promtool", &["check", "rules"], &at("rules.yml"));
    accepts("promtool", &["check", "config"], &at("prometheus.yml"));
    accepts("amtool", &["check-config"], &at("alertmanager.yml"));
}

#[tokio::test]
async fn a_broken_expression_is_found_before_anything_is_written() {
    score().check_rules().await.unwrap();
    let broken = AlertRule::raw("Bad", "rate(queue_length)".parse().unwrap(), "no range");
    let error = score().alert(broken).check_rules().await.unwrap_err();
    let MonitoringError::Rules { output, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(output.iter().any(|line| line.contains("Bad")), "{output:?}");
}
