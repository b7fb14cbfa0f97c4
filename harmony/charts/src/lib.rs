//! Charts for Harmony: typed objects to a chart, and a chart with values to objects.
//!
//! ```text
//! directory, function --+
//! objects of a Score ---+--> Chart --pack--> .tgz --unpack--> Chart --+-- within the format --render--> objects
//!                                                                     +-- beyond it --`helm template`--^
//! ```
//!
//! The chart format (`docs/reference/chart-format.md`) is a small closed part of Helm's language, chosen so that this
//! crate and `helm template` give the same objects. It is written and read with the same types: a hole writes
//! itself into a template and reads itself back, the values of a chart are one mapping on both ways, and the writer of
//! YAML asks the reader which texts need quotes.
//!
//! It must not know: clusters, registries, releases. Only [`helm`] and [`objects()`] run something; the rest is pure, but
//! for the files of a chart's directory.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`yaml`] | YAML as Go's parser reads it: written, and read with line numbers |
//! | [`values`] | the values of a chart, and what a target puts in their place |
//! | `hole` | a hole: written, read, filled |
//! | `template` | objects with holes: written, and filled |
//! | [`chart`] | [`Chart`]: the files of a chart |
//! | [`archive`] | its `.tgz`: read with limits, written with the same bytes for the same chart |
//! | **to a chart** | |
//! | [`source`] | start here: [`ChartSource`], where an app's chart comes from, and its packaging |
//! | [`model`] | [`ChartModel`]: the objects of a Score as a function of values |
//! | [`mod@derive`] | the chart of a model |
//! | `directory` | the chart of a directory: what git tracks and `.helmignore` does not name, with version and image |
//! | **to objects** | |
//! | [`mod@objects`] | start here: from a packaged chart to objects, by whichever way fits it |
//! | [`mod@render`] | the objects of a chart within the format |
//! | `scope` | which kinds live in a namespace |
//! | [`hook`] | which objects run at a moment of a release |
//! | [`helm`] | runs the `helm` binary for charts beyond it |
//! | `stable` | whether two renderings are the same |
//! | **both** | |
//! | [`error`] | [`ChartError`]: a chart cannot be made; [`RenderError`]: it gives no objects |

pub mod archive;
pub mod chart;
pub mod derive;
mod directory;
pub mod error;
pub mod helm;
mod hole;
pub mod hook;
pub mod model;
pub mod objects;
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
pub use objects::objects;
pub use render::{ChartObjects, render};
pub use source::{ChartBuilder, ChartSource, package};
pub use values::{ChartValue, ChartValues};

#[cfg(test)]
mod treacherous;
