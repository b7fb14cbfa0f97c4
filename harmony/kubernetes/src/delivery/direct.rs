//! Delivery without a controller: the chart is rendered here, and its objects are applied from here.
//!
//! ```text
//! pull --> render --> label --> ask --> namespace --> list old + new --> apply --> remove what is old only --> list new
//! ```
//!
//! A delivery that is killed anywhere is continued by the next one: whatever may exist is listed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use harmony_core::Context;
use harmony_core::approval::NotApproved;
use harmony_core::capability::continuous_delivery::DeliveryError;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::oci_registry::{RegistryError, RegistryLocation};
use harmony_core::capability::{ContinuousDelivery, HelmRegistry, KubernetesCluster};
use harmony_core::chart::DeployTarget;
use harmony_core::diagnostic::{AnyDiagnostic, Diagnostic};
use harmony_core::kubernetes::{KubeObject, ObjectRef};
use harmony_core::outcome::{Action, Change, Subject};
use harmony_types::{ChartRef, Digest, Namespace};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::inventory::{Inventory, Owner, reason_to_keep};
use crate::apply::rank;
use crate::chart::{self, ChartError};

/// Pulls a chart, renders it, applies its objects and removes what an earlier version had and this one lacks.
///
/// Every object is labelled and listed in the ConfigMap `harmony-delivery-<chart>` of the target namespace. An object
/// that only the list has is removed when it still carries the label; definitions, namespaces and volume claims stay,
/// for data would go with them, and so does what has the annotation `helm.sh/resource-policy: keep`.
///
/// Clones share what was rendered last, so that waiting for a chart does not pull it again.
#[derive(Debug, Clone)]
pub struct DirectDelivery<C, R> {
    context: Context,
    cluster: C,
    registry: R,
    charts: RegistryLocation,
    rendered: Arc<Mutex<Option<Rendered>>>,
}

/// A chart as it is to be applied.
#[derive(Debug, Clone)]
struct Rendered {
    chart: ChartRef,
    target: DeployTarget,
    owner: Owner,
    digest: Digest,
    objects: Arc<[KubeObject]>,
}

impl<C, R> DirectDelivery<C, R> {
    /// Takes charts from `registry`, which serves what lies at `charts`, and applies them to `cluster`.
    pub fn new(context: Context, cluster: C, registry: R, charts: RegistryLocation) -> Self {
        Self {
            context,
            cluster,
            registry,
            charts,
            rendered: Arc::default(),
        }
    }
}

#[async_trait]
impl<C: KubernetesCluster, R: HelmRegistry> ContinuousDelivery for DirectDelivery<C, R> {
    fn charts(&self) -> &RegistryLocation {
        &self.charts
    }

    async fn sync_to(
        &self,
        chart: &ChartRef,
        target: &DeployTarget,
    ) -> Result<Vec<Change>, DeliveryError> {
        let rendered = match self.rendered(chart, target).await {
            Err(DeliveryError::Chart {
                source: RegistryError::NotFound { .. },
                ..
            }) if self.context.is_planning() => {
                // A step of the same run releases it, and that step was only planned.
                let note = "its objects are known once it is released";
                return Ok(vec![
                    Change::new(Action::Create, chart.clone()).with_note(note),
                ]);
            }
            rendered => rendered?,
        };
        let namespace = target.target_namespace();
        let owner = &rendered.owner;
        let wanted = Inventory::applied(chart.version(), &rendered.digest, &rendered.objects);
        let before = self.inventory(chart, owner, namespace).await?;
        let mut gone = before
            .as_ref()
            .map(|before| before.without(&wanted))
            .unwrap_or_default();
        self.approve_removal(&gone, owner).await?;
        let mut changes = self.ensure_namespace(namespace).await?;
        // A plan tells what the list will be in the end; a list that is right already is not touched.
        let is_settled = self.context.is_planning() || before.as_ref() == Some(&wanted);
        let during = if is_settled {
            wanted.clone()
        } else {
            wanted.applying_over(before.as_ref())
        };
        changes.extend(self.store(&during, owner, namespace).await?);
        changes.extend(self.cluster.apply(&rendered.objects).await?);
        // What works and receives traffic goes before what it needs.
        gone.sort_by_key(|object| std::cmp::Reverse(rank(object)));
        for object in gone {
            self.context.check_cancelled()?;
            changes.push(self.remove(&object, owner).await?);
        }
        if during != wanted {
            self.store(&wanted, owner, namespace).await?;
        }
        Ok(changes)
    }

