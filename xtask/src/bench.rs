//! Measures what the goals are about, and prints each figure beside its goal.

use clap::builder::PossibleValuesParser;

/// The benches by name. Each gets the rest of the command line.
const BENCHES: &[(&str, fn(&[String]) -> anyhow::Result<()>)] = &[];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to measure
    #[arg(value_parser = PossibleValuesParser::new(BENCHES.iter().map(|(name, _)| *name)))]
    name: String,
    /// The options of this bench
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut found = BENCHES.iter().filter(|(name, _)| *name == args.name);
    match found.next() {
        Some((_, bench)) => bench(&args.options),
        None => anyhow::bail!("there is no bench `{}`", args.name),
    }
}
