//! Selects the Scores to run.

use std::io::IsTerminal;

use globset::{GlobBuilder, GlobMatcher};
use harmony_core::composite::Part;
use harmony_core::context::Cancelled;
use harmony_core::{Diagnostic, Score, Topology};
use inquire::MultiSelect;
use serde::Serialize;

use crate::args::RunArgs;
use crate::usage::FilterError;

/// The names that select a Score: its own name, and those of the composites that contain it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PartName {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) within: Vec<String>,
}

impl PartName {
    pub(crate) fn of<T: Topology>(part: &Part<T>) -> Self {
        Self {
            name: part.score.name(),
            within: part.within.clone(),
        }
    }

    fn matches(&self, pattern: &GlobMatcher) -> bool {
        pattern.is_match(&self.name) || self.within.iter().any(|name| pattern.is_match(name))
    }
}

/// The indices of the Scores to run, in order: those that match the filter, those that the user picked, or all.
pub(crate) async fn select(
    names: &[PartName],
    args: &RunArgs,
    may_pick: bool,
) -> Result<Vec<usize>, Box<dyn Diagnostic>> {
    let matching = matching(names, args).map_err(|error| Box::new(error) as Box<dyn Diagnostic>)?;
    let asks = may_pick
        && args.command.is_none()
        && args.filter.is_empty()
        && names.len() > 1
        && !args.yes
        && !args.json
        && can_ask();
    if asks {
        pick(names.iter().map(|part| part.name.clone()).collect()).await
    } else {
        Ok(matching)
    }
}

/// Returns true if there is a terminal to ask questions on.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// The indices of the names that match one of the filters; all if there is no filter.
pub(crate) fn matching(names: &[PartName], args: &RunArgs) -> Result<Vec<usize>, FilterError> {
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
            let is_match = name.matches(&glob);
            any |= is_match;
            *selected |= is_match;
        }
        if !any {
            return Err(FilterError::NoMatch {
                pattern: pattern.clone(),
                names: known(names),
            });
        }
    }
    let indices = selected.iter().enumerate();
    Ok(indices
        .filter(|(_, selected)| **selected)
        .map(|(index, _)| index)
        .collect())
}

/// All names that a filter can match, without duplicates, composites before their parts.
fn known(names: &[PartName]) -> Vec<String> {
    let mut known: Vec<String> = Vec::new();
    for part in names {
        for name in part.within.iter().chain([&part.name]) {
            if !known.contains(name) {
                known.push(name.clone());
            }
        }
    }
    known
}

/// The Scores at `indices`, which must be in ascending order.
pub(crate) fn keep<T: Topology>(parts: Vec<Part<T>>, indices: &[usize]) -> Vec<Box<dyn Score<T>>> {
    let kept = parts.into_iter().enumerate();
    kept.filter(|(index, _)| indices.binary_search(index).is_ok())
        .map(|(_, part)| part.score)
        .collect()
}

async fn pick(names: Vec<String>) -> Result<Vec<usize>, Box<dyn Diagnostic>> {
    let everything: Vec<usize> = (0..names.len()).collect();
    let asked = tokio::task::spawn_blocking(move || {
        let picked = MultiSelect::new("Which Scores do you want to run?", names)
            .with_default(&everything)
            .with_help_message("space to select, enter to run, escape to quit")
            .raw_prompt()?;
        let mut indices: Vec<usize> = picked.iter().map(|option| option.index).collect();
        indices.sort_unstable();
        Ok::<_, inquire::InquireError>(indices)
    });
    match asked.await {
        Ok(Ok(indices)) => Ok(indices),
        // escape, Ctrl-C, or a terminal that is gone: nothing should run
        _ => Err(Box::new(Cancelled)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(filters: &[&str]) -> Result<Vec<usize>, FilterError> {
        let part = |name: &str, within: &[&str]| PartName {
            name: name.into(),
            within: within.iter().map(ToString::to_string).collect(),
        };
        let names = [
            part("fleet-nats", &["platform", "server"]),
            part("fleet-operator", &["platform", "server"]),
            part("fleet-agent", &["platform"]),
            part("tools", &[]),
        ];
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
        // a composite selects its parts
        assert_eq!(matched(&["server"]).expect("a match"), [0, 1]);
        assert_eq!(matched(&["plat*", "tools"]).expect("matches"), [0, 1, 2, 3]);
    }

    #[test]
    fn a_filter_without_a_match_is_an_error_even_beside_one_with() {
        assert!(
            matches!(matched(&["tools", "fleet"]), Err(FilterError::NoMatch { pattern, .. }) if pattern == "fleet")
        );
        assert!(matches!(matched(&["[a"]), Err(FilterError::Pattern { .. })));
        let Err(FilterError::NoMatch { names, .. }) = matched(&["moon"]) else {
            unreachable!("nothing is called moon")
        };
        assert_eq!(
            names.join(" "),
            "platform server fleet-nats fleet-operator fleet-agent tools"
        );
    }
}
