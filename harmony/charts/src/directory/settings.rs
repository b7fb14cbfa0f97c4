//! What a release sets in the files of a hand-written chart.

use harmony_types::{ImageRef, Version};
use serde_json::Value;

use crate::yaml;

/// A value to set: at the top level, or in a mapping there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    mapping: Option<&'static str>,
    key: &'static str,
    value: String,
}

/// Why a file cannot be edited, and how to fix it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) what: String,
    pub(super) help: String,
}

impl Problem {
    pub(super) fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            help: help.into(),
        }
    }
}

const IMAGE: &str = "image";

/// The settings of a `Chart.yaml`.
pub(super) fn of_metadata(version: &Version) -> Vec<Setting> {
    let setting = |key| Setting {
        mapping: None,
        key,
        value: version.to_string(),
    };
    vec![setting("version"), setting("appVersion")]
}

/// The settings of a `values.yaml`: its `image` is a string, or a mapping of `registry`, `repository`, `tag` and
/// `digest`.
///
/// Any template that uses such a mapping must refer to the image by digest. A mapping without `digest` gets it in its
/// `tag`, as `1.2.3@sha256:...`, because templates write the tag after the repository and a colon.
pub(super) fn of_image(
    values: &Value,
    image: &ImageRef,
    version: &Version,
) -> Result<Vec<Setting>, Problem> {
    let parts = match &values[IMAGE] {
        Value::Object(parts) => parts,
        Value::Null if values.get(IMAGE).is_none() => {
            return Err(Problem::new(
                "has no `image`",
                "add the line `image: \"\"`: the release writes the image there",
            ));
        }
        _ => {
            return Ok(vec![Setting {
                mapping: None,
                key: IMAGE,
                value: image.to_string(),
            }]);
        }
    };
    let has = |key: &str| parts.contains_key(key);
    if !has("repository") || !(has("tag") || has("digest")) {
        return Err(Problem::new(
            "has an `image` that is a mapping without `repository`, or without `tag` and `digest`",
            "write `image: \"\"`, or `repository: \"\"` and `tag: \"\"` or `digest: \"\"` below `image:`",
        ));
    }
    let digest = image.digest().map(ToString::to_string).unwrap_or_default();
    let mut settings = Vec::new();
    let mut set = |key, value| {
        settings.push(Setting {
            mapping: Some(IMAGE),
            key,
            value,
        });
    };
    if has("registry") {
        set("registry", image.registry().to_string());
        set("repository", image.repository().to_string());
    } else {
        set("repository", image.name());
    }
    match (has("tag"), has("digest")) {
        (true, true) => {
            set("tag", version.to_string());
            set("digest", digest);
        }
        (false, _) => set("digest", digest),
        (true, false) => set("tag", format!("{version}@{digest}")),
    }
    Ok(settings)
}

impl Setting {
    /// Its name in errors.
    pub(super) fn line(&self) -> String {
        match self.mapping {
            Some(mapping) => format!("{mapping}.{}", self.key),
            None => self.key.to_owned(),
        }
    }
}

/// The content that the file should have.
pub(super) fn applied(mut file: Value, settings: &[Setting]) -> Value {
    for setting in settings {
        let mapping = match setting.mapping {
            Some(mapping) => file.get_mut(mapping),
            None => Some(&mut file),
        };
        if let Some(Value::Object(mapping)) = mapping {
            mapping.insert(setting.key.to_owned(), setting.value.clone().into());
        }
    }
    file
}

/// The text with the lines of the settings replaced; the content is checked afterwards.
pub(super) fn write(text: &str, file: &Value, settings: &[Setting]) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    for setting in settings {
        let own = quoted(setting.key, &setting.value);
        let Some(mapping) = setting.mapping else {
            match find(&lines, setting.key) {
                Some(at) => replace(&mut lines[at], &own),
                None => append(&mut lines, &own),
            }
            continue;
        };
        let Some(at) = find(&lines, mapping) else {
            continue;
        };
        let is_flow = value_of(&lines[at], mapping).is_some_and(|rest| rest.starts_with('{'));
        if is_flow {
            let whole = applied(file.clone(), settings);
            let parts = whole.get(mapping).unwrap_or(&Value::Null);
            replace(&mut lines[at], &format!("{mapping}: {}", yaml::json(parts)));
            continue;
        }
        let end = lines[at + 1..]
            .iter()
            .position(|line| !is_blank(line) && indent(line) == 0)
            .map_or(lines.len(), |offset| at + 1 + offset);
        let block = &mut lines[at + 1..end];
        let deep = block
            .iter()
            .find(|line| !is_blank(line))
            .map_or(0, |line| indent(line));
        if let Some(line) = block
            .iter_mut()
            .find(|line| indent(line) == deep && value_of(&line[deep..], setting.key).is_some())
        {
            let own = format!("{}{own}", " ".repeat(deep));
            replace(line, &own);
        }
    }
    lines.concat()
}

fn quoted(key: &str, value: &str) -> String {
    format!("{key}: {}", yaml::json(&Value::from(value)))
}

fn find(lines: &[String], key: &str) -> Option<usize> {
    lines.iter().position(|line| value_of(line, key).is_some())
}

/// What follows `key:`, without a byte order mark before it.
fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    let rest = line.strip_prefix(key)?.strip_prefix(':')?;
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then(|| rest.trim())
}

/// Replaces the line by `own`, and keeps its line ending.
fn replace(line: &mut String, own: &str) {
    let end = match line.strip_suffix('\n') {
        Some(rest) if rest.ends_with('\r') => "\r\n",
        Some(_) => "\n",
        None => "",
    };
    *line = format!("{own}{end}");
}

fn append(lines: &mut Vec<String>, own: &str) {
    if let Some(last) = lines.last_mut()
        && !last.ends_with('\n')
    {
        last.push('\n');
    }
    lines.push(format!("{own}\n"));
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}
