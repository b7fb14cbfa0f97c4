//! Results beside their goals.

use std::fmt;
use std::time::Duration;

/// A result.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What was measured.
    pub what: &'static str,
    /// The result, for people.
    pub result: String,
    /// The goal, for people.
    pub goal: String,
    /// Whether the goal is reached.
    pub is_reached: bool,
}

impl Figure {
    /// A duration that must not be longer than the goal.
    pub fn at_most(what: &'static str, result: Duration, goal: Duration) -> Self {
        Self {
            what,
            result: format!("{:.3} s", result.as_secs_f64()),
            goal: format!("at most {} s", goal.as_secs_f64()),
            is_reached: result <= goal,
        }
    }

    /// A number that must not be higher than the goal.
    pub fn count(what: &'static str, result: u64, goal: u64) -> Self {
        let goal_in_words = match goal {
            0 => "0".to_owned(),
            _ => format!("at most {goal}"),
        };
        Self {
            what,
            result: result.to_string(),
            goal: goal_in_words,
            is_reached: result <= goal,
        }
    }

    /// A result without a goal.
    pub fn note(what: &'static str, result: String) -> Self {
        Self {
            what,
            result,
            goal: String::new(),
            is_reached: true,
        }
    }

    /// Adds to the result how it came about.
    #[must_use]
    pub fn with(mut self, how: impl fmt::Display) -> Self {
        self.result = format!("{} ({how})", self.result);
        self
    }
}

/// The figures as a table.
pub fn table(figures: &[Figure]) -> String {
    let rows = figures.iter().map(|it| {
        let verdict = if it.is_reached { "yes" } else { "NO" };
        format!(
            "| {} | {} | {} | {verdict} |\n",
            it.what, it.result, it.goal
        )
    });
    let head = "| figure | result | goal | reached |\n| --- | --- | --- | --- |\n";
    head.chars()
        .chain(rows.collect::<String>().chars())
        .collect()
}

/// Durations of the same kind, sorted.
#[derive(Debug, Clone, Default)]
pub struct Times(Vec<Duration>);

impl FromIterator<Duration> for Times {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }
}

impl Times {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that this part of them does not exceed, from 0 to 100 %; the longest possible one if there are none, so
    /// that a measurement without results reaches no goal.
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(Duration::MAX)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |percent| self.percentile(percent).as_secs_f64();
        write!(
            f,
            "median {:.3} s, longest {:.3} s, {} of them",
            seconds(50),
            seconds(100),
            self.count()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_times() {
        let times: Times = (1..=200).rev().map(Duration::from_millis).collect();
        let at = |percent| times.percentile(percent).as_millis();
        assert_eq!((at(0), at(50), at(99), at(100)), (1, 100, 198, 200));
        assert_eq!(Times::default().percentile(99), Duration::MAX);
    }

    #[test]
    fn a_missed_goal_is_seen() {
        let goal = Duration::from_secs(2);
        assert!(Figure::at_most("x", goal, goal).is_reached);
        assert!(!Figure::at_most("x", Times::default().percentile(99), goal).is_reached);
        let figures = [Figure::count("a", 0, 0), Figure::count("b", 1, 0)];
        let table = table(&figures);
        assert!(
            table.contains("| a | 0 | 0 | yes |\n| b | 1 | 0 | NO |\n"),
            "{table}"
        );
    }
}
