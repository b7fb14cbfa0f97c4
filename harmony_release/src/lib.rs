//! Releases: from a git tag to an image and a chart in a registry, and on to where they run.
//!
//! An [`AppSpec`] says what an app is; the topology says who builds, stores and delivers. Scores join them:
//!
//! ```text
//! tag --from_tag--> AppSpec + version --ReleaseScore--> image, then chart (names image@digest), then record
//!                                                                                                     |
//!                    DeployScore: chart delivered, current revision serves, smoke checks pass <--Released
//!                                                                                             <--WorkTree
//! ```
//!
//! Order of a release: everything is checked (tag, version of the crate, work tree, a trial of the chart, the registry
//! answers) before anything is built; the image is published before the chart that names it, which the types
//! guarantee: packaging a chart takes a [`PinnedImage`], and only publishing an image gives one. The record comes last.
//! A deploy goes by the record alone, without the sources.
//!
//! A work tree is not released. [`WorkTree`] publishes it under a version of its content, to topologies that take it.
//!
//! **What this crate must not know**: any builder, registry client, cluster client, or how to print. It speaks to the
//! capabilities of `harmony_core` and returns values.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`app_spec`] | [`AppSpec`]: start here |
//! | [`command`] | `--release --from-tag TAG`: [`ReleaseArgs`], [`from_tag()`] |
//! | [`release_score`], [`deploy_score`] | [`ReleaseScore`], [`DeployScore`] |
//! | [`artifacts`] | where a deploy takes image and chart from: [`Released`], [`WorkTree`] |
//! | [`with_image`] | [`WithImage`]: for what runs without a chart |
//! | [`publish`], [`pinned_image`] | building and pushing one image |
//! | [`app_chart`] | the chart of an app, for a version and an image |
//! | [`check`], [`source`], [`crate_version`] | what is checked before a build: version, work tree, tag |
//! | [`record`] | [`ReleaseRecord`](record::ReleaseRecord): what was released, as data |
//! | [`error`] | [`ReleaseError`] |

pub mod app_chart;
pub mod app_spec;
pub mod artifacts;
pub mod check;
pub mod command;
pub mod crate_version;
pub mod deploy_score;
pub mod error;
pub mod pinned_image;
pub mod publish;
pub mod record;
pub mod release_score;
pub mod source;
pub mod with_image;

pub use app_spec::{AppSpec, BundledImage, Serves, VersionSource};
pub use artifacts::{
    Artifacts, PublishWorkTreeScore, Released, VersionChoice, WhichImage, WorkTree,
};
pub use command::{ReleaseArgs, from_tag};
pub use deploy_score::DeployScore;
pub use error::ReleaseError;
pub use harmony_charts::{
    Chart, ChartBuilder, ChartContext, ChartError, ChartMetadata, ChartModel, ChartSource,
    ChartValues, Template,
};
pub use pinned_image::PinnedImage;
pub use release_score::ReleaseScore;
pub use with_image::WithImage;
