//! Where deployments stand on devices, and why: what `status` and `why` say.
//!
//! Everything is decided from a [`Snapshot`] of what is stored. A [`Trace`] follows one deployment to one device: intent,
//! selection, delivery, and the report of the device. Its [`Verdict`] is the first link of this chain that is not as it
//! should be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use harmony_reconciler_contracts::{
    Cause, ContentHash, DeploymentName, DesiredState, DeviceId, Generation, ObservedDeployment,
    ObservedState, Phase, Target,
};

use crate::desired::{Conflict, FleetDeployment, Intent, decide, selects};
use crate::{DeviceSummary, Presence};

/// What is stored about a tenant.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The registered devices.
    pub devices: BTreeMap<DeviceId, DeviceSummary>,
    /// The deployments.
    pub intent: Intent,
    /// What each device was told.
    pub desired: BTreeMap<DeviceId, DesiredState>,
    /// What each device reported.
    pub observed: BTreeMap<DeviceId, ObservedState>,
}

/// A deployment on a device.
#[derive(Debug, Clone)]
pub struct Trace<'a> {
    /// The device.
    pub device: &'a DeviceSummary,
    /// The name of the deployment.
    pub name: &'a DeploymentName,
    /// What users want to run; `None` if there is no such deployment.
    pub intent: Option<&'a FleetDeployment>,
    /// Whether the deployment means the device.
    pub selection: Selection,
    /// How the device learns it.
    pub delivery: Delivery,
    /// What the device reported about it.
    pub report: Option<&'a ObservedDeployment>,
    /// The result.
    pub verdict: Verdict,
}

/// Whether a deployment means a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// It does.
    Selected,
    /// The target is empty.
    NoTarget,
    /// The target names devices, and not this one.
    NotNamed,
    /// The target asks for another label.
    Label {
        /// The key of the label.
        key: String,
        /// The value in the target.
        wanted: String,
        /// The value of the device.
        has: Option<String>,
    },
    /// The deployment was deleted.
    Deleted,
    /// There is no such deployment, or it cannot be read. A device that was told it keeps it.
    Unknown,
}

/// How a device learns a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The generation that the operator wrote last for the device.
    pub written: Option<Generation>,
    /// The content of this deployment in it.
    pub content: Option<ContentHash>,
    /// The generation that the device reported last.
    pub received: Option<Generation>,
}

/// The first link of the chain from the intent to the running containers that is not as it should be. The variants are in
/// the order of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The device is not meant, and does not have it.
    NotSelected,
    /// The device is no longer meant, and still has it.
    Leaving,
    /// Other deployments claim the same, so the device stays as it is.
    Conflicting(BTreeSet<Conflict>),
    /// The operator has not written it for the device.
    NotWritten,
    /// The device has not reported that it knows it.
    NotReceived,
    /// The device knows it, and reports nothing about it.
    NotReported,
    /// It is on the way.
    Working(Phase),
    /// It does not run as it should.
    Failing {
        /// Where it stands.
        phase: Phase,
        /// The reason; older agents may give none.
        cause: Option<Cause>,
    },
    /// It runs.
    Running,
}

/// How a [`Verdict`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It runs.
    Running,
    /// It is on the way, without a known problem.
    Underway,
    /// There is a problem.
    Failing,
    /// The device does not count.
    NotMeant,
}

/// A deployment on all of its devices, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// The devices that it means.
    pub selected: usize,
    /// The devices that run it.
    pub running: usize,
    /// The devices on which it fails.
    pub failing: usize,
    /// The devices that it means, that do not run it, and that are not online.
    pub away: usize,
}

impl Snapshot {
    /// A deployment on the devices that it means or that still have it, by device.
    pub fn traces<'a>(&'a self, name: &'a DeploymentName) -> Vec<Trace<'a>> {
        let traces = self.devices.values().map(|device| self.trace(device, name));
        traces
            .filter(|trace| trace.verdict != Verdict::NotSelected)
            .collect()
    }

    /// The deployments that mean a device or that it still has, by name.
    pub fn traces_of_device<'a>(&'a self, device: &'a DeviceSummary) -> Vec<Trace<'a>> {
        let told = self
            .desired
            .get(&device.id)
            .into_iter()
            .flat_map(|it| it.deployments.keys());
        let reported = self.observed.get(&device.id);
        let reported = reported.into_iter().flat_map(|it| it.deployments.keys());
        let names: BTreeSet<_> = self
            .intent
            .deployments
            .keys()
            .chain(told)
            .chain(reported)
            .collect();
        let traces = names.into_iter().map(|name| self.trace(device, name));
        traces
            .filter(|trace| trace.verdict != Verdict::NotSelected)
            .collect()
    }

    /// A deployment on a device.
    pub fn trace<'a>(&'a self, device: &'a DeviceSummary, name: &'a DeploymentName) -> Trace<'a> {
        let nothing = DesiredState::default();
        let told = self.desired.get(&device.id);
        let observed = self.observed.get(&device.id);
        let report = observed.and_then(|it| it.deployments.get(name));
        let intent = self.intent.deployments.get(name);
        let content = told.and_then(|it| it.deployments.get(name));
        let selection = match intent {
            Some(deployment) => selection(&deployment.target, device),
            None if self.intent.deleted.contains(name) => Selection::Deleted,
            None => Selection::Unknown,
        };
        let delivery = Delivery {
            written: told.map(|it| it.generation),
            content: content.map(|it| it.hash.clone()),
            received: observed.map(|it| it.generation),
        };
        // The same decision as that of the operator: its result is what the device was told, if nothing has changed since.
        let decision = decide(
            &device.id,
            &device.info.labels,
            &self.intent,
            told.unwrap_or(&nothing),
        );
        let conflicts = decision.conflicts.get(name);
        let wanted = decision.deployments.get(name).map(|it| &it.hash);
        let has_it = content.is_some() || report.is_some();
        let verdict = match wanted {
            _ if conflicts.is_some() => {
                Verdict::Conflicting(conflicts.cloned().unwrap_or_default())
            }
            None if has_it => Verdict::Leaving,
            None => Verdict::NotSelected,
            Some(wanted) if content.is_none_or(|content| content.hash != *wanted) => {
                Verdict::NotWritten
            }
            Some(wanted) => verdict_of_report(wanted, report, &delivery),
        };
        Trace {
            device,
            name,
            intent,
            selection,
            delivery,
            report,
            verdict,
        }
    }
}

