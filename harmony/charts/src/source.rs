//! Where an app's chart comes from.
//!
//! ```text
//! Path ------> directory --+
//! Builder -----------------+--> Chart --check: names image@digest--> archive --> PackagedChart
//! FromScore -> derive -----+
//! ```

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harmony_core::chart::PackagedChart;
use harmony_core::kubernetes::{KubeObject, ObjectError};
use harmony_types::{ImageRef, Namespace};

use crate::chart::{Chart, ChartContext};
use crate::derive::derive;
use crate::directory;
use crate::error::ChartError;
use crate::model::ChartModel;
use crate::values::ChartValues;

/// Where an app's chart comes from.
#[derive(Clone)]
pub enum ChartSource {
    /// There is none: the release is an image, for devices or as a part of another app.
    None,
    /// A chart's directory, relative to the project root. The release writes the image that it published where the
    /// `values.yaml` has `image`, a text or a mapping of `registry`, `repository`, `tag` and `digest`; `version` and
    /// `appVersion` of the `Chart.yaml` become the released version.
    Path(PathBuf),
    /// A function of the released version and image.
    Builder(Arc<dyn ChartBuilder>),
    /// The objects that a Score deploys: the chart is derived from them and can never say anything else.
    FromScore(Arc<dyn ChartModel>),
}

impl ChartSource {
    /// Whether there is a chart.
    pub fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// A chart that `builder` makes.
    pub fn builder(builder: impl ChartBuilder + 'static) -> Self {
        Self::Builder(Arc::new(builder))
    }

    /// A chart derived from what `objects` gives for a namespace and an image: a [`ChartModel`] without values.
    pub fn from_objects<F>(description: impl Into<String>, objects: F) -> Self
    where
        F: Fn(&Namespace, &ImageRef) -> Result<Vec<KubeObject>, ObjectError>
            + Send
            + Sync
            + 'static,
    {
        Self::from_score(ObjectsModel {
            description: description.into(),
            objects,
        })
    }

    /// A chart derived from the objects of `model`.
    pub fn from_score(model: impl ChartModel + 'static) -> Self {
        Self::FromScore(Arc::new(model))
    }
}

impl fmt::Debug for ChartSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Path(path) => f.debug_tuple("Path").field(path).finish(),
            Self::Builder(_) => f.write_str("Builder(..)"),
            Self::FromScore(_) => f.write_str("FromScore(..)"),
        }
    }
}

/// Makes a chart; any function from a [`ChartContext`] to a [`Chart`] is one.
///
/// It is called with other images and versions too, so it must only depend on its argument.
pub trait ChartBuilder: Send + Sync {
    /// The chart.
    ///
    /// # Errors
    /// [`ChartError::Builder`] with what stands in the way.
    fn build(&self, context: &ChartContext<'_>) -> Result<Chart, ChartError>;
}

impl<F> ChartBuilder for F
where
    F: Fn(&ChartContext<'_>) -> Result<Chart, ChartError> + Send + Sync,
{
    fn build(&self, context: &ChartContext<'_>) -> Result<Chart, ChartError> {
        self(context)
    }
}

/// See [`ChartSource::from_objects`].
struct ObjectsModel<F> {
    description: String,
    objects: F,
}

impl<F> ChartModel for ObjectsModel<F>
where
    F: Fn(&Namespace, &ImageRef) -> Result<Vec<KubeObject>, ObjectError> + Send + Sync,
{
    fn description(&self) -> String {
        self.description.clone()
    }

    fn values(&self) -> Result<ChartValues, ChartError> {
        Ok(ChartValues::new("default".parse().expect("a legal name")))
    }

    fn objects(
        &self,
        values: &ChartValues,
        image: &ImageRef,
    ) -> Result<Vec<KubeObject>, ChartError> {
        Ok((self.objects)(values.namespace(), image)?)
    }
}

/// Makes and packages the chart that `source` gives for `context`; `None` where there is none. The same arguments give the
/// same bytes.
///
/// `created` dates every file, in seconds since 1970.
///
/// # Errors
/// See [`ChartError`].
pub fn package(
    source: &ChartSource,
    project_root: &Path,
    context: &ChartContext<'_>,
    created: i64,
) -> Result<Option<PackagedChart>, ChartError> {
    let Some(chart) = make(source, project_root, context)? else {
        return Ok(None);
    };
    names_unit(&chart, context)?;
    names_image(&chart, context)?;
    chart.pack(context.version, created).map(Some)
}

fn make(
    source: &ChartSource,
    project_root: &Path,
    context: &ChartContext<'_>,
) -> Result<Option<Chart>, ChartError> {
    Ok(Some(match source {
        ChartSource::None => return Ok(None),
        ChartSource::Path(path) => directory::read(&project_root.join(path), context)?,
        ChartSource::Builder(builder) => builder.build(context)?,
        ChartSource::FromScore(model) => derive(&**model, context)?,
    }))
}

/// A chart of another name could not be found again under the name of its unit.
fn names_unit(chart: &Chart, context: &ChartContext<'_>) -> Result<(), ChartError> {
    if chart.name() == context.unit.as_str() {
        return Ok(());
    }
    Err(ChartError::File {
        path: "Chart.yaml".into(),
        problem: format!("names the chart `{}`", chart.name()),
        help: format!("give the chart the name of its unit, `{}`", context.unit),
        source: None,
    })
}

/// A chart that names its image by tag alone, or another image, would deploy something else than was released.
fn names_image(chart: &Chart, context: &ChartContext<'_>) -> Result<(), ChartError> {
    let named = context.image.digest().is_some_and(|digest| {
        let digest = digest.as_str().as_bytes();
        let names = |content: &[u8]| content.windows(digest.len()).any(|window| window == digest);
        chart.files().any(|(_, content)| names(content))
    });
    if named {
        return Ok(());
    }
    Err(ChartError::ImageNotNamed {
        unit: Box::new(context.unit.clone()),
    })
}

#[cfg(test)]
mod tests;
