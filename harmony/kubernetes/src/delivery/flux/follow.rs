//! Follows a delivery to its end.

use std::time::Duration;

use harmony_charts::Hook;
use harmony_core::capability::KubernetesCluster;
use harmony_core::capability::continuous_delivery::{Controlled, DeliveryError};
use harmony_core::kubernetes::KubeObject;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::super::controlled::failed_hook;
use super::super::retire::suspend;
use super::record::Record;
use super::report::Progress;
use super::{FLUX, FluxDelivery};

/// How long Flux may take to begin, before the state of its workloads is looked at.
const BEGIN_DEADLINE: Duration = Duration::from_secs(4);
/// How long it may take although its workloads are ready.
const BUSY_DEADLINE: Duration = Duration::from_secs(120);
/// The maximum duration of an installation or upgrade, which contains the hooks of the chart.
const RELEASE_DEADLINE: Duration = Duration::from_secs(300);
const POLL_EVERY: Duration = Duration::from_millis(300);

impl<C: KubernetesCluster, R: Send + Sync> FluxDelivery<C, R> {
    /// Follows what a run asked for. If it fails, Flux does not continue when nobody waits for it any more.
    pub(super) async fn follow_or_suspend(
        &self,
        controlled: &Controlled,
        record: &Record<'_>,
        hooks: &[Hook],
    ) -> Result<(), DeliveryError> {
        let Err(error) = self.follow(controlled, record).await else {
            return Ok(());
        };
        if matches!(error, DeliveryError::Superseded { .. }) {
            return Err(error);
        }
        if let Err(error) = suspend(&self.cluster, &controlled.object).await {
            tracing::debug!(%error, "cannot suspend what Flux works on");
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
        record: &Record<'_>,
    ) -> Result<(), DeliveryError> {
        let source = record.source();
        let step = self
            .context
            .step(format!("deliver {} by {FLUX}", controlled.object));
        let began = Instant::now();
        let mut is_told = false;
        let body = |found: Option<KubeObject>| found.map_or(json!(null), KubeObject::into_body);
        loop {
            let live = body(self.cluster.get(&controlled.object).await?);
            let source = body(self.cluster.get(&source).await?);
            let failed = |message| DeliveryError::SyncFailed {
                controller: FLUX,
                object: controlled.object.clone(),
                message,
                objects: Vec::new(),
            };
            match record.progress(&live, &source, &controlled.run) {
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
