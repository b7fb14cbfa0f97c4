//! Releases: from a git tag to an image and a chart in a registry, and to a deploy.
//!
//! An [`AppSpec`] describes an app, and the topology decides how to build, store and deliver it. Scores connect the
//! two:
//!
//! ```text
//! tag --from_tag--> AppSpec + version --ReleaseScore--> image, then chart (names image@digest), then record
//!                                                                                                     |
//!                    DeployScore: chart delivered, current revision serves, smoke checks pass <--Released
//!                                                                                             <--WorkTree
//! ```
//!
//! The order of a release: all checks (the tag, the version of the crate, the work tree, a trial of the chart, the
//! registry) come before any build. The image is published before the chart that refers to it. Types enforce this:
//! packaging a chart takes a [`PinnedImage`], and only publishing an image returns one. The record comes last. A deploy
//! uses only the record and does not need the sources.
//!
//! A work tree is not released. [`WorkTree`] publishes it under a version that contains a hash of its content, to
//! topologies that accept it.
//!
//! **This crate must not use** any builder, registry client or cluster client, and must not print. It uses the
//! capabilities of `harmony_core` and returns values.
//!
//! | module | contents |
//! | --- | --- |
//! | [`app_spec`] | [`AppSpec`]: start here |
//! | [`command`] | `--release --from-tag TAG`: [`ReleaseArgs`], [`from_tag()`] |
//! | [`release_score`], [`deploy_score`] | [`ReleaseScore`], [`DeployScore`] |
//! | [`artifacts`] | the source of the image and the chart of a deploy: [`Released`], [`WorkTree`] |
//! | [`with_image`] | [`WithImage`]: for Scores without a chart |
//! | [`publish`], [`pinned_image`] | building and pushing one image |
//! | [`app_chart`] | the chart of an app for a version and an image |
//! | [`check`], [`source`], [`crate_version`] | the checks before a build: version, work tree, tag |
//! | [`input_key`] | the inputs of a release, to recognise a release that is made again |
//! | [`record`] | [`ReleaseRecord`](record::ReleaseRecord): the content of a release, as data |
//! | [`error`] | [`ReleaseError`] |

pub mod app_chart;
pub mod app_spec;
pub mod artifacts;
pub mod check;
pub mod command;
pub mod crate_version;
pub mod deploy_score;
pub mod error;
pub mod input_key;
pub mod pinned_image;
pub mod publish;
pub mod record;
pub mod release_score;
mod released_before;
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
