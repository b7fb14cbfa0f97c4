//! The links up to Alertmanager. What Prometheus says is judged by pure functions.

use harmony_core::capability::Prober;
use harmony_core::diagnostic::Code;
use harmony_core::verify::{CustomCheck, ProbeFailure};
use harmony_core::{async_trait, codes};
use harmony_types::Namespace;
use serde_json::Value;

use super::Place;
use super::http::Client;

/// Every pod of a target is scraped.
#[derive(Debug)]
pub(super) struct TargetIsScraped {
    pub(super) prometheus: Place,
    pub(super) job: String,
}

/// All groups of rules are loaded and can be evaluated.
#[derive(Debug)]
pub(super) struct RulesAreLoaded {
    pub(super) prometheus: Place,
    pub(super) groups: Vec<String>,
}

/// Prometheus has found an Alertmanager.
#[derive(Debug)]
pub(super) struct AlertmanagerIsKnown {
    pub(super) prometheus: Place,
}

/// The code of everything that keeps alerts from Alertmanager.
pub(super) const NO_ALERTS: Code = codes::MONITORING_ALERTS;

/// Connects to Prometheus. If that fails, nothing is known about the link.
async fn connect(
    prober: &dyn Prober,
    prometheus: &Place,
    link: Code,
) -> Result<Client, ProbeFailure> {
    Client::connect(prober, prometheus)
        .await
        .map_err(|failure| {
            let (namespace, service) = prometheus;
            ProbeFailure::new(format!(
                "Prometheus at `{}.{namespace}` cannot be asked: {failure}",
                service.service
            ))
            .with_details(failure.details)
            .with_code(link)
            .with_hint("check that Prometheus runs")
        })
}

#[async_trait]
impl CustomCheck for TargetIsScraped {
    fn describe(&self) -> String {
        format!("Prometheus scrapes `{}`", self.job)
    }

    async fn run(&self, prober: &dyn Prober, _: &Namespace) -> Result<(), ProbeFailure> {
        let client = connect(prober, &self.prometheus, codes::MONITORING_TARGET).await?;
        let data = client.query("/api/v1/targets?state=active").await?;
        judge_target(&data, &self.job)
    }
}

fn judge_target(data: &Value, job: &str) -> Result<(), ProbeFailure> {
    let fault = |seen: String| {
        ProbeFailure::new(seen)
            .with_code(codes::MONITORING_TARGET)
            .with_hint(format!(
                "check that the pods of `{job}` run, and that they serve metrics at the port and path of the target"
            ))
            .with_hint("if the cluster has network policies, let Prometheus connect to this port")
    };
    let pods = data["activeTargets"].as_array();
    let pods: Vec<_> = pods
        .into_iter()
        .flatten()
        .filter(|target| target["labels"]["job"] == job)
        .collect();
    if pods.is_empty() {
        return Err(fault(format!("Prometheus found no pods of `{job}`")));
    }
    let down = pods.iter().filter(|pod| pod["health"] != "up");
    let down: Vec<String> = down
        .map(|pod| {
            let text = |field: &str| pod[field].as_str().unwrap_or_default().to_owned();
            match text("lastError") {
                error if error.is_empty() => format!("{}: not scraped yet", text("scrapeUrl")),
                error => format!("{}: {error}", text("scrapeUrl")),
            }
        })
        .collect();
    if down.is_empty() {
        return Ok(());
    }
    let seen = format!(
        "{} of {} pods of `{job}` are not scraped",
        down.len(),
        pods.len()
    );
    Err(fault(seen).with_details(down))
}

#[async_trait]
impl CustomCheck for RulesAreLoaded {
    fn describe(&self) -> String {
        "Prometheus evaluates the alert rules".into()
    }

    async fn run(&self, prober: &dyn Prober, _: &Namespace) -> Result<(), ProbeFailure> {
        let client = connect(prober, &self.prometheus, codes::MONITORING_RULES).await?;
        let data = client.query("/api/v1/rules?type=alert").await?;
        judge_rules(&data, &self.groups)
    }
}

