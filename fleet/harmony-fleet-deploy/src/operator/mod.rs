//! The fleet operator: keeps the registry of devices and reflects it as `Device` resources.

mod objects;

use harmony::core::capability::KubernetesCluster;
use harmony::core::kubernetes::KubeObject;
use harmony::core::verify::{ServicePort, SmokeCheck, Verifiable};
use harmony::scores::K8sResourceScore;
use harmony::types::{ImageRef, Namespace, ResourceName};
use harmony::{Interpret, InterpretError, Inventory, Outcome, Score, Topology, async_trait};
use harmony_reconciler_contracts::TenantId;
use harmony_release::chart::{ChartError, ChartModel, ChartValues};

use crate::FleetNatsScore;
use crate::credentials;

/// Runs the operator beside a NATS that is there already.
#[derive(Debug, Clone)]
pub struct FleetOperatorScore {
    /// Where it runs; its `Device` resources appear in the same namespace.
    pub namespace: Namespace,
    /// The operator's image.
    pub image: ImageRef,
    /// Whose fleet it keeps.
    pub tenant: TenantId,
    /// Where NATS listens, as a pod sees it.
    pub nats_url: String,
    /// The credentials for the image's registry, when it is private.
    pub pull_secret: Option<ResourceName>,
}

impl FleetOperatorScore {
    /// The name of the Deployment, of its Service and of this Score.
    pub const NAME: &str = "harmony-fleet-operator";

    /// The port of its health pages.
    pub const HEALTH_PORT: u16 = 8080;

    /// The operator of a fleet whose NATS is a [`FleetNatsScore`] in the same namespace.
    pub fn new(namespace: Namespace, image: ImageRef, tenant: TenantId) -> Self {
        let nats_url = FleetNatsScore::url(&namespace);
        Self {
            namespace,
            image,
            tenant,
            nats_url,
            pull_secret: None,
        }
    }

    /// That it answers for itself; the reflection is checked by the end-to-end tests.
    pub fn checks() -> Vec<SmokeCheck> {
        let service = ServicePort {
            service: Self::NAME.parse().expect("a valid name"),
            port: Self::HEALTH_PORT,
        };
        vec![SmokeCheck::Http {
            service,
            path: "/readyz".into(),
            status: 200,
            contains: None,
        }]
    }

    fn resources(&self) -> Result<K8sResourceScore, InterpretError> {
        let values = OperatorValues {
            tenant: self.tenant.to_string(),
            nats_url: self.nats_url.clone(),
            nats_secret: credentials::SECRET.into(),
            pull_secret: self.pull_secret.as_ref().map(ToString::to_string),
        };
        let objects = objects::build(&self.namespace, &self.image.to_string(), &values)
            .map_err(|error| InterpretError::new(Self::NAME, error))?;
        Ok(
            K8sResourceScore::new(Self::NAME, self.namespace.clone(), objects)
                .with_checks(Self::checks()),
        )
    }
}

/// What differs between two deployments of the operator, as text: real values, or the placeholders of a chart.
struct OperatorValues {
    tenant: String,
    nats_url: String,
    nats_secret: String,
    pull_secret: Option<String>,
}

/// The operator's chart: the objects of [`FleetOperatorScore`], for whoever deploys it with other tools.
#[derive(Debug, Clone, Copy)]
pub struct OperatorChart;

impl ChartModel for OperatorChart {
    fn description(&self) -> String {
        "Keeps the registry of a fleet of devices and reflects it as Device resources".into()
    }

    fn values(&self) -> Result<ChartValues, ChartError> {
        // A NATS of this name in the same namespace is what `FleetNatsScore` deploys.
        let nats = format!(
            "nats://{}:{}",
            FleetNatsScore::NAME,
            harmony::scores::nats::CLIENT_PORT
        );
        ChartValues::new("default".parse().expect("a valid name"))
            .with("tenant", "default")?
            .with("nats.url", nats)?
            .with("nats.secret", credentials::SECRET)?
            .with("pullSecret", "")
    }

    fn objects(
        &self,
        values: &ChartValues,
        image: &ImageRef,
    ) -> Result<Vec<KubeObject>, ChartError> {
        let text = |path| values.text(path).map(str::to_owned);
        let settings = OperatorValues {
            tenant: text("tenant")?,
            nats_url: text("nats.url")?,
            nats_secret: text("nats.secret")?,
            pull_secret: Some(text("pullSecret")?),
        };
        Ok(objects::build(
            values.namespace(),
            &image.to_string(),
            &settings,
        )?)
    }
}

impl<T: Topology + KubernetesCluster> Score<T> for FleetOperatorScore {
    fn name(&self) -> String {
        Self::NAME.into()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Interpret<T> for FleetOperatorScore {
    async fn execute(
        &self,
        inventory: &Inventory,
        topology: &T,
    ) -> Result<Outcome, InterpretError> {
        self.resources()?.execute(inventory, topology).await
    }
}

#[async_trait]
impl<T: Topology + KubernetesCluster> Verifiable<T> for FleetOperatorScore {
    async fn wait_ready(&self, topology: &T) -> Result<(), InterpretError> {
        Verifiable::wait_ready(&self.resources()?, topology).await
    }

    fn smoke_checks(&self) -> Vec<SmokeCheck> {
        Self::checks()
    }

    fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}
