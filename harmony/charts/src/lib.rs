//! Charts for Harmony: typed objects to a chart, and a chart with values to objects.
//!
//! ```text
//! objects of a Score, a function, a directory --write--> Chart --> .tgz
//! .tgz --archive--> ChartFiles --+-- within the chart format: values, holes, render ----------> Vec<KubeObject>
//!                                +-- beyond it: `helm template`, then its output through yaml --^
//! ```
//!
//! The chart format (`docs/reference/chart-format.md`) is a small closed part of Helm's language, chosen so that this
//! crate and `helm template` give the same objects. Everything but [`helm`] and [`objects()`] is pure.
//!
//! It must not know: clusters, registries, Scores, releases.
//!
//! | module | its step |
//! | --- | --- |
//! | [`write`] | where charts come from, and their packaging; [`write::derive`] makes one of a Score's objects |
//! | [`mod@objects`] | start here for the other way: from a packaged chart to objects |
//! | [`archive`] | reads the `.tgz`, with limits |
//! | [`values`] | `values.yaml`, and what replaces it |
//! | `hole` | fills the holes of a template |
//! | `yaml` | reads YAML as Go does, with line numbers |
//! | `scope` | which kinds live in a namespace |
//! | [`mod@render`] | all of these in order |
//! | [`helm`] | runs the `helm` binary |
//! | `stable` | whether two renderings are the same |
//! | [`error`] | what can be wrong with a chart |

pub mod archive;
pub mod error;
pub mod helm;
mod hole;
pub mod objects;
pub mod render;
mod scope;
mod stable;
pub mod values;
pub mod write;
mod yaml;

pub use archive::ChartFiles;
pub use error::{Place, RenderError};
pub use objects::objects;
pub use render::render;
