//! Installs a rendered chart: hooks, objects, the list of them, and the removal of what only an earlier version had.
//!
//! ```text
//! label --> try hooks --> ask --> run hooks --> namespace --> list old + new --> apply --> remove what is old only
//!       --> list new --> (ready) --> run hooks and tests
//! ```
//!
//! An installation that is killed at any point is continued by the next one, because the inventory lists everything that
//! may exist.

use std::fmt;
use std::time::Duration;

use harmony_charts::{ChartObjects, Hook};
use harmony_core::Context;
use harmony_core::approval::NotApproved;
use harmony_core::capability::KubernetesCluster;
use harmony_core::capability::continuous_delivery::{Delivered, DeliveryError};
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::diagnostic::AnyDiagnostic;
use harmony_core::kubernetes::{KubeObject, ObjectError, ObjectRef};
use harmony_core::outcome::{Action, Change, Subject};
use harmony_core::owner::Owner;
use harmony_types::{Digest, Namespace};
use serde_json::json;

use super::inventory::{DeliveryName, Inventory, reason_to_keep};
use super::retire::{give_up, retire_all_flux, retire_argo};
use crate::apply::{Standing, is_applied_by, rank, standing};
use crate::hooks::Hooks;

/// Where and for whom a chart is installed. The owner's name is that of the inventory and of the label.
///
/// Hooks of an install or an upgrade run around that, and the chart's tests at the end: see [`Hooks`].
///
/// Every object is labelled and listed in the ConfigMap `harmony-delivery-<name>` of the owner's namespace. An object
/// that is only in the inventory is deleted if it still has the label. Definitions, namespaces and volume claims are
/// kept, because their data would be lost, and so are objects with the annotation `helm.sh/resource-policy: keep`.
#[derive(Debug)]
pub struct Installation<'a, C: ?Sized> {
    context: &'a Context,
    cluster: &'a C,
    owner: &'a Owner,
    name: DeliveryName,
}

/// An object that the new version does not have, as found in the cluster.
enum Leftover {
    Gone(ObjectRef),
    /// Why it is kept.
    Kept(ObjectRef, String),
    /// It also belongs to others, so it is kept, and this delivery gives up its fields.
    Shared(ObjectRef, String),
    Removable(KubeObject),
}

impl Leftover {
    fn reference(&self) -> &ObjectRef {
        match self {
            Self::Gone(reference) | Self::Kept(reference, _) | Self::Shared(reference, _) => {
                reference
            }
            Self::Removable(object) => object.reference(),
        }
    }
}

impl<'a, C: KubernetesCluster + ?Sized> Installation<'a, C> {
    /// `None` if the name of `owner` is not valid as a label value and object name.
    pub fn new(context: &'a Context, cluster: &'a C, owner: &'a Owner) -> Option<Self> {
        Some(Self {
            context,
            cluster,
            owner,
            name: DeliveryName::of(owner.name())?,
        })
    }

