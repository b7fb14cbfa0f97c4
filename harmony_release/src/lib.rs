//! Releases: from a git tag to an image and a chart in a registry, and on to where they run.
//!
//! An [`AppSpec`] says what an app is; the topology says who builds, stores and delivers. The two Scores join them:
//!
//! ```text
//! tag --from_tag--> AppSpec + version --ReleaseScore--> image, then chart (names image@digest), then record
//!                                      --DeployScore---> chart delivered, current revision serves, smoke checks pass
//! ```
//!
//! Order of a release: everything is checked (tag, version of the crate, work tree, a trial of the chart, the registry
//! answers) before anything is built; the image is published before the chart that names it, which the types
//! guarantee: packaging a chart takes a [`PinnedImage`], and only publishing an image gives one.
//!
//! **What this crate must not know**: any builder, registry client, cluster client, or how to print. It speaks to the
//! capabilities of `harmony_core` and returns values.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`app_spec`] | [`AppSpec`]: start here |
//! | [`command`] | `--release --from-tag TAG`: [`ReleaseArgs`], [`from_tag`], [`release`] |
//! | [`release_score`], [`deploy_score`] | [`ReleaseScore`], [`DeployScore`] |
//! | [`local_release_score`] | [`LocalReleaseScore`]: the inner loop, from the work tree as it is |
//! | [`publish`] | [`publish_image`]: build and push one image, also without a release |
//! | [`chart`] | where charts come from, and their packaging; [`chart::derive`] makes one of a Score's objects |
//! | [`check`], [`source`], [`crate_version`] | what is checked before a build: version, work tree, tag |
//! | [`record`] | [`ReleaseRecord`](record::ReleaseRecord): what was released, as data |
//! | [`error`] | [`ReleaseError`] |

pub mod app_spec;
pub mod chart;
pub mod check;
pub mod command;
pub mod crate_version;
pub mod deploy_score;
pub mod error;
pub mod local_release_score;
pub mod publish;
pub mod record;
pub mod release_score;
pub mod source;

pub use app_spec::{AppSpec, VersionSource};
pub use chart::{Chart, ChartBuilder, ChartModel, ChartSource, ChartValues};
pub use command::{ReleaseArgs, from_tag, release};
pub use deploy_score::DeployScore;
pub use error::ReleaseError;
pub use local_release_score::LocalReleaseScore;
pub use publish::{PinnedImage, PublishedImage, publish_image};
pub use release_score::{ReleaseScore, TaggedReleaseScore};
