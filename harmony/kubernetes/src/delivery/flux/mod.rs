//! Delivery by Flux: an object of Flux for each chart and namespace, reconciled when Harmony asks for it.
//!
//! ```text
//! pull --> render --> dry run as Flux --> ask --> protect what is kept --> namespace
//!      --> login, source and the object with a request --> follow it --> take over from another delivery
//!      --> (ready) --> tests
//! ```
//!
//! As with Argo CD, what is rendered here is checked by the cluster first, and tells which objects have to become ready.
//!
//! | module | contents |
//! | --- | --- |
//! | `site` | the settings; sources and logins |
//! | `record` | the object of Flux: a HelmRelease or a Kustomization |
//! | `release`, `kustomization` | what each controller reads; pure |
//! | `patches` | from the released objects to those of a target; pure |
//! | `report` | what Flux reports; pure |
//! | `follow` | a run, from its request to its end |
//! | `leftovers` | what Flux deletes, and what it has to keep |

mod follow;
mod kustomization;
mod leftovers;
mod patches;
mod record;
mod release;
mod report;
mod site;

use std::time::Duration;

use async_trait::async_trait;
use harmony_core::Context;
use harmony_core::capability::checkup::{Checkup, Finding};
use harmony_core::capability::continuous_delivery::{
    Controlled, Delivered, DeliveryError, Followup,
};
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::oci_registry::RegistryLocation;
use harmony_core::capability::{ContinuousDelivery, HelmRegistry, KubernetesCluster};
use harmony_core::chart::DeployTarget;
use harmony_core::checkup;
use harmony_core::kubernetes::KubeObject;
use harmony_core::owner::Owner;
use harmony_types::ChartRef;
use serde_json::Value;

pub use site::{FluxController, FluxSettings};

use self::kustomization::Kustomization;
use self::patches::patches;
use self::record::Record;
use self::release::Release;
use self::site::Site;
use super::controlled::{
    approve_removal, approve_takeovers, check_installed, is_unchanged, run_id, tests, workloads,
};
use super::install::{missing_namespace, settle};
use super::render::{Rendered, not_yet_released, render};
use super::retire::{
    FluxRecord, Successor, is_direct, resume, retire_argo, retire_direct, retire_flux,
};
use crate::marks::flux::{COMPONENT, KUSTOMIZATIONS, RELEASES, SOURCES, TOGETHER};

const FLUX: &str = "Flux";

/// Delivers charts by HelmReleases or Kustomizations of Flux, in the namespace of each app.
///
/// Flux looks at them once a day, and otherwise when Harmony asks. Deleting one of them uninstalls its chart.
#[derive(Debug, Clone)]
pub struct FluxDelivery<C, R> {
    context: Context,
    cluster: C,
    registry: R,
    charts: RegistryLocation,
    settings: FluxSettings,
}

impl<C, R> FluxDelivery<C, R> {
    /// Delivers charts that `registry` has below the location `charts`. Flux pulls them from the same location.
    pub fn new(
        context: Context,
        cluster: C,
        registry: R,
        charts: RegistryLocation,
        settings: FluxSettings,
    ) -> Self {
        Self {
            context,
            cluster,
            registry,
            charts,
            settings,
        }
    }
}

#[async_trait]
impl<C: KubernetesCluster, R: HelmRegistry> ContinuousDelivery for FluxDelivery<C, R> {
    fn charts(&self) -> &RegistryLocation {
        &self.charts
    }

    async fn sync_to(
        &self,
        chart: &ChartRef,
        target: &DeployTarget,
    ) -> Result<Delivered, DeliveryError> {
        self.check_installed().await?;
        let rendered = render(&self.context, &self.cluster, &self.registry, chart, target).await;
        let rendered = match rendered {
            Ok(rendered) => rendered,
            Err(error) => return not_yet_released(&self.context, chart, error),
        };
        let values = harmony_charts::nested(&target.values)
            .map_err(|error| super::render::refused(chart, error))?;
        let site = Site {
            settings: &self.settings,
            chart,
            target,
        };
        let record = self.record(site, &rendered, &values).await?;
        self.deliver(&record, rendered).await
    }

    async fn wait_ready(
        &self,
        delivered: &Delivered,
        deadline: Duration,
    ) -> Result<(), DeliveryError> {
        if self.context.is_planning() {
            return Ok(());
        }
        Ok(settle(&self.context, &self.cluster, delivered, deadline).await?)
    }
}

#[async_trait]
impl<C: KubernetesCluster, R: Send + Sync> Checkup for FluxDelivery<C, R> {
    async fn examine(&self, _: &[DeployTarget]) -> Vec<Finding> {
        vec![checkup::check(FLUX, "runs", self.runs()).await]
    }
}

impl<C: KubernetesCluster, R> FluxDelivery<C, R> {
    async fn check_installed(&self) -> Result<(), DeliveryError> {
        let controller = self.settings.controller;
        let own = match controller {
            FluxController::Helm => (RELEASES, "HelmRelease"),
            FluxController::Kustomize => (KUSTOMIZATIONS, "Kustomization"),
        };
        let kinds = [own, (SOURCES, "OCIRepository")];
        let help = || {
            format!(
                "install its source-controller and {} in the namespace `{}`, for example with `FluxScore`, or deliver directly",
                controller.name(),
                self.settings.namespace
            )
        };
        check_installed(&self.cluster, FLUX, &kinds, help).await
    }

    /// The state of its workloads, if all of them are ready.
    async fn runs(&self) -> Result<String, DeliveryError> {
        self.check_installed().await?;
        let (state, are_ready) = self.workloads().await?;
        if are_ready {
            return Ok(state.join(", "));
        }
        Err(DeliveryError::ControllerDown {
            controller: FLUX,
            state,
        })
    }

