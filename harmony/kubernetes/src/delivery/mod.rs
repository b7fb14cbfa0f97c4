//! Delivers charts to clusters.
//!
//! [`direct`] needs no controller in the cluster: pull, render, list, apply, prune. `inventory` is the list, kept in
//! the target namespace, that tells a later version what an earlier one created.

pub mod direct;
mod inventory;

pub use crate::marks::DELIVERY_LABEL;
pub use direct::DirectDelivery;
