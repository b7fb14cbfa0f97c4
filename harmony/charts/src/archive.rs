//! The `.tgz` of a chart, read into memory with limits.

use std::collections::BTreeMap;
use std::io::{self, Read};

use flate2::read::GzDecoder;
use tar::{Archive, EntryType};

use crate::error::{Place, RenderError};

/// The files of a chart, by their path below its folder (`templates/web.yaml`).
#[derive(Clone, PartialEq, Eq)]
pub struct ChartFiles {
    name: String,
    files: BTreeMap<String, Vec<u8>>,
}

impl ChartFiles {
    /// The largest chart, unpacked, in bytes: as Helm.
    pub const MAX_SIZE: u64 = 100 * 1024 * 1024;
    /// The largest file, in bytes: as Helm.
    pub const MAX_FILE_SIZE: u64 = 5 * 1024 * 1024;
    /// The most files.
    pub const MAX_FILES: usize = 10_000;

    /// A chart from files by path; `name` is that of its folder.
    pub fn new(name: impl Into<String>, files: BTreeMap<String, Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            files,
        }
    }

    /// Reads what `helm package` or Harmony wrote: one folder with the chart's name, regular files only.
    ///
    /// # Errors
    /// [`RenderError::Archive`] for what is no gzipped tar, is too large, leads out of its folder, holds links, or holds a
    /// file twice.
    pub fn from_archive(archive: &[u8]) -> Result<Self, RenderError> {
        let mut name = None;
        let mut files = BTreeMap::new();
        let mut left = Self::MAX_SIZE;
        // One byte more than allowed, so that what is too large is told from what fits; headers and padding count too.
        let unpacked = GzDecoder::new(archive).take(2 * Self::MAX_SIZE + 1);
        let mut tar = Archive::new(unpacked);
        for entry in tar.entries().map_err(unreadable)? {
            let mut entry = entry.map_err(unreadable)?;
            let path = entry.path_bytes().into_owned();
            let path = String::from_utf8(path).map_err(|error| {
                refuse(format!(
                    "holds a file whose name is not UTF-8: `{}`",
                    error.as_bytes().escape_ascii()
                ))
            })?;
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {}
                EntryType::Directory | EntryType::XGlobalHeader => continue,
                _ => {
                    return Err(refuse(format!(
                        "holds `{path}`, which is neither a file nor a folder"
                    )));
                }
            }
            let (folder, file) = split(&path)?;
            let name = name.get_or_insert_with(|| folder.to_owned());
            if name != folder {
                return Err(refuse(format!(
                    "holds two folders, `{name}` and `{folder}`"
                )));
            }
            let size = entry.size();
            if size > Self::MAX_FILE_SIZE {
                let limit = Self::MAX_FILE_SIZE / 1024 / 1024;
                return Err(refuse(format!(
                    "holds `{path}` of {size} bytes, more than {limit} MiB"
                )));
            }
            left = left.checked_sub(size).ok_or_else(|| {
                refuse(format!(
                    "unpacks to more than {} MiB",
                    Self::MAX_SIZE / 1024 / 1024
                ))
            })?;
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(unreadable)?;
            if files.insert(file.to_owned(), content).is_some() {
                return Err(refuse(format!("holds `{path}` twice")));
            }
            if files.len() > Self::MAX_FILES {
                return Err(refuse(format!("holds more than {} files", Self::MAX_FILES)));
            }
        }
        match name {
            Some(name) => Ok(Self { name, files }),
            None => Err(refuse("holds no file")),
        }
    }

    /// The name of its folder.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The content of a file.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// Every path, in order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// A file as text, without the mark that some editors put before it, as Helm reads it.
    pub(crate) fn text(&self, path: &str) -> Result<&str, RenderError> {
        let content = self.file(path).ok_or_else(|| RenderError::File {
            place: Place::file(path),
            problem: "the chart lacks this file".into(),
        })?;
        let text = std::str::from_utf8(content).map_err(|error| {
            let line = 1 + content
                .iter()
                .take(error.valid_up_to())
                .filter(|byte| **byte == b'\n')
                .count();
            RenderError::File {
                place: Place::line(path, line),
                problem: "is not UTF-8".into(),
            }
        })?;
        Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
    }
}

/// The name and the number of files; contents are long.
impl std::fmt::Debug for ChartFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChartFiles({}, {} files)", self.name, self.files.len())
    }
}

/// The chart's folder and the path below it. Whoever writes these files somewhere can rely on them.
fn split(path: &str) -> Result<(&str, &str), RenderError> {
    let leads_out = path.starts_with('/')
        || path.contains(['\\', '\0'])
        || path.split('/').any(|part| matches!(part, "" | "." | ".."));
    if leads_out {
        return Err(refuse(format!(
            "holds `{}`, which is no path below its folder",
            path.escape_debug()
        )));
    }
    path.split_once('/')
        .ok_or_else(|| refuse(format!("holds `{path}` beside the chart's folder")))
}

fn refuse(problem: impl Into<String>) -> RenderError {
    RenderError::Archive {
        problem: problem.into(),
    }
}

fn unreadable(error: io::Error) -> RenderError {
    refuse(format!("is no gzipped tar: {error}"))
}

#[cfg(test)]
mod tests;
