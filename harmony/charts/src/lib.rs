//! Charts for Harmony: packages objects as a chart, and turns a chart with values into objects.
//!
//! ```text
//! directory, function --+
//! objects of a Score ---+--> Chart --pack--> .tgz --unpack--> Chart --+-- within the format --render--> objects
//!                                                                     +-- beyond it --`helm template`--^
//! ```
//!
//! The chart format (`docs/reference/chart-format.md`) is a small, closed part of Helm's language, chosen so that this
//! crate and `helm template` produce the same objects. It is written and read with the same types: a placeholder writes
//! itself into a template and parses itself back, the values of a chart are one mapping in both directions, and the
//! YAML writer asks the reader which strings need quotes.
//!
//! This crate must not know clusters, registries or releases. Only [`helm`] and [`objects()`] run programs; the rest is
//! pure, except for reading the files of a chart directory.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`yaml`] | YAML as Go's parser reads it: written, and read with line numbers |
//! | [`values`] | the values of a chart, and what a target overrides |
//! | `hole` | a placeholder: written, read, filled |
//! | `template` | objects with placeholders: written, and filled |
//! | [`chart`] | [`Chart`]: the files of a chart |
//! | [`archive`] | its `.tgz`: read with limits, written reproducibly |
//! | **from objects to a chart** | |
//! | [`source`] | start here: [`ChartSource`], the source of an app's chart, and packaging |
//! | [`model`] | [`ChartModel`]: the objects of a Score as a function of values |
//! | [`mod@derive`] | the chart of a model |
//! | `directory` | the chart of a directory: the files tracked by git and not excluded by `.helmignore`, with version and image |
//! | **from a chart to objects** | |
//! | [`mod@objects`] | start here: turns a packaged chart into objects |
//! | [`mod@render`] | the objects of a chart within the format |
//! | `scope` | which kinds are namespaced |
//! | [`hook`] | which objects run at a moment of a release |
//! | [`helm`] | runs the `helm` binary for charts outside of the format |
//! | [`objects_archive`] | the objects of a chart with its own values as an archive: written, and read |
//! | [`mod@release`] | the objects of a release that Helm installed |
//! | `refusal`, `lookup`, `stable` | what helm refuses; whether a chart reads the cluster; whether two renderings are equal |
//! | **third-party charts** | |
//! | [`remote`] | start here: [`RemoteChart`], a version of a chart in a registry or repository |
//! | [`index`] | the `index.yaml` of a repository |
//! | [`lock_file`] | `charts.lock`: the digests of third-party charts |
//! | **both** | |
//! | [`error`] | [`ChartError`]: a chart cannot be created; [`RenderError`]: a chart cannot be rendered |

pub mod archive;
pub mod chart;
pub mod derive;
mod directory;
pub mod error;
pub mod helm;
mod hole;
pub mod hook;
pub mod index;
pub mod lock_file;
mod lookup;
pub mod model;
pub mod objects;
pub mod objects_archive;
mod refusal;
pub mod release;
pub mod remote;
pub mod render;
mod scope;
pub mod source;
mod stable;
mod template;
pub mod values;
pub mod yaml;

pub use chart::{Chart, ChartContext, ChartMetadata, Template};
pub use derive::derive;
pub use error::{ChartError, Place, RenderError};
pub use hook::{DeletePolicy, Hook, HookEvent};
pub use model::ChartModel;
pub use objects::{nested, objects};
pub use objects_archive::{package_objects, read_objects};
pub use release::objects_of_release;
pub use remote::RemoteChart;
pub use render::{ChartObjects, render};
pub use source::{ChartBuilder, ChartSource, ObjectsModel, package};
pub use values::{ChartValue, ChartValues};

#[cfg(test)]
mod treacherous;
