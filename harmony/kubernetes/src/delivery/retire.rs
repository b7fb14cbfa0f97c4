//! Ends the delivery of a chart by another mechanism, whose objects the new one has taken over.

use harmony_core::Context;
use harmony_core::capability::KubernetesCluster;
use harmony_core::capability::continuous_delivery::DeliveryError;
use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::kubernetes::{KubeObject, ObjectQuery, ObjectRef};
use harmony_core::outcome::{Action, Change};
use harmony_core::owner::Owner;
use harmony_types::Namespace;
use serde_json::json;

use super::inventory::DeliveryName;
use crate::apply::is_applied_by;
use crate::marks::{DELIVERY_LABEL, argocd, flux};

/// Whether there is a direct delivery to end.
pub(super) async fn is_direct(
    cluster: &(impl KubernetesCluster + ?Sized),
    name: &DeliveryName,
    owner: &Owner,
) -> Result<bool, DeliveryError> {
    let inventory = name.config_map(owner.namespace());
    Ok(cluster.get(&inventory).await?.is_some())
}

/// Ends a direct delivery: gives up its fields of the objects, then deletes its inventory. Objects that only it had stay,
/// with its label.
///
/// The inventory goes last, so that a run that was killed is continued by the next one.
pub(super) async fn retire_direct(
    context: &Context,
    cluster: &(impl KubernetesCluster + ?Sized),
    name: &DeliveryName,
    owner: &Owner,
    objects: &[KubeObject],
) -> Result<Option<Change>, DeliveryError> {
    let inventory = name.config_map(owner.namespace());
    let Some(found) = cluster.get(&inventory).await? else {
        return Ok(None);
    };
    let note = "the controller keeps the list of objects from now on";
    if context.is_planning() {
        return Ok(Some(Change::new(Action::Delete, inventory).with_note(note)));
    }
    // By the same name, but without taking over what the controller has applied for us.
    let leaving = Owner::controller(owner.manager(), owner.namespace());
    for object in objects {
        let live = cluster.get(object.reference()).await?;
        if live.is_some_and(|live| is_applied_by(live.body(), owner)) {
            give_up(cluster, object.reference(), &leaving).await?;
        }
    }
    let change = cluster.delete_observed(&found).await?;
    Ok(Some(change.with_note(note)))
}

/// Ends a delivery by Argo CD: deletes the Application, which deletes nothing else because it has no finalizer.
pub(super) async fn retire_argo(
    context: &Context,
    cluster: &(impl KubernetesCluster + ?Sized),
    owner: &Owner,
    successor: Option<Successor<'_>>,
) -> Result<Option<Change>, DeliveryError> {
    let query = ObjectQuery {
        api_version: argocd::API_VERSION.into(),
        kind: "Application".into(),
        namespace: None,
        labels: [(DELIVERY_LABEL.to_owned(), owner.name().to_owned())].into(),
    };
    let name = argocd::name(owner.namespace(), owner.name());
    let listed = cluster.list(&query).await?;
    let Some(reference) = listed.into_iter().find(|found| found.name.as_str() == name) else {
        return Ok(None);
    };
    let found = cluster.get(&reference).await?;
    let Some(found) = found.filter(|found| is_applied_by(found.body(), owner)) else {
        return Ok(None);
    };
    let note = "Harmony applies the objects itself from now on";
    if context.is_planning() {
        return Ok(Some(Change::new(Action::Delete, reference).with_note(note)));
    }
    take_over(cluster, successor).await?;
    let change = cluster.delete_observed(&found).await?;
    Ok(Some(change.with_note(note)))
}

/// What Flux may have for a delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FluxRecord {
    Release,
    Kustomization,
}

/// Ends all deliveries by Flux.
pub(super) async fn retire_all_flux(
    context: &Context,
    cluster: &(impl KubernetesCluster + ?Sized),
    owner: &Owner,
    successor: Option<Successor<'_>>,
) -> Result<Vec<Change>, DeliveryError> {
    let mut changes = Vec::new();
    for record in [FluxRecord::Release, FluxRecord::Kustomization] {
        changes.extend(retire_flux(context, cluster, owner, record, successor).await?);
    }
    Ok(changes)
}

/// Ends a delivery by Flux: suspends its object, so that deleting it uninstalls nothing, and deletes everything that only
/// this object and its controller need. The object goes last.
pub(super) async fn retire_flux(
    context: &Context,
    cluster: &(impl KubernetesCluster + ?Sized),
    owner: &Owner,
    record: FluxRecord,
    successor: Option<Successor<'_>>,
) -> Result<Option<Change>, DeliveryError> {
    let Ok(name) = owner.name().parse() else {
        return Ok(None);
    };
    let reference = match record {
        FluxRecord::Release => flux::release(owner.namespace(), name),
        FluxRecord::Kustomization => flux::kustomization(owner.namespace(), name),
    };
    let found = cluster.get(&reference).await?;
    if !found.is_some_and(|found| is_applied_by(found.body(), owner)) {
        return Ok(None);
    }
    let note = "the chart stays installed, and Flux no longer looks after it in this way";
    if context.is_planning() {
        return Ok(Some(Change::new(Action::Delete, reference).with_note(note)));
    }
    suspend(cluster, &reference).await?;
    take_over(cluster, successor).await?;
    for object in only_of(cluster, owner, record, successor).await? {
        cluster.delete(&object).await?;
    }
    let change = cluster.delete(&reference).await?;
    Ok(Some(change.with_note(note)))
}

