//! Delivery by Argo CD: an Application for each chart and namespace, synced when Harmony asks for it.
//!
//! ```text
//! pull --> render --> dry run as Argo CD --> ask --> login --> Application with a sync --> follow it
//!      --> remove what is old only --> take over from a direct delivery --> (ready) --> the sync's end --> tests
//! ```
//!
//! Everything goes through the Kubernetes API: neither Argo CD's own API nor its command is needed. Argo CD renders the
//! chart itself. What is rendered here is checked by the cluster first, so that a wrong object has the same error as with
//! a direct delivery, and tells which objects have to become ready: Argo CD's own opinion of their health is not used.
//!
//! `application` writes the objects that Argo CD reads, and `sync` reads what it reports; both are pure.

mod application;
mod sync;

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
use harmony_core::event::Step;
use harmony_core::kubernetes::{KubeObject, ObjectRef};
use harmony_core::outcome::Change;
use harmony_core::owner::Owner;
use harmony_types::ChartRef;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

pub use application::ArgoSettings;

use self::application::{Application, repository_secret, tracked};
use self::sync::{Failure, Ongoing, Progress, Resource};
use super::controlled::{
    approve_removal, approve_takeovers, check_installed, failed_hook, is_unchanged, leftovers,
    remove, run_id, tests, workloads,
};
use super::install::missing_namespace;
use super::render::{Rendered, not_yet_released, render};
use super::retire::{Successor, retire_all_flux, retire_direct};
use crate::hooks::Hooks;
use crate::marks::argocd::{API_VERSION, MANAGER, TRACKING, of_tracking};

const ARGO: &str = "Argo CD";

/// How long Argo CD may take to begin with a sync, before the state of its workloads is looked at.
const BEGIN_DEADLINE: Duration = Duration::from_secs(4);
/// How long it may take although its workloads are ready: it handles other Applications first.
const BUSY_DEADLINE: Duration = Duration::from_secs(120);
/// The maximum duration of a sync, which contains the hooks of the chart.
const SYNC_DEADLINE: Duration = Duration::from_secs(300);
const POLL_EVERY: Duration = Duration::from_millis(300);

/// Delivers charts by Applications of Argo CD in the same cluster.
///
/// The Application has no automated sync and no finalizer: what runs in the cluster changes only when Harmony delivers,
/// and deleting the Application deletes nothing else.
#[derive(Debug, Clone)]
pub struct ArgoDelivery<C, R> {
    context: Context,
    cluster: C,
    registry: R,
    charts: RegistryLocation,
    settings: ArgoSettings,
}