    /// Runs the hooks, applies the objects, and removes what only an earlier version had. `digest` is that of the
    /// chart's archive.
    ///
    /// # Errors
    /// See [`DeliveryError`]. Everything that can be checked is checked before the first write.
    pub async fn apply(
        &self,
        version: &(dyn fmt::Display + Sync),
        digest: &Digest,
        chart: ChartObjects,
    ) -> Result<Delivered, DeliveryError> {
        let chart = self.labelled(chart)?;
        let (name, owner, namespace) = (&self.name, self.owner, self.owner.namespace());
        let wanted = Inventory::applied(version, digest, &chart.objects);
        let before = self.inventory().await?;
        let mut leftovers = self.leftovers(before.as_ref(), &wanted, &chart).await?;
        let mut parts = Vec::from_iter(missing_namespace(namespace, &chart.objects)?);
        parts.extend(chart.objects.iter().cloned());
        let hooks = Hooks::new(self.context, self.cluster, owner);
        let mut prepared = hooks
            .prepare(&parts, &chart.hooks, before.is_some())
            .await?;
        self.approve_removal(&leftovers).await?;
        let mut changes = std::mem::take(&mut prepared.before);
        changes.extend(retire_argo(self.context, self.cluster, owner, None).await?);
        changes.extend(retire_all_flux(self.context, self.cluster, owner, None).await?);
        let follows = std::mem::take(&mut prepared.after);
        let followup = hooks.run_before(prepared).await?;
        // A plan shows the final inventory; an inventory that is already right is not written.
        let is_settled = self.context.is_planning() || before.as_ref() == Some(&wanted);
        let during = if is_settled {
            wanted.clone()
        } else {
            wanted.applying_over(before.as_ref())
        };
        let list = during.stored(name, namespace).map_err(ClusterError::from)?;
        let mut objects = vec![list.clone()];
        objects.extend(parts);
        objects.sort_by_key(|object| rank(object.reference()));
        let applied = self.cluster.apply(owner, &objects).await?;
        changes.extend(applied.into_iter().map(|change| {
            match &change.subject {
                // The other changes already show what it lists.
                Subject::Object(object) if object == list.reference() => change
                    .with_fields(Vec::new())
                    .with_note("the list of the chart's objects"),
                _ => change,
            }
        }));
        // Workloads and what routes traffic to them are deleted before their dependencies.
        leftovers.sort_by_key(|leftover| std::cmp::Reverse(rank(leftover.reference())));
        for leftover in leftovers {
            self.context.check_cancelled()?;
            changes.push(self.remove(leftover).await?);
        }
        if during != wanted {
            let list = wanted.stored(name, namespace).map_err(ClusterError::from)?;
            self.cluster
                .apply(owner, std::slice::from_ref(&list))
                .await?;
        }
        changes.extend(follows);
        let references = chart.objects.iter().map(KubeObject::reference);
        Ok(Delivered {
            changes,
            objects: references.cloned().collect(),
            followup,
            controlled: None,
        })
    }

    fn labelled(&self, chart: ChartObjects) -> Result<ChartObjects, ClusterError> {
        let objects = chart.objects.into_iter();
        let objects = objects.map(|object| self.name.label(object));
        let hooks = chart.hooks.into_iter().map(|hook| {
            let object = self.name.label(hook.object)?;
            Ok(Hook { object, ..hook })
        });
        Ok(ChartObjects {
            objects: objects.collect::<Result<_, ObjectError>>()?,
            hooks: hooks.collect::<Result<_, ObjectError>>()?,
        })
    }

    /// The inventory of earlier deliveries; `None` for the first one.
    async fn inventory(&self) -> Result<Option<Inventory>, DeliveryError> {
        let reference = self.name.config_map(self.owner.namespace());
        let Some(stored) = self.cluster.get(&reference).await? else {
            return Ok(None);
        };
        // Treating it as empty would overwrite it, and the objects it lists would never be deleted.
        let read = Inventory::read(&stored);
        read.map(Some)
            .map_err(|problem| DeliveryError::DamagedInventory {
                inventory: reference,
                problem,
                label: self.name.selector(),
            })
    }

    /// The objects that only earlier versions had. Each is read once, and exactly what was read is asked about and
    /// deleted.
    async fn leftovers(
        &self,
        before: Option<&Inventory>,
        wanted: &Inventory,
        chart: &ChartObjects,
    ) -> Result<Vec<Leftover>, DeliveryError> {
        let mut gone = before
            .map(|before| before.without(wanted))
            .unwrap_or_default();
        // An earlier version of Harmony listed hooks with the objects; they go as their policies say.
        gone.retain(|object| {
            let mut hooks = chart.hooks.iter();
            !hooks.any(|hook| hook.object.reference() == object)
        });
        let mut leftovers = Vec::with_capacity(gone.len());
        for object in gone {
            leftovers.push(match self.cluster.get(&object).await? {
                None => Leftover::Gone(object),
                Some(found) => self.leftover(object, found).await?,
            });
        }
        Ok(leftovers)
    }

