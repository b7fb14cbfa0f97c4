//! Validated value types of Harmony: names, versions, digests, image and chart references, release tags.
//!
//! Text is parsed once, at the boundary, into one of these types, and is known to be valid from then on. Fields are
//! private, there are no setters, and every way to create a value (`parse`, [`FromStr`](std::str::FromStr), `TryFrom`,
//! serde) runs the same check.
//!
//! **This crate must not use** the network, files, clocks, async code, Kubernetes, a registry client, or any other
//! crate of the workspace. It depends only on serde, semver, strsim and thiserror, so that every crate can use it,
//! including those that ship to devices.
//!
//! # Code map
//!
//! | module | types | source of the grammar |
//! | --- | --- | --- |
//! | [`names`] | [`Namespace`], [`AppName`], [`ComponentName`], [`ResourceName`], [`ObjectName`], [`KubeContext`], [`ContainerName`], [`PortName`], [`LabelKey`], [`LabelValue`] | Kubernetes object names, labels |
//! | [`name_rule`] | [`NameRule`], [`NameError`] | the rules that all names share |
//! | [`version`] | [`Version`] | Semantic Versioning 2.0.0 without build metadata |
//! | [`digest`] | [`Digest`], [`DigestAlgorithm`] | OCI image specification, descriptor |
//! | [`registry_host`] | [`RegistryHost`] | distribution reference, `domain` |
//! | [`repository`] | [`Repository`] | distribution reference, `path` |
//! | [`image`] | [`ImageRef`], [`Tag`] | distribution reference |
//! | [`chart`] | [`ChartRef`], [`ChartName`] | Helm `oci://` references |
//! | [`chart_version`] | [`ChartVersion`] | the versions that Helm accepts, for third-party charts |
//! | [`release_unit`] | [`ReleaseUnit`], [`ReleaseUnits`] | the releasable parts of an app |
//! | [`release_tag`] | [`ReleaseTag`], [`ResolvedRelease`], [`UnresolvedTag`] | `<app>-<component>-v<semver>` |
//! | [`printable`] | untrusted text, made safe for display | ECMA-48 control sequences, Unicode controls |
//!
//! Start with [`image`] for a typical composed value, and with [`release_tag`] for the only algorithm in this crate.
//!
//! # What all types share
//!
//! - All types have `parse`, `FromStr`, `TryFrom<&str>`, `TryFrom<String>`, `Display`, serde as a string, and `Clone +
//!   Debug + Eq + Ord + Hash`. `T::parse(x.to_string()) == x` for every value. The exception is [`ReleaseUnit`], which
//!   is created from two names, because `a-b-c` could be split in two ways.
//! - Limits are constants of the type (`MAX_LENGTH`, in bytes unless noted otherwise).
//! - Errors contain the value (escaped and shortened), the position (in characters from 1) and the violated rule.
//!   Suggestions are not part of the message; they are returned by `hint()`.
//! - This crate does not panic for any input.

#![warn(missing_docs)]

pub mod chart;
pub mod chart_version;
pub mod digest;
mod excerpt;
pub mod image;
pub mod name_rule;
pub mod names;
pub mod printable;
pub mod registry_host;
pub mod release_tag;
pub mod release_unit;
pub mod repository;
mod string_value;
pub mod version;

pub use chart::{ChartName, ChartRef, ChartRefError};
pub use chart_version::{ChartVersion, ChartVersionError};
pub use digest::{Digest, DigestAlgorithm, DigestError};
pub use image::{ImageRef, ImageRefError, Tag, TagError};
pub use name_rule::{NameError, NameRule};
pub use names::{
    AppName, ComponentName, ContainerName, KubeContext, LabelKey, LabelValue, Namespace,
    ObjectName, PortName, ResourceName,
};
pub use registry_host::{RegistryHost, RegistryHostError};
pub use release_tag::{ReleaseTag, ReleaseTagError, ResolvedRelease, UnresolvedTag};
pub use release_unit::{ReleaseUnit, ReleaseUnits, ReleaseUnitsError};
pub use repository::{Repository, RepositoryError};
pub use version::{Version, VersionError};