    async fn wait_ready(
        &self,
        chart: &ChartRef,
        target: &DeployTarget,
        deadline: Duration,
    ) -> Result<(), DeliveryError> {
        if self.context.is_planning() {
            return Ok(());
        }
        let rendered = self.rendered(chart, target).await?;
        let references: Vec<ObjectRef> = rendered
            .objects
            .iter()
            .map(|object| object.reference().clone())
            .collect();
        Ok(self.cluster.wait_ready(&references, deadline).await?)
    }
}

impl<C: KubernetesCluster, R: HelmRegistry> DirectDelivery<C, R> {
    async fn rendered(
        &self,
        chart: &ChartRef,
        target: &DeployTarget,
    ) -> Result<Rendered, DeliveryError> {
        let mut last = self.rendered.lock().await;
        if let Some(last) = &*last
            && last.chart == *chart
            && last.target == *target
        {
            return Ok(last.clone());
        }
        let refuse = |error: ChartError| refused(chart, error);
        let owner = Owner::of(chart.name()).ok_or_else(|| DeliveryError::Render {
            chart: chart.clone(),
            reason: format!(
                "`{}` is no name that a label and an object can carry",
                chart.name()
            ),
            help: "give the chart a name of at most 63 letters, digits, `-` and `.`".into(),
        })?;
        let (namespace, values) = parts(chart, target)?;
        let pulled = self.registry.pull_chart(chart).await;
        let packaged = pulled.map_err(|source| DeliveryError::Chart {
            chart: chart.clone(),
            source,
        })?;
        let objects = chart::objects(&self.context, &packaged, values, namespace)
            .await
            .map_err(refuse)?;
        let labelled: Result<Vec<_>, _> = objects
            .into_iter()
            .map(|object| owner.label(object))
            .collect();
        let rendered = Rendered {
            chart: chart.clone(),
            target: target.clone(),
            owner,
            digest: packaged.archive_digest,
            objects: labelled.map_err(ClusterError::from)?.into(),
        };
        *last = Some(rendered.clone());
        Ok(rendered)
    }

    /// Creates a missing namespace, and touches no other: its labels may be another Score's.
    async fn ensure_namespace(&self, namespace: &Namespace) -> Result<Vec<Change>, DeliveryError> {
        let object = KubeObject::from_value(json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace.as_str() },
        }));
        let object = object.map_err(ClusterError::from)?;
        if self.cluster.get(object.reference()).await?.is_some() {
            return Ok(vec![Change::new(
                Action::Unchanged,
                object.reference().clone(),
            )]);
        }
        Ok(self.cluster.apply(std::slice::from_ref(&object)).await?)
    }

    /// What earlier deliveries left; `None` when this is the first.
    async fn inventory(
        &self,
        chart: &ChartRef,
        owner: &Owner,
        namespace: &Namespace,
    ) -> Result<Option<Inventory>, DeliveryError> {
        let reference = owner.config_map(namespace);
        let Some(stored) = self.cluster.get(&reference).await? else {
            return Ok(None);
        };
        // Taken for empty it would be overwritten, and what it lists would stay for ever.
        Inventory::read(&stored).map(Some).map_err(|problem| DeliveryError::Render {
            chart: chart.clone(),
            reason: format!("{reference}, the list of what is delivered, {problem}"),
            help: format!(
                "restore it, or delete it with `kubectl delete configmap --namespace {namespace} {}`: then objects that \
                 the chart no longer has stay, and carry the label `{}={}`",
                reference.name,
                super::DELIVERY_LABEL,
                chart.name(),
            ),
        })
    }

    async fn store(
        &self,
        inventory: &Inventory,
        owner: &Owner,
        namespace: &Namespace,
    ) -> Result<Vec<Change>, DeliveryError> {
        let object = inventory
            .stored(owner, namespace)
            .map_err(ClusterError::from)?;
        let changes = self.cluster.apply(std::slice::from_ref(&object)).await?;
        // What it lists is told by the other changes.
        let told = |change: Change| {
            change
                .with_fields(Vec::new())
                .with_note("the list of the chart's objects")
        };
        Ok(changes.into_iter().map(told).collect())
    }

    /// Asks whether what is no longer in the chart may go, before anything is written.
    async fn approve_removal(
        &self,
        gone: &[ObjectRef],
        owner: &Owner,
    ) -> Result<(), DeliveryError> {
        let mut deletions: Vec<Subject> = Vec::new();
        for object in gone {
            let found = self.cluster.get(object).await?;
            if found.is_some_and(|found| reason_to_keep(owner, &found).is_none()) {
                deletions.push(object.clone().into());
            }
        }
        let approved = self.context.approve_deletions(&deletions).await;
        approved.map_err(|refusal| match refusal {
            NotApproved::Cancelled(cancelled) => cancelled.into(),
            refusal => ClusterError::Adapter(AnyDiagnostic::new(refusal)).into(),
        })
    }

    async fn remove(&self, object: &ObjectRef, owner: &Owner) -> Result<Change, DeliveryError> {
        let Some(found) = self.cluster.get(object).await? else {
            return Ok(Change::new(Action::Unchanged, object.clone()).with_note("gone already"));
        };
        if let Some(reason) = reason_to_keep(owner, &found) {
            return Ok(Change::new(Action::Unchanged, object.clone()).with_note(reason));
        }
        let change = self.cluster.delete(object).await?;
        Ok(change.with_note("no longer in the chart"))
    }
}

