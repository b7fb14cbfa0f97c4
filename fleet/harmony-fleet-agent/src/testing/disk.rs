//! A folder in memory that loses power, or fails, at a chosen operation.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::workload::store::Disk;

/// What happens at the chosen operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power fails before the operation, and nothing works from then on.
    PowerBefore,
    /// The power fails in the middle of the operation: a write is torn.
    PowerDuring,
    /// The disk is full from then on, until it is repaired.
    Full,
    /// The operation fails once, and may have done a part of its work.
    Broken,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::PowerBefore,
        Self::PowerDuring,
        Self::Full,
        Self::Broken,
    ];
}

/// Files that keep only what was synced when the power fails. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The files as a program sees them; the flag tells whether the content is durable.
    files: BTreeMap<String, (Vec<u8>, bool)>,
    /// The names as they would be after a loss of power.
    durable: BTreeMap<String, (Vec<u8>, bool)>,
    /// The renames that are not durable yet.
    renames: Vec<(String, String)>,
    operations: u64,
    fault: Option<(u64, Fault)>,
    off: bool,
    full: bool,
}

impl SimulatedDisk {
    /// Lets the operation with this number fail, counted from 0 since the disk was made.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.state().fault = Some((operation, fault));
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Whether the power has failed.
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// Power and space are back. After a loss of power, what was not synced is torn or lost, and a part of the renames
    /// that were not synced has happened; `chance` chooses which.
    pub fn repair(&self, chance: u64) {
        let mut state = self.state();
        state.fault = None;
        state.full = false;
        if !state.off {
            return;
        }
        state.off = false;
        let mut files = std::mem::take(&mut state.durable);
        let mut chance = chance;
        let mut next = |among: usize| {
            let choice = usize::try_from(chance % among as u64).unwrap_or(0);
            chance /= among as u64;
            choice
        };
        let renames = std::mem::take(&mut state.renames);
        let happened = next(renames.len() + 1);
        // Files that were created but never synced may be there.
        for (name, file) in &state.files {
            files.entry(name.clone()).or_insert_with(|| file.clone());
        }
        for (from, to) in renames.iter().take(happened) {
            if let Some(file) = files.remove(from) {
                files.insert(to.clone(), file);
            }
        }
        for (content, is_durable) in files.values_mut() {
            if !*is_durable {
                let kept = next(content.len() + 1);
                content.truncate(kept);
            }
            *is_durable = true;
        }
        state.files = files.clone();
        state.durable = files;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation. Returns whether it is to do only a part of its work, and then to fail.
    fn begin(state: &mut State) -> io::Result<bool> {
        if state.off {
            return Err(io::Error::other("there is no power"));
        }
        let number = state.operations;
        state.operations += 1;
        match state.fault {
            Some((at, fault)) if at == number => match fault {
                Fault::PowerBefore => {
                    state.off = true;
                    Err(io::Error::other("the power failed"))
                }
                Fault::PowerDuring => {
                    state.off = true;
                    Ok(true)
                }
                Fault::Full => {
                    state.full = true;
                    Ok(true)
                }
                Fault::Broken => Ok(true),
            },
            _ => Ok(false),
        }
    }
}

fn broken() -> io::Error {
    io::Error::other("input/output error")
}

impl Disk for SimulatedDisk {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let state = self.state();
        Ok(state.files.get(name).map(|(content, _)| content.clone()))
    }

    fn write(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let partly = Self::begin(&mut state)?;
        let fails = partly || state.full;
        let kept = if fails {
            content.len() / 2
        } else {
            content.len()
        };
        let file = (content[..kept].to_vec(), false);
        state.files.insert(name.to_owned(), file.clone());
        // The name itself may survive with any content.
        state.durable.insert(name.to_owned(), file);
        if fails {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        if Self::begin(&mut state)? {
            return Err(broken());
        }
        let Some((content, is_durable)) = state.files.get_mut(name) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        *is_durable = true;
        let file = (content.clone(), true);
        state.durable.insert(name.to_owned(), file);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let partly = Self::begin(&mut state)?;
        let Some(file) = state.files.remove(from) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        state.files.insert(to.to_owned(), file);
        state.renames.push((from.to_owned(), to.to_owned()));
        if partly { Err(broken()) } else { Ok(()) }
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        let mut state = self.state();
        if Self::begin(&mut state)? {
            return Err(broken());
        }
        state.durable = state.files.clone();
        state.renames.clear();
        Ok(())
    }
}