/// What is only there for an object of Flux.
async fn only_of(
    cluster: &(impl KubernetesCluster + ?Sized),
    owner: &Owner,
    record: FluxRecord,
    successor: Option<Successor<'_>>,
) -> Result<Vec<ObjectRef>, DeliveryError> {
    let ours = (DELIVERY_LABEL.to_owned(), owner.name().to_owned());
    let query = |api_version: &str, kind: &str, labels| ObjectQuery {
        api_version: api_version.into(),
        kind: kind.into(),
        namespace: Some(owner.namespace().clone()),
        labels,
    };
    let after_name = |object: &ObjectRef, infix: &str| {
        let rest = object.name.as_str().strip_prefix(owner.name());
        rest.is_some_and(|rest| rest.starts_with(infix))
    };
    let sources = query(flux::SOURCES, "OCIRepository", [ours.clone()].into());
    let mut rest = cluster.list(&sources).await?;
    let is_kustomization = record == FluxRecord::Kustomization;
    rest.retain(|source| after_name(source, flux::OBJECTS) == is_kustomization);
    // The other controller of Flux pulls with the same login.
    if !successor.is_some_and(|next| flux::is_manager(next.manager)) {
        let secrets = cluster.list(&query("v1", "Secret", [ours].into())).await?;
        rest.extend(secrets.into_iter().filter(|one| after_name(one, "-flux-")));
    }
    if record == FluxRecord::Release {
        let of_helm = [("owner", "helm"), ("name", owner.name())]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        rest.extend(cluster.list(&query("v1", "Secret", of_helm.into())).await?);
    }
    Ok(rest)
}

/// The controller that delivers from now on, and the objects as it applies them.
#[derive(Clone, Copy)]
pub(super) struct Successor<'a> {
    pub(super) manager: &'static str,
    pub(super) namespace: &'a Namespace,
    pub(super) objects: &'a [KubeObject],
}

/// Removes what only the last controller had, in the name of the next one: controllers leave the fields of each other alone.
async fn take_over(
    cluster: &(impl KubernetesCluster + ?Sized),
    successor: Option<Successor<'_>>,
) -> Result<(), DeliveryError> {
    if let Some(successor) = successor {
        let owner = Owner::successor(successor.manager, successor.namespace);
        cluster.apply(&owner, successor.objects).await?;
    }
    Ok(())
}

/// Suspends an object of Flux, which then does nothing about it any more, not even when it is deleted.
pub(super) async fn suspend(
    cluster: &(impl KubernetesCluster + ?Sized),
    release: &ObjectRef,
) -> Result<(), DeliveryError> {
    let Some(namespace) = &release.namespace else {
        return Ok(());
    };
    let suspended = KubeObject::from_value(json!({
        "apiVersion": release.api_version, "kind": release.kind,
        "metadata": { "name": release.name.as_str(), "namespace": namespace.as_str() },
        "spec": { "suspend": true },
    }));
    let suspended = suspended.map_err(ClusterError::from)?;
    let owner = Owner::controller(flux::SUSPENDING, namespace);
    cluster.apply(&owner, &[suspended]).await?;
    Ok(())
}

/// Lets Flux look at its object again, unless it was suspended by somebody else.
pub(super) async fn resume(
    cluster: &(impl KubernetesCluster + ?Sized),
    release: &ObjectRef,
) -> Result<(), DeliveryError> {
    let Some(namespace) = &release.namespace else {
        return Ok(());
    };
    let owner = Owner::controller(flux::SUSPENDING, namespace);
    give_up(cluster, release, &owner).await
}

/// Gives up all fields of the object; the fields of other owners remain.
pub(super) async fn give_up(
    cluster: &(impl KubernetesCluster + ?Sized),
    object: &ObjectRef,
    owner: &Owner,
) -> Result<(), DeliveryError> {
    let mut metadata = json!({ "name": object.name.as_str() });
    if let Some(namespace) = &object.namespace {
        metadata["namespace"] = json!(namespace.as_str());
    }
    let bare = KubeObject::from_value(json!({
        "apiVersion": object.api_version, "kind": object.kind, "metadata": metadata,
    }));
    let bare = bare.map_err(ClusterError::from)?;
    match cluster.apply(owner, std::slice::from_ref(&bare)).await {
        // One field belongs only to us, so it remains, and so does the object.
        Ok(_) | Err(ClusterError::OtherOwner { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
