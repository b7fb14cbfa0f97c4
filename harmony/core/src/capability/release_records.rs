//! Storing and finding release records.

use ambassador::delegatable_trait;
use async_trait::async_trait;
use harmony_types::{ReleaseUnit, Version};

use super::oci_registry::{Published, RegistryError};

/// Stores and finds release records, which list the image and the chart of a version. Providers: any OCI registry, a
/// directory on a laptop.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` does not keep release records",
    label = "this topology lacks the capability `ReleaseRecords`",
    note = "give `{Self}` a registry, for example `harmony_registry::OciRegistryClient`, and delegate `ReleaseRecords` to it"
)]
pub trait ReleaseRecords: Send + Sync {
    /// Stores the record of a version. A record never changes: the same bytes are accepted, different bytes are a
    /// [`RegistryError::TagTaken`]. While planning, nothing is written.
    ///
    /// # Errors
    /// See [`RegistryError`].
    async fn push_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
        record: &[u8],
    ) -> Result<Published, RegistryError>;

    /// The record, byte for byte as it was stored; `None` if the version was not released.
    ///
    /// # Errors
    /// See [`RegistryError`]. A missing record is not an error.
    async fn read_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
    ) -> Result<Option<Vec<u8>>, RegistryError>;

    /// The versions of a unit that have a record, in no particular order.
    ///
    /// # Errors
    /// See [`RegistryError`]. A unit that was never released has no versions.
    async fn released_versions(&self, unit: &ReleaseUnit) -> Result<Vec<Version>, RegistryError>;
}
