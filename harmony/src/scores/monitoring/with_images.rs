//! A [`MonitoringScore`] with bundled images.

use std::sync::Arc;

use async_trait::async_trait;
use harmony_core::capability::{KubernetesCluster, Prober};
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology};
use harmony_release::{AppSpec, Artifacts, WhichImage};

use super::MonitoringScore;
use super::images::{ALERTMANAGER, MonitoringImages, PROMETHEUS, component};
use super::provider::{self, Provider};

/// A [`MonitoringScore`] with the images that are bundled with an app. They are looked up or built only if the cluster
/// has no prometheus-operator.
#[derive(Debug, Clone)]
pub struct WithMonitoringImages<A> {
    /// The monitoring. If it has images, these are used.
    pub score: MonitoringScore,
    /// The app with [bundled](super::images::bundled) images.
    pub app: Arc<AppSpec>,
    /// The source of the images.
    pub artifacts: A,
}

impl<T, A> Score<T> for WithMonitoringImages<A>
where
    T: Topology + KubernetesCluster + Prober,
    A: Artifacts<T>,
{
    fn name(&self) -> String {
        Score::<T>::name(&self.score)
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T, A> Interpret<T> for WithMonitoringImages<A>
where
    T: Topology + KubernetesCluster + Prober,
    A: Artifacts<T>,
{
    async fn execute(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        let (mut score, mut outcome) = (self.score.clone(), Outcome::unchanged());
        let name = || Score::<T>::name(&self.score);
        let provider = provider::find(topology, &score)
            .await
            .map_err(|error| InterpretError::new(name(), error))?;
        if score.images.is_none() && provider == Provider::Plain {
            let mut images = Vec::new();
            for part in [PROMETHEUS, ALERTMANAGER] {
                let which = WhichImage::Bundled(component(part));
                let image = self.artifacts.image(&self.app, &which, inventory, topology);
                let image = image
                    .await
                    .map_err(|error| InterpretError::new(name(), error))?;
                outcome.absorb(image.outcome);
                images.push(image.artifact);
            }
            if let [prometheus, alertmanager] = &images[..] {
                score.images = Some(MonitoringImages {
                    prometheus: prometheus.clone(),
                    alertmanager: alertmanager.clone(),
                });
            }
        }
        // Not with `interpret`, because a Score starts and ends once.
        let interpret = score.create_interpret();
        outcome.absorb(interpret.execute(inventory, topology).await?);
        Ok(outcome)
    }
}
