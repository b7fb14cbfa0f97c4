//! Which of a binary's Scores are meant.

use std::io::IsTerminal;

use globset::GlobBuilder;
use harmony_core::context::Cancelled;
use harmony_core::{Diagnostic, Score, Topology};
use inquire::MultiSelect;

use crate::args::RunArgs;
use crate::usage::FilterError;

/// The indices of the Scores to run, in order: those that the filter names, those that a person picks, or all.
pub(crate) async fn select(
    names: &[String],
    args: &RunArgs,
    may_pick: bool,
) -> Result<Vec<usize>, Box<dyn Diagnostic>> {
    let matching = matching(names, args).map_err(|error| Box::new(error) as Box<dyn Diagnostic>)?;
    let asks = may_pick
        && args.filter.is_empty()
        && names.len() > 1
        && !args.yes
        && !args.json
        && can_ask();
    if asks {
        pick(names.to_vec()).await
    } else {
        Ok(matching)
    }
}

/// True when a person is there to answer.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// The indices of the names that one of the filters matches; all when there is no filter.
pub(crate) fn matching(names: &[String], args: &RunArgs) -> Result<Vec<usize>, FilterError> {
    if args.filter.is_empty() {
        return Ok((0..names.len()).collect());
    }
    let mut selected = vec![false; names.len()];
    for pattern in &args.filter {
        let glob = GlobBuilder::new(pattern)
            .build()
            .map_err(|source| FilterError::Pattern {
                pattern: pattern.clone(),
                source,
            })?
            .compile_matcher();
        let mut any = false;
        for (selected, name) in selected.iter_mut().zip(names) {
            let is_match = glob.is_match(name);
            any |= is_match;
            *selected |= is_match;
        }
        if !any {
            return Err(FilterError::NoMatch {
                pattern: pattern.clone(),
                names: names.to_vec(),
            });
        }
    }
    let indices = selected.iter().enumerate();
    Ok(indices
        .filter(|(_, selected)| **selected)
        .map(|(index, _)| index)
        .collect())
}

/// The Scores at `indices`, which ascend.
pub(crate) fn keep<T: Topology>(
    scores: Vec<Box<dyn Score<T>>>,
    indices: &[usize],
) -> Vec<Box<dyn Score<T>>> {
    let kept = scores.into_iter().enumerate();
    kept.filter(|(index, _)| indices.binary_search(index).is_ok())
        .map(|(_, score)| score)
        .collect()
}

async fn pick(names: Vec<String>) -> Result<Vec<usize>, Box<dyn Diagnostic>> {
    let everything: Vec<usize> = (0..names.len()).collect();
    let asked = tokio::task::spawn_blocking(move || {
        let picked = MultiSelect::new("Run which Scores?", names)
            .with_default(&everything)
            .with_help_message("space picks, enter runs, escape leaves")
            .raw_prompt()?;
        let mut indices: Vec<usize> = picked.iter().map(|option| option.index).collect();
        indices.sort_unstable();
        Ok::<_, inquire::InquireError>(indices)
    });
    match asked.await {
        Ok(Ok(indices)) => Ok(indices),
        // escape, Ctrl-C, or a terminal that went away: nobody wants a run
        _ => Err(Box::new(Cancelled)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(filters: &[&str]) -> Result<Vec<usize>, FilterError> {
        let names = ["fleet-nats", "fleet-operator", "fleet-agent", "tools"].map(str::to_owned);
        let args = RunArgs {
            filter: filters.iter().map(ToString::to_string).collect(),
            ..RunArgs::default()
        };
        matching(&names, &args)
    }

    #[test]
    fn filters_add_up_and_keep_the_order_of_the_run() {
        assert_eq!(matched(&[]).expect("no filter"), [0, 1, 2, 3]);
        assert_eq!(matched(&["fleet-*"]).expect("a match"), [0, 1, 2]);
        assert_eq!(
            matched(&["tools", "fleet-{nats,agent}"]).expect("matches"),
            [0, 2, 3]
        );
        assert_eq!(matched(&["*-?ats"]).expect("a match"), [0]);
    }

    #[test]
    fn a_filter_without_a_match_is_an_error_even_beside_one_with() {
        assert!(
            matches!(matched(&["tools", "fleet"]), Err(FilterError::NoMatch { pattern, .. }) if pattern == "fleet")
        );
        assert!(matches!(matched(&["[a"]), Err(FilterError::Pattern { .. })));
    }
}
