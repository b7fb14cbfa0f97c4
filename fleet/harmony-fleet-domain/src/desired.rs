//! What each device should run: the decision from all deployments and all devices.
//!
//! Two deployments conflict on a device if they claim the same port of it, or if their containers would have the same name.
//! Then neither of them changes on this device: it keeps what it had of both, and both are told which other one it is. So a
//! device does not alternate between them, and removing either one resolves the conflict.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU16;

use harmony_reconciler_contracts::{
    ContentHash, DeploymentName, DesiredDeployment, DesiredState, DeviceId, Generation, Labels,
    Protocol, ReconcileScore, SchemaVersion, StoredDeployment, Target,
};
use sha2::{Digest as _, Sha256};

use crate::{StoredDeployments, StoredValue, Unreadable};

/// A deployment with the hash of its content.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetDeployment {
    /// Its name.
    pub name: DeploymentName,
    /// The devices that it is for.
    pub target: Target,
    /// What they run, and its hash.
    pub content: DesiredDeployment,
}

impl From<StoredDeployment> for FleetDeployment {
    fn from(stored: StoredDeployment) -> Self {
        Self {
            name: stored.name,
            target: stored.target,
            content: DesiredDeployment {
                hash: hash_of(&stored.score),
                score: stored.score,
            },
        }
    }
}

/// All deployments of a tenant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Intent {
    /// The deployments by name.
    pub deployments: BTreeMap<DeploymentName, FleetDeployment>,
    /// The names of deleted deployments. Only these are removed from devices. What a device was told and is neither here
    /// nor above was lost by the store or cannot be read, and stays as it is.
    pub deleted: BTreeSet<DeploymentName>,
    /// The deployments that exist and cannot be read, with the reason.
    pub unreadable: BTreeMap<DeploymentName, Unreadable>,
}

impl Intent {
    /// Returns true if a device that was told this deployment has to keep it, because nothing else is known about it.
    pub fn is_lost(&self, name: &DeploymentName) -> bool {
        !self.deployments.contains_key(name) && !self.deleted.contains(name)
    }
}

impl From<StoredDeployments> for Intent {
    fn from(stored: StoredDeployments) -> Self {
        let mut intent = Self {
            deleted: stored.deleted,
            ..Self::default()
        };
        for (name, StoredValue { value, .. }) in stored.values {
            match value {
                Ok(deployment) => drop(intent.deployments.insert(name, deployment.into())),
                Err(problem) => drop(intent.unreadable.insert(name, problem)),
            }
        }
        intent
    }
}

/// What a deployment claims on a device, and no other deployment may have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// A port of the device.
    Port(NonZeroU16, Protocol),
    /// The name of a container.
    Name(String),
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port, protocol) => write!(f, "port {port}/{protocol}"),
            Self::Name(name) => write!(f, "the container name {name}"),
        }
    }
}

/// Two deployments claim the same on a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The other deployment.
    pub with: DeploymentName,
    /// What both claim.
    pub claim: Claim,
}

/// What a device should run, and which deployments were left as they were.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// The deployments by name.
    pub deployments: BTreeMap<DeploymentName, DesiredDeployment>,
    /// The deployments that conflict with others, by name.
    pub conflicts: BTreeMap<DeploymentName, BTreeSet<Conflict>>,
}

/// Decides what a device should run. `before` is what it was told last.
pub fn decide(
    device: &DeviceId,
    labels: &Labels,
    intent: &Intent,
    before: &DesiredState,
) -> Decision {
    let lost = before
        .deployments
        .iter()
        .filter(|(name, _)| intent.is_lost(name));
    let wanted: BTreeMap<_, _> = intent
        .deployments
        .values()
        .filter(|deployment| selects(&deployment.target, device, labels))
        .map(|deployment| (&deployment.name, &deployment.content))
        .chain(lost)
        .collect();
    let conflicts = conflicts_of(&wanted, before);
    let mut decision = Decision::default();
    for (name, content) in wanted {
        let content = if conflicts.contains_key(name) {
            before.deployments.get(name)
        } else {
            Some(content)
        };
        if let Some(content) = content {
            decision.deployments.insert(name.clone(), content.clone());
        }
    }
    decision.conflicts = conflicts;
    decision
}

/// The next desired state of a device; `None` if nothing has changed. The generation never decreases.
pub fn next_state(before: &DesiredState, decision: &Decision) -> Option<DesiredState> {
    let hashes = |deployments: &BTreeMap<DeploymentName, DesiredDeployment>| {
        let hashes = deployments
            .iter()
            .map(|(name, it)| (name.clone(), it.hash.clone()));
        hashes.collect::<BTreeMap<_, _>>()
    };
    (hashes(&before.deployments) != hashes(&decision.deployments)).then(|| DesiredState {
        version: SchemaVersion::CURRENT,
        generation: Generation(before.generation.0 + 1),
        deployments: decision.deployments.clone(),
    })
}

