//! The running components.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::component::Component;
use super::config::LocalNodeConfig;
use super::error::LocalNodeError;
use super::process::{self, Marked};
use super::program;

/// The processes that were started as components and run the program of a component. If two processes run as the same
/// component, which should not happen, the older one counts.
pub(super) fn leaders(
    config: &LocalNodeConfig,
) -> Result<BTreeMap<Component, Marked>, LocalNodeError> {
    Ok(all_leaders(config)?.0)
}

/// Like [`leaders`], with the second processes of components that run twice.
pub(super) fn all_leaders(
    config: &LocalNodeConfig,
) -> Result<(BTreeMap<Component, Marked>, Vec<Marked>), LocalNodeError> {
    let mut found = process::find(process::NODE_MARK, &config.state_dir)?;
    found.sort_by_key(|one| (one.started, one.pid));
    let (mut running, mut twice) = (BTreeMap::new(), Vec::new());
    for one in found.into_iter().filter(|one| one.leader) {
        let Some(component) = Component::parse(&one.name) else {
            continue;
        };
        if !program::is_of_component(&one.program, component) {
            continue;
        }
        match running.entry(component) {
            Entry::Vacant(place) => drop(place.insert(one)),
            Entry::Occupied(_) => twice.push(one),
        }
    }
    Ok((running, twice))
}
