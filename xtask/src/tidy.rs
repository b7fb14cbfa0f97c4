//! Checks that the compiler does not do: the dependencies of crates, and circles between modules.

mod circles;
mod edges;
mod modules;
mod report;
mod sources;

use anyhow::bail;
use cargo_metadata::{Metadata, MetadataCommand};

use crate::command;

#[derive(Default, clap::Args)]
pub(crate) struct Args {
    /// Print the size of each crate and the circles between its modules
    #[arg(long)]
    report: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().current_dir(command::root()).exec()?;
    let circles = circles::find(&metadata)?;
    if args.report {
        report::print(&metadata, &circles)?;
    }
    let mut complaints = edges::check(&metadata);
    complaints.extend(edges::check_trees(&metadata));
    complaints.extend(circles::check(&circles));
    complaints.extend(sources::check(&metadata)?);
    if complaints.is_empty() {
        println!(
            "tidy: {} packages, no problems found",
            metadata.workspace_members.len()
        );
        return Ok(());
    }
    for complaint in &complaints {
        println!("tidy: {complaint}");
    }
    bail!("{} problems found", complaints.len())
}

/// The members of the workspace, by name.
fn members(metadata: &Metadata) -> impl Iterator<Item = &cargo_metadata::Package> {
    metadata
        .packages
        .iter()
        .filter(|package| metadata.workspace_members.contains(&package.id))
}