    async fn workloads(&self) -> Result<(Vec<String>, bool), DeliveryError> {
        let parts = [
            &["source-controller", TOGETHER][..],
            &[self.settings.controller.name(), TOGETHER],
        ];
        workloads(&self.cluster, &self.settings.namespace, COMPONENT, &parts).await
    }
}

impl<C: KubernetesCluster, R: HelmRegistry> FluxDelivery<C, R> {
    /// What Flux has to be told to deliver the rendered chart.
    async fn record<'a>(
        &'a self,
        site: Site<'a>,
        rendered: &Rendered,
        values: &'a Value,
    ) -> Result<Record<'a>, DeliveryError> {
        if self.settings.controller == FluxController::Helm {
            return Ok(Record::Release(Release { site, values }));
        }
        let controller = "Flux's kustomize-controller";
        let (chart, help) = (site.chart.clone(), || {
            "deliver by Flux's helm-controller: set `delivery.controller = \"helm\"`".to_owned()
        });
        let pulled = self.registry.pull_objects(&chart).await;
        let pulled = pulled.map_err(|source| DeliveryError::Chart {
            chart: chart.clone(),
            source,
        })?;
        let (Some(published), Some(objects)) = (pulled, RegistryLocation::objects(&chart)) else {
            return Err(DeliveryError::NoObjects {
                controller,
                chart,
                help: help(),
            });
        };
        let released = harmony_charts::read_objects(&published.objects)
            .map_err(|error| super::render::refused(&chart, error))?;
        // Whatever was published, Flux applies the objects that are rendered here.
        let patches = patches(&released, &rendered.chart.objects, site.namespace());
        let patches = patches.map_err(|added| DeliveryError::AddedObjects {
            controller,
            chart,
            objects: added,
            help: help(),
        })?;
        Ok(Record::Kustomization(Kustomization {
            site,
            objects,
            digest: published.digest,
            patches,
        }))
    }

    async fn deliver(
        &self,
        record: &Record<'_>,
        rendered: Rendered,
    ) -> Result<Delivered, DeliveryError> {
        let (chart, namespace) = (record.site().chart, record.site().namespace());
        let owner = Owner::delivery(chart.name(), namespace);
        let reference = record.reference();
        let live = self.cluster.get(&reference).await?;
        let body = live.as_ref().map_or(&Value::Null, KubeObject::body);
        let objects = &rendered.chart.objects;
        approve_takeovers(&self.context, &self.cluster, objects, &owner).await?;
        let room = missing_namespace(namespace, objects)?;
        let marked = record.marked(objects).map_err(ClusterError::from)?;
        let controller = Owner::controller(record.manager(), namespace);
        // What Flux will change, as far as a server-side apply by its name shows.
        let mut all = Vec::from_iter(room.clone());
        all.extend(marked.iter().cloned());
        let coming = self.cluster.preview(&controller, &all).await?;
        let leftovers = leftovers::of_last(&self.cluster, record, body, objects).await?;
        approve_removal(&self.context, &leftovers).await?;
        let last = report::requested(body);
        // The request of the last run stays, so that only a new one makes Flux begin.
        let mut own = Vec::from_iter(room.clone());
        own.extend(record.objects(last).map_err(ClusterError::from)?);
        let before = self.cluster.preview(&owner, &own).await?;
        let is_settled = before.iter().chain(&coming).all(is_unchanged)
            && record.has_delivered(body)
            && !report::is_suspended(body);
        let run = match last {
            Some(last) if is_settled => last.to_owned(),
            _ => run_id(chart, body),
        };
        let controlled = Controlled {
            object: reference,
            run,
        };
        let mut changes = before;
        changes.extend(coming);
        if !self.context.is_planning() && !is_settled {
            let mut asking = Vec::from_iter(room);
            let run = Some(controlled.run.as_str());
            asking.extend(record.objects(run).map_err(ClusterError::from)?);
            leftovers::protect(&self.cluster, record, &leftovers).await?;
            self.cluster.apply(&owner, &asking).await?;
            if report::is_suspended(body) {
                resume(&self.cluster, &controlled.object).await?;
            }
            let hooks = &rendered.chart.hooks;
            self.follow_or_suspend(&controlled, record, hooks).await?;
        }
        changes.extend(leftovers.into_iter().map(leftovers::outcome));
        for source in leftovers::earlier_sources(&self.cluster, record).await? {
            let change = self.cluster.delete(&source).await?;
            changes.push(change.with_note("the source of another version"));
        }
        let name = &rendered.name;
        if matches!(record, Record::Release(_))
            && !self.context.is_planning()
            && is_direct(&self.cluster, name, &owner).await?
        {
            // Helm owns only the fields that it has changed. Without this, the others would be gone with their owner.
            self.cluster.apply(&controller, &marked).await?;
        }
        let successor = Some(Successor {
            manager: record.manager(),
            namespace,
            objects: &marked,
        });
        let other = match record {
            Record::Release(_) => FluxRecord::Kustomization,
            Record::Kustomization(_) => FluxRecord::Release,
        };
        let (context, cluster) = (&self.context, &self.cluster);
        changes.extend(retire_flux(context, cluster, &owner, other, successor).await?);
        changes.extend(retire_argo(context, cluster, &owner, successor).await?);
        changes.extend(retire_direct(context, cluster, name, &owner, objects).await?);
        Ok(Delivered {
            changes,
            objects: objects
                .iter()
                .map(|object| object.reference().clone())
                .collect(),
            followup: Followup {
                owner: Some(owner),
                tests: tests(&rendered.chart.hooks),
                ..Followup::default()
            },
            controlled: Some(controlled),
        })
    }
}