/// Whether the target means this device.
pub fn selects(target: &Target, device: &DeviceId, labels: &Labels) -> bool {
    if target.all {
        return true;
    }
    if target.devices.is_empty() && target.labels.is_empty() {
        return false;
    }
    let has = |(key, value): (&str, &str)| labels.iter().any(|label| label == (key, value));
    (target.devices.is_empty() || target.devices.contains(device)) && target.labels.iter().all(has)
}

/// The name of a container on a device, for podman.
pub fn container_name(deployment: &DeploymentName, container: &str) -> String {
    format!("{deployment}-{container}")
}

fn claims_of(name: &DeploymentName, score: &ReconcileScore) -> BTreeSet<Claim> {
    match score {
        ReconcileScore::PodmanV0(podman) => {
            let containers = podman.containers.iter().flat_map(|(container, spec)| {
                let ports = spec
                    .ports
                    .iter()
                    .map(|port| Claim::Port(port.host, port.protocol));
                let name = container_name(name, container.as_str());
                ports.chain([Claim::Name(name)])
            });
            containers.collect()
        }
        ReconcileScore::Unknown(_) => BTreeSet::new(),
    }
}

type Conflicts = BTreeMap<DeploymentName, BTreeSet<Conflict>>;

/// The conflicts between what is wanted, and between that and what conflicting deployments keep: what a deployment keeps
/// may be what another one newly wants. Repeated until no more deployments have to keep what they had. What is kept cannot
/// conflict with itself, because it was decided in the same way.
fn conflicts_of(
    wanted: &BTreeMap<&DeploymentName, &DesiredDeployment>,
    before: &DesiredState,
) -> Conflicts {
    let mut conflicts = Conflicts::new();
    loop {
        let known = conflicts.len();
        let mut claimed: BTreeMap<Claim, BTreeSet<&DeploymentName>> = BTreeMap::new();
        for (name, content) in wanted {
            let kept = before.deployments.get(*name);
            let kept = kept.filter(|_| conflicts.contains_key(*name));
            for content in [Some(*content), kept].into_iter().flatten() {
                for claim in claims_of(name, &content.score) {
                    claimed.entry(claim).or_default().insert(name);
                }
            }
        }
        conflicts = pairs(&claimed);
        if conflicts.len() == known {
            return conflicts;
        }
    }
}

fn pairs(claimed: &BTreeMap<Claim, BTreeSet<&DeploymentName>>) -> Conflicts {
    let mut conflicts = Conflicts::new();
    for (claim, names) in claimed {
        for name in names {
            for other in names.iter().filter(|other| *other != name) {
                let conflict = Conflict {
                    with: (*other).clone(),
                    claim: claim.clone(),
                };
                let of_name = conflicts.entry((*name).clone()).or_default();
                of_name.insert(conflict);
            }
        }
    }
    conflicts
}

