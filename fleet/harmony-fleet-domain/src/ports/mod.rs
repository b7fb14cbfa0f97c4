//! The ports: what the domain needs from the outside world. Each port is in its own file, with its values and its
//! error.

pub(crate) mod agent_link;
pub(crate) mod commander;
pub(crate) mod containers;
pub(crate) mod deployments;
pub(crate) mod desired;
pub(crate) mod directory;
pub(crate) mod observed;
pub(crate) mod reflector;
pub(crate) mod registry;
pub(crate) mod stored_value;
pub(crate) mod workload_link;
