//! Delivery without a controller: renders the chart and applies its objects from here.
//!
//! ```text
//! pull --> render --> install
//! ```

use std::time::Duration;

use async_trait::async_trait;
use harmony_core::Context;
use harmony_core::capability::continuous_delivery::{Delivered, DeliveryError};
use harmony_core::capability::oci_registry::RegistryLocation;
use harmony_core::capability::{ContinuousDelivery, HelmRegistry, KubernetesCluster};
use harmony_core::chart::DeployTarget;
use harmony_core::owner::Owner;
use harmony_types::ChartRef;

use super::install::{Installation, settle};
use super::render::{Rendered, not_yet_released, render};

/// Pulls a chart, renders it, applies its objects, and prunes objects that only an earlier version had: see
/// [`Installation`].
#[derive(Debug, Clone)]
pub struct DirectDelivery<C, R> {
    context: Context,
    cluster: C,
    registry: R,
    charts: RegistryLocation,
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
        let rendered = render(&self.context, &self.cluster, &self.registry, chart, target).await;
        let Rendered {
            digest,
            chart: objects,
            ..
        } = match rendered {
            Ok(rendered) => rendered,
            Err(error) => return not_yet_released(&self.context, chart, error),
        };
        let owner = Owner::delivery(chart.name(), target.target_namespace());
        let installation = Installation::new(&self.context, &self.cluster, &owner);
        let installation = installation.ok_or_else(|| DeliveryError::UnfitName {
            chart: chart.clone(),
        })?;
        installation.apply(chart.version(), &digest, objects).await
    }

    async fn wait_ready(
        &self,
        delivered: &Delivered,
        deadline: Duration,
    ) -> Result<(), DeliveryError> {
        Ok(settle(&self.context, &self.cluster, delivered, deadline).await?)
    }
}
