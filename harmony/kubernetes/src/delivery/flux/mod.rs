//! Delivery by Flux: a HelmRelease for each chart and namespace, reconciled when Harmony asks for it.
//!
//! ```text
//! pull --> render --> dry run as Flux --> ask --> protect what is kept --> namespace
//!      --> login, source and HelmRelease with a request --> follow it --> take over from another delivery
//!      --> (ready) --> tests
//! ```
//!
//! As with Argo CD, what is rendered here is checked by the cluster first, and tells which objects have to become ready.
//! `release` writes the objects that Flux reads, and `report` reads what it reports; both are pure.

mod release;
mod report;

use std::time::Duration;

use async_trait::async_trait;
use harmony_charts::{Hook, objects_of_release};
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
use harmony_core::kubernetes::{KubeObject, ObjectQuery, ObjectRef};
use harmony_core::outcome::{Action, Change};
use harmony_core::owner::Owner;
use harmony_types::{ChartRef, Namespace};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

pub use release::{FluxLogin, FluxSettings};

use self::release::{Release, marked, protected};
use self::report::Progress;
use super::controlled::{
    Leftover, approve_removal, approve_takeovers, check_installed, failed_hook, is_unchanged,
    leftovers, run_id, tests, workloads,
};
use super::install::{missing_namespace, settle};
use super::render::{Rendered, not_yet_released, render};
use super::retire::{Successor, is_direct, resume, retire_argo, retire_direct, suspend};
use crate::marks::DELIVERY_LABEL;
use crate::marks::flux::{
    COMPONENT, KEEPING, MANAGER, NAME_LABEL, NAMESPACE_LABEL, RELEASES, SOURCES, TOGETHER,
};

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

#[async_trait]
impl<C: KubernetesCluster, R: Send + Sync> Checkup for FluxDelivery<C, R> {
    async fn examine(&self, _: &[DeployTarget]) -> Vec<Finding> {
        vec![checkup::check(FLUX, "runs", self.runs()).await]
    }
}

impl<C: KubernetesCluster, R> FluxDelivery<C, R> {
    async fn check_installed(&self) -> Result<(), DeliveryError> {
        let kinds = [(RELEASES, "HelmRelease"), (SOURCES, "OCIRepository")];
        let help = || {
            format!(
                "install its source-controller and helm-controller in the namespace `{}`, for example with `FluxScore`, \
                 or deliver directly",
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
            &["helm-controller", TOGETHER],
        ];
        workloads(&self.cluster, &self.settings.namespace, COMPONENT, &parts).await
    }
}

impl<C: KubernetesCluster, R: HelmRegistry> FluxDelivery<C, R> {
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
        let marked = objects.iter().map(|object| marked(object, &reference));
        let marked: Result<Vec<_>, _> = marked.collect();
        let marked = marked.map_err(ClusterError::from)?;
        let controller = Owner::controller(MANAGER, namespace);
        // What Flux will change, as far as a server-side apply by its name shows.
        let mut all = Vec::from_iter(room.clone());
        all.extend(marked.iter().cloned());
        let coming = self.cluster.preview(&controller, &all).await?;
        let leftovers = self.leftovers(release, objects).await?;
        approve_removal(&self.context, &leftovers).await?;
        let last = report::requested(body);
        // The request of the last run stays, so that only a new one makes Flux begin.
        let mut own = Vec::from_iter(room.clone());
        own.extend(release.objects(last).map_err(ClusterError::from)?);
        let before = self.cluster.preview(&owner, &own).await?;
        let version = release.chart.version().to_string();
        let is_settled = before.iter().chain(&coming).all(is_unchanged)
            && report::has_delivered(body, &version)
            && !report::is_suspended(body);
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
            self.keep(&leftovers, namespace).await?;
            self.cluster.apply(&owner, &asking).await?;
            if report::is_suspended(body) {
                resume(&self.cluster, &controlled.object).await?;
            }
            let hooks = &rendered.chart.hooks;
            self.follow_or_suspend(&controlled, release, hooks).await?;
        }
        changes.extend(leftovers.into_iter().map(outcome));
        for source in self.earlier_sources(release).await? {
            let change = self.cluster.delete(&source).await?;
            changes.push(change.with_note("the source of another version"));
        }
        let name = &rendered.name;
        if !self.context.is_planning() && is_direct(&self.cluster, name, &owner).await? {
            // Helm owns only the fields that it has changed. Without this, the others would be gone with their owner.
            self.cluster.apply(&controller, &marked).await?;
        }
        let successor = Some(Successor {
            manager: MANAGER,
            namespace,
            objects: &marked,
        });
        changes.extend(retire_argo(&self.context, &self.cluster, &owner, successor).await?);
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

    /// The objects of the release that Helm installed last and that the new version does not have. Helm deletes them, whoever
    /// they belong to.
    async fn leftovers(
        &self,
        release: &Release<'_>,
        wanted: &[KubeObject],
    ) -> Result<Vec<Leftover>, DeliveryError> {
        let namespace = release.target.target_namespace();
        let query = release.storage();
        // The newest one has the highest number at the end of its name.
        let number = |secret: &ObjectRef| {
            let number = secret.name.as_str().rsplit_once(".v");
            number.and_then(|(_, number)| number.parse::<u64>().ok())
        };
        let listed = self.cluster.list(&query).await?;
        let Some(newest) = listed.into_iter().max_by_key(number) else {
            return Ok(Vec::new());
        };
        let Some(secret) = self.cluster.get(&newest).await? else {
            return Ok(Vec::new());
        };
        let stored = secret.body()["data"]["release"].as_str();
        let known = self.cluster.capabilities().await?;
        let installed = objects_of_release(stored.unwrap_or_default(), namespace, known.as_ref());
        let installed = installed.map_err(|error| super::render::refused(release.chart, error))?;
        let installed = installed.iter().map(|object| object.reference().clone());
        let mut leftovers = leftovers(&self.cluster, installed.collect(), wanted, |_| true).await?;
        for leftover in &mut leftovers {
            let labels = &leftover.object.body()["metadata"]["labels"];
            let is_ours = labels[NAME_LABEL] == release.chart.name().as_str()
                && labels[NAMESPACE_LABEL] == namespace.as_str();
            if !is_ours {
                let reason = "no longer in the chart; kept, because it belongs to others";
                leftover.reason_to_keep.get_or_insert(reason);
            }
        }
        Ok(leftovers)
    }

