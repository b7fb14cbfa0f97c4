//! Charts: where they come from, and the archive that Helm reads.
//!
//! ```text
//! Path ------> directory --+
//! Builder -----------------+--> Chart --check: names image@digest--> package --> PackagedChart
//! FromScore -> derive -----+
//! ```
//!
//! The files are those of the chart format (`docs/reference/chart-format.md`): ordinary Helm charts, whose templates
//! use a small closed set of holes, so that Harmony can render them without Helm.

pub mod derive;
mod directory;
mod files;
mod hole;
mod ignore;
mod package;
mod values;
mod yaml;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harmony_core::chart::PackagedChart;
use harmony_core::codes;
use harmony_core::diagnostic::{BoxError, Diagnostic, FailureKind, Origin};
use harmony_core::kubernetes::{KubeObject, ObjectError};
use harmony_types::{ImageRef, Namespace, ReleaseUnit, Version};

pub use values::{ChartValue, ChartValues, ValuePath};
pub use yaml::to_yaml_for_go;

/// Where an app's chart comes from.
#[derive(Clone)]
pub enum ChartSource {
    /// There is none: the release is an image, for devices or as a part of another app.
    None,
    /// A chart's directory, relative to the project root. Its `values.yaml` has a line `image: ...`, which the release
    /// replaces by the image it published; `version` and `appVersion` of its `Chart.yaml` become the released version.
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

/// What a chart is made for.
#[derive(Debug, Clone, Copy)]
pub struct ChartContext<'a> {
    /// The name of chart and image.
    pub unit: &'a ReleaseUnit,
    /// The version of chart, image and app.
    pub version: &'a Version,
    /// The image by digest; the chart must name it.
    pub image: &'a ImageRef,
}

/// Says which objects a Score deploys, as a function of a few values that may differ from target to target.
///
/// The Score itself applies `objects(&values, image)`; the chart of the same app is derived from the same function, by
/// calling it with marked values and writing a hole wherever a mark comes out (see [`derive`]). So a value may be any
/// text and any number, and must come out as it went in: whole, or within a longer text.
pub trait ChartModel: Send + Sync {
    /// One sentence for people who look for a chart.
    fn description(&self) -> String;

    /// Every value with its default.
    ///
    /// # Errors
    /// [`ChartError::Value`].
    fn values(&self) -> Result<ChartValues, ChartError>;

    /// The objects, in the order in which they are applied. Those in the target namespace say so
    /// ([`ChartValues::namespace`]).
    ///
    /// # Errors
    /// [`ChartError::Object`] or [`ChartError::Builder`].
    fn objects(
        &self,
        values: &ChartValues,
        image: &ImageRef,
    ) -> Result<Vec<KubeObject>, ChartError>;
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

/// A chart before it is packaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// Every file by its path within the chart, `/` between folders; `Chart.yaml` is one of them.
    files: std::collections::BTreeMap<String, Vec<u8>>,
}

/// What a `Chart.yaml` says beside name and version, which are those of the release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChartMetadata {
    /// One sentence for people who look for a chart.
    pub description: String,
}

/// One file of `templates/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its path below `templates/`, such as `10-deployment-web.yaml`.
    pub path: String,
    /// Kubernetes objects with holes.
    pub text: String,
}

impl Chart {
    /// A chart of these parts, named and versioned as `context` says.
    ///
    /// # Errors
    /// [`ChartError::Yaml`].
    pub fn new(
        context: &ChartContext<'_>,
        metadata: &ChartMetadata,
        values: &ChartValues,
        templates: Vec<Template>,
    ) -> Result<Self, ChartError> {
        let mut chart_yaml = serde_json::json!({
            "apiVersion": "v2",
            "appVersion": context.version.to_string(),
            "name": context.unit.as_str(),
            "type": "application",
            "version": context.version.to_string(),
        });
        if !metadata.description.is_empty() {
            chart_yaml["description"] = metadata.description.clone().into();
        }
        let mut files = std::collections::BTreeMap::from([
            (
                "Chart.yaml".to_owned(),
                to_yaml_for_go(&chart_yaml)?.into_bytes(),
            ),
            (
                "values.yaml".to_owned(),
                to_yaml_for_go(&values.to_json())?.into_bytes(),
            ),
        ]);
        for template in templates {
            files.insert(
                format!("templates/{}", template.path),
                template.text.into_bytes(),
            );
        }
        Ok(Self { files })
    }

