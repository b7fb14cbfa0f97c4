//! Reads settings from the file and the environment, and collects everything that is wrong.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use harmony_oci::file::read_regular;

use super::definition::{Info, Key, Kind, Raw, Wrong, check_file, nearest, reason};
use super::document::{Content, Document, Entry};
use super::keys::{ALL, VARIABLES};
use super::problem::{Place, Problem};

/// The maximum size of the file.
const LIMIT: u64 = 1024 * 1024;

/// The environment of a process, or that of a test.
pub(super) type Lookup<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// The sources of settings, and the problems found in them so far.
pub(super) struct Reader<'a> {
    pub(super) file: Option<PathBuf>,
    document: Document,
    lookup: &'a Lookup<'a>,
    pub(super) problems: Vec<Problem>,
    /// Whether the file has lines that are not TOML, so that a missing key may be in one of them.
    is_broken: bool,
}

/// A value, and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<'a> Reader<'a> {
    /// Reads the file, if there is one. A file that cannot be read is a problem.
    pub(super) fn open(file: Option<PathBuf>, lookup: &'a Lookup<'a>) -> Self {
        let mut problems = Vec::new();
        let document = match file.as_deref().map(|path| read_regular(path, LIMIT)) {
            None => Document::default(),
            Some(Ok(bytes)) => Document::parse(&String::from_utf8_lossy(&bytes), &mut problems),
            Some(Err(error)) => {
                let what = format!("the file cannot be read: {}", reason(&error));
                problems.push(Problem::new(Place::File, what, ""));
                Document::default()
            }
        };
        Self {
            file,
            document,
            lookup,
            is_broken: !problems.is_empty(),
            problems,
        }
    }

    /// The value of a setting: that of its variable, else that of the file. Both are checked.
    pub(super) fn read<T>(&mut self, key: &Key<T>) -> Option<Found<T>> {
        let in_file = self.in_file(key);
        let in_environment = self.in_environment(key);
        in_environment.or(in_file)
    }

    fn in_environment<T>(&mut self, key: &Key<T>) -> Option<Found<T>> {
        let name = key.info.variable?;
        let text = self.variable(name)?;
        let raw = Raw {
            text: &text,
            folder: Path::new(""),
        };
        let place = Place::Variable(name.into());
        match (key.parse)(&raw) {
            Ok(value) => Some(Found { value, place }),
            Err(Wrong { what, fix }) => {
                let what = format!("the value {what}");
                self.problems.push(Problem::new(place, what, fix));
                None
            }
        }
    }

    /// The value of a variable. An empty one counts as not set.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?.to_string_lossy().into_owned();
        Some(value).filter(|value| !value.is_empty())
    }

    fn in_file<T>(&mut self, key: &Key<T>) -> Option<Found<T>> {
        let Info { path, kind, .. } = key.info;
        let entry = self.document.values.get(path)?;
        let place = Place::Line(entry.line);
        let folder = self.file.as_deref().and_then(Path::parent);
        let parsed = text_of(entry, kind).and_then(|text| {
            (key.parse)(&Raw {
                text: &text,
                folder: folder.unwrap_or(Path::new("")),
            })
        });
        match parsed {
            Ok(value) => Some(Found { value, place }),
            Err(Wrong { what, fix }) => {
                let problem = Problem::new(place, format!("`{path}` {what}"), fix);
                self.problems.push(problem);
                None
            }
        }
    }

    /// Adds what is in the file or the environment but is no setting, and removes what is only missing because of that.
    pub(super) fn refuse_unknown(&mut self, variables: impl Iterator<Item = String>) {
        let mut meant = Vec::new();
        for (path, entry) in &self.document.values {
            if ALL.iter().any(|info| info.path == path) {
                continue;
            }
            let Some(Unknown { what, fix, key }) = unknown(path, &entry.content) else {
                continue;
            };
            meant.extend(key);
            let place = Place::Line(entry.line);
            self.problems.push(Problem::new(place, what, fix));
        }
        let known: Vec<&str> = ALL
            .iter()
            .filter_map(|info| info.variable)
            .chain(VARIABLES.iter().map(|variable| variable.name))
            .collect();
        for name in variables.filter(|name| !known.contains(&name.as_str())) {
            let Some(variable) = misspelt(&name, &known) else {
                continue;
            };
            let keys = ALL.iter().filter(|info| info.variable == Some(variable));
            meant.extend(keys.map(|info| info.path));
            self.problems.push(Problem::new(
                Place::Variable(name),
                "unknown variable",
                format!("did you mean {variable}?"),
            ));
        }
        let is_broken = self.is_broken;
        self.problems.retain(|problem| match problem.place {
            Place::Missing(key) => !is_broken && !meant.iter().any(|meant| gives(meant, key)),
            _ => true,
        });
    }

    /// A path whose file must be there if the run needs it.
    pub(super) fn read_file(
        &mut self,
        key: &Key<PathBuf>,
        is_needed: bool,
    ) -> Option<Found<PathBuf>> {
        let found = self.read(key)?;
        if !is_needed {
            return Some(found);
        }
        match check_file(&found.value) {
            Ok(()) => Some(found),
            Err(Wrong { what, fix }) => {
                let what = format!("`{}` {what}", key.info.path);
                self.problem(found.place, what, fix);
                None
            }
        }
    }

    pub(super) fn problem(
        &mut self,
        place: Place,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.problems.push(Problem::new(place, what, fix));
    }

    /// The first line of a section that contains keys.
    pub(super) fn section(&self, name: &str) -> Option<usize> {
        let prefix = format!("{name}.");
        let entries = self.document.values.iter();
        entries
            .filter(|(path, _)| path.starts_with(&prefix))
            .map(|(_, entry)| entry.line)
            .min()
    }
}

