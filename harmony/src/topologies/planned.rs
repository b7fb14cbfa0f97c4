//! Makes what a plan would publish visible to the later steps of the same plan.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use harmony_core::capability::oci_registry::{Published, RegistryError};
use harmony_core::capability::{HelmRegistry, ReleaseRecords};
use harmony_core::chart::{PackagedChart, PackagedObjects, PublishedObjects};
use harmony_core::{Context, async_trait};
use harmony_types::{ChartRef, Digest, ReleaseUnit, Version};

/// A store of charts and records that, while planning, remembers what would be published. So the plan for a release and
/// a deploy can show the objects of a chart that has not been published yet.
#[derive(Debug, Clone)]
pub(super) struct Planned<R> {
    context: Context,
    store: R,
    charts: Arc<Mutex<BTreeMap<String, PackagedChart>>>,
    objects: Arc<Mutex<BTreeMap<String, PublishedObjects>>>,
    records: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl<R> Planned<R> {
    pub(super) fn new(context: Context, store: R) -> Self {
        Self {
            context,
            store,
            charts: Arc::default(),
            objects: Arc::default(),
            records: Arc::default(),
        }
    }
}

/// The key of a chart or record: its name without the digest.
fn chart_key(chart: &ChartRef) -> String {
    format!("{}:{}", chart.repository(), chart.version())
}

fn recall<V: Clone>(memory: &Mutex<BTreeMap<String, V>>, key: &str) -> Option<V> {
    let memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    memory.get(key).cloned()
}

fn remember<V>(memory: &Mutex<BTreeMap<String, V>>, key: String, value: V) {
    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    memory.insert(key, value);
}

#[async_trait]
impl<R: HelmRegistry> HelmRegistry for Planned<R> {
    async fn push_chart(
        &self,
        chart: &PackagedChart,
        to: &ChartRef,
    ) -> Result<Published, RegistryError> {
        let published = self.store.push_chart(chart, to).await?;
        if self.context.is_planning() {
            remember(&self.charts, chart_key(to), chart.clone());
        }
        Ok(published)
    }

    async fn resolve_chart(&self, chart: &ChartRef) -> Result<Option<Digest>, RegistryError> {
        self.store.resolve_chart(chart).await
    }

    async fn pull_chart(&self, chart: &ChartRef) -> Result<PackagedChart, RegistryError> {
        match recall(&self.charts, &chart_key(chart)) {
            Some(planned) => Ok(planned),
            None => self.store.pull_chart(chart).await,
        }
    }

    async fn push_objects(
        &self,
        objects: &PackagedObjects,
        of: &ChartRef,
    ) -> Result<Option<Published>, RegistryError> {
        let published = self.store.push_objects(objects, of).await?;
        if self.context.is_planning()
            && let Some(digest) = published.as_ref().and_then(|one| one.digest.clone())
        {
            let objects = objects.clone();
            let planned = PublishedObjects { digest, objects };
            remember(&self.objects, chart_key(of), planned);
        }
        Ok(published)
    }

    async fn pull_objects(&self, of: &ChartRef) -> Result<Option<PublishedObjects>, RegistryError> {
        match recall(&self.objects, &chart_key(of)) {
            Some(planned) => Ok(Some(planned)),
            None => self.store.pull_objects(of).await,
        }
    }
}

#[async_trait]
impl<R: ReleaseRecords> ReleaseRecords for Planned<R> {
    async fn push_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
        record: &[u8],
    ) -> Result<Published, RegistryError> {
        let published = self.store.push_record(unit, version, record).await?;
        if self.context.is_planning() {
            remember(&self.records, unit.tag(version), record.to_vec());
        }
        Ok(published)
    }

    async fn read_record(
        &self,
        unit: &ReleaseUnit,
        version: &Version,
    ) -> Result<Option<Vec<u8>>, RegistryError> {
        match recall(&self.records, &unit.tag(version)) {
            Some(planned) => Ok(Some(planned)),
            None => self.store.read_record(unit, version).await,
        }
    }

    async fn released_versions(&self, unit: &ReleaseUnit) -> Result<Vec<Version>, RegistryError> {
        self.store.released_versions(unit).await
    }
}
