//! Labels of a device: short properties for selecting devices.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::excerpt;

/// The labels of a device, for example `site=lyon,line=3`.
///
/// Keys and values follow the rules for Kubernetes labels without a prefix, so that a label can be copied to Kubernetes
/// unchanged: at most 63 characters of `A-Za-z0-9._-`, starting and ending with a letter or digit. A value may be
/// empty. There are at most [`Labels::MAX_COUNT`] labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<String, String>",
    into = "BTreeMap<String, String>"
)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// The maximum number of labels of a device. It keeps a registration far below the NATS limit of 1 MiB.
    pub const MAX_COUNT: usize = 32;
    /// The maximum length of a key or value, in bytes.
    pub const MAX_LENGTH: usize = 63;

    /// Adds a label or replaces its value.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), InvalidLabel> {
        let refuse = |problem| {
            Err(InvalidLabel {
                label: excerpt(&format!("{key}={value}")),
                problem,
            })
        };
        if key.is_empty() {
            return refuse("the key is empty");
        }
        if !is_label_part(key) {
            return refuse(
                "a key has at most 63 letters, digits, `.`, `_` and `-`, and starts and ends with a letter or a digit",
            );
        }
        if !value.is_empty() && !is_label_part(value) {
            return refuse(
                "a value has at most 63 letters, digits, `.`, `_` and `-`, and starts and ends with a letter or a digit",
            );
        }
        if self.0.len() == Self::MAX_COUNT && !self.0.contains_key(key) {
            return refuse("a device has at most 32 labels");
        }
        self.0.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// The keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Returns true if there are no labels.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

impl FromStr for Labels {
    type Err = InvalidLabel;

    /// Parses `key=value` pairs separated by commas. An empty string means no labels.
    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        let mut labels = Self::default();
        for pair in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or_else(|| InvalidLabel {
                label: excerpt(pair),
                problem: "write it as `key=value`",
            })?;
            labels.insert(key, value)?;
        }
        Ok(labels)
    }
}

impl TryFrom<BTreeMap<String, String>> for Labels {
    type Error = InvalidLabel;

    fn try_from(map: BTreeMap<String, String>) -> Result<Self, InvalidLabel> {
        let mut labels = Self::default();
        for (key, value) in &map {
            labels.insert(key, value)?;
        }
        Ok(labels)
    }
}

impl From<Labels> for BTreeMap<String, String> {
    fn from(labels: Labels) -> Self {
        labels.0
    }
}

/// An invalid label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidLabel {
    /// The label as it was written.
    pub label: String,
    /// The problem, as a sentence fragment.
    pub problem: &'static str,
}

impl fmt::Display for InvalidLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a label: {}", self.label, self.problem)
    }
}

impl std::error::Error for InvalidLabel {}

fn is_label_part(text: &str) -> bool {
    let alphanumeric = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= Labels::MAX_LENGTH
        && alphanumeric(text.chars().next())
        && alphanumeric(text.chars().last())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_pairs_and_names_the_one_that_is_wrong() {
        let labels: Labels = "site=lyon, line=3,spare=".parse().unwrap();
        assert_eq!(labels.to_string(), "line=3,site=lyon,spare=");
        for text in [
            "site",
            "=lyon",
            "si te=x",
            "site=-x",
            "a/b=c",
            "site=lyon,bad key=1",
        ] {
            assert!(text.parse::<Labels>().is_err(), "{text}");
        }
        let error = "site=lyon,line".parse::<Labels>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`line` is not a label: write it as `key=value`"
        );
    }

    #[test]
    fn the_count_is_limited_but_a_value_may_still_change() {
        let mut labels = Labels::default();
        for n in 0..Labels::MAX_COUNT {
            labels.insert(&format!("k{n}"), "v").unwrap();
        }
        assert!(labels.insert("one-more", "v").is_err());
        labels.insert("k0", "other").unwrap();
    }

    proptest! {
        #[test]
        fn what_displays_parses_back(map in proptest::collection::btree_map("[a-zA-Z0-9]([a-zA-Z0-9._-]{0,20}[a-zA-Z0-9])?", "([a-zA-Z0-9]([a-zA-Z0-9._-]{0,20}[a-zA-Z0-9])?)?", 0..10)) {
            let labels = Labels::try_from(map).unwrap();
            prop_assert_eq!(labels.to_string().parse::<Labels>().unwrap(), labels);
        }

        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = text.parse::<Labels>();
        }
    }
}
