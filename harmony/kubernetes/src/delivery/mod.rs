//! Delivers charts to clusters.
//!
//! [`direct`] needs no controller in the cluster: pull, render, install. [`install`] lists, applies and prunes the objects
//! of a rendered chart. `inventory` is the list, kept in the target namespace, that tells a later version what an earlier
//! one created. [`argocd`] and [`flux`] let a controller apply, with `controlled` in common. `render` is the same for all;
//! `retire` ends a delivery whose objects another one has taken over.

pub mod argocd;
mod controlled;
pub mod direct;
pub mod flux;
pub mod install;
mod inventory;
mod render;
mod retire;

pub use crate::marks::DELIVERY_LABEL;
pub use argocd::{ArgoDelivery, ArgoSettings};
pub use direct::DirectDelivery;
pub use flux::{FluxController, FluxDelivery, FluxSettings};
pub use install::Installation;
