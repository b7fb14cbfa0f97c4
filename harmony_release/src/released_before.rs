//! A release that is made again: what is published, and whether it has the same inputs.

use harmony_core::Outcome;
use harmony_core::capability::{HelmRegistry, OciRegistry, ReleaseRecords};
use harmony_core::chart::PackagedChart;
use harmony_core::outcome::{Action, Change, Subject};
use harmony_types::{ImageRef, Version};

use crate::app_chart;
use crate::app_spec::AppSpec;
use crate::error::ReleaseError;
use crate::input_key::InputKey;
use crate::pinned_image::PinnedImage;
use crate::record::ReleaseRecord;
use crate::source::Source;

/// The record of a published release.
pub(crate) struct PublishedRecord {
    /// `None` if another program wrote it.
    record: Option<ReleaseRecord>,
    bytes: Vec<u8>,
}

impl PublishedRecord {
    /// The record of `app` and `version`; `None` if there is none.
    pub(crate) async fn find<T: ReleaseRecords>(
        app: &AppSpec,
        version: &Version,
        topology: &T,
    ) -> Result<Option<Self>, ReleaseError> {
        let bytes = topology.read_record(&app.unit, version).await?;
        Ok(bytes.map(|bytes| Self {
            record: ReleaseRecord::read(&bytes, &app.unit, version).ok(),
            bytes,
        }))
    }

    /// The published document if `ours` has the same content, otherwise that of `ours`.
    pub(crate) fn or_same<'a>(&'a self, ours: &'a ReleaseRecord) -> (Vec<u8>, &'a ReleaseRecord) {
        match &self.record {
            Some(record) if ours.has_content_of(record) => (self.bytes.clone(), record),
            _ => (ours.to_bytes(), ours),
        }
    }

    /// The release, if it has the inputs `key` and everything in it is still published. The chart is generated and
    /// compared, because the program that generates it is not one of the inputs.
    pub(crate) async fn with_inputs<T>(
        &self,
        key: Option<&InputKey>,
        app: &AppSpec,
        source: &Source,
        topology: &T,
    ) -> Result<Option<&ReleaseRecord>, ReleaseError>
    where
        T: OciRegistry + HelmRegistry,
    {
        let Some(record) = &self.record else {
            return Ok(None);
        };
        if key.is_none() || record.input_key.as_ref() != key {
            return Ok(None);
        }
        let Some(images) = images(app, record, topology)? else {
            return Ok(None);
        };
        for (name, published) in images {
            if name.name() != published.name()
                || topology.resolve_image(&name).await?.as_ref() != published.digest()
            {
                return Ok(None);
            }
        }
        let chart = chart(app, record, source)?;
        if chart.map(|chart| chart.archive_digest) != record.chart_archive {
            return Ok(None);
        }
        if let Some(chart) = &record.chart {
            let name = topology.registry_url().chart(&app.unit, &record.version);
            let published = topology.resolve_chart(&name).await?;
            if published.map(|digest| name.with_digest(digest)).as_ref() != Some(chart) {
                return Ok(None);
            }
        }
        Ok(Some(record))
    }
}

/// The chart of a release, generated again.
fn chart(
    app: &AppSpec,
    record: &ReleaseRecord,
    source: &Source,
) -> Result<Option<PackagedChart>, ReleaseError> {
    let Some(digest) = record.image.digest() else {
        return Ok(None);
    };
    let image = PinnedImage::new(&record.image, digest);
    Ok(app_chart::package(
        app,
        &record.version,
        &image,
        source.created,
    )?)
}

/// The names of the app's images in the registry, each with the recorded image. `None` if the record has other images.
fn images<'a, T: OciRegistry>(
    app: &AppSpec,
    record: &'a ReleaseRecord,
    topology: &T,
) -> Result<Option<Vec<(ImageRef, &'a ImageRef)>>, ReleaseError> {
    if record.bundled.len() != app.bundled.len() {
        return Ok(None);
    }
    let registry = topology.registry_url();
    let mut images = vec![(registry.image(&app.unit, &record.version), &record.image)];
    for image in &app.bundled {
        let Some(recorded) = record.bundled.get(&image.name) else {
            return Ok(None);
        };
        let unit = app.bundled_unit(image)?;
        images.push((registry.image(&unit, &record.version), recorded));
    }
    Ok(Some(images))
}

/// The outcome of a release that was made before from the same inputs. An earlier version of Harmony did not publish the
/// objects of charts; they are added.
pub(crate) async fn unchanged<T: OciRegistry + HelmRegistry>(
    app: &AppSpec,
    record: &ReleaseRecord,
    source: &Source,
    topology: &T,
) -> Result<Outcome, ReleaseError> {
    const NOTE: &str = "released before from the same inputs";
    let objects = match (&record.chart, chart(app, record, source)?) {
        (Some(name), Some(chart)) => app_chart::publish_objects(&chart, name, topology).await?,
        _ => None,
    };
    let mut outcome = Outcome::default();
    let unchanged = |subject: Subject| Change::new(Action::Unchanged, subject).with_note(NOTE);
    for image in record.bundled.values().chain([&record.image]) {
        outcome.add(unchanged(image.clone().into()));
    }
    if let Some(chart) = &record.chart {
        outcome.add(unchanged(chart.clone().into()));
    }
    if let Some(objects) = objects {
        outcome.add(objects);
    }
    let name = topology.registry_url().record(&app.unit, &record.version);
    outcome.add(unchanged(Subject::Release(name)));
    Ok(outcome)
}
