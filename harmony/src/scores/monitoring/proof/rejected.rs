//! prometheus-operator rejects resources that it cannot use, and says so only in an Event.

use std::sync::Arc;

use harmony_core::capability::Prober;
use harmony_core::kubernetes::ObjectRef;
use harmony_core::verify::{CustomCheck, ProbeFailure};
use harmony_core::{async_trait, codes};
use harmony_types::Namespace;

use crate::scores::monitoring::receiver::SecretValues;

/// A check of something that needs these resources. If it fails, a rejected resource is the reason.
#[derive(Debug)]
pub(super) struct Needing<C> {
    pub(super) check: C,
    pub(super) resources: Vec<ObjectRef>,
    /// The operator repeats a value that it does not accept.
    pub(super) secrets: Arc<SecretValues>,
}

#[async_trait]
impl<C: CustomCheck> CustomCheck for Needing<C> {
    fn describe(&self) -> String {
        self.check.describe()
    }

    // An Event alone does not prove anything: the operator does not take it back when a Secret was corrected.
    async fn run(&self, prober: &dyn Prober, namespace: &Namespace) -> Result<(), ProbeFailure> {
        let Err(failure) = self.check.run(prober, namespace).await else {
            return Ok(());
        };
        for resource in &self.resources {
            // Without permission to read Events, the failure itself is all that is known.
            let warnings = prober.warnings(resource).await.unwrap_or_default();
            if let Some(reason) = reason(&warnings) {
                return Err(rejected(resource, &self.secrets.redact(reason), &failure));
            }
        }
        Err(failure)
    }
}

/// The reason for a rejection, which the operator writes as `NAME was rejected due to invalid configuration: REASON`.
fn reason(warnings: &[String]) -> Option<&str> {
    warnings.iter().find_map(|warning| {
        let (_, reason) = warning.split_once("was rejected due to invalid configuration: ")?;
        Some(reason)
    })
}

fn rejected(resource: &ObjectRef, reason: &str, failure: &ProbeFailure) -> ProbeFailure {
    ProbeFailure::new(format!("prometheus-operator rejected {resource}"))
        .with_details(vec![reason.to_owned(), failure.seen.clone()])
        .with_code(codes::MONITORING_REJECTED)
        .with_hint("fix the value that the operator complains about, often that of a Secret, and deploy again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_the_operator_says() {
        let warnings = [
            "something else".to_owned(),
            "AlertmanagerConfig web was rejected due to invalid configuration: failed to parse URL"
                .to_owned(),
        ];
        assert_eq!(reason(&warnings), Some("failed to parse URL"));
        assert_eq!(reason(&warnings[..1]), None);
    }
}
