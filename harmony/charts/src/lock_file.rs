//! `charts.lock`: the digests of third-party charts.
//!
//! ```toml
//! version = 1
//!
//! [[chart]]
//! source = "oci://ghcr.io/stefanprodan/charts"
//! name = "podinfo"
//! version = "6.14.1"
//! digest = "sha256:..."
//! ```
//!
//! The digest is that of the chart's archive, so it is the same wherever the chart is published.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use harmony_types::Digest;
use serde::Deserialize;

use crate::remote::{Origin, RemoteChart};

/// The version of the format.
const FORMAT: u32 = 1;

const HEADER: &str = "\
# The third-party charts of this crate, pinned by the digest of their archive.
# Harmony adds missing entries and never changes one. Commit this file.
";

/// The content of a `charts.lock`. An empty file is one without entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockFile {
    digests: BTreeMap<RemoteChart, Digest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: Option<u32>,
    #[serde(default)]
    chart: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    source: String,
    name: String,
    version: String,
    digest: Digest,
}

impl LockFile {
    /// Parses the content of the file.
    ///
    /// # Errors
    /// What is wrong with the file, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document: Document =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        match document.version {
            Some(FORMAT) => {}
            Some(other) => {
                return Err(format!(
                    "it has the format version {other}, but this program only knows version {FORMAT}"
                ));
            }
            None if document.chart.is_empty() => {}
            None => return Err("it has no `version`".to_owned()),
        }
        let mut digests = BTreeMap::new();
        for entry in document.chart {
            let wrong = |error: &dyn std::fmt::Display| {
                format!("the entry of `{} {}`: {error}", entry.name, entry.version)
            };
            let origin = Origin::parse(&entry.source).map_err(|error| wrong(&error))?;
            let chart = RemoteChart::new(origin, &entry.name, &entry.version)
                .map_err(|error| wrong(&error))?;
            let known = digests.insert(chart.clone(), entry.digest.clone());
            if known.is_some_and(|known| known != entry.digest) {
                return Err(format!("it has two digests for {chart}"));
            }
        }
        Ok(Self { digests })
    }

    /// The digest of the chart's archive.
    pub fn digest_of(&self, chart: &RemoteChart) -> Option<&Digest> {
        self.digests.get(chart)
    }

    /// The same entries, and one for this chart.
    #[must_use]
    pub fn with(mut self, chart: &RemoteChart, digest: &Digest) -> Self {
        self.digests.insert(chart.clone(), digest.clone());
        self
    }

    /// The content of the file, sorted, so that two branches that add charts rarely conflict.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}version = {FORMAT}\n");
        for (chart, digest) in &self.digests {
            // None of these contains a character that a TOML string would have to escape.
            let _ = write!(
                text,
                "\n[[chart]]\nsource = \"{}\"\nname = \"{}\"\nversion = \"{}\"\ndigest = \"{digest}\"\n",
                chart.origin(),
                chart.name(),
                chart.version(),
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: u8) -> Digest {
        Digest::sha256_from_bytes([byte; 32])
    }

    fn charts() -> [RemoteChart; 3] {
        [
            RemoteChart::oci("oci://ghcr.io/stefanprodan/charts/podinfo", "6.14.1").unwrap(),
            RemoteChart::repository("https://charts.example.com/stable", "web", "v1.0+a").unwrap(),
            RemoteChart::repository("https://charts.example.com/stable", "web", "v1.1").unwrap(),
        ]
    }

    #[test]
    fn what_is_written_is_read_back() {
        let [podinfo, web, newer] = charts();
        let lock = LockFile::default()
            .with(&web, &digest(1))
            .with(&podinfo, &digest(2))
            .with(&newer, &digest(3));
        let text = lock.to_text();
        assert_eq!(LockFile::parse(&text).as_ref(), Ok(&lock));
        assert_eq!(LockFile::parse(&text).unwrap().to_text(), text);
        assert_eq!(lock.digest_of(&web), Some(&digest(1)));
        assert_eq!(LockFile::parse("").unwrap().digest_of(&web), None);
        assert!(text.starts_with("# The third-party charts"));
        assert_eq!(text.matches("[[chart]]").count(), 3);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_refused_with_the_reason() {
        let entry = |digest: &str| {
            format!(
                "version = 1\n[[chart]]\nsource = \"https://a.example.com\"\nname = \"web\"\nversion = \"1.0.0\"\ndigest = \"{digest}\"\n"
            )
        };
        let one = entry(digest(1).as_str());
        let two = one.clone() + entry(digest(2).as_str()).trim_start_matches("version = 1\n");
        for (text, problem) in [
            ("[[chart]", "line 1"),
            ("version = 2\n", "only knows version 1"),
            (one.trim_start_matches("version = 1\n"), "has no `version`"),
            (&entry("sha256:abc"), "line 6"),
            (&two, "two digests for web 1.0.0 of https://a.example.com"),
            (&one.replace("https://", "http://"), "does not use TLS"),
            (&one.replace("name", "names"), "unknown field `names`"),
        ] {
            let found = LockFile::parse(text).unwrap_err();
            assert!(found.contains(problem), "{found}");
        }
    }
}