fn judge_rules(data: &Value, wanted: &[String]) -> Result<(), ProbeFailure> {
    let fault = |seen: String| ProbeFailure::new(seen).with_code(codes::MONITORING_RULES);
    let loaded = data["groups"].as_array();
    let loaded: Vec<_> = loaded.into_iter().flatten().collect();
    let mut broken = Vec::new();
    for name in wanted {
        let Some(group) = loaded.iter().find(|group| group["name"] == **name) else {
            return Err(
                fault(format!("the group of rules `{name}` is not loaded")).with_hint(
                    "read the log of Prometheus; with prometheus-operator, read its log too",
                ),
            );
        };
        for rule in group["rules"].as_array().into_iter().flatten() {
            let text = |field: &str| rule[field].as_str().unwrap_or_default();
            match text("health") {
                "ok" => {}
                "unknown" => broken.push(format!("{}: not evaluated yet", text("name"))),
                _ => broken.push(format!("{}: {}", text("name"), text("lastError"))),
            }
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    let seen = format!("{} rules cannot be evaluated", broken.len());
    let failure = fault(seen).with_details(broken);
    Err(failure.with_hint("fix the PromQL expressions of these rules"))
}

#[async_trait]
impl CustomCheck for AlertmanagerIsKnown {
    fn describe(&self) -> String {
        "Prometheus sends alerts to Alertmanager".into()
    }

    async fn run(&self, prober: &dyn Prober, _: &Namespace) -> Result<(), ProbeFailure> {
        let client = connect(prober, &self.prometheus, codes::MONITORING_ALERTS).await?;
        let data = client.query("/api/v1/alertmanagers").await?;
        let metrics = client.text("/metrics").await?;
        judge_alertmanager(&data, &metrics)
    }
}

fn judge_alertmanager(data: &Value, metrics: &str) -> Result<(), ProbeFailure> {
    let fault = |seen: &str| {
        ProbeFailure::new(seen)
            .with_code(codes::MONITORING_ALERTS)
            .with_hint("read the log of Prometheus")
    };
    let active = data["activeAlertmanagers"].as_array();
    if active.is_none_or(Vec::is_empty) {
        return Err(fault("Prometheus knows no Alertmanager"));
    }
    let errors = super::counters::sum(metrics, "prometheus_notifications_errors_total", "");
    let sent = super::counters::sum(metrics, "prometheus_notifications_sent_total", "");
    // Alerts may have been sent in vain while Alertmanager started.
    if errors > 0.0 && errors >= sent {
        return Err(fault("Prometheus cannot send alerts to Alertmanager"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_target_is_scraped_when_all_of_its_pods_are() {
        let pod = |job: &str, health: &str, error: &str| json!({ "labels": { "job": job }, "health": health, "lastError": error, "scrapeUrl": "http://10.0.0.1:80/metrics" });
        let judge = |pods: Vec<Value>| judge_target(&json!({ "activeTargets": pods }), "shop");
        assert_eq!(
            judge(vec![pod("shop", "up", ""), pod("other", "down", "x")]),
            Ok(())
        );
        let none = judge(vec![pod("other", "up", "")]).unwrap_err();
        assert_eq!(none.seen, "Prometheus found no pods of `shop`");
        assert_eq!(none.code, Some(codes::MONITORING_TARGET));
        let refused = "connection refused";
        let down = judge(vec![pod("shop", "up", ""), pod("shop", "down", refused)]).unwrap_err();
        assert_eq!(down.seen, "1 of 2 pods of `shop` are not scraped");
        assert_eq!(
            down.details,
            ["http://10.0.0.1:80/metrics: connection refused"]
        );
        let young = judge(vec![pod("shop", "unknown", "")]).unwrap_err();
        assert!(young.details[0].ends_with("not scraped yet"), "{young:?}");
    }

    #[test]
    fn rules_count_when_prometheus_can_evaluate_them() {
        let groups = |health: &str| {
            json!({ "groups": [{ "name": "shop", "rules": [
                { "name": "TargetDown", "health": health, "lastError": "bad expression" },
            ] }] })
        };
        let wanted = ["shop".to_owned()];
        assert_eq!(judge_rules(&groups("ok"), &wanted), Ok(()));
        let broken = judge_rules(&groups("err"), &wanted).unwrap_err();
        assert_eq!(broken.details, ["TargetDown: bad expression"]);
        assert_eq!(broken.code, Some(codes::MONITORING_RULES));
        let missing = judge_rules(&json!({ "groups": [] }), &wanted).unwrap_err();
        assert_eq!(missing.seen, "the group of rules `shop` is not loaded");
    }

    #[test]
    fn an_alertmanager_must_be_known_and_reachable() {
        let known = json!({ "activeAlertmanagers": [{ "url": "http://a:9093/api/v2/alerts" }] });
        let metrics = |errors: u8, sent: u8| {
            format!(
                "prometheus_notifications_errors_total{{alertmanager=\"a\"}} {errors}\n\
                 prometheus_notifications_sent_total{{alertmanager=\"a\"}} {sent}\n"
            )
        };
        assert_eq!(judge_alertmanager(&known, &metrics(0, 0)), Ok(()));
        assert_eq!(judge_alertmanager(&known, &metrics(1, 5)), Ok(()));
        assert!(judge_alertmanager(&known, &metrics(2, 2)).is_err());
        let none = json!({ "activeAlertmanagers": [] });
        let failure = judge_alertmanager(&none, "").unwrap_err();
        assert_eq!(failure.code, Some(codes::MONITORING_ALERTS));
    }
}
