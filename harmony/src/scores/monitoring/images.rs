//! The images of Prometheus and Alertmanager.
//!
//! A cluster with internet access can use those of the Prometheus project. For one without, they are assembled from the
//! packages of this machine's Debian, and bundled with the app.

use std::sync::Arc;

use async_trait::async_trait;
use harmony_containers::{DebianProgram, Runtime};
use harmony_core::capability::{KubernetesCluster, Prober};
use harmony_core::image::ImageSource;
use harmony_core::{Interpret, InterpretError, Inventory, Outcome, Score, Topology};
use harmony_release::{AppSpec, Artifacts, BundledImage, WhichImage};
use harmony_types::{ComponentName, ImageRef};

use super::MonitoringScore;
use super::provider::{self, Provider};

/// The images of Prometheus and Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitoringImages {
    /// Prometheus 2.40 or later.
    pub prometheus: ImageRef,
    /// Alertmanager 0.25 or later.
    pub alertmanager: ImageRef,
}

const PROMETHEUS: &str = "prometheus";
const ALERTMANAGER: &str = "alertmanager";

/// The images, to be released together with an app.
pub fn bundled() -> Vec<BundledImage> {
    let folder = crate::dirs::cache().join("debian");
    let image = |name: &str, program: DebianProgram| BundledImage {
        name: component(name),
        image: ImageSource::Buildable(Arc::new(program.with_runtime(Runtime {
            // For receivers with a public certificate.
            ca_certificates: true,
            ..Runtime::default()
        }))),
    };
    let prometheus = DebianProgram::new("prometheus", "/usr/bin/prometheus", folder.clone());
    let alertmanager = DebianProgram::new(
        "prometheus-alertmanager",
        "/usr/bin/prometheus-alertmanager",
        folder,
    )
    // Debian's program reads the default texts of messages from these files.
    .with_file("/usr/share/prometheus/alertmanager/default.tmpl")
    .with_file("/usr/share/prometheus/alertmanager/email.tmpl");
    vec![
        image(PROMETHEUS, prometheus),
        image(ALERTMANAGER, alertmanager),
    ]
}

fn component(name: &str) -> ComponentName {
    name.parse().expect("a valid name")
}

/// A [`MonitoringScore`] with the images that are bundled with an app. They are looked up or built only if the cluster
/// has no prometheus-operator.
#[derive(Debug, Clone)]
pub struct WithMonitoringImages<A> {
    /// The monitoring. If it has images, these are used.
    pub score: MonitoringScore,
    /// The app with [`bundled`] images.
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
