//! Keeping and finding the records of releases.

use ambassador::delegatable_trait;
use async_trait::async_trait;
use harmony_types::{ReleaseUnit, Version};

use super::oci_registry::{Published, RegistryError};

/// Can keep and find the record of a release: a document that says which image and which chart belong to a version.
/// Providers: any OCI registry, a directory on a laptop.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` keeps no release records",
    label = "this topology lacks the capability `ReleaseRecords`",
    note = "give `{Self}` a registry, for example `harmony_registry::OciRegistryClient`, and delegate `ReleaseRecords` to it"
)]
pub trait ReleaseRecords: Send + Sync {
    /// Keeps the record of a version. A record is never changed: the same bytes are accepted silently, others are
    /// [`RegistryError::TagTaken`]. Planning writes nothing.
    ///
    /// # Errors
    /// See [`RegistryError`].
    async fn push_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
        record: &[u8],
    ) -> Result<Published, RegistryError>;

    /// The record, byte for byte as it was kept; `None` when that version was not released.
    ///
    /// # Errors
    /// See [`RegistryError`]; a missing record is not one.
    async fn read_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
    ) -> Result<Option<Vec<u8>>, RegistryError>;

    /// The versions of a unit that have a record, in no order.
    ///
    /// # Errors
    /// See [`RegistryError`]; a unit that was never released has no versions.
    async fn released_versions(&self, unit: &ReleaseUnit) -> Result<Vec<Version>, RegistryError>;
}
