//! The checks: from the target to the receiver, one link after the other, so that the error names the broken one.
//!
//! ```text
//! target --scraped--> Prometheus --rules loaded--> --connected--> Alertmanager --test alert--> receiver
//! ```

mod counters;
mod http;
mod links;
mod receiver;
mod rejected;

use std::sync::Arc;

use harmony_core::kubernetes::ObjectRef;
use harmony_core::verify::{Checks, ServicePort, SmokeCheck};
use harmony_types::Namespace;

use super::MonitoringScore;
use super::receiver::SecretValues;

/// Where Prometheus and Alertmanager answer.
#[derive(Debug, Clone)]
pub(super) struct Endpoints {
    pub(super) prometheus: Place,
    pub(super) alertmanager: Place,
    /// The workload whose log has the answers of receivers.
    pub(super) alertmanager_workload: ObjectRef,
}

/// A port of a Service in a namespace.
pub(super) type Place = (Namespace, ServicePort);

/// All checks, in the order of the links. A test alert is sent only if `is_changed`, or if Alertmanager has not told a
/// receiver anything since it started. `resources` are those for prometheus-operator, if it is the provider.
pub(super) fn checks(
    score: &MonitoringScore,
    endpoints: &Endpoints,
    secrets: &Arc<SecretValues>,
    is_changed: bool,
    resources: &[ObjectRef],
) -> Checks {
    let mut all: Vec<SmokeCheck> = Vec::new();
    for target in &score.targets {
        let check = links::TargetIsScraped {
            prometheus: endpoints.prometheus.clone(),
            job: target.name.to_string(),
        };
        all.push(needing(check, "ServiceMonitor", resources, secrets));
    }
    let groups: Vec<_> = score.groups().into_iter().map(|(name, _)| name).collect();
    if !groups.is_empty() {
        let check = links::RulesAreLoaded {
            prometheus: endpoints.prometheus.clone(),
            groups,
        };
        all.push(needing(check, "PrometheusRule", resources, secrets));
    }
    if !score.receivers.is_empty() {
        all.push(custom(links::AlertmanagerIsKnown {
            prometheus: endpoints.prometheus.clone(),
        }));
    }
    for receiver in &score.receivers {
        let check =
            receiver::ReceiverAccepts::new(score, endpoints, secrets, &**receiver, is_changed);
        all.push(needing(check, "AlertmanagerConfig", resources, secrets));
    }
    let mut all = all.into_iter();
    match all.next() {
        Some(first) => all.fold(Checks::first(first), Checks::and),
        None => Checks::readiness_alone(),
    }
}

/// A check that cannot pass if prometheus-operator rejects the resources of this kind.
fn needing(
    check: impl harmony_core::verify::CustomCheck + 'static,
    kind: &str,
    resources: &[ObjectRef],
    secrets: &Arc<SecretValues>,
) -> SmokeCheck {
    let needed = resources.iter().filter(|one| one.kind == kind).cloned();
    custom(rejected::Needing {
        check,
        resources: needed.collect(),
        secrets: Arc::clone(secrets),
    })
}

fn custom(check: impl harmony_core::verify::CustomCheck + 'static) -> SmokeCheck {
    SmokeCheck::Custom(Arc::new(check))
}
