//! Delivery by Flux: a HelmRelease for each chart and namespace, reconciled when Harmony asks for it.
//!
//! ```text
//! pull --> render --> dry run as Flux --> ask --> namespace --> login, source and HelmRelease with a request
//!      --> follow it --> take over from another delivery --> (ready) --> tests
//! ```
//!
//! As with Argo CD, what is rendered here is checked by the cluster first, and tells which objects have to become ready.
//! `release` writes the objects that Flux reads, and `report` reads what it reports; both are pure.

mod release;
mod report;

use std::time::Duration;

use async_trait::async_trait;
use harmony_core::Context;
use harmony_core::capability::continuous_delivery::{
    Controlled, Delivered, DeliveryError, Followup,
};
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::oci_registry::RegistryLocation;
use harmony_core::capability::{ContinuousDelivery, HelmRegistry, KubernetesCluster};
use harmony_core::chart::DeployTarget;
use harmony_core::event::Step;
use harmony_core::kubernetes::{KubeObject, ObjectRef};
use harmony_core::outcome::Change;
use harmony_core::owner::Owner;
use harmony_types::{ChartRef, Namespace};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

pub use release::{FluxLogin, FluxSettings};

use self::release::{Release, marked};
use self::report::Progress;
use super::controlled::{
    approve_takeovers, check_installed, is_unchanged, run_id, tests, workloads,
};
use super::install::{missing_namespace, settle};
use super::render::{Rendered, not_yet_released, render};
use super::retire::{retire_argo, retire_direct};
use crate::marks::flux::{MANAGER, RELEASES, SOURCES};

const FLUX: &str = "Flux";

/// How long Flux may take to begin, before the state of its workloads is looked at.
const BEGIN_DEADLINE: Duration = Duration::from_secs(4);
/// How long it may take although its workloads are ready.
const BUSY_DEADLINE: Duration = Duration::from_secs(120);
/// The maximum duration of an installation or upgrade, which contains the hooks of the chart.
const RELEASE_DEADLINE: Duration = Duration::from_secs(300);
const POLL_EVERY: Duration = Duration::from_millis(300);

/// Delivers charts by HelmReleases of Flux, in the namespace of each app.
///
/// Flux looks at a HelmRelease once a day, and otherwise when Harmony asks. Deleting a HelmRelease uninstalls its chart.
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
        let release = Release {
            settings: &self.settings,
            chart,
            target,
            values: &values,
        };
        self.deliver(&release, rendered).await
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

impl<C: KubernetesCluster, R: HelmRegistry> FluxDelivery<C, R> {
    async fn check_installed(&self) -> Result<(), DeliveryError> {
        let kinds = [(RELEASES, "HelmRelease"), (SOURCES, "OCIRepository")];
        let help = "install its source-controller and helm-controller, or deliver directly";
        check_installed(&self.cluster, FLUX, &kinds, || help.into()).await
    }

    async fn deliver(
        &self,
        release: &Release<'_>,
        rendered: Rendered,
    ) -> Result<Delivered, DeliveryError> {
        let namespace = release.target.target_namespace();
        let owner = Owner::delivery(release.chart.name(), namespace);
        let reference = release.reference();
        let live = self.cluster.get(&reference).await?;
        let body = live.as_ref().map_or(&Value::Null, KubeObject::body);
        let objects = &rendered.chart.objects;
        approve_takeovers(&self.context, &self.cluster, objects, &owner).await?;
        let room = missing_namespace(namespace, objects)?;
        let coming = self
            .preview(room.as_ref(), objects, namespace, &reference)
            .await?;
        let last = report::requested(body);
        // The request of the last run stays, so that only a new one makes Flux begin.
        let mut own = Vec::from_iter(room.clone());
        own.extend(release.objects(last).map_err(ClusterError::from)?);
        let before = self.cluster.preview(&owner, &own).await?;
        let version = release.chart.version().to_string();
        let is_settled =
            before.iter().chain(&coming).all(is_unchanged) && report::has_delivered(body, &version);
        let run = match last {
            Some(last) if is_settled => last.to_owned(),
            _ => run_id(release.chart, body),
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
            asking.extend(release.objects(run).map_err(ClusterError::from)?);
            self.cluster.apply(&owner, &asking).await?;
            self.follow(&controlled, &release.source_reference())
                .await?;
        }
        let name = &rendered.name;
        changes.extend(retire_argo(&self.context, &self.cluster, &owner).await?);
        changes.extend(retire_direct(&self.context, &self.cluster, name, &owner, objects).await?);
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

    /// What Flux will change, as far as a server-side apply by its name shows.
    async fn preview(
        &self,
        room: Option<&KubeObject>,
        objects: &[KubeObject],
        namespace: &Namespace,
        release: &ObjectRef,
    ) -> Result<Vec<Change>, DeliveryError> {
        let mut all = Vec::from_iter(room.cloned());
        for object in objects {
            all.push(marked(object, release).map_err(ClusterError::from)?);
        }
        let controller = Owner::controller(MANAGER, namespace);
        Ok(self.cluster.preview(&controller, &all).await?)
    }

    /// Follows what a run asked for.
    async fn follow(
        &self,
        controlled: &Controlled,
        source: &ObjectRef,
    ) -> Result<(), DeliveryError> {
        let step = self
            .context
            .step(format!("release {} by {FLUX}", controlled.object));
        let began = Instant::now();
        let mut is_told = false;
        let body = |found: Option<KubeObject>| found.map_or(json!(null), KubeObject::into_body);
        loop {
            let release = body(self.cluster.get(&controlled.object).await?);
            let source = body(self.cluster.get(source).await?);
            let failed = |message| DeliveryError::SyncFailed {
                controller: FLUX,
                object: controlled.object.clone(),
                message,
                objects: Vec::new(),
            };
            match report::progress(&release, &source, &controlled.run) {
                Progress::Succeeded => {
                    step.done("");
                    return Ok(());
                }
                Progress::Failed(message) => return Err(failed(message)),
                Progress::Superseded(by) => {
                    return Err(DeliveryError::Superseded {
                        object: controlled.object.clone(),
                        by,
                    });
                }
                Progress::Requested if began.elapsed() > BEGIN_DEADLINE => {
                    self.check_alive(controlled, began.elapsed(), &step, &mut is_told)
                        .await?;
                }
                Progress::Running(message) if began.elapsed() > RELEASE_DEADLINE => {
                    return Err(failed(format!(
                        "it was still in progress after {} s ({message})",
                        RELEASE_DEADLINE.as_secs()
                    )));
                }
                Progress::Running(message) if !message.is_empty() => step.message(message),
                Progress::Requested | Progress::Running(_) => {}
            }
            self.context.unless_cancelled(sleep(POLL_EVERY)).await?;
        }
    }

    /// Flux has not begun. Fails if its controllers do not run; busy ones get more time.
    async fn check_alive(
        &self,
        controlled: &Controlled,
        after: Duration,
        step: &Step,
        is_told: &mut bool,
    ) -> Result<(), DeliveryError> {
        let names = ["source-controller", "helm-controller"];
        let namespace = self.settings.namespace.as_ref();
        let (state, are_ready) = workloads(
            &self.cluster,
            namespace,
            "app.kubernetes.io/component",
            &names,
        )
        .await?;
        if are_ready && after < BUSY_DEADLINE {
            if !*is_told {
                step.message(format!(
                    "{FLUX} has not begun yet; its controllers are ready"
                ));
                *is_told = true;
            }
            return Ok(());
        }
        Err(DeliveryError::ControllerSilent {
            controller: FLUX,
            object: controlled.object.clone(),
            after,
            state,
        })
    }
}
