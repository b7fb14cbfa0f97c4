//! Monitoring for an app: what to scrape, when to raise an alert, and whom to tell.
//!
//! [`MonitoringScore`] is a regular Score next to the Score of the app. Where the cluster has prometheus-operator, it
//! creates that operator's resources; elsewhere it runs Prometheus and Alertmanager itself. A deploy succeeds only after
//! every target is scraped, every rule is loaded, and a test alert has reached every receiver.
//!
//! ```text
//! ScrapeTarget --Prometheus--> AlertRule --Alertmanager--> AlertReceiver
//!   (pods)          |              (condition)                (webhook, e-mail, ...)
//!                   +-- Dashboard (a ConfigMap for Grafana)
//! ```
//!
//! | module | contents |
//! | --- | --- |
//! | `target`, `rule`, `receiver`, `dashboard` | the parts of the Score |
//! | [`receivers`] | webhook, e-mail, Slack, Discord, ntfy |
//! | [`images`], `with_images` | the images of Prometheus and Alertmanager, from Debian's packages |
//! | `secrets` | the Secrets of receivers |
//! | `provider` | which monitoring a cluster has |
//! | `plain` | Prometheus and Alertmanager run by this Score |
//! | `operator` | the resources of prometheus-operator |
//! | `routes` | which receiver gets which alert, for both |
//! | `proof` | the checks |
//! | `promtool` | rules are checked with `promtool` |

mod dashboard;
mod error;
pub mod images;
mod operator;
mod plain;
mod promtool;
mod proof;
mod provider;
mod receiver;
pub mod receivers;
mod routes;
mod rule;
mod secrets;
mod target;
mod with_images;
mod workload;

pub use dashboard::{Dashboard, DashboardError};
pub use error::MonitoringError;
pub use images::MonitoringImages;
pub use provider::ProviderChoice;
pub use receiver::{AlertReceiver, SecretKey, SecretValues};
pub use receivers::{
    DiscordReceiver, EmailReceiver, HttpAddress, NtfyReceiver, SlackReceiver, WebhookReceiver,
};
pub use rule::{AlertRule, Condition, MetricName, PromQl, QueryError, Severity};
pub use target::ScrapeTarget;
pub use with_images::WithMonitoringImages;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use harmony_core::capability::{KubernetesCluster, Prober};
use harmony_core::chart::DeployTarget;
use harmony_core::verify::verified;
use harmony_core::{Interpret, Score, Topology};
use harmony_release::AppSpec;
use harmony_types::{Namespace, ResourceName};

use super::storage::Storage;

/// Monitors targets, raises alerts, and sends them to receivers. See the [module](self).
#[derive(Debug, Clone)]
pub struct MonitoringScore {
    /// The first part of the names of all objects.
    pub name: ResourceName,
    /// The namespace of Prometheus, Alertmanager and the Secrets of the receivers; created if it does not exist.
    pub namespace: Namespace,
    /// What to scrape.
    pub targets: Vec<ScrapeTarget>,
    /// When to raise an alert. Each rule applies to each target.
    pub rules: Vec<AlertRule>,
    /// Whom to tell. Every receiver gets every alert.
    pub receivers: Vec<Arc<dyn AlertReceiver>>,
    /// Dashboards for a Grafana that reads ConfigMaps with the label `grafana_dashboard`.
    pub dashboards: Vec<Dashboard>,
    /// Who runs Prometheus and Alertmanager.
    pub provider: ProviderChoice,
    /// The images, if this Score runs Prometheus and Alertmanager.
    pub images: Option<MonitoringImages>,
    /// The Secret with the credentials for a private registry.
    pub pull_secret: Option<ResourceName>,
    /// Where metrics and silences are kept.
    pub storage: Storage,
    /// How long metrics are kept.
    pub retention: Duration,
    /// How often targets are scraped, and how soon receivers are told.
    pub timing: Timing,
    /// The pods of the namespace that may read metrics from Prometheus, by their labels, such as those of Grafana.
    pub readers: Vec<BTreeMap<String, String>>,
    /// The time limit for becoming ready.
    pub deadline: Duration,
    /// The time limit for each check. Prometheus needs a scrape or two, and prometheus-operator loads a new
    /// configuration only after a minute.
    pub check_deadline: Duration,
}

/// How often targets are scraped, and how soon receivers are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// The time between two scrapes of a target, and between two evaluations of the rules.
    pub scrape: Duration,
    /// How long Alertmanager waits for further alerts before it tells receivers about the first one.
    pub group_wait: Duration,
    /// The time between two messages about the same group of alerts.
    pub group_interval: Duration,
    /// The time after which receivers are told again about an alert that is still raised.
    pub repeat: Duration,
}

impl Default for Timing {
    /// Every 15 seconds; receivers are told after 10 seconds, about changes after a minute, and again after 4 hours.
    fn default() -> Self {
        Self {
            scrape: Duration::from_secs(15),
            group_wait: Duration::from_secs(10),
            group_interval: Duration::from_secs(60),
            repeat: Duration::from_secs(4 * 60 * 60),
        }
    }
}

/// The storage of metrics, unless the Score sets another one.
const VOLUME_SIZE: &str = "10Gi";
const RETENTION: Duration = Duration::from_secs(15 * 24 * 60 * 60);
const READY: Duration = Duration::from_secs(120);
const CHECKS: Duration = Duration::from_secs(180);

