//! Pulls a chart and renders it for a target, the same for every delivery.

use harmony_charts::{ChartObjects, RenderError};
use harmony_core::Context;
use harmony_core::capability::continuous_delivery::{Delivered, DeliveryError};
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::capability::{HelmRegistry, KubernetesCluster};
use harmony_core::chart::DeployTarget;
use harmony_core::diagnostic::AnyDiagnostic;
use harmony_core::outcome::{Action, Change};
use harmony_types::{ChartRef, Digest};

use super::inventory::DeliveryName;

/// A chart as the target will have it.
pub(super) struct Rendered {
    pub(super) name: DeliveryName,
    pub(super) digest: Digest,
    pub(super) chart: ChartObjects,
}

/// Pulls the chart, and renders it with the values of the target and the properties of the cluster.
///
/// # Errors
/// [`DeliveryError::Chart`], [`DeliveryError::Render`] or [`DeliveryError::UnfitName`]. Nothing was written.
pub(super) async fn render(
    context: &Context,
    cluster: &impl KubernetesCluster,
    registry: &impl HelmRegistry,
    chart: &ChartRef,
    target: &DeployTarget,
) -> Result<Rendered, DeliveryError> {
    let name = DeliveryName::of(chart.name().as_str()).ok_or_else(|| DeliveryError::UnfitName {
        chart: chart.clone(),
    })?;
    let pulled = registry.pull_chart(chart).await;
    let packaged = pulled.map_err(|source| DeliveryError::Chart {
        chart: chart.clone(),
        source,
    })?;
    let known = cluster.capabilities().await?;
    let DeployTarget {
        namespace, values, ..
    } = target;
    let rendered =
        harmony_charts::objects(context, &packaged, values, namespace, known.as_ref()).await;
    Ok(Rendered {
        name,
        digest: packaged.archive_digest,
        chart: rendered.map_err(|error| refused(chart, error))?,
    })
}

/// What a plan can say about a chart that an earlier step of the same plan releases; the error for anything else.
pub(super) fn not_yet_released(
    context: &Context,
    chart: &ChartRef,
    error: DeliveryError,
) -> Result<Delivered, DeliveryError> {
    match error {
        DeliveryError::Chart {
            source: RegistryError::NotFound { .. },
            ..
        } if context.is_planning() => {
            let note = "its objects are known after the release";
            let change = Change::new(Action::Create, chart.clone()).with_note(note);
            Ok(Delivered {
                changes: vec![change],
                ..Delivered::default()
            })
        }
        error => Err(error),
    }
}

/// The error for a chart that cannot be rendered.
pub(super) fn refused(chart: &ChartRef, error: RenderError) -> DeliveryError {
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
