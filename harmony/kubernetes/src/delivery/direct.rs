//! Delivery without a controller: renders the chart and applies its objects from here.
//!
//! ```text
//! pull --> render --> install
//! ```

use std::time::Duration;

use async_trait::async_trait;
use harmony_charts::{ChartObjects, RenderError};
use harmony_core::Context;
use harmony_core::capability::continuous_delivery::{Delivered, DeliveryError};
use harmony_core::capability::oci_registry::{RegistryError, RegistryLocation};
use harmony_core::capability::{ContinuousDelivery, HelmRegistry, KubernetesCluster};
use harmony_core::chart::DeployTarget;
use harmony_core::diagnostic::AnyDiagnostic;
use harmony_core::outcome::{Action, Change};
use harmony_core::owner::Owner;
use harmony_types::{ChartRef, Digest};

use super::install::{Installation, settle};

/// Pulls a chart, renders it, applies its objects, and prunes objects that only an earlier version had: see
/// [`Installation`].
#[derive(Debug, Clone)]
pub struct DirectDelivery<C, R> {
    context: Context,
    cluster: C,
    registry: R,
    charts: RegistryLocation,
}

impl<C, R> DirectDelivery<C, R> {
    /// Pulls charts from `registry`, below the location `charts`, and applies them to `cluster`.
    pub fn new(context: Context, cluster: C, registry: R, charts: RegistryLocation) -> Self {
        Self {
            context,
            cluster,
            registry,
            charts,
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
    ) -> Result<Delivered, DeliveryError> {
        let owner = Owner::delivery(chart.name(), target.target_namespace());
        let installation = Installation::new(&self.context, &self.cluster, &owner);
        let installation = installation.ok_or_else(|| DeliveryError::UnfitName {
            chart: chart.clone(),
        })?;
        let (digest, objects) = match self.render(chart, target).await {
            Err(DeliveryError::Chart {
                source: RegistryError::NotFound { .. },
                ..
            }) if self.context.is_planning() => {
                // A step of the same run releases it, and that step was only planned.
                let note = "its objects are known after the release";
                let change = Change::new(Action::Create, chart.clone()).with_note(note);
                return Ok(Delivered {
                    changes: vec![change],
                    ..Delivered::default()
                });
            }
            rendered => rendered?,
        };
        installation.apply(chart.version(), &digest, objects).await
    }

    async fn wait_ready(
        &self,
        delivered: &Delivered,
        deadline: Duration,
    ) -> Result<(), DeliveryError> {
        Ok(settle(&self.context, &self.cluster, delivered, deadline).await?)
    }
}

impl<C: KubernetesCluster, R: HelmRegistry> DirectDelivery<C, R> {
    /// The objects of the chart, and the digest of its archive.
    async fn render(
        &self,
        chart: &ChartRef,
        target: &DeployTarget,
    ) -> Result<(Digest, ChartObjects), DeliveryError> {
        let DeployTarget {
            namespace, values, ..
        } = target;
        let pulled = self.registry.pull_chart(chart).await;
        let packaged = pulled.map_err(|source| DeliveryError::Chart {
            chart: chart.clone(),
            source,
        })?;
        let known = self.cluster.capabilities().await?;
        let objects =
            harmony_charts::objects(&self.context, &packaged, values, namespace, known.as_ref())
                .await
                .map_err(|error| refused(chart, error))?;
        Ok((packaged.archive_digest, objects))
    }
}

fn refused(chart: &ChartRef, error: RenderError) -> DeliveryError {
    match error {
        RenderError::Cancelled(cancelled) => cancelled.into(),
        error => DeliveryError::Render {
            chart: chart.clone(),
            source: AnyDiagnostic::new(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harmony_charts::Place;
    use harmony_core::diagnostic::Report;

    fn report(error: RenderError) -> Report {
        let chart = "oci://registry.example.com/team/web:1.0.0".parse();
        Report::of(&refused(&chart.unwrap(), error))
    }

    #[test]
    fn a_chart_that_needs_helm_says_where_and_how_to_get_it() {
        let report = report(RenderError::Beyond {
            place: Place::line("templates/10-deployment-web.yaml", 12),
            what: "`{{ include \"web.labels\" . }}`".into(),
        });
        assert_eq!(report.code.to_string(), "H0330");
        assert_eq!(
            report.message,
            "cannot render the chart oci://registry.example.com/team/web:1.0.0"
        );
        assert_eq!(
            report.causes,
            [
                "templates/10-deployment-web.yaml:12: Harmony cannot render `{{ include \"web.labels\" . }}` without helm"
            ]
        );
        assert_eq!(
            report.place.as_deref(),
            Some("templates/10-deployment-web.yaml:12")
        );
        assert_eq!(
            report.hints,
            [
                "install helm and run the command again: `go install helm.sh/helm/v4/cmd/helm@v4.3.1`, or set HARMONY_HELM to its path"
            ]
        );
    }

    #[test]
    fn what_helm_wrote_is_told_and_a_cancelled_run_is_no_refusal() {
        let complaint = "Error: no way".to_owned();
        let report_of_helm = report(RenderError::Helm {
            command: "helm template web".into(),
            problem: "failed (exit status: 1)".into(),
            output: vec![complaint.clone()],
        });
        assert_eq!(report_of_helm.evidence, [complaint]);
        let cancelled = report(RenderError::Cancelled(harmony_core::context::Cancelled));
        assert_eq!(cancelled.code.to_string(), "H0001");
    }
}
