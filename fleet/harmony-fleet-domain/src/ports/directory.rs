//! Asking the operator for the list of devices.

use async_trait::async_trait;

use crate::{Cause, DeviceSummary};

/// The list of devices, for tools.
#[async_trait]
pub trait DeviceDirectory: Send + Sync {
    /// All devices of the tenant, sorted by id.
    async fn devices(&self) -> Result<FleetListing, DirectoryError>;
}

/// The devices of a tenant, and warnings about the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetListing {
    /// The devices, sorted by id.
    pub devices: Vec<DeviceSummary>,
    /// Warnings for users, without duplicates.
    pub warnings: Vec<String>,
}

/// The reason why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// There is a connection, but no operator of this tenant is listening.
    #[error("no operator of tenant `{tenant}` is running")]
    NoOperator {
        /// The tenant.
        tenant: String,
    },
    /// The operator did not answer in time.
    #[error("the operator of tenant `{tenant}` did not answer within {seconds} s")]
    NoAnswer {
        /// The tenant.
        tenant: String,
        /// The time waited, in seconds.
        seconds: u64,
    },
    /// The answer is not valid.
    #[error("the answer of the operator of tenant `{tenant}` cannot be read")]
    Unreadable {
        /// The tenant.
        tenant: String,
        /// The reason.
        #[source]
        source: Cause,
    },
    /// The client failed.
    #[error("cannot ask the operator of tenant `{tenant}`")]
    Failed {
        /// The tenant.
        tenant: String,
        /// The error of the client.
        #[source]
        source: Cause,
    },
}
