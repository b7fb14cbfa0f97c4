//! Asking the operator which devices there are.

use async_trait::async_trait;

use crate::{Cause, DeviceSummary};

/// The list of devices, for tools.
#[async_trait]
pub trait DeviceDirectory: Send + Sync {
    /// All devices of the tenant, in the order of their ids.
    async fn devices(&self) -> Result<FleetListing, DirectoryError>;
}

/// The devices of a tenant, and what a person should know about the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetListing {
    /// The devices, in the order of their ids.
    pub devices: Vec<DeviceSummary>,
    /// Warnings in plain words, without repetition.
    pub warnings: Vec<String>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Connected, but no operator of this tenant listens.
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
        /// How long was waited.
        seconds: u64,
    },
    /// The answer is not one.
    #[error("the answer of the operator of tenant `{tenant}` cannot be read")]
    Unreadable {
        /// The tenant.
        tenant: String,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
    /// The fabric's client failed.
    #[error("cannot ask the operator of tenant `{tenant}`")]
    Failed {
        /// The tenant.
        tenant: String,
        /// What it said.
        #[source]
        source: Cause,
    },
}
