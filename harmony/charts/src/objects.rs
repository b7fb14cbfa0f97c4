//! Turns a packaged chart into objects.

use std::collections::BTreeMap;

use harmony_core::Context;
use harmony_core::chart::PackagedChart;
use harmony_core::kubernetes::ClusterCapabilities;
use harmony_types::Namespace;
use serde_json::Value;

use crate::chart::Chart;
use crate::error::RenderError;
use crate::helm::{Helm, HelmChart, Lookups};
use crate::render::{self, ChartObjects};
use crate::values::Values;

/// The objects of a packaged chart for a namespace, with `values` (by dotted path) instead of its own.
///
/// A chart beyond the format is rendered with the `helm` binary. If `helm` is not installed, the error says what is
/// beyond the format, and how to install `helm`.
///
/// # Errors
/// See [`RenderError`].
pub async fn objects(
    context: &Context,
    chart: &PackagedChart,
    values: &BTreeMap<String, Value>,
    namespace: &Namespace,
    cluster: Option<&ClusterCapabilities>,
) -> Result<ChartObjects, RenderError> {
    let files = Chart::from_archive(&chart.archive)?;
    let beyond = match render::render_for(&files, values, namespace, cluster) {
        Err(beyond @ RenderError::Beyond { .. }) => beyond,
        rendered => return rendered.map(ChartObjects::without_hooks),
    };
    let Some(helm) = Helm::find() else {
        return Err(beyond);
    };
    let release = HelmChart {
        release: chart.name.to_string(),
        archive: chart.archive.clone(),
        values: Values::of_target(values)?.into_json(),
        namespace: namespace.clone(),
        lookups: Lookups::Empty,
    };
    helm.template(context, &release, cluster).await
}

/// The values of a target (by dotted path) as nested mappings, in the form of a Helm `-f` file.
///
/// # Errors
/// [`RenderError::Value`] when one path leads through another's value.
pub fn nested(values: &BTreeMap<String, Value>) -> Result<Value, RenderError> {
    Ok(Values::of_target(values)?.into_json())
}