    /// The content of a file, by its path within the chart.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// Every file, by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_slice()))
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
    names_image(&chart, context)?;
    package::package(&chart, context, created).map(Some)
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
        ChartSource::FromScore(model) => derive::derive(&**model, context)?,
    }))
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

/// A chart that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// A field depends on a value in a way that no hole can express.
    #[error("the chart of {unit} cannot be derived: `{field}` of {object} {problem}")]
    NotDerivable {
        /// Whose chart.
        unit: Box<ReleaseUnit>,
        /// Which object.
        object: String,
        /// Which field.
        field: String,
        /// Why not.
        problem: String,
    },
    /// A value is not one.
    #[error("the chart value `{path}` {problem}")]
    Value {
        /// Its path, as it was written.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// An object would put a secret into a registry.
    #[error("the chart of {unit} would hold a secret: {object}")]
    Secret {
        /// Whose chart.
        unit: Box<ReleaseUnit>,
        /// Which object.
        object: String,
    },
    /// An object of the model is not one.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The app's own chart function failed.
    #[error("the chart of {unit} cannot be built")]
    Builder {
        /// Whose chart.
        unit: Box<ReleaseUnit>,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// A file of a chart's directory cannot be used.
    #[error("the chart's file `{}` {problem}", path.display())]
    File {
        /// Which file or directory.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// The way out.
        help: String,
        /// Why, where the system says so.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The chart names its image by tag, or not at all.
    #[error("the chart of {unit} does not name its image by digest")]
    ImageNotNamed {
        /// Whose chart.
        unit: Box<ReleaseUnit>,
    },
    /// A value has no YAML form.
    #[error("a part of the chart has no YAML form")]
    Yaml {
        /// Why.
        #[source]
        source: BoxError,
    },
    /// The archive could not be written.
    #[error("the chart cannot be packed")]
    Archive {
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Diagnostic for ChartError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::NotDerivable { .. } => Origin::Own(codes::CHART_NOT_DERIVABLE),
            Self::Value { .. } => Origin::Own(codes::CHART_VALUE),
            Self::Secret { .. } => Origin::Own(codes::CHART_SECRET),
            Self::File { .. } => Origin::Own(codes::CHART_FILE),
            Self::ImageNotNamed { .. } => Origin::Own(codes::CHART_IMAGE_UNPINNED),
            Self::Builder { .. } => Origin::Own(codes::CHART_FUNCTION),
            Self::Yaml { .. } | Self::Archive { .. } => Origin::Own(codes::CHART_NOT_PACKED),
            Self::Object(error) => Origin::Inner(error),
        }
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::NotDerivable { object, .. } | Self::Secret { object, .. } => Some(object.clone()),
            Self::File { path, .. } => Some(path.display().to_string()),
            _ => None,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NotDerivable { .. } => vec![
                "let the value come out as it went in, or leave it out of `values` and make it part of the model".into(),
            ],
            Self::Value { .. } => vec![
                "write a dotted path of names as in `nats.url`, each of letters, digits and `_`, and a text, a whole number or a boolean".into(),
            ],
            Self::Secret { .. } => vec![
                "a chart is stored in a registry: create the Secret apart from it, and name it in the chart".into(),
            ],
            Self::File { help, .. } => vec![help.clone()],
            Self::ImageNotNamed { .. } => vec![
                "write the image that the chart is given (`name@sha256:...`) where the workload names its image".into(),
            ],
            Self::Builder { .. } => vec!["fix the app's chart function".into()],
            Self::Object(_) | Self::Yaml { .. } | Self::Archive { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
