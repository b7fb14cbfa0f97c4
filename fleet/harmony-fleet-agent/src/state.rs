//! The state directory, which stores what the agent needs after a restart.
//!
//! | file | content |
//! | --- | --- |
//! | `state.json` | the last boot id that the operator accepted; written when it changes |
//! | `lock` | held while an agent uses this directory |
//! | `agent.sock` | the socket of [`crate::status`] |
//!
//! An invalid file is moved aside, and the agent starts with an empty state; the operator decides who it is. If a file
//! cannot be written (full disk), the agent logs a warning and continues.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use harmony_fleet_domain::settings;
use harmony_reconciler_contracts::{BootId, DeviceId, SchemaVersion};
use serde::{Deserialize, Serialize};

/// The open state directory of a running agent. Only one agent can use it at a time.
#[derive(Debug)]
pub struct StateFolder {
    folder: PathBuf,
    /// The lock is released with the file when the process exits for any reason.
    _lock: File,
}

/// The stored state of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The schema version of the file.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// The device of this state. If the device id has changed, the state is ignored.
    pub device: DeviceId,
    /// The last boot id that the operator accepted. It proves that the next boot is the same device.
    #[serde(default)]
    pub registered_boot: Option<BootId>,
}

impl Memory {
    fn new(device: &DeviceId) -> Self {
        Self {
            version: SchemaVersion::CURRENT,
            device: device.clone(),
            registered_boot: None,
        }
    }
}

impl StateFolder {
    /// Opens the directory exclusively, and creates it if necessary.
    pub fn open(folder: &Path) -> Result<Self, StateError> {
        let failed = |source| StateError::Folder {
            folder: folder.to_owned(),
            source,
        };
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(folder.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                folder: folder.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(StateError::InUse {
                folder: folder.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The stored state of `device`. Never fails: invalid content is renamed to `state.json.damaged`.
    pub fn recall(&self, device: &DeviceId) -> Memory {
        let path = self.file();
        let read = || {
            if fs::metadata(&path)?.is_file() {
                return fs::read(&path);
            }
            // A pipe would be waited for.
            let reason = "it is not a regular file";
            Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
        };
        let bytes = match read() {
            Ok(bytes) => bytes,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "cannot read the state file; starting with an empty state");
                }
                return Memory::new(device);
            }
        };
        match serde_json::from_slice::<Memory>(&bytes) {
            Ok(memory) if memory.device == *device => memory,
            Ok(memory) => {
                tracing::warn!(was = %memory.device, is = %device, "the device id has changed; starting with an empty state");
                Memory::new(device)
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the state file is damaged; moving it aside and starting with an empty state");
                if let Err(error) = fs::rename(&path, self.folder.join("state.json.damaged")) {
                    tracing::warn!(path = %path.display(), %error, "could not move it aside");
                }
                Memory::new(device)
            }
        }
    }

    /// Stores the state atomically: after a power failure, the file has the old or the new content.
    pub fn remember(&self, memory: &Memory) -> Result<(), StateError> {
        let path = self.file();
        let failed = |source| StateError::Write {
            path: path.clone(),
            source,
        };
        let json = serde_json::to_vec(memory).map_err(|e| failed(e.into()))?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder).map_err(failed)?;
        file.write_all(&json)
            .and_then(|()| file.as_file().sync_all())
            .map_err(failed)?;
        file.persist(&path).map_err(|e| failed(e.error))?;
        // The new name is on disk only after the directory is synced.
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)
    }

    pub fn socket(&self) -> PathBuf {
        socket_in(&self.folder)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("state.json")
    }
}

/// The status socket in a state directory.
pub fn socket_in(folder: &Path) -> PathBuf {
    folder.join("agent.sock")
}

/// The error of the state directory.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("cannot use the state directory `{}`: set {} to a directory that this user can write to", folder.display(), settings::STATE_DIR)]
    Folder {
        folder: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Another agent uses it.
    #[error("another agent is using the state directory `{}`: stop it, or set {} to another directory", folder.display(), settings::STATE_DIR)]
    InUse { folder: PathBuf },
    #[error("cannot write `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn device() -> DeviceId {
        "pump-1".parse().unwrap()
    }

    #[test]
    fn remembers_over_restarts_and_for_one_device() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("deep/state");
        let state = StateFolder::open(&folder).unwrap();
        assert_eq!(state.recall(&device()), Memory::new(&device()));
        let memory = Memory {
            registered_boot: Some("b1".parse().unwrap()),
            ..Memory::new(&device())
        };
        state.remember(&memory).unwrap();
        drop(state);
        let state = StateFolder::open(&folder).unwrap();
        assert_eq!(state.recall(&device()), memory);
        let other: DeviceId = "pump-2".parse().unwrap();
        assert_eq!(state.recall(&other), Memory::new(&other));
    }

    #[test]
    fn a_second_agent_on_the_same_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let held = StateFolder::open(dir.path()).unwrap();
        assert!(matches!(
            StateFolder::open(dir.path()),
            Err(StateError::InUse { .. })
        ));
        drop(held);
        StateFolder::open(dir.path()).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = StateFolder::open(&file.join("state")).unwrap_err();
        assert!(error.to_string().contains(settings::STATE_DIR), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_is_in_the_file_the_agent_starts(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let dir = tempfile::tempdir().unwrap();
            let state = StateFolder::open(dir.path()).unwrap();
            fs::write(state.file(), &content).unwrap();
            prop_assert_eq!(state.recall(&device()), Memory::new(&device()));
            prop_assert_eq!(fs::read(dir.path().join("state.json.damaged")).unwrap(), content);
            state.remember(&Memory::new(&device())).unwrap();
        }
    }
}
