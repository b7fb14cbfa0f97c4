//! Decides the desired states of all devices, from everything that the operator knows about them.
//!
//! It does no I/O: the operator tells it what the stores contain and what devices report, asks for the writes to make, and
//! tells it about their results.

use std::collections::{BTreeMap, BTreeSet};

use harmony_reconciler_contracts::{
    ContentHash, DeploymentName, DesiredDeployment, DesiredState, DeviceId, Generation, Labels,
    ObservedState, Phase, SchemaVersion,
};

use crate::desired::{Intent, decide, next_state};
use crate::{Expected, Revision, StoredValue, Unreadable};

/// What the operator knows about the desired states of its devices.
///
/// The generation of a device never decreases, even if the store lost its value or was restored from an old copy: the next
/// one is higher than any that was stored, remembered or reported by the device.
#[derive(Debug, Default)]
pub struct Dispatch {
    intent: Intent,
    /// Increases when the intent changes.
    epoch: u64,
    devices: BTreeMap<DeviceId, Told>,
}

/// A desired state to write.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredWrite {
    /// The device.
    pub device: DeviceId,
    /// What it should run.
    pub state: DesiredState,
    /// What the store should contain before the write.
    pub expected: Expected,
}

/// What a device was told, as far as it is known.
#[derive(Debug)]
struct Told {
    /// The generation in the store; `None` if it contains no valid value.
    stored: Option<Generation>,
    expected: Expected,
    /// The stored value is of a newer version and must not be replaced.
    newer: bool,
    /// What it was told last, even if the store has lost it.
    last: DesiredState,
    /// The highest generation that was ever seen.
    highest: Generation,
    observed: Option<LastReport>,
    /// The last decision changed nothing, and was made from these.
    decided: Option<(u64, Labels)>,
    /// How many deployments wait for a conflict to be resolved.
    conflicts: usize,
}

/// What matters of the last report of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReport {
    /// Its number within the boot of the agent.
    pub sequence: u64,
    /// The desired state that it is about.
    pub generation: Generation,
    /// The content that the device should run, and where that stands, by deployment.
    pub deployments: BTreeMap<DeploymentName, (ContentHash, Phase)>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            stored: None,
            expected: Expected::Absent,
            newer: false,
            last: DesiredState::default(),
            highest: Generation::default(),
            observed: None,
            decided: None,
            conflicts: 0,
        }
    }
}

impl Dispatch {
    /// Reported generations above this are not plausible, and are ignored: they would leave no room for the next ones.
    const MAX_REPORTED: Generation = Generation(1 << 48);

    /// Uses these deployments from now on.
    pub fn set_intent(&mut self, intent: Intent) {
        if self.intent != intent {
            self.intent = intent;
            self.epoch += 1;
        }
    }

    /// The deployments.
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// The complete content of the store of desired states.
    pub fn desired_loaded(&mut self, mut stored: BTreeMap<DeviceId, StoredValue<DesiredState>>) {
        for (device, told) in &mut self.devices {
            told.store_contains(stored.remove(device));
        }
        for (device, value) in stored {
            let told = self.devices.entry(device).or_default();
            told.store_contains(Some(value));
        }
    }

    /// The content of the store for one device, for example after another operator has changed it.
    pub fn desired_read(&mut self, device: &DeviceId, stored: Option<StoredValue<DesiredState>>) {
        let told = self.devices.entry(device.clone()).or_default();
        told.store_contains(stored);
    }

    /// A write succeeded.
    pub fn written(&mut self, device: &DeviceId, state: DesiredState, revision: Revision) {
        let value = StoredValue {
            revision,
            value: Ok(state),
        };
        self.desired_read(device, Some(value));
    }

    /// The complete content of the store of observed states.
    pub fn observed_loaded(&mut self, stored: BTreeMap<DeviceId, StoredValue<ObservedState>>) {
        for (device, told) in &mut self.devices {
            if !stored.contains_key(device) {
                told.observed = None;
            }
        }
        for (device, value) in stored {
            if let Ok(state) = value.value {
                self.observed(&device, &state);
            }
        }
    }

    /// A device reports what it runs.
    pub fn observed(&mut self, device: &DeviceId, state: &ObservedState) {
        let told = self.devices.entry(device.clone()).or_default();
        if state.generation > Self::MAX_REPORTED {
            return;
        }
        if state.generation > told.highest {
            told.highest = state.generation;
            told.decided = None;
        }
        let deployments = state.deployments.iter();
        told.observed = Some(LastReport {
            sequence: state.sequence,
            generation: state.generation,
            deployments: deployments
                .map(|(name, it)| (name.clone(), (it.wanted.clone(), it.phase)))
                .collect(),
        });
    }