    /// Protects what is kept from Helm.
    async fn keep(
        &self,
        leftovers: &[Leftover],
        namespace: &Namespace,
    ) -> Result<(), DeliveryError> {
        let kept = leftovers
            .iter()
            .filter(|leftover| leftover.reason_to_keep.is_some());
        let protected = kept.map(|leftover| protected(leftover.object.reference()));
        let protected: Result<Vec<_>, _> = protected.collect();
        let protected = protected.map_err(ClusterError::from)?;
        if !protected.is_empty() {
            let owner = Owner::controller(KEEPING, namespace);
            self.cluster.apply(&owner, &protected).await?;
        }
        Ok(())
    }

    /// The sources of other versions, which nothing needs.
    async fn earlier_sources(
        &self,
        release: &Release<'_>,
    ) -> Result<Vec<ObjectRef>, DeliveryError> {
        let current = release.source_reference();
        let query = ObjectQuery {
            api_version: current.api_version.clone(),
            kind: current.kind.clone(),
            namespace: current.namespace.clone(),
            labels: [(DELIVERY_LABEL.to_owned(), release.chart.name().to_string())].into(),
        };
        let mut sources = self.cluster.list(&query).await?;
        sources.retain(|source| source.name != current.name);
        Ok(sources)
    }

    /// Follows what a run asked for. If it fails, Flux does not continue when nobody waits for it any more.
    async fn follow_or_suspend(
        &self,
        controlled: &Controlled,
        release: &Release<'_>,
        hooks: &[Hook],
    ) -> Result<(), DeliveryError> {
        let Err(error) = self.follow(controlled, release).await else {
            return Ok(());
        };
        if matches!(error, DeliveryError::Superseded { .. }) {
            return Err(error);
        }
        if let Err(error) = suspend(&self.cluster, &controlled.object).await {
            tracing::debug!(%error, "cannot suspend the HelmRelease");
        }
        if matches!(error, DeliveryError::SyncFailed { .. }) {
            let hooks = hooks.iter().map(|hook| hook.object.reference().clone());
            if let Some(cause) = failed_hook(&self.cluster, hooks.collect()).await {
                return Err(cause);
            }
        }
        Err(error)
    }

    /// Follows what a run asked for.
    async fn follow(
        &self,
        controlled: &Controlled,
        release: &Release<'_>,
    ) -> Result<(), DeliveryError> {
        let (source, version) = (release.source_reference(), release.chart.version());
        let version = version.to_string();
        let step = self
            .context
            .step(format!("release {} by {FLUX}", controlled.object));
        let began = Instant::now();
        let mut is_told = false;
        let body = |found: Option<KubeObject>| found.map_or(json!(null), KubeObject::into_body);
        loop {
            let release = body(self.cluster.get(&controlled.object).await?);
            let source = body(self.cluster.get(&source).await?);
            let failed = |message| DeliveryError::SyncFailed {
                controller: FLUX,
                object: controlled.object.clone(),
                message,
                objects: Vec::new(),
            };
            match report::progress(&release, &source, &controlled.run, &version) {
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
                    self.check_alive(controlled, began.elapsed(), BUSY_DEADLINE)
                        .await?;
                    if !is_told {
                        step.message(format!(
                            "{FLUX} has not begun yet; its controllers are ready"
                        ));
                        is_told = true;
                    }
                }
                Progress::Begun(message) if began.elapsed() > BEGIN_DEADLINE => {
                    self.check_alive(controlled, began.elapsed(), RELEASE_DEADLINE)
                        .await?;
                    step.message(message);
                }
                Progress::Running(message) if began.elapsed() > RELEASE_DEADLINE => {
                    return Err(failed(format!(
                        "it was still in progress after {} s ({message})",
                        RELEASE_DEADLINE.as_secs()
                    )));
                }
                Progress::Running(message) if !message.is_empty() => step.message(message),
                Progress::Requested | Progress::Begun(_) | Progress::Running(_) => {}
            }
            self.context.unless_cancelled(sleep(POLL_EVERY)).await?;
        }
    }

    /// Flux has not reported anything yet. Fails if its controllers do not run; busy ones have `patience`.
    async fn check_alive(
        &self,
        controlled: &Controlled,
        after: Duration,
        patience: Duration,
    ) -> Result<(), DeliveryError> {
        let (state, are_ready) = self.workloads().await?;
        if are_ready && after < patience {
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

/// What Helm does with the leftover.
fn outcome(leftover: Leftover) -> Change {
    let object = leftover.object.reference().clone();
    match leftover.reason_to_keep {
        Some(reason) => Change::new(Action::Unchanged, object).with_note(reason),
        None => Change::new(Action::Delete, object).with_note("no longer in the chart"),
    }
}