impl MonitoringScore {
    /// Monitors nothing yet. Metrics are kept in a volume for 15 days.
    pub fn new(name: ResourceName, namespace: Namespace) -> Self {
        Self {
            name,
            namespace,
            targets: Vec::new(),
            rules: Vec::new(),
            receivers: Vec::new(),
            dashboards: Vec::new(),
            provider: ProviderChoice::Detect,
            images: None,
            pull_secret: None,
            storage: Storage::Volume {
                size: VOLUME_SIZE.into(),
                class: None,
            },
            retention: RETENTION,
            timing: Timing::default(),
            readers: Vec::new(),
            deadline: READY,
            check_deadline: CHECKS,
        }
    }

    /// The monitoring of an app in the namespace of a target.
    pub fn of(app: &AppSpec, target: &DeployTarget) -> Self {
        Self::new((&app.unit).into(), target.namespace.clone())
    }

    /// Adds a target.
    #[must_use]
    pub fn scrape(mut self, target: ScrapeTarget) -> Self {
        self.targets.push(target);
        self
    }

    /// Adds a rule.
    #[must_use]
    pub fn alert(mut self, rule: AlertRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Adds a receiver.
    #[must_use]
    pub fn notify(mut self, receiver: impl AlertReceiver + 'static) -> Self {
        self.receivers.push(Arc::new(receiver));
        self
    }

    /// Adds all of these receivers, such as an `Option` of one.
    #[must_use]
    pub fn notify_all<R: AlertReceiver + 'static>(
        self,
        receivers: impl IntoIterator<Item = R>,
    ) -> Self {
        receivers.into_iter().fold(self, Self::notify)
    }

    /// Adds a dashboard.
    #[must_use]
    pub fn dashboard(mut self, dashboard: Dashboard) -> Self {
        self.dashboards.push(dashboard);
        self
    }

    /// Sets the images.
    #[must_use]
    pub fn with_images(self, images: MonitoringImages) -> Self {
        Self {
            images: Some(images),
            ..self
        }
    }

    /// Sets where metrics are kept.
    #[must_use]
    pub fn with_storage(self, storage: Storage) -> Self {
        Self { storage, ..self }
    }

    /// Sets how often targets are scraped, and how soon receivers are told.
    #[must_use]
    pub fn with_timing(self, timing: Timing) -> Self {
        Self { timing, ..self }
    }

    /// The configuration files of Prometheus and Alertmanager as this Score would write them, without secrets:
    /// `prometheus.yml`, `rules.yml`, `alertmanager.yml`.
    pub fn files(&self) -> [(&'static str, String); 3] {
        plain::files(self)
    }

    /// Checks the rules with `promtool`, if it is on `PATH`. A deploy does this before it changes anything.
    ///
    /// # Errors
    /// [`MonitoringError::Rules`].
    pub async fn check_rules(&self) -> Result<(), MonitoringError> {
        promtool::check(self).await
    }

    /// The name for display: with the namespace, because staging and production have the same monitoring.
    fn display_name(&self) -> String {
        format!("monitoring-{}@{}", self.name, self.namespace)
    }

    /// The groups of rules: one for each target, and one for those that are not about a target.
    fn groups(&self) -> Vec<(String, Vec<(&AlertRule, String)>)> {
        let is_raw = |rule: &&AlertRule| matches!(rule.condition, Condition::Raw(_));
        let mut groups: Vec<_> = self
            .targets
            .iter()
            .map(|target| {
                let rules = self.rules.iter().filter(|rule| !is_raw(rule));
                let rules =
                    rules.map(|rule| (rule, rule.condition.expression(target.name.as_str())));
                (format!("{}-{}", self.name, target.name), rules.collect())
            })
            .collect();
        let raw = self.rules.iter().filter(is_raw);
        let raw = raw.map(|rule| (rule, rule.condition.expression("")));
        groups.push((self.name.to_string(), raw.collect::<Vec<_>>()));
        groups.retain(|(_, rules)| !rules.is_empty());
        groups
    }

    /// Everything that is wrong with the description.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.targets.is_empty() {
            faults.push("it has no target: add one with `scrape`".to_owned());
        }
        let mut seen = BTreeSet::new();
        for target in &self.targets {
            if !seen.insert(&target.name) {
                faults.push(format!("two targets have the name `{}`", target.name));
            }
            if !target.path.starts_with('/') {
                faults.push(format!(
                    "the path `{}` of target `{}` does not start with `/`",
                    target.path, target.name
                ));
            }
            if target.labels.is_empty() {
                faults.push(format!(
                    "target `{}` has no labels for its pods",
                    target.name
                ));
            }
        }
        let mut seen = BTreeSet::new();
        for receiver in &self.receivers {
            if !seen.insert(receiver.name()) {
                faults.push(format!("two receivers have the name `{}`", receiver.name()));
            }
            if receiver.name().as_str() == routes::NOBODY {
                faults.push(format!(
                    "a receiver cannot have the name `{}`",
                    routes::NOBODY
                ));
            }
        }
        for rule in &self.rules {
            if rule.name.trim().is_empty() {
                faults.push(format!("the rule `{}` has no name", rule.summary));
            }
        }
        let Timing {
            scrape,
            group_interval,
            repeat,
            ..
        } = self.timing;
        for (name, value) in [
            ("scrape", scrape),
            ("group_interval", group_interval),
            ("repeat", repeat),
        ] {
            if value < Duration::from_millis(1) {
                faults.push(format!("the time `{name}` is zero"));
            }
        }
        faults
    }
}

impl<T: Topology + KubernetesCluster + Prober> Score<T> for MonitoringScore {
    fn name(&self) -> String {
        self.display_name()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        verified(self.clone())
    }
}

/// A duration as Prometheus, Alertmanager and prometheus-operator read it: `90s`, `1500ms`.
fn duration(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

#[cfg(test)]
mod tests;
