//! The ports: what the domain needs of the world, one in each file, with its values and its error.

pub(crate) mod agent_link;
pub(crate) mod commander;
pub(crate) mod directory;
pub(crate) mod reflector;
pub(crate) mod registry;