fn parts<'a>(
    chart: &ChartRef,
    target: &'a DeployTarget,
) -> Result<(&'a Namespace, &'a BTreeMap<String, Value>), DeliveryError> {
    match target {
        DeployTarget::InCluster { namespace, values } => Ok((namespace, values)),
        other => Err(DeliveryError::Render {
            chart: chart.clone(),
            reason: format!("{other} is no namespace of a cluster"),
            help: "deliver to a namespace of the topology's cluster".into(),
        }),
    }
}

/// The error of the port, with all that the chart's own error tells.
fn refused(chart: &ChartRef, error: ChartError) -> DeliveryError {
    if let ChartError::Cancelled(cancelled) = error {
        return cancelled.into();
    }
    let mut reason = error.to_string();
    for line in error.evidence() {
        reason.push_str("\n  ");
        reason.push_str(&line);
    }
    DeliveryError::Render {
        chart: chart.clone(),
        reason,
        help: error.hints().join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::Place;
    use harmony_core::diagnostic::Report;

    fn report(error: ChartError) -> Report {
        let chart = "oci://registry.example.com/team/web:1.0.0".parse();
        Report::of(&refused(&chart.unwrap(), error))
    }

    #[test]
    fn a_chart_that_needs_helm_says_where_and_how_to_get_it() {
        let report = report(ChartError::Beyond {
            place: Place::line("templates/10-deployment-web.yaml", 12),
            what: "`{{ include \"web.labels\" . }}`".into(),
        });
        assert_eq!(report.code.to_string(), "H0330");
        assert_eq!(
            report.message,
            "cannot render the chart oci://registry.example.com/team/web:1.0.0: templates/10-deployment-web.yaml:12: \
             `{{ include \"web.labels\" . }}` is beyond what Harmony renders itself"
        );
        assert_eq!(
            report.hints,
            [
                "install helm and run the command again: `go install helm.sh/helm/v4/cmd/helm@v4.3.1`, or name it in HARMONY_HELM"
            ]
        );
    }

    #[test]
    fn what_helm_wrote_is_told_and_a_cancelled_run_is_no_refusal() {
        let complaint = "Error: no way".to_owned();
        let report_of_helm = report(ChartError::Helm {
            command: "helm template web".into(),
            problem: "failed (exit status: 1)".into(),
            output: vec![complaint.clone()],
        });
        assert!(report_of_helm.message.contains(&complaint));
        let cancelled = report(ChartError::Cancelled(harmony_core::context::Cancelled));
        assert_eq!(cancelled.code.to_string(), "H0001");
    }
}