    /// The writes that make the store contain what these devices should run. Devices that are not among them keep what
    /// they have.
    pub fn plan<'a>(
        &mut self,
        devices: impl IntoIterator<Item = (&'a DeviceId, &'a Labels)>,
    ) -> Vec<DesiredWrite> {
        let mut writes = Vec::new();
        for (device, labels) in devices {
            if !self.devices.contains_key(device) {
                self.devices.insert(device.clone(), Told::default());
            }
            let Some(told) = self.devices.get_mut(device) else {
                continue;
            };
            let is_decided = told
                .decided
                .as_ref()
                .is_some_and(|(epoch, known)| *epoch == self.epoch && known == labels);
            if told.newer || is_decided {
                continue;
            }
            match told.next(device, labels, &self.intent) {
                Some(state) => writes.push(DesiredWrite {
                    device: device.clone(),
                    state,
                    expected: told.expected,
                }),
                None => told.decided = Some((self.epoch, labels.clone())),
            }
        }
        writes
    }

    /// Of these devices, those that were told something and whose report is missing, with what they were told. Storing it
    /// again makes them report again.
    pub fn unreported<'a>(
        &self,
        devices: impl IntoIterator<Item = &'a DeviceId>,
    ) -> Vec<DesiredWrite> {
        let missing = devices.into_iter().filter_map(|device| {
            let told = self.devices.get(device)?;
            let is_told = told.stored == Some(told.last.generation) && !told.newer;
            (is_told && told.observed.is_none()).then(|| DesiredWrite {
                device: device.clone(),
                state: told.last.clone(),
                expected: told.expected,
            })
        });
        missing.collect()
    }

    /// The names of deployments that devices were told or report, and that the store has lost.
    pub fn lost(&self) -> BTreeSet<DeploymentName> {
        let lost = self.devices.values().flat_map(|told| {
            let names = told.last.deployments.keys();
            names
                .filter(|name| self.intent.is_lost(name))
                .chain(told.unknown(&self.intent))
        });
        lost.cloned().collect()
    }

    /// The last report of a device.
    pub fn last_report(&self, device: &DeviceId) -> Option<&LastReport> {
        self.devices.get(device)?.observed.as_ref()
    }

    /// How many deployments on devices wait for a conflict to be resolved.
    pub fn conflicts(&self) -> usize {
        self.devices.values().map(|told| told.conflicts).sum()
    }

    /// How many deployments on devices are in each phase, according to the last reports.
    pub fn phases(&self) -> BTreeMap<Phase, u64> {
        let mut phases = BTreeMap::new();
        let observed = self
            .devices
            .values()
            .filter_map(|told| told.observed.as_ref());
        for (_, phase) in observed.flat_map(|observed| observed.deployments.values()) {
            *phases.entry(*phase).or_default() += 1;
        }
        phases
    }
}

impl Told {
    fn store_contains(&mut self, stored: Option<StoredValue<DesiredState>>) {
        let expected = stored.as_ref().map_or(Expected::Absent, |stored| {
            Expected::Revision(stored.revision)
        });
        if self.expected == expected && self.stored.is_some() == stored.is_some() {
            return;
        }
        self.decided = None;
        self.expected = expected;
        let value = stored.map(|stored| stored.value);
        self.newer = matches!(value, Some(Err(Unreadable::Newer { .. })));
        self.stored = None;
        if let Some(Ok(state)) = value {
            self.stored = Some(state.generation);
            self.highest = self.highest.max(state.generation);
            if state.generation >= self.last.generation {
                self.last = state;
            }
        }
    }

    /// The next desired state; `None` if the store already contains it, or if it is not known.
    fn next(
        &mut self,
        device: &DeviceId,
        labels: &Labels,
        intent: &Intent,
    ) -> Option<DesiredState> {
        // The device would remove what nobody can tell it again.
        if self.unknown(intent).next().is_some() {
            return None;
        }
        let before = self.before(intent);
        let decision = decide(device, labels, intent, &before);
        self.conflicts = decision.conflicts.len();
        let next = next_state(&before, &decision);
        let is_stored = self.stored == Some(self.highest);
        // The store has lost it, or contains an older one, which the device ignores.
        let is_lost = !is_stored && self.highest > Generation::default();
        next.or_else(|| {
            is_lost.then(|| DesiredState {
                version: SchemaVersion::CURRENT,
                generation: Generation(self.highest.0 + 1),
                deployments: decision.deployments,
            })
        })
    }

    /// What the device was told last, with the highest generation. If the device knows a later one than is remembered, its
    /// report tells which deployments these were.
    fn before(&self, intent: &Intent) -> DesiredState {
        let mut before = self.last.clone();
        before.generation = self.highest;
        if let Some(later) = self.later_report() {
            let deployments = later.deployments.iter().filter_map(|(name, (hash, _))| {
                let content = self.content(name, hash, intent)?;
                Some((name.clone(), content.clone()))
            });
            before.deployments = deployments.collect();
        }
        before
    }

    /// The report, if it is about a later generation than is remembered.
    fn later_report(&self) -> Option<&LastReport> {
        let observed = self.observed.as_ref();
        observed.filter(|it| it.generation > self.last.generation)
    }

    /// The content of a deployment that the device reports: the one with this hash, or else the one before.
    fn content<'a>(
        &'a self,
        name: &DeploymentName,
        hash: &ContentHash,
        intent: &'a Intent,
    ) -> Option<&'a DesiredDeployment> {
        let wanted = intent.deployments.get(name).map(|it| &it.content);
        let told = self.last.deployments.get(name);
        let known = [wanted, told].into_iter().flatten();
        known.clone().find(|it| it.hash == *hash).or(known.last())
    }

    /// The deployments on the device that were not deleted, and whose content is not known any more.
    fn unknown<'a>(&'a self, intent: &'a Intent) -> impl Iterator<Item = &'a DeploymentName> {
        let reported = self
            .later_report()
            .into_iter()
            .flat_map(|it| &it.deployments);
        let unknown = reported.filter(move |(name, (hash, _))| {
            intent.is_lost(name) && self.content(name, hash, intent).is_none()
        });
        unknown.map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests;
