//! What Flux deletes because the new version does not have it, and what it is kept from deleting.

use harmony_charts::objects_of_release;
use harmony_core::capability::KubernetesCluster;
use harmony_core::capability::continuous_delivery::DeliveryError;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::kubernetes::{KubeObject, ObjectError, ObjectQuery, ObjectRef};
use harmony_core::outcome::{Action, Change};
use harmony_core::owner::Owner;
use serde_json::{Value, json};

use super::super::controlled::{Leftover, leftovers};
use super::super::render::refused;
use super::kustomization::applied;
use super::record::Record;
use super::release::Release;
use crate::marks::DELIVERY_LABEL;
use crate::marks::flux::{KEEPING, OBJECTS};

/// The objects that Flux applied last, in its object `live`, and that the new version does not have.
pub(super) async fn of_last(
    cluster: &impl KubernetesCluster,
    record: &Record<'_>,
    live: &Value,
    wanted: &[KubeObject],
) -> Result<Vec<Leftover>, DeliveryError> {
    let applied = match record {
        Record::Release(release) => installed(cluster, release).await?,
        Record::Kustomization(_) => applied(live),
    };
    // Helm deletes what it installed, whoever it belongs to.
    let mut leftovers = leftovers(cluster, applied, wanted, |_| true).await?;
    let site = record.site();
    let (name, namespace) = (site.chart.name().as_str(), site.namespace().as_str());
    for leftover in &mut leftovers {
        if !record
            .labels()
            .are_of(leftover.object.body(), name, namespace)
        {
            let reason = "no longer in the chart; kept, because it belongs to others";
            leftover.reason_to_keep.get_or_insert(reason);
        }
    }
    Ok(leftovers)
}

/// The objects of the release that Helm installed last.
async fn installed(
    cluster: &impl KubernetesCluster,
    release: &Release<'_>,
) -> Result<Vec<ObjectRef>, DeliveryError> {
    // The newest one has the highest number at the end of its name.
    let number = |secret: &ObjectRef| {
        let number = secret.name.as_str().rsplit_once(".v");
        number.and_then(|(_, number)| number.parse::<u64>().ok())
    };
    let listed = cluster.list(&release.storage()).await?;
    let Some(newest) = listed.into_iter().max_by_key(number) else {
        return Ok(Vec::new());
    };
    let Some(secret) = cluster.get(&newest).await? else {
        return Ok(Vec::new());
    };
    let stored = secret.body()["data"]["release"].as_str();
    let known = cluster.capabilities().await?;
    let namespace = release.site.namespace();
    let objects = objects_of_release(stored.unwrap_or_default(), namespace, known.as_ref());
    let objects = objects.map_err(|error| refused(release.site.chart, error))?;
    Ok(objects.iter().map(|one| one.reference().clone()).collect())
}

/// Protects what is kept from Flux.
pub(super) async fn protect(
    cluster: &impl KubernetesCluster,
    record: &Record<'_>,
    leftovers: &[Leftover],
) -> Result<(), DeliveryError> {
    let kept = leftovers.iter().filter(|one| one.reason_to_keep.is_some());
    let protected = kept.map(|one| protected(one.object.reference(), record.keep()));
    let protected: Result<Vec<_>, _> = protected.collect();
    let protected = protected.map_err(ClusterError::from)?;
    if !protected.is_empty() {
        let owner = Owner::controller(KEEPING, record.site().namespace());
        cluster.apply(&owner, &protected).await?;
    }
    Ok(())
}

fn protected(
    object: &ObjectRef,
    (annotation, value): (&str, &str),
) -> Result<KubeObject, ObjectError> {
    let mut metadata = json!({
        "name": object.name.as_str(), "annotations": { annotation: value },
    });
    if let Some(namespace) = &object.namespace {
        metadata["namespace"] = namespace.as_str().into();
    }
    KubeObject::from_value(json!({
        "apiVersion": object.api_version, "kind": object.kind, "metadata": metadata,
    }))
}

/// What Flux does with the leftover.
pub(super) fn outcome(leftover: Leftover) -> Change {
    let object = leftover.object.reference().clone();
    match leftover.reason_to_keep {
        Some(reason) => Change::new(Action::Unchanged, object).with_note(reason),
        None => Change::new(Action::Delete, object).with_note("no longer in the chart"),
    }
}

/// The sources of other versions, which nothing needs.
pub(super) async fn earlier_sources(
    cluster: &impl KubernetesCluster,
    record: &Record<'_>,
) -> Result<Vec<ObjectRef>, DeliveryError> {
    let (current, chart) = (record.source(), record.site().chart.name().as_str());
    let query = ObjectQuery {
        api_version: current.api_version.clone(),
        kind: current.kind.clone(),
        namespace: current.namespace.clone(),
        labels: [(DELIVERY_LABEL.to_owned(), chart.to_owned())].into(),
    };
    let mut sources = cluster.list(&query).await?;
    let of_objects = format!("{chart}{OBJECTS}");
    let is_of_objects = |source: &ObjectRef| source.name.as_str().starts_with(&of_objects);
    // Those of the other controller belong to its own object.
    sources.retain(|source| {
        source.name != current.name && is_of_objects(source) == is_of_objects(&current)
    });
    Ok(sources)
}