impl Trace<'_> {
    /// Returns true if the device is meant, is online, and neither runs the deployment nor has a lasting problem with it: its
    /// state will change.
    pub fn is_awaited(&self) -> bool {
        let is_pending = match &self.verdict {
            Verdict::Failing { phase, .. } => *phase == Phase::Retrying,
            verdict => verdict.standing() == Standing::Underway,
        };
        is_pending
            && matches!(
                self.device.presence,
                Some(Presence::Online | Presence::Stale)
            )
    }
}

impl Verdict {
    /// How it counts.
    pub fn standing(&self) -> Standing {
        match self {
            Self::NotSelected | Self::Leaving => Standing::NotMeant,
            Self::NotWritten | Self::NotReceived | Self::NotReported | Self::Working(_) => {
                Standing::Underway
            }
            Self::Conflicting(_) | Self::Failing { .. } => Standing::Failing,
            Self::Running => Standing::Running,
        }
    }

    /// In one or two words, for tables.
    pub fn word(&self) -> String {
        match self {
            Self::NotSelected => "not selected".into(),
            Self::Leaving => "being removed".into(),
            Self::Conflicting(_) => "conflict".into(),
            Self::NotWritten | Self::NotReceived | Self::NotReported => "waiting".into(),
            Self::Working(phase) | Self::Failing { phase, .. } => phase.to_string(),
            Self::Running => "running".into(),
        }
    }
}

/// The reason, in one line.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSelected => f.write_str("the deployment is not for this device"),
            Self::Leaving => f.write_str(
                "the deployment is no longer for this device, which has not removed it yet",
            ),
            Self::Conflicting(conflicts) => {
                f.write_str("the device stays as it is, because ")?;
                for (index, conflict) in conflicts.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", and " };
                    write!(f, "{comma}{} wants {}, too", conflict.with, conflict.claim)?;
                }
                Ok(())
            }
            Self::NotWritten => f.write_str("the operator has not told the device yet"),
            Self::NotReceived => f.write_str("the device has not answered yet"),
            Self::NotReported => f.write_str("the agent knows it, and has not begun"),
            Self::Working(phase) => match phase {
                Phase::Pulling => f.write_str("the images are being pulled"),
                Phase::Starting => f.write_str("the containers are starting"),
                other => write!(f, "the agent reports: {other}"),
            },
            Self::Failing { cause, .. } => match cause {
                Some(cause) => write!(f, "{}", InOneLine(cause)),
                None => f.write_str("the agent gives no reason"),
            },
            Self::Running => f.write_str("it runs"),
        }
    }
}

/// A cause with its evidence, in one line.
#[derive(Debug)]
pub struct InOneLine<'a>(pub &'a Cause);

impl fmt::Display for InOneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.reason.words())?;
        if let Some(container) = &self.0.container {
            write!(f, " (container {container})")?;
        }
        match self.0.detail.as_str() {
            "" => Ok(()),
            detail => write!(f, ": {detail}"),
        }
    }
}

impl Summary {
    /// Counts the traces of a deployment.
    pub fn of(traces: &[Trace<'_>]) -> Self {
        let mut summary = Self::default();
        for trace in traces {
            let standing = trace.verdict.standing();
            if standing == Standing::NotMeant {
                continue;
            }
            summary.selected += 1;
            match standing {
                Standing::Running => summary.running += 1,
                Standing::Failing => summary.failing += 1,
                _ if trace.is_awaited() => {}
                _ => summary.away += 1,
            }
        }
        summary
    }
}

fn selection(target: &Target, device: &DeviceSummary) -> Selection {
    let labels = &device.info.labels;
    if selects(target, &device.id, labels) {
        return Selection::Selected;
    }
    if target.devices.is_empty() && target.labels.is_empty() {
        return Selection::NoTarget;
    }
    if !target.devices.is_empty() && !target.devices.contains(&device.id) {
        return Selection::NotNamed;
    }
    let value = |key: &str| {
        labels
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value)
    };
    let wrong = target
        .labels
        .iter()
        .find(|(key, wanted)| value(key) != Some(wanted));
    match wrong {
        Some((key, wanted)) => Selection::Label {
            key: key.to_owned(),
            wanted: wanted.to_owned(),
            has: value(key).map(str::to_owned),
        },
        None => Selection::NotNamed,
    }
}

fn verdict_of_report(
    wanted: &ContentHash,
    report: Option<&ObservedDeployment>,
    delivery: &Delivery,
) -> Verdict {
    let Some(report) = report else {
        return if delivery.received >= delivery.written {
            Verdict::NotReported
        } else {
            Verdict::NotReceived
        };
    };
    if report.wanted != *wanted {
        return Verdict::NotReceived;
    }
    match report.phase {
        Phase::Running => Verdict::Running,
        Phase::RolledBack | Phase::Failed => Verdict::Failing {
            phase: report.phase,
            cause: report.cause.clone(),
        },
        phase if report.cause.is_some() => Verdict::Failing {
            phase,
            cause: report.cause.clone(),
        },
        phase => Verdict::Working(phase),
    }
}

#[cfg(test)]
mod tests;
