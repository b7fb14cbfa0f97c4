//! Stores the memory of the device so that it survives a loss of power at any moment.
//!
//! | file | content |
//! | --- | --- |
//! | `workloads.json` | the last memory that was stored |
//! | `workloads.json.previous` | the one before |
//! | `workloads.json.new` | one that is being written |
//!
//! The first line of a file is a checksum of the rest. Reading uses the valid file with the highest sequence number, so a
//! torn or unreadable file means the memory before, and never none. Nothing is written if nothing has changed.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use harmony_fleet_domain::ErrorChain;
use harmony_reconciler_contracts::DeviceId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::memory::DeviceMemory;

const CURRENT: &str = "workloads.json";
const PREVIOUS: &str = "workloads.json.previous";
const NEW: &str = "workloads.json.new";

/// The operations on files that the store needs, in one folder. Each can fail, and the power can fail between two of them.
pub trait Disk: Send {
    /// The content of a file; none if it does not exist.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Creates or overwrites a file. After a loss of power, it may have any part of the content.
    fn write(&mut self, name: &str, content: &[u8]) -> io::Result<()>;
    /// Returns when the content of the file survives a loss of power.
    fn sync(&mut self, name: &str) -> io::Result<()>;
    /// Renames a file, and replaces the one that has the name. After a loss of power, it may not have happened.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Returns when all renames survive a loss of power.
    fn sync_folder(&mut self) -> io::Result<()>;
}

/// A folder of the file system.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Disk for Folder {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.0.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut content = Vec::new();
        file.take(LARGEST).read_to_end(&mut content)?;
        Ok(Some(content))
    }

    fn write(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let path = self.0.join(name);
        // Not one that somebody else has put there, such as a link.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        File::create_new(&path)?.write_all(content)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        File::open(self.0.join(name))?.sync_all()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

/// A larger file is not one of ours.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Reads and stores the memory.
#[derive(Debug)]
pub struct Store<D> {
    disk: D,
    stored: Option<DeviceMemory>,
    sequence: u64,
}

#[derive(Serialize)]
struct Written<'a> {
    sequence: u64,
    memory: &'a DeviceMemory,
}

#[derive(Deserialize)]
struct Stored {
    sequence: u64,
    memory: DeviceMemory,
}

impl<D: Disk> Store<D> {
    /// Reads the memory of this device. Never fails: invalid files are ignored with a warning, and a device that has no
    /// valid one remembers nothing.
    pub fn open(disk: D, device: &DeviceId) -> (Self, DeviceMemory) {
        let mut newest: Option<Stored> = None;
        for name in [CURRENT, PREVIOUS, NEW] {
            let stored = match disk.read(name) {
                Ok(None) => continue,
                Ok(Some(content)) => parse(&content),
                Err(error) => Err(error),
            };
            match stored {
                Ok(stored) if stored.memory.device != *device => {
                    tracing::warn!(file = name, was = %stored.memory.device, is = %device, "the device id has changed; ignoring what is remembered");
                }
                Ok(stored) => {
                    if newest
                        .as_ref()
                        .is_none_or(|it| it.sequence < stored.sequence)
                    {
                        newest = Some(stored);
                    }
                }
                // A write that was interrupted is normal.
                Err(error) if name == NEW => {
                    tracing::debug!(file = name, error = %ErrorChain(&error), "ignoring an unfinished file");
                }
                Err(error) => {
                    tracing::warn!(file = name, error = %ErrorChain(&error), "cannot read what is remembered; using the version before");
                }
            }
        }
        let sequence = newest.as_ref().map_or(0, |stored| stored.sequence);
        let stored = newest.map(|stored| stored.memory);
        let memory = stored.clone();
        let store = Self {
            disk,
            stored,
            sequence,
        };
        (
            store,
            memory.unwrap_or_else(|| DeviceMemory::new(device.clone())),
        )
    }

    /// Stores the memory, if it has changed. When it returns without an error, the memory survives everything.
    pub fn save(&mut self, memory: &DeviceMemory) -> io::Result<()> {
        if self.stored.as_ref() == Some(memory) {
            return Ok(());
        }
        let sequence = self.sequence + 1;
        self.disk
            .write(NEW, &format(&Written { sequence, memory })?)?;
        self.disk.sync(NEW)?;
        // The new file is safe, so there is always one that can be read.
        match self.disk.rename(CURRENT, PREVIOUS) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.disk.rename(NEW, CURRENT)?;
        self.disk.sync_folder()?;
        self.sequence = sequence;
        self.stored = Some(memory.clone());
        Ok(())
    }

    /// The memory that survives.
    pub fn stored(&self) -> Option<&DeviceMemory> {
        self.stored.as_ref()
    }
}

fn format(written: &Written<'_>) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(written)?;
    let mut content = checksum(&json).into_bytes();
    content.push(b'\n');
    content.extend(json);
    Ok(content)
}

fn parse(content: &[u8]) -> io::Result<Stored> {
    let mut parts = content.splitn(2, |byte| *byte == b'\n');
    let (Some(expected), Some(json)) = (parts.next(), parts.next()) else {
        return Err(io::Error::other("it has no checksum"));
    };
    if checksum(json).as_bytes() != expected {
        return Err(io::Error::other("its checksum is wrong"));
    }
    Ok(serde_json::from_slice(json)?)
}

fn checksum(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
