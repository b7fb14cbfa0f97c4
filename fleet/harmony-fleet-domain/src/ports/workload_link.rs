//! How a device learns what to run, and tells what it runs.

use async_trait::async_trait;
use harmony_reconciler_contracts::{DesiredState, ObservedState};

use super::agent_link::LinkError;

/// The desired and the observed state of a device.
///
/// No method waits for the network to recover, except [`WorkloadLink::pushed`], which is one.
#[async_trait]
pub trait WorkloadLink: Send + Sync {
    /// Reads the stored desired state; `None` if the operator has not stored one. It can be older than one that was
    /// pushed: the caller compares generations.
    async fn desired(&self) -> Result<Option<DesiredState>, LinkError>;

    /// Waits for the next desired state that is published. It can miss some, for example without a connection. Safe to
    /// cancel.
    async fn pushed(&self) -> DesiredState;

    /// Stores the observed state, unless a later one of this device is stored already.
    async fn report(&self, state: &ObservedState) -> Result<(), LinkError>;
}
