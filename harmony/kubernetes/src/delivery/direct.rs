//! Delivery without a controller: renders the chart and applies its objects from here.
//!
//! ```text
//! pull --> render --> label --> try hooks --> ask --> run hooks --> namespace --> list old + new --> apply
//!      --> remove what is old only --> list new --> (ready) --> run hooks and tests
//! ```
//!
//! A delivery that is killed at any point is continued by the next one, because the inventory lists everything that may
//! exist.

use std::time::Duration;

use async_trait::async_trait;
use harmony_charts::{Hook, RenderError};
use harmony_core::Context;
use harmony_core::approval::NotApproved;
use harmony_core::capability::continuous_delivery::{Delivered, DeliveryError};
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::oci_registry::{RegistryError, RegistryLocation};
use harmony_core::capability::{ContinuousDelivery, HelmRegistry, KubernetesCluster};
use harmony_core::chart::DeployTarget;
use harmony_core::diagnostic::AnyDiagnostic;
use harmony_core::kubernetes::{KubeObject, ObjectRef};
use harmony_core::outcome::{Action, Change, Subject};
use harmony_core::owner::Owner;
use harmony_types::{ChartRef, Digest, Namespace};
use serde_json::json;

use super::inventory::{DeliveryName, Inventory, reason_to_keep};
use crate::apply::{Standing, is_applied_by, rank, standing};
use crate::hooks::Hooks;

/// Pulls a chart, renders it, applies its objects, and prunes objects that only an earlier version had.
///
/// Hooks of an install or an upgrade run around that, and the chart's tests at the end: see [`Hooks`].
///
/// Every object is labelled and listed in the ConfigMap `harmony-delivery-<chart>` of the target namespace. An object
/// that is only in the inventory is deleted if it still has the label. Definitions, namespaces and volume claims are
/// kept, because their data would be lost, and so are objects with the annotation `helm.sh/resource-policy: keep`.
#[derive(Debug, Clone)]
pub struct DirectDelivery<C, R> {
    context: Context,
    cluster: C,
    registry: R,
    charts: RegistryLocation,
}

/// A chart, ready to apply.
struct Rendered {
    name: DeliveryName,
    digest: Digest,
    objects: Vec<KubeObject>,
    hooks: Vec<Hook>,
}

impl<C, R> DirectDelivery<C, R> {
    /// Pulls charts from `registry`, below the location `charts`, and applies them to `cluster`.
    pub fn new(context: Context, cluster: C, registry: R, charts: RegistryLocation) -> Self {
        Self {
            context,
            cluster,
            registry,
            charts,
        }
    }
}

#[async_trait]
impl<C: KubernetesCluster, R: HelmRegistry> ContinuousDelivery for DirectDelivery<C, R> {
    fn charts(&self) -> &RegistryLocation {
        &self.charts
    }

    async fn sync_to(
        &self,
        chart: &ChartRef,
        target: &DeployTarget,
    ) -> Result<Delivered, DeliveryError> {
        let rendered = match self.render(chart, target).await {
            Err(DeliveryError::Chart {
                source: RegistryError::NotFound { .. },
                ..
            }) if self.context.is_planning() => {
                // A step of the same run releases it, and that step was only planned.
                let note = "its objects are known after the release";
                let change = Change::new(Action::Create, chart.clone()).with_note(note);
                return Ok(Delivered {
                    changes: vec![change],
                    ..Delivered::default()
                });
            }
            rendered => rendered?,
        };
        let namespace = target.target_namespace();
        let owner = Owner::delivery(chart.name(), namespace);
        let name = &rendered.name;
        let wanted = Inventory::applied(chart.version(), &rendered.digest, &rendered.objects);
        let before = self.inventory(name, namespace).await?;
        let mut leftovers = self
            .leftovers(before.as_ref(), &wanted, &rendered, &owner)
            .await?;
        let mut parts = Vec::from_iter(missing_namespace(namespace, &rendered.objects)?);
        parts.extend(rendered.objects.iter().cloned());
        let hooks = Hooks::new(&self.context, &self.cluster, &owner);
        let mut prepared = hooks
            .prepare(&parts, &rendered.hooks, before.is_some())
            .await?;
        self.approve_removal(&leftovers).await?;
        let mut changes = std::mem::take(&mut prepared.before);
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
        let applied = self.cluster.apply(&owner, &objects).await?;
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
            changes.push(self.remove(leftover, &owner).await?);
        }
        if during != wanted {
            let list = wanted.stored(name, namespace).map_err(ClusterError::from)?;
            self.cluster
                .apply(&owner, std::slice::from_ref(&list))
                .await?;
        }
        changes.extend(follows);
        let references = rendered.objects.iter().map(KubeObject::reference);
        Ok(Delivered {
            changes,
            objects: references.cloned().collect(),
            followup,
        })
    }

    async fn wait_ready(
        &self,
        delivered: &Delivered,
        deadline: Duration,
    ) -> Result<(), DeliveryError> {
        self.cluster
            .wait_ready(&delivered.objects, deadline)
            .await?;
        if let Some(owner) = &delivered.followup.owner {
            let hooks = Hooks::new(&self.context, &self.cluster, owner);
            hooks.run_after(&delivered.followup, deadline).await?;
        }
        Ok(())
    }
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

