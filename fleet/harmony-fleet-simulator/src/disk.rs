//! A simulated disk that tells when the agent has stored which desired state.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use harmony_fleet_agent::testing::SimulatedDisk;
use harmony_fleet_agent::workload::memory::DeviceMemory;
use harmony_fleet_agent::workload::store::Disk;
use harmony_reconciler_contracts::{DesiredState, Generation};
use jiff::Timestamp;
use serde::Deserialize;

/// The disk of a device. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct ObservedDisk {
    disk: SimulatedDisk,
    stored: Arc<Mutex<Vec<Stored>>>,
}

/// A desired state that the agent has received and stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// When it began to store it.
    pub at: Timestamp,
    /// The desired state.
    pub desired: DesiredState,
}

#[derive(Deserialize)]
struct File {
    memory: DeviceMemory,
}

impl ObservedDisk {
    /// Everything that was stored so far. Only changes count.
    pub fn stored(&self) -> Vec<Stored> {
        self.list().clone()
    }

    /// The generation that was stored last.
    pub fn generation(&self) -> Generation {
        self.list()
            .last()
            .map(|it| it.desired.generation)
            .unwrap_or_default()
    }

    /// How often a lower generation followed a higher one.
    pub fn steps_back(&self) -> usize {
        let stored = self.list();
        let pairs = stored.windows(2);
        pairs
            .filter(|pair| pair[1].desired.generation < pair[0].desired.generation)
            .count()
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Stored>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, content: &[u8]) {
        let at = Timestamp::now();
        // The first line is a checksum.
        let json = content.splitn(2, |byte| *byte == b'\n').nth(1);
        let file = json.and_then(|json| serde_json::from_slice::<File>(json).ok());
        let Some(desired) = file.and_then(|file| file.memory.desired) else {
            return;
        };
        let mut stored = self.list();
        if stored.last().is_none_or(|it| it.desired != desired) {
            stored.push(Stored { at, desired });
        }
    }
}

impl Disk for ObservedDisk {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(name)
    }

    fn write(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.note(content);
        self.disk.write(name, content)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.disk.sync(name)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.disk.sync_folder()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harmony_fleet_agent::workload::store::Store;

    #[test]
    fn a_lower_generation_is_a_step_back() {
        let disk = ObservedDisk::default();
        let (mut store, mut memory) = Store::open(disk.clone(), &"pump-1".parse().unwrap());
        for generation in [1, 3, 3, 2, 4] {
            memory.desired = Some(DesiredState {
                generation: Generation(generation),
                ..DesiredState::default()
            });
            store.save(&memory).unwrap();
        }
        let generations: Vec<_> = disk
            .stored()
            .iter()
            .map(|it| it.desired.generation.0)
            .collect();
        assert_eq!(generations, [1, 3, 2, 4]);
        assert_eq!(disk.steps_back(), 1);
    }
}
