//! The last link: a test alert reaches a receiver.
//!
//! The alert is posted to Alertmanager with a label that routes it to this receiver only. Alertmanager counts the
//! requests that receivers accepted, and writes to its log why one did not.

use std::sync::Arc;
use std::time::Duration;

use harmony_core::capability::Prober;
use harmony_core::kubernetes::ObjectRef;
use harmony_core::verify::{CustomCheck, ProbeFailure};
use harmony_core::{async_trait, codes};
use harmony_types::Namespace;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::counters::sum;
use super::http::Client;
use super::links::NO_ALERTS;
use super::{Endpoints, Place};
use crate::scores::monitoring::receiver::{AlertReceiver, SecretValues};
use crate::scores::monitoring::{MonitoringScore, routes};

/// How long one try waits for the answer of the receiver.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(200);

/// How much of Alertmanager's log is searched.
const LOG_LINES: u16 = 200;

#[derive(Debug)]
pub(super) struct ReceiverAccepts {
    alertmanager: Place,
    workload: ObjectRef,
    score: String,
    namespace: Namespace,
    receiver: String,
    integration: &'static str,
    secrets: Arc<SecretValues>,
    is_changed: bool,
    /// A label that no earlier test alert has. Alertmanager would not send the same alert twice within hours.
    run: String,
    /// The counters before the test alert was sent.
    sent: Mutex<Option<Counters>>,
}

/// What Alertmanager counted for an integration since it started.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Counters {
    requests: f64,
    failed: f64,
}

impl ReceiverAccepts {
    pub(super) fn new(
        score: &MonitoringScore,
        endpoints: &Endpoints,
        secrets: &Arc<SecretValues>,
        receiver: &dyn AlertReceiver,
        is_changed: bool,
    ) -> Self {
        Self {
            alertmanager: endpoints.alertmanager.clone(),
            workload: endpoints.alertmanager_workload.clone(),
            score: score.name.to_string(),
            namespace: score.namespace.clone(),
            receiver: receiver.name().to_string(),
            integration: receiver.integration(),
            secrets: Arc::clone(secrets),
            is_changed,
            run: jiff::Timestamp::now().to_string(),
            sent: Mutex::new(None),
        }
    }

    fn alert(&self, is_over: bool) -> Value {
        let mut alert = json!({
            "labels": {
                "alertname": "HarmonyTest",
                routes::TEST_LABEL: self.receiver,
                "namespace": self.namespace.as_str(),
                "job": self.score,
                "severity": "info",
                "run": self.run,
            },
            "annotations": {
                "summary": format!(
                    "Test alert: the monitoring `{}` in namespace `{}` reaches this receiver. You do not have to do anything.",
                    self.score, self.namespace
                ),
            },
        });
        if is_over {
            alert["endsAt"] = jiff::Timestamp::now().to_string().into();
        }
        json!([alert])
    }

    async fn counters(&self, client: &Client) -> Result<Counters, ProbeFailure> {
        Ok(Counters::read(
            &client.text("/metrics").await?,
            self.integration,
        ))
    }

    /// Sends the test alert once, and returns the counters before it. `None` if none is needed.
    async fn send(&self, client: &Client) -> Result<Option<Counters>, ProbeFailure> {
        let mut sent = self.sent.lock().await;
        if let Some(before) = *sent {
            return Ok(Some(before));
        }
        let before = self.counters(client).await?;
        if !self.is_changed && before.accepted() > 0.0 {
            return Ok(None);
        }
        client.post("/api/v2/alerts", &self.alert(false)).await?;
        *sent = Some(before);
        Ok(Some(before))
    }

    /// The failure, with the last error in Alertmanager's log that is about this receiver.
    async fn refused(&self, prober: &dyn Prober) -> ProbeFailure {
        let log = prober.log(&self.workload, LOG_LINES).await;
        let details = match log {
            Ok(lines) => answer(&lines, &self.receiver)
                .map(|line| self.secrets.redact(line))
                .into_iter()
                .collect(),
            Err(failure) => vec![format!("the log of Alertmanager: {failure}")],
        };
        ProbeFailure::new(format!("the receiver `{}` did not accept the test alert", self.receiver))
            .with_details(details)
            .with_code(codes::MONITORING_RECEIVER)
            .with_hint("check the address and the credentials of the receiver, and that pods can connect to it")
    }
}