fn text_of(entry: &Entry, kind: Kind) -> Result<String, Wrong> {
    let wanted = match kind {
        Kind::Boolean => "`true` or `false` without quotes",
        _ => "a text in quotes",
    };
    let found = match (&entry.content, kind) {
        (Content::Boolean(value), Kind::Boolean) => return Ok(value.to_string()),
        (Content::Text(text), Kind::Boolean) if matches!(text.as_str(), "true" | "false") => {
            return Err(Wrong::new(
                "is a text",
                format!("remove the quotes around `{text}`"),
            ));
        }
        (Content::Text(_), Kind::Boolean) => "a text",
        (Content::Text(text), _) => return Ok(text.clone()),
        (Content::Boolean(_), _) => "`true` or `false`",
        (Content::EmptySection, _) => "a section",
        (Content::Other(what), _) => what,
    };
    Err(Wrong::new(format!("is {found}, but must be {wanted}"), ""))
}

/// Whether a value for `meant` is a value for `key`: a cluster without a kubeconfig of its own uses the common one.
fn gives(meant: &str, key: &str) -> bool {
    let last = |path: &str| path.rsplit('.').next().map(str::to_owned);
    let is_common = meant == "cluster.kubeconfig" && key.starts_with("cluster.");
    meant == key || (is_common && last(meant) == last(key))
}

/// What to say about a key that is no setting.
struct Unknown {
    what: String,
    fix: String,
    /// The key that was probably meant.
    key: Option<&'static str>,
}

/// `None` for an empty section that could have keys.
fn unknown(path: &str, content: &Content) -> Option<Unknown> {
    let prefix = format!("{path}.");
    if ALL.iter().any(|info| info.path.starts_with(&prefix)) {
        return match content {
            Content::EmptySection => None,
            _ => Some(Unknown {
                what: format!("`{path}` is a section, not a value"),
                fix: format!("write its keys below `[{path}]`"),
                key: ALL
                    .iter()
                    .find(|info| info.path.starts_with(&prefix))
                    .map(|info| info.path),
            }),
        };
    }
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    if matches!(name, "password" | "token" | "secret") {
        return Some(Unknown {
            what: format!("unknown key `{path}`: the file contains no secrets"),
            fix: "name a variable in `registry.password-variable` or a file in `registry.password-file`".into(),
            key: None,
        });
    }
    let key = suggestion(section, name, path);
    Some(Unknown {
        what: format!("unknown key `{path}`"),
        fix: key.map_or_else(String::new, |key| format!("did you mean `{key}`?")),
        key,
    })
}

/// The setting that was probably meant: a similar one of the same section, else one with the same name in another section,
/// else one with a similar path.
fn suggestion(section: &str, name: &str, path: &str) -> Option<&'static str> {
    const FEW: usize = 4;
    let split = |info: &'static Info| info.path.rsplit_once('.').unwrap_or(("", info.path));
    let siblings = ALL.iter().filter(|info| split(info).0 == section);
    if let Some(meant) = nearest(name, siblings.map(|info| split(info).1)) {
        let found = ALL.iter().find(|info| split(info) == (section, meant));
        return found.map(|info| info.path);
    }
    let same_name: Vec<&'static str> = ALL
        .iter()
        .filter(|info| split(info).1 == name)
        .map(|info| info.path)
        .collect();
    if let [only] = same_name.as_slice() {
        return Some(only);
    }
    let candidates: Vec<&'static str> = match same_name.is_empty() {
        true => ALL.iter().map(|info| info.path).collect(),
        false => return nearest(path, same_name),
    };
    let distances = candidates
        .into_iter()
        .map(|candidate| (strsim::levenshtein(path, candidate), candidate));
    distances
        .min()
        .filter(|(distance, _)| *distance <= FEW)
        .map(|(_, candidate)| candidate)
}

/// The variable that was probably meant. Other variables of ours are none of our business.
fn misspelt<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    const FEW: usize = 2;
    const PREFIX: &str = "HARMONY_";
    let closest = known
        .iter()
        .map(|known| (strsim::levenshtein(name, known), *known))
        .min()?;
    let longer = ["NAME", "_FILE", "_URL", "_PATH"].iter().find_map(|end| {
        let shorter = name.strip_suffix(end)?;
        known.iter().find(|known| **known == shorter)
    });
    match closest {
        (distance, meant) if distance <= FEW => Some(meant),
        _ if name.starts_with(PREFIX) => longer.copied(),
        _ => None,
    }
}
