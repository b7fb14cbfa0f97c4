//! The names by which objects in a cluster are known as part of a delivery.

/// The label that every delivered object carries; its value is the chart's name. What lacks it is never removed.
pub const DELIVERY_LABEL: &str = "harmony.dev/delivery";

/// What the name of every inventory begins with; the chart's name follows.
pub(crate) const INVENTORY_PREFIX: &str = "harmony-delivery-";
