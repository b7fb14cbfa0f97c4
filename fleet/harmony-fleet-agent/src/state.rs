//! The state folder: what the agent remembers over restarts.
//!
//! | file | content |
//! | --- | --- |
//! | `state.json` | the boot that the operator accepted last; written when that changes |
//! | `lock` | held while an agent runs on this folder |
//! | `agent.sock` | where [`crate::status`] answers |
//!
//! A file that cannot be read is put aside, and the agent starts as if it were new: the operator settles who
//! it is. A file that cannot be written (a full disk) costs a warning, not the agent.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use harmony_fleet_domain::settings;
use harmony_reconciler_contracts::{BootId, DeviceId, SchemaVersion};
use serde::{Deserialize, Serialize};

/// The open state folder of a running agent. Held by one agent at a time.
#[derive(Debug)]
pub struct StateFolder {
    folder: PathBuf,
    /// The lock is released with the file, however the process ends.
    _lock: File,
}

/// What the agent remembers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Schema of the file.
    #[serde(rename = "v", default)]
    pub version: SchemaVersion,
    /// The device that this is about. Another id than today's: nothing is remembered.
    pub device: DeviceId,
    /// The run that the operator accepted last: proof that the next run is the same device.
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
    /// Opens the folder for this process alone, and makes it when it is not there.
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

    /// What is remembered of `device`. Never fails: what cannot be read is put aside as `state.json.damaged`.
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
                    tracing::warn!(path = %path.display(), %error, "cannot read the state file; starting as new");
                }
                return Memory::new(device);
            }
        };
        match serde_json::from_slice::<Memory>(&bytes) {
            Ok(memory) if memory.device == *device => memory,
            Ok(memory) => {
                tracing::warn!(was = %memory.device, is = %device, "the device has another id than before; starting as new");
                Memory::new(device)
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the state file is damaged; it is put aside, starting as new");
                if let Err(error) = fs::rename(&path, self.folder.join("state.json.damaged")) {
                    tracing::warn!(path = %path.display(), %error, "could not put it aside");
                }
                Memory::new(device)
            }
        }
    }

    /// Remembers. All or nothing: after a power cut the file is the old one or the new one.
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
        // The new name itself is on disk only when the folder is.
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)
    }

    /// Where the status is answered.
    pub fn socket(&self) -> PathBuf {
        socket_in(&self.folder)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("state.json")
    }
}

/// Where the agent of a state folder answers its status.
pub fn socket_in(folder: &Path) -> PathBuf {
    folder.join("agent.sock")
}

/// Trouble with the state folder.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be used at all.
    #[error("cannot use the state folder `{}`: choose one that this user may write to with {}", folder.display(), settings::STATE_DIR)]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another agent runs on it.
    #[error("another agent is running on the state folder `{}`: stop it, or choose another folder with {}", folder.display(), settings::STATE_DIR)]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The state was not written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
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