impl<C: KubernetesCluster, R: HelmRegistry> DirectDelivery<C, R> {
    async fn render(
        &self,
        chart: &ChartRef,
        target: &DeployTarget,
    ) -> Result<Rendered, DeliveryError> {
        let refuse = |error: RenderError| refused(chart, error);
        let name = DeliveryName::of(chart.name()).ok_or_else(|| DeliveryError::UnfitName {
            chart: chart.clone(),
        })?;
        let DeployTarget {
            namespace, values, ..
        } = target;
        let pulled = self.registry.pull_chart(chart).await;
        let packaged = pulled.map_err(|source| DeliveryError::Chart {
            chart: chart.clone(),
            source,
        })?;
        let known = self.cluster.capabilities().await?;
        let chart =
            harmony_charts::objects(&self.context, &packaged, values, namespace, known.as_ref())
                .await
                .map_err(refuse)?;
        let labelled = |object| name.label(object).map_err(ClusterError::from);
        let objects: Result<Vec<_>, _> = chart.objects.into_iter().map(labelled).collect();
        let hooks = chart.hooks.into_iter().map(|hook| {
            let object = labelled(hook.object)?;
            Ok::<_, ClusterError>(Hook { object, ..hook })
        });
        let hooks: Result<Vec<_>, _> = hooks.collect();
        let (objects, hooks) = (objects?, hooks?);
        Ok(Rendered {
            name,
            digest: packaged.archive_digest,
            objects,
            hooks,
        })
    }

    /// The inventory of earlier deliveries; `None` for the first one.
    async fn inventory(
        &self,
        name: &DeliveryName,
        namespace: &Namespace,
    ) -> Result<Option<Inventory>, DeliveryError> {
        let reference = name.config_map(namespace);
        let Some(stored) = self.cluster.get(&reference).await? else {
            return Ok(None);
        };
        // Treating it as empty would overwrite it, and the objects it lists would never be deleted.
        let read = Inventory::read(&stored);
        read.map(Some)
            .map_err(|problem| DeliveryError::DamagedInventory {
                inventory: reference,
                problem,
                label: name.selector(),
            })
    }

    /// The objects that only earlier versions had. Each is read once, and exactly what was read is asked about and
    /// deleted.
    async fn leftovers(
        &self,
        before: Option<&Inventory>,
        wanted: &Inventory,
        rendered: &Rendered,
        owner: &Owner,
    ) -> Result<Vec<Leftover>, DeliveryError> {
        let name = &rendered.name;
        let mut gone = before
            .map(|before| before.without(wanted))
            .unwrap_or_default();
        // An earlier version of Harmony listed hooks with the objects; they go as their policies say.
        gone.retain(|object| {
            let mut hooks = rendered.hooks.iter();
            !hooks.any(|hook| hook.object.reference() == object)
        });
        let mut leftovers = Vec::with_capacity(gone.len());
        for object in gone {
            leftovers.push(match self.cluster.get(&object).await? {
                None => Leftover::Gone(object),
                Some(found) => self.leftover(object, found, name, owner).await?,
            });
        }
        Ok(leftovers)
    }

    async fn leftover(
        &self,
        object: ObjectRef,
        found: KubeObject,
        name: &DeliveryName,
        owner: &Owner,
    ) -> Result<Leftover, DeliveryError> {
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
        if is_ambiguous && self.is_delivered_elsewhere(name, owner).await? {
            let reason = "no longer in the chart; kept, because this chart is also in another namespace, and an earlier \
             version of Harmony did not record the owner of the object";
            return Ok(Leftover::Kept(object, reason.to_owned()));
        }
        Ok(Leftover::Removable(found))
    }

    /// Whether the chart is also delivered to another namespace.
    async fn is_delivered_elsewhere(
        &self,
        name: &DeliveryName,
        owner: &Owner,
    ) -> Result<bool, DeliveryError> {
        let listed = self.cluster.list(&name.query()).await?;
        let own = name.config_map(owner.namespace());
        Ok(listed
            .iter()
            .any(|found| found.name == own.name && found.namespace != own.namespace))
    }

