//! The labels and names that mark objects of a delivery in a cluster: those of Harmony here, and those of controllers.

pub(crate) mod argocd;
pub(crate) mod flux;

/// The label of every delivered object; its value is the name of the chart. Objects without it are never deleted.
pub const DELIVERY_LABEL: &str = "harmony.dev/delivery";

/// The prefix of the name of every inventory, followed by the name of the chart.
pub(crate) const INVENTORY_PREFIX: &str = "harmony-delivery-";
