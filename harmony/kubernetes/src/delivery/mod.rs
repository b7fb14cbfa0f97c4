//! Bringing charts to where they run.
//!
//! [`direct`] needs no controller in the cluster: pull, render, list, apply, prune. `inventory` is the list, kept in the
//! target namespace, by which a later version knows what an earlier one left behind.

pub mod direct;
mod inventory;

pub use crate::marks::DELIVERY_LABEL;
pub use direct::DirectDelivery;