    /// Asks, before anything is written, whether objects that are no longer in the chart may be deleted.
    async fn approve_removal(&self, leftovers: &[Leftover]) -> Result<(), DeliveryError> {
        let removable = leftovers.iter().filter_map(|leftover| match leftover {
            Leftover::Removable(object) => Some(Subject::from(object.reference().clone())),
            Leftover::Gone(_) | Leftover::Kept(..) | Leftover::Shared(..) => None,
        });
        let deletions: Vec<Subject> = removable.collect();
        let approved = self.context.approve_deletions(&deletions).await;
        approved.map_err(|refusal| match refusal {
            NotApproved::Cancelled(cancelled) => cancelled.into(),
            refusal => ClusterError::Adapter(AnyDiagnostic::new(refusal)).into(),
        })
    }

    async fn remove(&self, leftover: Leftover, owner: &Owner) -> Result<Change, DeliveryError> {
        let unchanged = |object, note: &str| Change::new(Action::Unchanged, object).with_note(note);
        Ok(match leftover {
            Leftover::Gone(object) => unchanged(object, "already deleted"),
            Leftover::Kept(object, reason) => unchanged(object, &reason),
            Leftover::Shared(object, reason) => {
                self.give_up(&object, owner).await?;
                unchanged(object, &reason)
            }
            Leftover::Removable(object) => {
                let change = self.cluster.delete_observed(&object).await?;
                change.with_note("no longer in the chart")
            }
        })
    }

    /// Gives up all fields of the object; the fields of other owners remain.
    async fn give_up(&self, object: &ObjectRef, owner: &Owner) -> Result<(), DeliveryError> {
        let mut metadata = json!({ "name": object.name.as_str() });
        if let Some(namespace) = &object.namespace {
            metadata["namespace"] = json!(namespace.as_str());
        }
        let bare = KubeObject::from_value(json!({
            "apiVersion": object.api_version, "kind": object.kind, "metadata": metadata,
        }));
        let bare = bare.map_err(ClusterError::from)?;
        match self.cluster.apply(owner, std::slice::from_ref(&bare)).await {
            // One field belongs only to us, so it remains, and so does the object.
            Ok(_) | Err(ClusterError::OtherOwner { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The target namespace as an object without fields, unless the chart contains it with settings. An existing namespace
/// is not changed, because its labels may belong to another Score.
fn missing_namespace(
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

fn refused(chart: &ChartRef, error: RenderError) -> DeliveryError {
    match error {
        RenderError::Cancelled(cancelled) => cancelled.into(),
        error => DeliveryError::Render {
            chart: chart.clone(),
            source: AnyDiagnostic::new(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use harmony_charts::Place;
    use harmony_core::diagnostic::Report;

    fn report(error: RenderError) -> Report {
        let chart = "oci://registry.example.com/team/web:1.0.0".parse();
        Report::of(&refused(&chart.unwrap(), error))
    }

    #[test]
    fn a_chart_that_needs_helm_says_where_and_how_to_get_it() {
        let report = report(RenderError::Beyond {
            place: Place::line("templates/10-deployment-web.yaml", 12),
            what: "`{{ include \"web.labels\" . }}`".into(),
        });
        assert_eq!(report.code.to_string(), "H0330");
        assert_eq!(
            report.message,
            "cannot render the chart oci://registry.example.com/team/web:1.0.0"
        );
        assert_eq!(
            report.causes,
            [
                "templates/10-deployment-web.yaml:12: Harmony cannot render `{{ include \"web.labels\" . }}` without helm"
            ]
        );
        assert_eq!(
            report.place.as_deref(),
            Some("templates/10-deployment-web.yaml:12")
        );
        assert_eq!(
            report.hints,
            [
                "install helm and run the command again: `go install helm.sh/helm/v4/cmd/helm@v4.3.1`, or set HARMONY_HELM to its path"
            ]
        );
    }

    #[test]
    fn what_helm_wrote_is_told_and_a_cancelled_run_is_no_refusal() {
        let complaint = "Error: no way".to_owned();
        let report_of_helm = report(RenderError::Helm {
            command: "helm template web".into(),
            problem: "failed (exit status: 1)".into(),
            output: vec![complaint.clone()],
        });
        assert_eq!(report_of_helm.evidence, [complaint]);
        let cancelled = report(RenderError::Cancelled(harmony_core::context::Cancelled));
        assert_eq!(cancelled.code.to_string(), "H0001");
    }
}
