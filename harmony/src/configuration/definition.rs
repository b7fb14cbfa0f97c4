//! What a setting is: its names, its type, its meaning. Parsing, the reference page and the schema all use it.

use std::path::{Path, PathBuf};

use harmony_types::KubeContext;

/// A setting with a value of type `T`.
#[derive(Debug)]
pub struct Key<T: 'static> {
    /// Its names and its description.
    pub info: Info,
    /// Parses a value.
    pub(super) parse: fn(&Raw<'_>) -> Result<T, Wrong>,
}

/// The description of a setting.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    /// The key in the file, with its sections: `registry.harbor.visibility`.
    pub path: &'static str,
    /// The environment variable that overrides it.
    pub variable: Option<&'static str>,
    /// Which values it has.
    pub kind: Kind,
    /// The value if it is not set, for people; empty if there is none.
    pub default: &'static str,
    /// One or two sentences.
    pub meaning: &'static str,
    /// A value, without quotes.
    pub example: &'static str,
}

/// An environment variable that is not a setting of the file.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// One or two sentences.
    pub meaning: &'static str,
    /// A value.
    pub example: &'static str,
}

/// Which values a setting has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text in quotes.
    Text,
    /// The path of a file; in the configuration file, relative to the folder of that file.
    Path,
    /// `true` or `false`.
    Boolean,
    /// A number of bytes with a unit.
    Size,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Kind {
    /// The type, for people.
    pub fn shown(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Path => "path".into(),
            Self::Boolean => "`true` or `false`".into(),
            Self::Size => "size".into(),
            Self::Choice(words) => alternatives(words),
        }
    }
}

/// `` `a`, `b` or `c` ``
pub(super) fn alternatives(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// `` `a` and `b` ``
pub(super) fn names(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(" and ")
}

/// A value as it was written.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    pub(super) text: &'a str,
    /// What relative paths are relative to.
    pub(super) folder: &'a Path,
}

/// Why a value is not valid. Completes a sentence that begins with the name of the setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub(super) what: String,
    pub(super) fix: String,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fix: fix.into(),
        }
    }
}

pub(super) fn text(raw: &Raw<'_>) -> Result<String, Wrong> {
    match raw.text.trim() {
        "" => Err(Wrong::new("is empty", "remove it, or set it")),
        text => Ok(text.to_owned()),
    }
}

pub(super) fn path(raw: &Raw<'_>) -> Result<PathBuf, Wrong> {
    Ok(raw.folder.join(text(raw)?))
}

/// Why a file that must be there cannot be used.
pub(super) fn check_file(path: &Path) -> Result<(), Wrong> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(()),
        Ok(_) => Err(Wrong::new(
            format!("names `{}`, which is not a file", path.display()),
            "",
        )),
        Err(error) => Err(Wrong::new(
            format!(
                "names `{}`, which cannot be read: {}",
                path.display(),
                reason(&error)
            ),
            "",
        )),
    }
}

/// The reason without the number of the operating system.
pub(super) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "it does not exist".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

pub(super) fn boolean(raw: &Raw<'_>) -> Result<bool, Wrong> {
    match raw.text.trim() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(Wrong::new(
            format!("is `{other}`, but must be `true` or `false`"),
            "",
        )),
    }
}

pub(super) fn context(raw: &Raw<'_>) -> Result<KubeContext, Wrong> {
    text(raw)?
        .parse()
        .map_err(|error: harmony_types::NameError| {
            Wrong::new(format!("is not valid: {error}"), error.hint())
        })
}

/// `50 GiB`, `500MB`, `1024`.
pub(super) fn size(raw: &Raw<'_>) -> Result<u64, Wrong> {
    const UNITS: &[(&str, u64)] = &[
        ("", 1),
        ("b", 1),
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
    ];
    let text = text(raw)?;
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let factor = UNITS.iter().find(|(name, _)| *name == unit);
    number
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(number, (_, factor))| number.checked_mul(*factor))
        .filter(|size| *size > 0)
        .ok_or_else(|| {
            Wrong::new(
                format!("is `{text}`, which is not a size"),
                "write a whole number and a unit, for example `50 GiB`",
            )
        })
}

/// The variant of a choice with this name.
pub(super) fn choice<T: Copy>(raw: &Raw<'_>, choices: &[(&'static str, T)]) -> Result<T, Wrong> {
    let asked = raw.text.trim();
    if let Some((_, found)) = choices.iter().find(|(name, _)| *name == asked) {
        return Ok(*found);
    }
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let fix = match nearest(asked, names.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => String::new(),
    };
    Err(Wrong::new(
        format!("is `{asked}`, but must be {}", alternatives(&names)),
        fix,
    ))
}

/// The name that was probably meant.
pub(super) fn nearest<'a>(
    asked: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    const SIMILAR: f64 = 0.8;
    let asked = asked.to_lowercase().replace('_', "-");
    names
        .into_iter()
        .map(|name| {
            let plain = name.to_lowercase().replace('_', "-");
            (strsim::jaro_winkler(&asked, &plain), name)
        })
        .filter(|(score, _)| *score > SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let size = |text: &str| {
            size(&Raw {
                text,
                folder: Path::new("/"),
            })
        };
        assert_eq!(size("50 GiB"), Ok(50 << 30));
        assert_eq!(size("500MB"), Ok(500_000_000));
        assert_eq!(size("1024"), Ok(1024));
        for wrong in ["", "GiB", "-1", "1.5 GiB", "0", "5 Gi", "99999999999 TiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_misspelt_name_is_recognised() {
        let names = ["kubeconfig", "context"];
        assert_eq!(nearest("kubeConfig", names), Some("kubeconfig"));
        assert_eq!(nearest("contex", names), Some("context"));
        assert_eq!(
            nearest("storage_limit", ["storage-limit"]),
            Some("storage-limit")
        );
        assert_eq!(nearest("timeout", names), None);
    }
}