/// The hash of the JSON of a Score. It is computed by the operator alone, so it only has to be the same for the same
/// version of the operator.
fn hash_of(score: &ReconcileScore) -> ContentHash {
    let json = serde_json::to_vec(score).expect("a Score is always valid JSON");
    let digest = Sha256::digest(json);
    let hex: String = digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    ContentHash::try_from(hex).expect("32 hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn deployment(name: &str, target: Value, port: u16) -> FleetDeployment {
        let digest = "a".repeat(64);
        let stored: StoredDeployment = serde_json::from_value(json!({
            "name": name,
            "target": target,
            "score": {"type": "PodmanV0", "data": {"containers": {"c": {
                "image": format!("r.example.com/app@sha256:{digest}"),
                "ports": [{"host": port, "container": 80}],
            }}}},
        }))
        .unwrap();
        stored.into()
    }

    /// These deployments, and no others.
    fn intent<'a>(
        all: impl IntoIterator<Item = &'a FleetDeployment>,
        before: &DesiredState,
    ) -> Intent {
        let deployments: BTreeMap<_, _> = all
            .into_iter()
            .map(|deployment| (deployment.name.clone(), deployment.clone()))
            .collect();
        let deleted = before.deployments.keys().cloned();
        Intent {
            deleted: deleted
                .filter(|name| !deployments.contains_key(name))
                .collect(),
            deployments,
            unreadable: BTreeMap::new(),
        }
    }

    fn on(device: &str, labels: &str, all: &[&FleetDeployment], before: &DesiredState) -> Decision {
        let (device, labels) = (device.parse().unwrap(), labels.parse().unwrap());
        let intent = intent(all.iter().copied(), before);
        decide(&device, &labels, &intent, before)
    }

    fn names(decision: &Decision) -> Vec<String> {
        decision
            .deployments
            .keys()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_target_selects_by_id_and_by_labels() {
        let before = DesiredState::default();
        for (target, device, labels, selected) in [
            (json!({}), "pump-1", "site=lyon", false),
            (json!({"all": true}), "pump-1", "", true),
            (json!({"devices": ["pump-1"]}), "pump-1", "", true),
            (json!({"devices": ["pump-1"]}), "pump-2", "", false),
            (
                json!({"labels": {"site": "lyon"}}),
                "pump-2",
                "line=3,site=lyon",
                true,
            ),
            (
                json!({"labels": {"site": "lyon", "line": "4"}}),
                "pump-2",
                "line=3,site=lyon",
                false,
            ),
            (
                json!({"devices": ["pump-1"], "labels": {"site": "lyon"}}),
                "pump-1",
                "site=nice",
                false,
            ),
        ] {
            let web = deployment("web", target.clone(), 80);
            let decision = on(device, labels, &[&web], &before);
            assert_eq!(
                decision.deployments.len() == 1,
                selected,
                "{target} {device} {labels}"
            );
        }
    }

    #[test]
    fn a_conflict_changes_nothing_and_names_both() {
        let all = json!({"all": true});
        let old = deployment("web", all.clone(), 80);
        let first = on("pump-1", "", &[&old], &DesiredState::default());
        let before = next_state(&DesiredState::default(), &first).unwrap();
        assert_eq!(before.generation, Generation(1));
        assert_eq!(next_state(&before, &first), None);

        // A change of `web` and a new deployment that claims the same port.
        let mut changed = old.clone();
        changed.content = deployment("web", all.clone(), 81).content;
        let new = deployment("api", all, 81);
        let decision = on("pump-1", "", &[&changed, &new], &before);
        assert_eq!(names(&decision), ["web"]);
        assert_eq!(
            next_state(&before, &decision),
            None,
            "the device stays as it is"
        );
        let with = |name: &str| {
            let conflicts = &decision.conflicts[&name.parse().unwrap()];
            let first = conflicts.first().unwrap();
            format!("{} {}", first.with, first.claim)
        };
        assert_eq!(with("web"), "api port 81/tcp");
        assert_eq!(with("api"), "web port 81/tcp");

        // Removing one of them resolves it.
        let resolved = on("pump-1", "", &[&changed], &before);
        assert_eq!(
            next_state(&before, &resolved).unwrap().generation,
            Generation(2)
        );
    }

    #[test]
    fn containers_with_one_name_conflict() {
        let all = json!({"all": true});
        let mut one = deployment("a", all.clone(), 80);
        let mut other = deployment("a-b", all, 81);
        let rename = |deployment: &mut FleetDeployment, name: &str| {
            let ReconcileScore::PodmanV0(podman) = &mut deployment.content.score else {
                unreachable!()
            };
            let spec = podman.containers.pop_first().unwrap().1;
            podman.containers.insert(name.parse().unwrap(), spec);
        };
        rename(&mut one, "b-c");
        rename(&mut other, "c");
        let decision = on("pump-1", "", &[&one, &other], &DesiredState::default());
        assert_eq!(decision.conflicts.len(), 2);
        assert!(names(&decision).is_empty());
    }

    #[test]
    fn only_a_deleted_deployment_is_removed() {
        let web = deployment("web", json!({"all": true}), 80);
        let first = on("pump-1", "", &[&web], &DesiredState::default());
        let before = next_state(&DesiredState::default(), &first).unwrap();
        let (device, labels) = ("pump-1".parse().unwrap(), Labels::default());

        let lost = decide(&device, &labels, &Intent::default(), &before);
        assert_eq!(next_state(&before, &lost), None, "the store lost it");
        let port_taken = intent(
            [&deployment("api", json!({"all": true}), 80)],
            &DesiredState::default(),
        );
        let decision = decide(&device, &labels, &port_taken, &before);
        assert_eq!(names(&decision), ["web"], "what was lost keeps its port");

        let deleted = Intent {
            deleted: [web.name].into(),
            ..Intent::default()
        };
        let decision = decide(&device, &labels, &deleted, &before);
        assert!(
            next_state(&before, &decision)
                .unwrap()
                .deployments
                .is_empty()
        );
    }

    proptest! {
        /// In any order of events: no two deployments of a device have the same claim, and deciding again changes nothing.
        #[test]
        fn a_device_never_gets_a_conflict(steps in prop::collection::vec((0_usize..4, 0_u16..3, any::<bool>()), 0..30)) {
            let mut deployments: BTreeMap<usize, FleetDeployment> = BTreeMap::new();
            let mut state = DesiredState::default();
            for (which, port, present) in steps {
                if present {
                    let name = format!("d{which}");
                    deployments.insert(which, deployment(&name, json!({"all": true}), 80 + port));
                } else {
                    deployments.remove(&which);
                }
                let device = "pump-1".parse().unwrap();
                let all = intent(deployments.values(), &state);
                let decision = decide(&device, &Labels::default(), &all, &state);
                let mut claimed = BTreeSet::new();
                for (name, content) in &decision.deployments {
                    for claim in claims_of(name, &content.score) {
                        prop_assert!(claimed.insert(claim.clone()), "{claim} twice");
                    }
                }
                if let Some(next) = next_state(&state, &decision) {
                    prop_assert!(next.generation > state.generation);
                    state = next;
                }
                let again = decide(&device, &Labels::default(), &all, &state);
                prop_assert_eq!(next_state(&state, &again), None);
            }
        }
    }
}
