//! Charts in, objects out.
//!
//! ```text
//! .tgz --archive--> ChartFiles --+-- within the chart format: values, holes, render ----------> Vec<KubeObject>
//!                                +-- beyond it: `helm template`, then its output through yaml --^
//! ```
//!
//! The chart format (`docs/reference/chart-format.md`) is a small closed part of Helm's language, chosen so that this
//! module and `helm template` give the same objects. Everything but [`helm`] and [`objects`] is pure.
//!
//! | module | its step |
//! | --- | --- |
//! | [`archive`] | reads the `.tgz`, with limits |
//! | [`values`] | `values.yaml`, and what replaces it |
//! | `hole` | fills the holes of a template |
//! | `yaml` | reads YAML as Go does, with line numbers |
//! | `scope` | which kinds live in a namespace |
//! | [`mod@render`] | all of these in order |
//! | [`helm`] | runs the `helm` binary |
//! | [`error`] | what can be wrong with a chart |

pub mod archive;
pub mod error;
pub mod helm;
mod hole;
pub mod render;
mod scope;
mod stable;
pub mod values;
mod yaml;

use std::collections::BTreeMap;

use harmony_core::Context;
use harmony_core::chart::PackagedChart;
use harmony_core::kubernetes::{ClusterCapabilities, KubeObject};
use harmony_types::{ChartName, Namespace};
use serde_json::Value;

pub use archive::ChartFiles;
pub use error::{ChartError, Place};
pub use render::render;

use helm::{Helm, HelmChart, HelmSource};

/// The objects of a packaged chart for that namespace, with `values` (by dotted path) in place of its own.
///
/// A chart beyond the format goes through the `helm` binary; when there is none, the error is the one that says what is
/// beyond the format, and how to get `helm`.
///
/// # Errors
/// See [`ChartError`].
pub async fn objects(
    context: &Context,
    chart: &PackagedChart,
    values: &BTreeMap<String, Value>,
    namespace: &Namespace,
    cluster: Option<&ClusterCapabilities>,
) -> Result<Vec<KubeObject>, ChartError> {
    let files = ChartFiles::from_archive(&chart.archive)?;
    let beyond = match render::render_for(&files, values, namespace, cluster) {
        Err(beyond @ ChartError::Beyond { .. }) => beyond,
        rendered => return rendered,
    };
    let Some(helm) = Helm::find() else {
        return Err(beyond);
    };
    // The name was written by whoever published the chart.
    let name = ChartName::parse(&chart.name).map_err(|error| ChartError::Archive {
        problem: format!("has a name that is not one of a chart: {error}"),
    })?;
    let release = HelmChart {
        release: name.to_string(),
        source: HelmSource::Archive(chart.archive.clone()),
        values: values::nested(values)?,
        namespace: namespace.clone(),
    };
    helm.template(context, &release, cluster).await
}
