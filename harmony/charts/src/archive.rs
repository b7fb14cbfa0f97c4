//! The `.tgz` of a chart: read into memory with limits, and written reproducibly.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use harmony_core::chart::PackagedChart;
use harmony_types::{ChartName, Digest, Version};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tar::{Archive, EntryType};

use crate::chart::Chart;
use crate::error::{ChartError, RenderError};

/// The size limits of charts, for reading and writing.
impl Chart {
    /// The maximum size of an unpacked chart in bytes, as in Helm.
    pub const MAX_SIZE: u64 = 100 * 1024 * 1024;
    /// The maximum size of a file in bytes, as in Helm.
    pub const MAX_FILE_SIZE: u64 = 5 * 1024 * 1024;
    /// The maximum number of files.
    pub const MAX_FILES: usize = 10_000;

    /// Reads what `helm package` or Harmony wrote: one directory with the chart's name, with regular files only.
    ///
    /// # Errors
    /// [`RenderError::Archive`] for what is no gzipped tar, is too large, leads out of its folder, holds links, or holds a
    /// file twice.
    pub fn from_archive(archive: &[u8]) -> Result<Self, RenderError> {
        let mut name = None;
        let mut files = BTreeMap::new();
        let mut left = Self::MAX_SIZE;
        // Reads one byte more than allowed, to tell what is too large from what just fits; headers and padding count
        // too.
        let unpacked = GzDecoder::new(archive).take(2 * Self::MAX_SIZE + 1);
        let mut tar = Archive::new(unpacked);
        for entry in tar.entries().map_err(unreadable)? {
            let mut entry = entry.map_err(unreadable)?;
            let path = entry.path_bytes().into_owned();
            let path = String::from_utf8(path).map_err(|error| {
                refuse(format!(
                    "contains a file whose name is not UTF-8: `{}`",
                    error.as_bytes().escape_ascii()
                ))
            })?;
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {}
                EntryType::Directory | EntryType::XGlobalHeader => continue,
                _ => {
                    return Err(refuse(format!(
                        "contains `{path}`, which is neither a file nor a directory"
                    )));
                }
            }
            let (folder, file) = split(&path)?;
            let name = name.get_or_insert_with(|| folder.to_owned());
            if name != folder {
                return Err(refuse(format!(
                    "contains two directories, `{name}` and `{folder}`"
                )));
            }
            let size = entry.size();
            if size > Self::MAX_FILE_SIZE {
                let limit = Self::MAX_FILE_SIZE / 1024 / 1024;
                return Err(refuse(format!(
                    "contains `{path}` with {size} bytes, more than {limit} MiB"
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
                return Err(refuse(format!("contains `{path}` twice")));
            }
            if files.len() > Self::MAX_FILES {
                return Err(refuse(format!(
                    "contains more than {} files",
                    Self::MAX_FILES
                )));
            }
        }
        match name {
            Some(name) => Ok(Self::from_files(name, files)),
            None => Err(refuse("contains no files")),
        }
    }

    /// Packages the files by path, dated `created` (in seconds since 1970), without owners, and with a gzip header
    /// without name or time. The same arguments give the same bytes.
    ///
    /// # Errors
    /// [`ChartError::File`] if the `Chart.yaml` does not belong to this chart, [`ChartError::Archive`] if its files do
    /// not fit into an archive.
    pub fn pack(&self, version: &Version, created: i64) -> Result<PackagedChart, ChartError> {
        let unusable = |error: &dyn std::fmt::Display| ChartError::File {
            path: "Chart.yaml".into(),
            problem: format!("cannot be used: {error}"),
            help: "correct the file".into(),
            source: None,
        };
        let metadata = self.metadata().map_err(|error| unusable(&error))?;
        let name = ChartName::parse(self.name()).map_err(|error| unusable(&error))?;
        let archive = self
            .to_archive(created)
            .map_err(|source| ChartError::Archive { source })?;
        Ok(PackagedChart {
            name,
            version: version.clone(),
            metadata: sorted(metadata),
            archive_digest: Digest::sha256_from_bytes(Sha256::digest(&archive).into()),
            archive: archive.into(),
            created,
        })
    }
}

impl Chart {
    /// The bytes of its `.tgz`, with files dated `created`. The same arguments give the same bytes.
    ///
    /// # Errors
    /// A path is too long for the archive.
    pub fn to_archive(&self, created: i64) -> io::Result<Vec<u8>> {
        archive(self, created)
    }
}

/// The chart's directory and the path below it. Safe to use when these files are written to disk.
fn split(path: &str) -> Result<(&str, &str), RenderError> {
    let leads_out = path.starts_with('/')
        || path.contains(['\\', '\0'])
        || path.split('/').any(|part| matches!(part, "" | "." | ".."));
    if leads_out {
        return Err(refuse(format!(
            "contains `{}`, which is not a path below its directory",
            path.escape_debug()
        )));
    }
    path.split_once('/').ok_or_else(|| {
        refuse(format!(
            "contains `{path}` outside of the directory of the chart"
        ))
    })
}

fn refuse(problem: impl Into<String>) -> RenderError {
    RenderError::Archive {
        problem: problem.into(),
    }
}

fn unreadable(error: io::Error) -> RenderError {
    refuse(format!("is not a gzipped tar archive: {error}"))
}

/// The operating system in a gzip header: unknown (RFC 1952).
const UNKNOWN_SYSTEM: u8 = 255;

fn archive(chart: &Chart, created: i64) -> io::Result<Vec<u8>> {
    let files = chart.files();
    write_archive(
        files.map(|(path, content)| (format!("{}/{path}", chart.name()), content)),
        created,
    )
}

/// A `.tar.gz` with these files, dated `created`. The same arguments give the same bytes.
pub(crate) fn write_archive<'a>(
    files: impl Iterator<Item = (String, &'a [u8])>,
    created: i64,
) -> io::Result<Vec<u8>> {
    let encoder = GzBuilder::new()
        .mtime(0)
        .operating_system(UNKNOWN_SYSTEM)
        .write(Vec::new(), Compression::new(9));
    let mut tar = tar::Builder::new(encoder);
    let mtime = u64::try_from(created).unwrap_or_default();
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(mtime);
        tar.append_data(&mut header, path, content)?;
    }
    let mut encoder = tar.into_inner()?;
    encoder.flush()?;
    encoder.finish()
}

/// The same value with sorted maps, so that its text does not depend on the order of the map.
pub(crate) fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|(left, _), (right, _)| left.cmp(right));
            let entries = entries.into_iter().map(|(key, item)| (key, sorted(item)));
            Value::Object(entries.collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests;
