//! The `index.yaml` of a chart repository. Pure.

use harmony_types::{ChartName, ChartVersion, Digest};
use serde_json::Value;

use crate::yaml;

/// A version of a chart in an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Where the archive is: URLs, or paths relative to the repository.
    pub urls: Vec<String>,
    /// The digest of the archive; some repositories do not list it.
    pub digest: Option<Digest>,
}

/// Why an index does not contain a chart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// It is not an index.
    #[error("its `index.yaml` cannot be used: {problem}")]
    Invalid { problem: String },
    /// It has no chart with that name.
    #[error("it has no chart `{name}`")]
    NoChart {
        name: ChartName,
        /// Similar names.
        similar: Vec<String>,
    },
    /// It does not have this version.
    #[error("it has no version {version} of `{name}`")]
    NoVersion {
        name: ChartName,
        version: ChartVersion,
        /// The first versions in the index, which are the latest ones.
        listed: Vec<String>,
    },
}

/// The maximum number of names or versions in an error.
const SHOWN: usize = 10;

/// Finds a version of a chart.
///
/// An index can be huge (30 MB for all versions of a few hundred charts), so only the part of this chart is parsed if
/// the file is laid out as helm and every repository server write it.
///
/// # Errors
/// See [`IndexError`].
pub fn find(index: &str, name: &ChartName, version: &ChartVersion) -> Result<Listed, IndexError> {
    let entries = match part(index, name) {
        Some(part) => parse(&part)?,
        None => parse(index)?,
    };
    let Some(Value::Object(entries)) = entries.get("entries") else {
        return Err(invalid("it has no `entries`"));
    };
    let Some(versions) = entries.get(name.as_str()).and_then(Value::as_array) else {
        let mut names: Vec<&String> = entries.keys().collect();
        names.sort_by_key(|other| (!other.contains(name.as_str()), (*other).clone()));
        return Err(IndexError::NoChart {
            name: name.clone(),
            similar: names.into_iter().take(SHOWN).cloned().collect(),
        });
    };
    let is_wanted = |entry: &&Value| {
        let listed = entry["version"]
            .as_str()
            .and_then(|text| ChartVersion::parse(text).ok());
        listed.is_some_and(|listed| listed.is_same(version))
    };
    let Some(entry) = versions.iter().find(is_wanted) else {
        let listed = versions
            .iter()
            .filter_map(|entry| entry["version"].as_str());
        return Err(IndexError::NoVersion {
            name: name.clone(),
            version: version.clone(),
            listed: listed.take(SHOWN).map(str::to_owned).collect(),
        });
    };
    let urls = entry["urls"].as_array().into_iter().flatten();
    let urls: Vec<String> = urls.filter_map(Value::as_str).map(str::to_owned).collect();
    if urls.is_empty() {
        return Err(invalid(&format!("`{name}` {version} has no `urls`")));
    }
    Ok(Listed {
        urls,
        digest: entry["digest"].as_str().and_then(digest),
    })
}

/// Helm writes the digest without its algorithm.
fn digest(text: &str) -> Option<Digest> {
    Digest::parse(text)
        .or_else(|_| Digest::parse(format!("sha256:{text}")))
        .ok()
}

fn parse(text: &str) -> Result<Value, IndexError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = yaml::documents(text)
        .map_err(|error| invalid(&format!("line {}: {}", error.line, error.problem)))?;
    match (documents.pop(), documents.is_empty()) {
        (Some(document), true) => Ok(document.value),
        _ => Err(invalid("it is not a single document")),
    }
}

/// The part of one chart, as an index of its own: the lines from `  name:` below `entries:` to the next name.
fn part(index: &str, name: &ChartName) -> Option<String> {
    let mut lines = index.split_inclusive('\n');
    lines.find(|line| line.trim_end() == "entries:")?;
    let is_key = |line: &str| {
        let rest = line.strip_prefix("  ");
        rest.is_some_and(|rest| !rest.starts_with([' ', '-', '#', '\n', '\r']))
    };
    let key = format!("  {name}:");
    let begin = lines.find(|line| line.trim_end() == key)?;
    let mut part = format!("entries:\n{begin}");
    for line in lines {
        if is_key(line) || line.starts_with(|first: char| first.is_ascii_alphabetic()) {
            break;
        }
        part.push_str(line);
    }
    Some(part)
}

fn invalid(problem: &str) -> IndexError {
    IndexError::Invalid {
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "\
apiVersion: v1
entries:
  web:
  - apiVersion: v2
    created: \"2026-01-02T03:04:05Z\"
    description: |-
      A web server
      web:
    digest: a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7
    name: web
    urls:
    - https://example.com/web-v1.1.0.tgz
    version: v1.1.0
  - name: web
    urls: [charts/web-1.0.0+a.tgz]
    version: 1.0.0+a
  website:
  - name: website
    version: 0.1.0
generated: \"2026-01-02T03:04:05Z\"
";

    fn found(index: &str, name: &str, version: &str) -> Result<Listed, IndexError> {
        find(index, &name.parse().unwrap(), &version.parse().unwrap())
    }

    #[test]
    fn a_version_is_found_with_or_without_its_v() {
        let json = parse(INDEX).unwrap().to_string();
        for index in [INDEX, &INDEX.replace('\n', "\r\n"), &json] {
            for version in ["v1.1.0", "1.1.0", "1.1"] {
                let listed = found(index, "web", version).unwrap();
                assert_eq!(listed.urls, ["https://example.com/web-v1.1.0.tgz"]);
                assert_eq!(listed.digest, Some(Digest::sha256_from_bytes([0xa7; 32])));
            }
            let older = found(index, "web", "1.0.0+a").unwrap();
            assert_eq!(
                (older.urls, older.digest),
                (vec!["charts/web-1.0.0+a.tgz".to_owned()], None)
            );
        }
    }

    #[test]
    fn what_is_missing_is_told_with_what_there_is() {
        let Err(IndexError::NoVersion { listed, .. }) = found(INDEX, "web", "2.0.0") else {
            panic!()
        };
        assert_eq!(listed, ["v1.1.0", "1.0.0+a"]);
        let Err(IndexError::NoChart { similar, .. }) = found(INDEX, "site", "2.0.0") else {
            panic!()
        };
        assert_eq!(similar, ["website", "web"]);
        for (index, problem) in [
            ("<html>", "no `entries`"),
            ("entries: {web: [{version: 1.0.0}]}", "no `urls`"),
            ("a: [", "line 1"),
        ] {
            let error = found(index, "web", "1.0.0").unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
