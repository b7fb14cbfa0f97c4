//! The configuration files of Prometheus and Alertmanager, as pure functions of the Score.
//!
//! They are written as JSON, which is YAML without its ambiguities.

use std::time::Duration;

use serde_json::{Value, json};

use super::names::{ALERTMANAGER, ALERTMANAGER_PORT, part_name};
use crate::scores::monitoring::receiver::SecretValues;
use crate::scores::monitoring::{AlertRule, MonitoringScore, ScrapeTarget, duration, routes};

/// The path of the rules in the pod.
pub(super) const RULES: &str = "/etc/prometheus/rules.yml";

/// Prometheus gives up on a scrape after this time, unless scrapes are more frequent.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

/// `prometheus.yml`.
pub(super) fn prometheus(score: &MonitoringScore) -> String {
    let interval = duration(score.timing.scrape);
    let alertmanager = format!(
        "{}.{}.svc:{ALERTMANAGER_PORT}",
        part_name(score, ALERTMANAGER),
        score.namespace
    );
    let scrape = |target: &ScrapeTarget| {
        json!({
            "job_name": target.name.as_str(),
            "metrics_path": target.path,
            "dns_sd_configs": [{
                "names": [format!("{}.{}.svc", target.service_name(), target.namespace)],
                "type": "A",
                "port": target.port,
                "refresh_interval": interval,
            }],
            "relabel_configs": [{ "target_label": "namespace", "replacement": target.namespace.as_str() }],
        })
    };
    pretty(&json!({
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": duration(score.timing.scrape.min(SCRAPE_TIMEOUT)),
            "evaluation_interval": interval,
        },
        "rule_files": [RULES],
        "alerting": { "alertmanagers": [{ "static_configs": [{ "targets": [alertmanager] }] }] },
        "scrape_configs": score.targets.iter().map(scrape).collect::<Vec<_>>(),
    }))
}

/// `rules.yml`.
pub(in crate::scores::monitoring) fn rules_file(score: &MonitoringScore) -> String {
    pretty(&json!({ "groups": groups(score) }))
}

/// The groups of rules, in the format that `rules.yml` and a `PrometheusRule` share.
pub(in crate::scores::monitoring) fn groups(score: &MonitoringScore) -> Vec<Value> {
    let groups = score.groups().into_iter();
    groups
        .map(|(name, rules)| {
            let rules = rules
                .iter()
                .map(|(each, expression)| rule(score, each, expression));
            json!({ "name": name, "rules": rules.collect::<Vec<_>>() })
        })
        .collect()
}

fn rule(score: &MonitoringScore, rule: &AlertRule, expression: &str) -> Value {
    json!({
        "alert": rule.name,
        "expr": expression,
        "for": duration(rule.lasting),
        "labels": {
            "severity": rule.severity.to_string(),
            // An Alertmanager of prometheus-operator sends alerts by this label.
            "namespace": score.namespace.as_str(),
        },
        "annotations": { "summary": rule.summary },
    })
}

/// `alertmanager.yml`. It contains secrets, and is stored in a Secret.
pub(super) fn alertmanager(score: &MonitoringScore, secrets: &SecretValues) -> String {
    let receivers = score.receivers.iter();
    let elements: Vec<_> = receivers
        .map(|receiver| receiver.alertmanager(secrets))
        .collect();
    pretty(&routes::for_alertmanager(score, &elements))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
