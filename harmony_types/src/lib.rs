//! Checked leaf values of Harmony: names, versions, digests, image and chart references, release tags.
//!
//! Text is parsed once, at the edge, into one of these types; from then on it is known to be legal.
//! A value that exists is valid: fields are private, there is no setter, and every way in
//! (`parse`, [`FromStr`](std::str::FromStr), `TryFrom`, serde) runs the same check.
//!
//! **What this crate must not know**: the network, files, clocks, async, Kubernetes, a registry client, any other
//! crate of the workspace. It depends on serde, semver, strsim and thiserror only, so that every crate, also the ones that
//! ship to devices, can afford it.
//!
//! # Code map
//!
//! | module | types | grammar taken from |
//! | --- | --- | --- |
//! | [`names`] | [`Namespace`], [`AppName`], [`ComponentName`], [`ResourceName`], [`ObjectName`], [`ContainerName`], [`PortName`], [`LabelKey`], [`LabelValue`] | Kubernetes object names, labels |
//! | [`name_rule`] | [`NameRule`], [`NameError`] | the checker behind all names |
//! | [`version`] | [`Version`] | Semantic Versioning 2.0.0 without build metadata |
//! | [`digest`] | [`Digest`], [`DigestAlgorithm`] | OCI image specification, descriptor |
//! | [`registry_host`] | [`RegistryHost`] | distribution reference, `domain` |
//! | [`repository`] | [`Repository`] | distribution reference, `path` |
//! | [`image`] | [`ImageRef`], [`Tag`] | distribution reference |
//! | [`chart`] | [`ChartRef`], [`ChartName`] | Helm `oci://` references |
//! | [`release_unit`] | [`ReleaseUnit`], [`ReleaseUnits`] | what an app registers for release |
//! | [`release_tag`] | [`ReleaseTag`], [`ResolvedRelease`], [`UnresolvedTag`] | `<app>-<component>-v<semver>` |
//! | [`printable`] | text from elsewhere, made safe to show | ECMA-48 control sequences, Unicode controls |
//!
//! Start with [`image`] to see the shape of a composed value, and with [`release_tag`] for the one algorithm here.
//!
//! # What all types share
//!
//! - `parse`, `FromStr`, `TryFrom<&str>`, `TryFrom<String>`, `Display`, serde as a string through these,
//!   `Clone + Debug + Eq + Ord + Hash`. `T::parse(x.to_string()) == x` for every value.
//!   The one exception is [`ReleaseUnit`], which is made of its two names: `a-b-c` does not tell where to cut.
//! - Limits are constants of the type (`MAX_LENGTH`, in bytes unless said otherwise).
//! - Errors name the value (escaped, and shortened when long), the position (in characters, from 1) and the rule.
//!   What to do about it is apart, in `hint()`, and is not part of the message.
//! - No input makes this crate panic.

pub mod chart;
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
pub use digest::{Digest, DigestAlgorithm, DigestError};
pub use image::{ImageRef, ImageRefError, Tag, TagError};
pub use name_rule::{NameError, NameRule};
pub use names::{
    AppName, ComponentName, ContainerName, LabelKey, LabelValue, Namespace, ObjectName, PortName,
    ResourceName,
};
pub use registry_host::{RegistryHost, RegistryHostError};
pub use release_tag::{ReleaseTag, ReleaseTagError, ResolvedRelease, UnresolvedTag};
pub use release_unit::{ReleaseUnit, ReleaseUnits, ReleaseUnitsError};
pub use repository::{Repository, RepositoryError};
pub use version::{Version, VersionError};