    async fn leftover(
        &self,
        object: ObjectRef,
        found: KubeObject,
    ) -> Result<Leftover, DeliveryError> {
        let (name, owner) = (&self.name, self.owner);
        let is_elsewhere = object
            .namespace
            .as_ref()
            .is_some_and(|namespace| namespace != owner.namespace());
        let is_applied = is_applied_by(found.body(), owner);
        let standing = standing(found.body(), owner);
        let is_foreign = match &standing {
            Standing::Others(_) => !is_applied,
            Standing::Ours => !is_applied && !name.has_labelled(&found),
            Standing::Legacy => !name.has_labelled(&found),
            Standing::ByArgo | Standing::ByHelm | Standing::ByKustomize => false,
        };
        if is_elsewhere && is_foreign {
            return Err(DeliveryError::ForeignEntry {
                inventory: name.config_map(owner.namespace()),
                object,
            });
        }
        if let Standing::Others(owners) = standing {
            let reason = format!(
                "no longer in the chart; kept, because it belongs to {}",
                owners.join(", ")
            );
            return Ok(if is_applied {
                Leftover::Shared(object, reason)
            } else {
                Leftover::Kept(object, reason)
            });
        }
        if let Some(reason) = reason_to_keep(name, &found) {
            return Ok(Leftover::Kept(object, reason.to_owned()));
        }
        let is_ambiguous =
            standing == Standing::Legacy && object.namespace.as_ref() != Some(owner.namespace());
        if is_ambiguous && self.is_delivered_elsewhere().await? {
            let reason = "no longer in the chart; kept, because this chart is also in another namespace, and an earlier \
             version of Harmony did not record the owner of the object";
            return Ok(Leftover::Kept(object, reason.to_owned()));
        }
        Ok(Leftover::Removable(found))
    }

    /// Whether the chart is also delivered to another namespace.
    async fn is_delivered_elsewhere(&self) -> Result<bool, DeliveryError> {
        let listed = self.cluster.list(&self.name.query()).await?;
        let own = self.name.config_map(self.owner.namespace());
        Ok(listed
            .iter()
            .any(|found| found.name == own.name && found.namespace != own.namespace))
    }

    /// Asks, before anything is written, whether objects that are no longer in the chart may be deleted.
    async fn approve_removal(&self, leftovers: &[Leftover]) -> Result<(), DeliveryError> {
        let removable = leftovers.iter().filter_map(|leftover| match leftover {
            Leftover::Removable(object) => Some(object.reference()),
            Leftover::Gone(_) | Leftover::Kept(..) | Leftover::Shared(..) => None,
        });
        approve_deletions(self.context, removable).await
    }

    async fn remove(&self, leftover: Leftover) -> Result<Change, DeliveryError> {
        let unchanged = |object, note: &str| Change::new(Action::Unchanged, object).with_note(note);
        Ok(match leftover {
            Leftover::Gone(object) => unchanged(object, "already deleted"),
            Leftover::Kept(object, reason) => unchanged(object, &reason),
            Leftover::Shared(object, reason) => {
                give_up(self.cluster, &object, self.owner).await?;
                unchanged(object, &reason)
            }
            Leftover::Removable(object) => {
                let change = self.cluster.delete_observed(&object).await?;
                change.with_note("no longer in the chart")
            }
        })
    }
}

/// Asks, before anything is written, whether these objects may be deleted.
pub(super) async fn approve_deletions<'a>(
    context: &Context,
    objects: impl Iterator<Item = &'a ObjectRef>,
) -> Result<(), DeliveryError> {
    let deletions: Vec<Subject> = objects.cloned().map(Subject::from).collect();
    let approved = context.approve_deletions(&deletions).await;
    approved.map_err(|refusal| match refusal {
        NotApproved::Cancelled(cancelled) => cancelled.into(),
        refusal => ClusterError::Adapter(AnyDiagnostic::new(refusal)).into(),
    })
}

/// Waits until everything that was delivered is ready, and runs the hooks and tests that follow. While planning, it
/// returns immediately.
///
/// # Errors
/// [`ClusterError::NotReady`], also for a hook or a test that failed.
pub async fn settle<C: KubernetesCluster + ?Sized>(
    context: &Context,
    cluster: &C,
    delivered: &Delivered,
    deadline: Duration,
) -> Result<(), ClusterError> {
    cluster.wait_ready(&delivered.objects, deadline).await?;
    match &delivered.followup.owner {
        Some(owner) => {
            let hooks = Hooks::new(context, cluster, owner);
            hooks.run_after(&delivered.followup, deadline).await
        }
        None => Ok(()),
    }
}

/// The target namespace as an object without fields, unless the chart contains it with settings. An existing namespace
/// is not changed, because its labels may belong to another Score.
pub(super) fn missing_namespace(
    namespace: &Namespace,
    objects: &[KubeObject],
) -> Result<Option<KubeObject>, DeliveryError> {
    let object = KubeObject::from_value(json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace.as_str() },
    }));
    let object = object.map_err(ClusterError::from)?;
    let is_there = objects
        .iter()
        .any(|other| other.reference() == object.reference());
    Ok((!is_there).then_some(object))
}
