//! The cache of the builders.
//!
//! ```text
//! <root>/tmp/                   half-written things; nobody reads them
//! <root>/blobs/sha256/<hex>     compressed layers
//! <root>/layers/<key>.json      what the content of a layer became
//! <root>/images/<hex>/          images, as OCI layouts, by the digest of their manifest
//! <root>/builds/<key>.json      what the inputs of a build became
//! ```
//!
//! Everything is written to `tmp` and renamed, so anything with a name is complete. The directory can be deleted when
//! no build is running. [`Cache::prune`] deletes what has not been used for a while.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use harmony_core::cache_dir::CacheDir;
use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::Built;
use harmony_oci::file::read_regular;
use harmony_types::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How long unused entries are kept.
const KEEP_UNUSED: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How long incomplete entries are kept: longer than any build.
const KEEP_HALF_WRITTEN: Duration = Duration::from_secs(24 * 60 * 60);

/// The maximum size of a record, in bytes.
const RECORD_LIMIT: u64 = 64 * 1024;

#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

/// The kind of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Record {
    Layer,
    Build,
}

/// The result of a build with these inputs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BuildRecord {
    pub(crate) digest: Digest,
}

impl Record {
    fn folder(self) -> &'static str {
        match self {
            Self::Layer => "layers",
            Self::Build => "builds",
        }
    }
}

impl Cache {
    /// The cache in `dir`, for reading.
    pub(crate) fn open(dir: &CacheDir) -> Result<Self, BuildError> {
        let root = dir.checked()?;
        Ok(Self { root })
    }

    /// Creates the directories.
    pub(crate) fn prepare(&self) -> Result<(), BuildError> {
        let root = CacheDir::from(&self.root);
        for folder in ["tmp", "blobs/sha256", "layers", "images", "builds"] {
            root.join(folder).ready()?;
        }
        Ok(())
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    pub(crate) fn image(&self, manifest: &Digest) -> PathBuf {
        self.root.join("images").join(manifest.hex())
    }

    /// What a plan says about a build with the inputs `key`, if they are known.
    pub(crate) fn predicted(&self, key: Option<&Digest>) -> Built {
        let record = key.and_then(|key| self.read::<BuildRecord>(Record::Build, key));
        Built::Predicted(record.map(|record| record.digest))
    }

    /// Stores what a build became, unless its inputs changed meanwhile: it may or may not contain sources that were edited
    /// while it was running.
    pub(crate) fn remember(
        &self,
        before: Option<Digest>,
        after: Option<Digest>,
        built: &Digest,
    ) -> Result<(), BuildError> {
        match before.filter(|before| after.as_ref() == Some(before)) {
            Some(key) => {
                let digest = built.clone();
                self.write(Record::Build, &key, &BuildRecord { digest })
            }
            None => Ok(()),
        }
    }

    /// The record for `key`; `None` if there is none or it is damaged.
    pub(crate) fn read<T: DeserializeOwned>(&self, record: Record, key: &Digest) -> Option<T> {
        let path = self.record(record, key);
        let value = serde_json::from_slice(&read_regular(&path, RECORD_LIMIT).ok()?).ok()?;
        touch(&path);
        Some(value)
    }

    /// Stores `value` for `key`.
    pub(crate) fn write(
        &self,
        record: Record,
        key: &Digest,
        value: &impl Serialize,
    ) -> Result<(), BuildError> {
        let path = self.record(record, key);
        self.write_record(&path, value)
            .map_err(|source| BuildError::Write { path, source })
    }

    fn write_record(&self, path: &Path, value: &impl Serialize) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(self.staging())?;
        serde_json::to_writer(&mut file, value)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    fn record(&self, record: Record, key: &Digest) -> PathBuf {
        self.root
            .join(record.folder())
            .join(format!("{}.json", key.hex()))
    }

    /// Deletes entries that were not used for two weeks, and incomplete entries of killed runs. Ignores entries that
    /// cannot be deleted.
    pub(crate) fn prune(&self) {
        let now = SystemTime::now();
        for (folder, keep) in [
            ("images", KEEP_UNUSED),
            ("layers", KEEP_UNUSED),
            ("builds", KEEP_UNUSED),
            ("blobs/sha256", KEEP_UNUSED),
            ("tmp", KEEP_HALF_WRITTEN),
        ] {
            let Ok(entries) = fs::read_dir(self.root.join(folder)) else {
                continue;
            };
            for entry in entries.flatten() {
                let age = entry
                    .metadata()
                    .and_then(|meta| meta.modified())
                    .ok()
                    .and_then(|modified| now.duration_since(modified).ok());
                if age.is_some_and(|age| age > keep) {
                    delete(&entry.path());
                }
            }
        }
    }
}

/// Marks a file or directory as used now, for [`Cache::prune`]. A failure only affects its age.
pub(crate) fn touch(path: &Path) {
    if let Ok(file) = fs::File::open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
}

fn delete(path: &Path) {
    let deleted = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    if let Err(error) = deleted {
        tracing::debug!(path = %path.display(), %error, "cannot delete from the image cache");
    }
}

#[cfg(test)]
mod tests {
    use harmony_oci::sha256;

    use super::*;

    #[test]
    fn prune_deletes_what_is_old_and_keeps_what_is_used() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(&directory.path().into()).unwrap();
        cache.prepare().unwrap();
        let (old, used) = (sha256(b"old"), sha256(b"used"));
        for key in [&old, &used] {
            cache.write(Record::Layer, key, &1).unwrap();
            fs::create_dir(cache.image(key)).unwrap();
            fs::write(cache.image(key).join("index.json"), "{}").unwrap();
            for path in [cache.record(Record::Layer, key), cache.image(key)] {
                let long_ago = SystemTime::now() - KEEP_UNUSED - Duration::from_secs(60);
                fs::File::open(path)
                    .unwrap()
                    .set_modified(long_ago)
                    .unwrap();
            }
        }
        assert_eq!(cache.read::<u8>(Record::Layer, &used), Some(1));
        touch(&cache.image(&used));
        cache.prune();
        assert_eq!(cache.read::<u8>(Record::Layer, &used), Some(1));
        assert!(cache.image(&used).exists());
        assert_eq!(cache.read::<u8>(Record::Layer, &old), None);
        assert!(!cache.image(&old).exists());
    }

    #[test]
    fn a_damaged_record_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(&directory.path().into()).unwrap();
        cache.prepare().unwrap();
        let key = sha256(b"x");
        cache.write(Record::Build, &key, &"text").unwrap();
        assert_eq!(
            cache.read::<String>(Record::Build, &key).as_deref(),
            Some("text")
        );
        fs::write(cache.record(Record::Build, &key), "\"te").unwrap();
        assert_eq!(cache.read::<String>(Record::Build, &key), None);
    }
}