impl Counters {
    fn read(metrics: &str, integration: &str) -> Self {
        let label = format!("integration=\"{integration}\"");
        Self {
            requests: sum(metrics, "alertmanager_notification_requests_total", &label),
            failed: sum(
                metrics,
                "alertmanager_notification_requests_failed_total",
                &label,
            ),
        }
    }

    /// The requests that receivers accepted.
    fn accepted(self) -> f64 {
        self.requests - self.failed
    }

    /// What happened since `before`; `None` if nothing did.
    fn since(self, before: Self) -> Option<Verdict> {
        if self.accepted() > before.accepted() {
            Some(Verdict::Accepted)
        } else if self.failed > before.failed {
            Some(Verdict::Refused)
        } else {
            None
        }
    }
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Accepted,
    Refused,
}

/// The part of the log that says why a receiver did not accept an alert: its last `err="..."`.
fn answer<'a>(log: &'a [String], receiver: &str) -> Option<&'a str> {
    let marks = [format!("receiver={receiver} "), format!("{receiver}/")];
    let line = log.iter().rev().find(|line| {
        line.contains("err=") && marks.iter().any(|mark| line.contains(mark.as_str()))
    })?;
    let (_, error) = line.split_once("err=")?;
    Some(error.trim_matches('"'))
}

#[async_trait]
impl CustomCheck for ReceiverAccepts {
    fn describe(&self) -> String {
        format!("a test alert reaches the receiver `{}`", self.receiver)
    }

    async fn run(&self, prober: &dyn Prober, _: &Namespace) -> Result<(), ProbeFailure> {
        let connected = Client::connect(prober, &self.alertmanager).await;
        let client = connected.map_err(|failure| failure.with_code(NO_ALERTS))?;
        let Some(before) = self.send(&client).await? else {
            return Ok(());
        };
        let began = Instant::now();
        loop {
            match self.counters(&client).await?.since(before) {
                Some(Verdict::Accepted) => {
                    client.post("/api/v2/alerts", &self.alert(true)).await?;
                    return Ok(());
                }
                Some(Verdict::Refused) => return Err(self.refused(prober).await),
                None if began.elapsed() > PATIENCE => {
                    return Err(ProbeFailure::new(format!(
                        "the receiver `{}` has not answered yet",
                        self.receiver
                    ))
                    .with_code(codes::MONITORING_RECEIVER)
                    .with_hint("check that pods can connect to the address of the receiver"));
                }
                None => tokio::time::sleep(POLL).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(requests: f64, failed: f64) -> Counters {
        Counters { requests, failed }
    }

    #[test]
    fn only_an_accepted_request_proves_the_way() {
        let before = counters(3.0, 1.0);
        assert_eq!(before.since(before), None);
        assert_eq!(counters(4.0, 1.0).since(before), Some(Verdict::Accepted));
        assert_eq!(counters(4.0, 2.0).since(before), Some(Verdict::Refused));
        assert_eq!(counters(5.0, 2.0).since(before), Some(Verdict::Accepted));
    }

    #[test]
    fn the_counters_of_one_integration_are_read() {
        let metrics = "alertmanager_notification_requests_failed_total{integration=\"webhook\"} 1\n\
                       alertmanager_notification_requests_total{integration=\"email\"} 7\n\
                       alertmanager_notification_requests_total{integration=\"webhook\",receiver_name=\"x\"} 2\n";
        assert_eq!(Counters::read(metrics, "webhook"), counters(2.0, 1.0));
    }

    #[test]
    fn the_answer_of_a_receiver_is_found_in_the_log() {
        let log = [
            r#"ts=1 level=error component=dispatcher msg="Notify for alerts failed" num_alerts=1 err="other/email[0]: no""#,
            r#"ts=2 level=error component=dispatcher msg="Notify for alerts failed" num_alerts=1 err="hook/webhook[0]: notify retry canceled due to unrecoverable error after 1 attempts: unexpected status code 403: http://10.0.0.1/x: who are you""#,
            r#"ts=3 level=warn component=dispatcher receiver=slow integration=webhook[0] msg="Notify attempt failed, will retry later" attempts=1 err="connection refused""#,
            "ts=4 level=info",
        ]
        .map(str::to_owned);
        assert!(answer(&log, "hook").unwrap().ends_with("who are you"));
        assert_eq!(answer(&log, "slow"), Some("connection refused"));
        assert_eq!(answer(&log, "none"), None);
    }
}
