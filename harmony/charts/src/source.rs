//! The source of an app's chart.
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

/// The source of an app's chart.
#[derive(Clone)]
pub enum ChartSource {
    /// There is no chart: the release is an image, for devices or as part of another app.
    None,
    /// The directory of a chart, relative to the project root. The release writes the published image to `image` in
    /// `values.yaml`, which is a string or a mapping of `registry`, `repository`, `tag` and `digest`, and the released
    /// version to `version` and `appVersion` in `Chart.yaml`.
    Path(PathBuf),
    /// A function of the released version and image.
    Builder(Arc<dyn ChartBuilder>),
    /// The objects that a Score deploys. The chart is generated from them, so the two cannot differ.
    FromScore(Arc<dyn ChartModel>),
}

impl ChartSource {
    pub fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// A chart that is created by `builder`.
    pub fn builder(builder: impl ChartBuilder + 'static) -> Self {
        Self::Builder(Arc::new(builder))
    }

    /// A chart that is generated from the objects for a namespace and an image: a [`ChartModel`] without values.
    pub fn from_objects<F>(description: impl Into<String>, objects: F) -> Self
    where
        F: Fn(&Namespace, &ImageRef) -> Result<Vec<KubeObject>, ObjectError>
            + Send
            + Sync
            + 'static,
    {
        Self::from_score(ObjectsModel::new(description, objects))
    }

    /// A chart that is generated from the objects of `model`.
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

/// Creates a chart. Any function from a [`ChartContext`] to a [`Chart`] implements it.
///
/// It is also called with other images and versions, so the result must depend only on the argument.
pub trait ChartBuilder: Send + Sync {
    ///
    /// # Errors
    /// [`ChartError::Builder`] with the reason.
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

/// The [`ChartModel`] of objects that depend on the namespace and the image only: a chart without values.
pub struct ObjectsModel<F> {
    description: String,
    objects: F,
}

impl<F> ObjectsModel<F>
where
    F: Fn(&Namespace, &ImageRef) -> Result<Vec<KubeObject>, ObjectError> + Send + Sync,
{
    /// Generates a chart from the result of `objects`.
    pub fn new(description: impl Into<String>, objects: F) -> Self {
        Self {
            description: description.into(),
            objects,
        }
    }
}

impl<F> ChartModel for ObjectsModel<F>
where
    F: Fn(&Namespace, &ImageRef) -> Result<Vec<KubeObject>, ObjectError> + Send + Sync,
{
    fn description(&self) -> String {
        self.description.clone()
    }

    fn values(&self) -> Result<ChartValues, ChartError> {
        Ok(ChartValues::new("default".parse().expect("a valid name")))
    }

    fn objects(
        &self,
        values: &ChartValues,
        image: &ImageRef,
    ) -> Result<Vec<KubeObject>, ChartError> {
        Ok((self.objects)(values.namespace(), image)?)
    }
}

/// Creates and packages the chart of `source` for `context`; `None` if there is none. The same arguments give the same
/// bytes.
///
/// `created` is the modification time of all files, in seconds since 1970.
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

/// A chart with another name could not be found by the name of its unit.
fn names_unit(chart: &Chart, context: &ChartContext<'_>) -> Result<(), ChartError> {
    if chart.name() == context.unit.as_str() {
        return Ok(());
    }
    Err(ChartError::File {
        path: "Chart.yaml".into(),
        problem: format!("contains the chart name `{}`", chart.name()),
        help: format!("give the chart the name of its unit, `{}`", context.unit),
        source: None,
    })
}

/// A chart that refers to its image only by tag, or to another image, would deploy something other than the release.
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
