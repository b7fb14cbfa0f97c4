//! The fleet operator: manages the registry of devices and copies it to `Device` resources.

mod objects;

use std::collections::BTreeMap;
use std::sync::Arc;

use harmony::core::capability::{ContinuousDelivery, Prober};
use harmony::core::chart::DeployTarget;
use harmony::core::kubernetes::KubeObject;
use harmony::core::verify::{Checks, ServicePort, SmokeCheck};
use harmony::release::{AppSpec, Artifacts, DeployScore};
use harmony::release::{ChartError, ChartModel, ChartValues};
use harmony::types::{ImageRef, Namespace, ResourceName};
use harmony::{Interpret, Score, Topology};
use harmony_fleet_domain::FleetState;
use harmony_reconciler_contracts::TenantId;

use crate::pod::FleetSecrets;
use crate::{certificates, credentials, place};

/// The name of the operator's Deployment, Service and Score.
pub const NAME: &str = place::OPERATOR;

/// The port of its health endpoints.
pub const HEALTH_PORT: u16 = 8080;

/// Runs the operator beside a [`FleetNatsScore`](crate::FleetNatsScore) in the same namespace, from its chart.
#[derive(Debug, Clone)]
pub struct FleetOperatorScore<A> {
    /// The namespace of the operator and of its `Device` resources.
    pub namespace: Namespace,
    /// The tenant of the fleet.
    pub tenant: TenantId,
    /// The credentials for a private registry.
    pub pull_secret: Option<ResourceName>,
    /// The operator.
    pub app: Arc<AppSpec>,
    /// The source of its image and chart.
    pub artifacts: A,
}

impl<A: Clone> FleetOperatorScore<A> {
    fn deploy(&self) -> DeployScore<A> {
        let mut values = BTreeMap::from([("tenant".to_owned(), self.tenant.to_string().into())]);
        if let Some(secret) = &self.pull_secret {
            values.insert("pullSecret".to_owned(), secret.to_string().into());
        }
        let target = DeployTarget::namespace(self.namespace.clone()).with_values(values);
        DeployScore::new(&self.app, self.artifacts.clone(), target)
    }
}

impl<T, A> Score<T> for FleetOperatorScore<A>
where
    T: Topology + ContinuousDelivery + Prober,
    A: Artifacts<T>,
{
    fn name(&self) -> String {
        NAME.into()
    }

    fn create_interpret(&self) -> Box<dyn Interpret<T>> {
        self.deploy().create_interpret()
    }
}

/// Checks the operator itself; the end-to-end tests check the `Device` resources.
pub fn checks() -> Checks {
    let service = ServicePort {
        service: NAME.parse().expect("a valid name"),
        port: HEALTH_PORT,
    };
    Checks::first(SmokeCheck::Http {
        service,
        path: "/readyz".into(),
        status: 200,
        contains: None,
    })
}

/// What differs between two deployments of the operator, as strings: real values, or the placeholders of a chart.
struct OperatorValues {
    tenant: String,
    nats_url: String,
    secrets: FleetSecrets,
    forget_after_seconds: String,
    pull_secret: Option<String>,
}

/// The operator's chart.
#[derive(Debug, Clone, Copy)]
pub struct OperatorChart;

impl ChartModel for OperatorChart {
    fn description(&self) -> String {
        "Manages the registry of a device fleet and mirrors it as Device resources".into()
    }

    fn values(&self) -> Result<ChartValues, ChartError> {
        // The name of the NATS Service that `FleetNatsScore` deploys in the same namespace.
        let nats = format!(
            "tls://{}:{}",
            place::NATS,
            harmony::scores::nats::CLIENT_PORT
        );
        ChartValues::new("default".parse().expect("a valid name"))
            .with("tenant", "default")?
            .with("nats.url", nats)?
            .with("nats.secret", credentials::SECRET)?
            .with("nats.tls", certificates::SECRET)?
            .with(
                "forgetAfterSeconds",
                FleetState::FORGET_AFTER.as_secs().to_string(),
            )?
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
            secrets: FleetSecrets {
                users: text("nats.secret")?,
                tls: text("nats.tls")?,
            },
            forget_after_seconds: text("forgetAfterSeconds")?,
            pull_secret: Some(text("pullSecret")?),
        };
        Ok(objects::build(
            values.namespace(),
            &image.to_string(),
            &settings,
        )?)
    }
}
