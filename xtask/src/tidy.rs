//! What the compiler cannot check: the map of the crates, and what a runtime binary may link.

mod edges;
mod sources;

use anyhow::bail;
use cargo_metadata::{Metadata, MetadataCommand};

use crate::command;

pub(crate) fn run() -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().current_dir(command::root()).exec()?;
    let mut complaints = edges::check(&metadata);
    complaints.extend(edges::check_runtime_trees(&metadata));
    complaints.extend(sources::check(&metadata)?);
    if complaints.is_empty() {
        println!(
            "tidy: {} packages, nothing to complain of",
            metadata.workspace_members.len()
        );
        return Ok(());
    }
    for complaint in &complaints {
        println!("tidy: {complaint}");
    }
    bail!("{} complaints", complaints.len())
}

/// The members of the workspace, by name.
fn members(metadata: &Metadata) -> impl Iterator<Item = &cargo_metadata::Package> {
    metadata
        .packages
        .iter()
        .filter(|package| metadata.workspace_members.contains(&package.id))
}