impl<C, R> ArgoDelivery<C, R> {
    /// Delivers charts that `registry` has below the location `charts`. Argo CD pulls them from the same location.
    pub fn new(
        context: Context,
        cluster: C,
        registry: R,
        charts: RegistryLocation,
        settings: ArgoSettings,
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
impl<C: KubernetesCluster, R: HelmRegistry> ContinuousDelivery for ArgoDelivery<C, R> {
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
        let application = Application {
            settings: &self.settings,
            chart,
            target,
            values: &values,
        };
        self.deliver(&application, rendered).await
    }

    async fn wait_ready(
        &self,
        delivered: &Delivered,
        deadline: Duration,
    ) -> Result<(), DeliveryError> {
        let Some(controlled) = &delivered.controlled else {
            return Ok(());
        };
        if self.context.is_planning() {
            return Ok(());
        }
        let ready = self.cluster.wait_ready(&delivered.objects, deadline).await;
        if let Err(error) = ready {
            self.terminate(controlled).await;
            return Err(error.into());
        }
        self.follow(controlled, Until::Done).await?;
        if let Some(owner) = &delivered.followup.owner {
            let hooks = Hooks::new(&self.context, &self.cluster, owner);
            hooks.run_after(&delivered.followup, deadline).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl<C: KubernetesCluster, R: Send + Sync> Checkup for ArgoDelivery<C, R> {
    async fn examine(&self, _: &[DeployTarget]) -> Vec<Finding> {
        vec![checkup::check(ARGO, "runs", self.runs()).await]
    }
}

/// What to wait for.
#[derive(Debug, Clone, Copy)]
enum Until<'a> {
    /// These objects are applied. Argo CD reports objects as synced before it applies them, and ends the sync of a chart
    /// with hooks only when the objects are ready, so the cluster is asked.
    Applied(&'a [KubeObject]),
    /// The hooks have ended, too.
    Done,
}

impl<C: KubernetesCluster, R> ArgoDelivery<C, R> {
    async fn check_installed(&self) -> Result<(), DeliveryError> {
        let kinds = [(API_VERSION, "Application")];
        let help = || {
            format!(
                "install it in the namespace `{}`, for example with `ArgoCdScore`, or deliver directly",
                self.settings.namespace
            )
        };
        check_installed(&self.cluster, ARGO, &kinds, help).await
    }

    /// The state of its workloads, if all of them are ready.
    async fn runs(&self) -> Result<String, DeliveryError> {
        self.check_installed().await?;
        let (state, are_ready) = self.workloads().await?;
        if are_ready {
            return Ok(state.join(", "));
        }
        Err(DeliveryError::ControllerDown {
            controller: ARGO,
            state,
        })
    }

    async fn workloads(&self) -> Result<(Vec<String>, bool), DeliveryError> {
        let parts = [&["argocd-application-controller"][..]];
        let namespace = &self.settings.namespace;
        workloads(&self.cluster, namespace, "app.kubernetes.io/name", &parts).await
    }
}

impl<C: KubernetesCluster, R: HelmRegistry> ArgoDelivery<C, R> {
    async fn deliver(
        &self,
        application: &Application<'_>,
        rendered: Rendered,
    ) -> Result<Delivered, DeliveryError> {
        let namespace = application.target.target_namespace();
        let owner = Owner::delivery(application.chart.name(), namespace);
        let reference = application.reference().map_err(ClusterError::from)?;
        let live = self.cluster.get(&reference).await?;
        let body = live.as_ref().map_or(&Value::Null, KubeObject::body);
        let objects = &rendered.chart.objects;
        approve_takeovers(&self.context, &self.cluster, objects, &owner).await?;
        let mut all = Vec::from_iter(missing_namespace(namespace, objects)?);
        all.extend(objects.iter().cloned());
        let coming = self.preview_of(&all, reference.name.as_str()).await?;
        let listed = sync::resources(body);
        let listed = listed.iter().filter_map(resource_reference).collect();
        let is_ours = |object: &Value| {
            let tracking = object["metadata"]["annotations"][TRACKING].as_str();
            tracking.map(of_tracking) == Some(reference.name.as_str())
        };
        let leftovers = leftovers(&self.cluster, listed, objects, is_ours).await?;
        approve_removal(&self.context, &leftovers).await?;
        let secret = repository_secret(&self.settings, application.chart);
        let secret = [secret.map_err(ClusterError::from)?];
        let ongoing = sync::ongoing(body);
        let asked = match ongoing.as_ref().and_then(|sync| sync.run.as_deref()) {
            Some(run) => application.syncing(run),
            None => application.object(),
        };
        let asked = [asked.map_err(ClusterError::from)?];
        // The login is that of all charts in the registry.
        let keeper = Owner::score("argocd-repository", &self.settings.namespace);
        let mut before = self.cluster.preview(&keeper, &secret).await?;
        before.extend(self.cluster.preview(&owner, &asked).await?);
        let version = application.chart.version().to_string();
        let is_same = before.iter().all(is_unchanged);
        let is_settled = is_same
            && coming.iter().all(is_unchanged)
            && sync::has_delivered(body, &version)
            && ongoing.is_none();
        let mut changes = before;
        changes.extend(coming);
        let run = run_id(application.chart, body);
        let mut controlled = Controlled {
            object: reference,
            run: run.clone(),
        };
        if !self.context.is_planning() && !is_settled {
            if let Some(Ongoing { run: Some(run), .. }) = &ongoing
                && is_same
            {
                // A run that was killed asked for exactly this.
                controlled.run.clone_from(run);
            } else {
                self.make_way(ongoing, &controlled.object).await?;
                let syncing = application.syncing(&run).map_err(ClusterError::from)?;
                self.cluster.apply(&keeper, &secret).await?;
                self.cluster.apply(&owner, &[syncing]).await?;
            }
            let followed = self.follow(&controlled, Until::Applied(objects)).await;
            if let Err(error) = followed {
                self.withdraw(application, &owner, &controlled).await;
                return Err(error);
            }
        } else if let Some(last) = last_run(body) {
            controlled.run = last.to_owned();
        }
        for leftover in leftovers {
            self.context.check_cancelled()?;
            changes.push(remove(&self.cluster, leftover).await?);
        }
        let name = &rendered.name;
        let tracked = tracked_by(objects, controlled.object.name.as_str())?;
        let successor = Some(Successor {
            manager: MANAGER,
            namespace,
            objects: &tracked,
        });
        changes.extend(retire_all_flux(&self.context, &self.cluster, &owner, successor).await?);
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

    /// What Argo CD will change, as the server says: Argo CD applies in the same way, by this name.
    async fn preview_of(
        &self,
        objects: &[KubeObject],
        application: &str,
    ) -> Result<Vec<Change>, DeliveryError> {
        let tracked = tracked_by(objects, application)?;
        let controller = Owner::controller(MANAGER, &self.settings.namespace);
        Ok(self.cluster.preview(&controller, &tracked).await?)
    }

    /// Makes the sync of an earlier run end.
    ///
    /// # Errors
    /// [`DeliveryError::Superseded`] for a sync that somebody else asked for.
    async fn make_way(
        &self,
        ongoing: Option<Ongoing>,
        object: &ObjectRef,
    ) -> Result<(), DeliveryError> {
        let Some(ongoing) = ongoing else {
            return Ok(());
        };
        let Some(run) = ongoing.run else {
            return Err(DeliveryError::Superseded {
                object: object.clone(),
                by: ongoing.by,
            });
        };
        let controlled = Controlled {
            object: object.clone(),
            run,
        };
        self.terminate(&controlled).await;
        // How it ends does not matter.
        match self.follow(&controlled, Until::Done).await {
            Err(DeliveryError::Cancelled(cancelled)) => Err(cancelled.into()),
            Err(error @ DeliveryError::ControllerSilent { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes a request that Argo CD has not begun with, so that it does not deliver later, when nobody waits for it. If
    /// this fails, the next run takes the request over.
    async fn withdraw(
        &self,
        application: &Application<'_>,
        owner: &Owner,
        controlled: &Controlled,
    ) {
        let Ok(Some(found)) = self.cluster.get(&controlled.object).await else {
            return;
        };
        if sync::progress(found.body(), &controlled.run) != Progress::Requested {
            return;
        }
        let Ok(quiet) = application.object() else {
            return;
        };
        if let Err(error) = self.cluster.apply(owner, &[quiet]).await {
            tracing::debug!(%error, "cannot withdraw the request for a sync");
        }
    }

    /// Asks Argo CD to end a sync that nobody waits for any more. If this fails, the sync ends by itself.
    async fn terminate(&self, controlled: &Controlled) {
        let Ok(Some(found)) = self.cluster.get(&controlled.object).await else {
            return;
        };
        let is_running = matches!(
            sync::progress(found.body(), &controlled.run),
            Progress::Running { .. }
        );
        let Some(namespace) = controlled.object.namespace.as_ref().filter(|_| is_running) else {
            return;
        };
        let terminating = KubeObject::observed(json!({
            "apiVersion": controlled.object.api_version,
            "kind": controlled.object.kind,
            "metadata": { "name": controlled.object.name.as_str(), "namespace": namespace.as_str() },
            "status": { "operationState": { "phase": "Terminating" } },
        }));
        let Ok(terminating) = terminating else {
            return;
        };
        let owner = Owner::controller("harmony-terminates-sync", namespace);
        if let Err(error) = self.cluster.apply(&owner, &[terminating]).await {
            tracing::debug!(%error, "cannot terminate the sync");
        }
    }

    /// Follows the sync of a run.
    async fn follow(&self, controlled: &Controlled, until: Until<'_>) -> Result<(), DeliveryError> {
        let step = self.context.step(match until {
            Until::Applied(_) => format!("sync {} by {ARGO}", controlled.object),
            Until::Done => format!("wait for the hooks of {}", controlled.object),
        });
        let began = Instant::now();
        let mut is_told = false;
        loop {
            let found = self.cluster.get(&controlled.object).await?;
            let body = found.as_ref().map_or(&Value::Null, KubeObject::body);
            match sync::progress(body, &controlled.run) {
                Progress::Succeeded => {
                    step.done("");
                    return Ok(());
                }
                Progress::Running {
                    is_applied: true, ..
                } if self.has_applied(controlled, until).await? => {
                    step.done("applied");
                    return Ok(());
                }
                Progress::Failed(failure) => return Err(self.failed(controlled, failure).await),
                Progress::Superseded { by } => {
                    return Err(DeliveryError::Superseded {
                        object: controlled.object.clone(),
                        by,
                    });
                }
                Progress::Requested if began.elapsed() > BEGIN_DEADLINE => {
                    self.check_alive(controlled, began.elapsed(), &step, &mut is_told)
                        .await?;
                }
                Progress::Running { message, .. } if began.elapsed() > SYNC_DEADLINE => {
                    self.terminate(controlled).await;
                    let failure = Failure {
                        message: format!(
                            "it was still in progress after {} s ({message})",
                            SYNC_DEADLINE.as_secs()
                        ),
                        ..Failure::default()
                    };
                    return Err(self.failed(controlled, failure).await);
                }
                Progress::Running { message, .. } if !message.is_empty() => step.message(message),
                Progress::Requested | Progress::Running { .. } => {}
            }
            self.context.unless_cancelled(sleep(POLL_EVERY)).await?;
        }
    }

    /// Whether the cluster has what this waits for.
    async fn has_applied(
        &self,
        controlled: &Controlled,
        until: Until<'_>,
    ) -> Result<bool, DeliveryError> {
        let Until::Applied(objects) = until else {
            return Ok(false);
        };
        let application = controlled.object.name.as_str();
        let changes = self.preview_of(objects, application).await?;
        Ok(changes.iter().all(is_unchanged))
    }

    /// The cause of a failed sync: that of a hook, if one of them failed and its pods are still there.
    async fn failed(&self, controlled: &Controlled, failure: Failure) -> DeliveryError {
        let hooks = failure.hooks.iter().filter_map(resource_reference);
        if let Some(cause) = failed_hook(&self.cluster, hooks.collect()).await {
            return cause;
        }
        DeliveryError::SyncFailed {
            controller: ARGO,
            object: controlled.object.clone(),
            message: failure.message,
            objects: failure.objects,
        }
    }

    /// Argo CD has not begun. Fails if its workloads do not run; a busy one gets more time.
    async fn check_alive(
        &self,
        controlled: &Controlled,
        after: Duration,
        step: &Step,
        is_told: &mut bool,
    ) -> Result<(), DeliveryError> {
        let (state, are_ready) = self.workloads().await?;
        if are_ready && after < BUSY_DEADLINE {
            if !*is_told {
                step.message(format!("{ARGO} has not begun yet; its workloads are ready"));
                *is_told = true;
            }
            return Ok(());
        }
        Err(DeliveryError::ControllerSilent {
            controller: ARGO,
            object: controlled.object.clone(),
            after,
            state,
        })
    }
}

/// The objects as Argo CD applies them.
fn tracked_by(objects: &[KubeObject], application: &str) -> Result<Vec<KubeObject>, DeliveryError> {
    let tracked = objects.iter().map(|object| tracked(object, application));
    let tracked: Result<Vec<_>, _> = tracked.collect();
    Ok(tracked.map_err(ClusterError::from)?)
}

fn resource_reference(resource: &Resource) -> Option<ObjectRef> {
    let mut metadata = json!({ "name": resource.name });
    if !resource.namespace.is_empty() {
        metadata["namespace"] = json!(resource.namespace);
    }
    let object = KubeObject::observed(json!({
        "apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata,
    }));
    object.ok().map(|object| object.reference().clone())
}

/// The run of Harmony that asked for the last sync.
fn last_run(application: &Value) -> Option<&str> {
    application::run_of(&application["status"]["operationState"]["operation"])
}
