//! Delivers charts to clusters.
//!
//! [`direct`] needs no controller in the cluster: pull, render, install. [`install`] lists, applies and prunes the objects
//! of a rendered chart. `inventory` is the list, kept in the target namespace, that tells a later version what an earlier
//! one created.

pub mod direct;
pub mod install;
mod inventory;

pub use crate::marks::DELIVERY_LABEL;
pub use direct::DirectDelivery;
pub use install::Installation;
