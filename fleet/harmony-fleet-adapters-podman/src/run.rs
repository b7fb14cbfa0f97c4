//! Creates and starts a container, with what it needs.

use std::path::Path;
use std::time::Duration;

use harmony_fleet_domain::{ContainerId, NewContainer, RuntimeError};
use harmony_reconciler_contracts::{FailureReason, Secret, Volume, VolumeSource};
use hyper::Method;
use serde::Deserialize;

use crate::client::{Call, Client, SHORT, encoded};
use crate::error::{failure, from_call, refused};
use crate::labels::{self, DEPLOYMENT, Labels};
use crate::settings::LogDriver;
use crate::spec::{self, volume_name};
use crate::{files, inspect, words};

/// The time that a program has to end by itself after it was asked to.
const GRACE: Duration = Duration::from_secs(10);

/// Checks what the container needs, creates it, gives it its files and starts it. Nothing is left if that fails.
pub(crate) async fn run(
    client: &Client,
    container: &NewContainer<'_>,
    logs: LogDriver,
    log_bytes: u64,
) -> Result<(), RuntimeError> {
    let spec = container.spec;
    if let Some((file, mount)) = files::hidden(spec) {
        return Err(refused(&format!(
            "the file {file} would be hidden by what is mounted on {mount}"
        )));
    }
    for volume in &spec.volumes {
        check_folder(volume).await?;
    }
    for secret in &spec.secrets {
        check_secret(client, secret).await?;
    }
    for volume in &spec.volumes {
        ensure_volume(client, container, volume).await?;
    }
    let create = spec::create(container, logs, log_bytes);
    let id = create_container(client, &create).await?;
    let started = async {
        put_files(client, container, &id).await?;
        start(client, &id).await
    };
    match started.await {
        Ok(()) => Ok(()),
        Err(error) => {
            if let Err(left) = delete(client, &id).await {
                tracing::warn!(container = id.0, "container is left: {left}");
            }
            Err(error)
        }
    }
}

/// Starts a container that exists.
pub(crate) async fn start(client: &Client, id: &ContainerId) -> Result<(), RuntimeError> {
    let call = Call::post(format!("/containers/{}/start", encoded(&id.0)));
    let started = client.send(call).await;
    started
        .map(drop)
        .map_err(|error| from_call(error, words::of_container))
}

/// Stops a container of ours and removes it.
pub(crate) async fn remove(client: &Client, id: &ContainerId) -> Result<(), RuntimeError> {
    if inspect::ours(client, id).await?.is_none() {
        return Ok(());
    }
    let stop = format!(
        "/containers/{}/stop?timeout={}",
        encoded(&id.0),
        GRACE.as_secs()
    );
    // A container that cannot be stopped (a paused one, for example) is removed by force.
    if let Err(error) = client.send(Call::post(stop).limit(SHORT + GRACE)).await
        && !error.is_not_found()
    {
        tracing::debug!(container = id.0, "container is not stopped: {error}");
    }
    delete(client, id).await
}

/// Removes a container by force, with the volumes that only it has. Named volumes stay.
async fn delete(client: &Client, id: &ContainerId) -> Result<(), RuntimeError> {
    let path = format!("/containers/{}?force=true&v=true", encoded(&id.0));
    let call = Call::new(Method::DELETE, path).limit(SHORT + GRACE);
    match client.send(call).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(from_call(error, words::of_container)),
    }
}

async fn create_container(
    client: &Client,
    create: &spec::Create<'_>,
) -> Result<ContainerId, RuntimeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Created {
        id: String,
    }
    let created: Result<Created, _> = async {
        client
            .read(Call::post("/containers/create").json(create)?)
            .await
    }
    .await;
    created
        .map(|created| ContainerId(created.id))
        .map_err(|error| from_call(error, words::of_container))
}

async fn put_files(
    client: &Client,
    container: &NewContainer<'_>,
    id: &ContainerId,
) -> Result<(), RuntimeError> {
    if container.spec.files.is_empty() {
        return Ok(());
    }
    let archive = files::archive(&container.spec.files).map_err(|source| RuntimeError {
        reason: FailureReason::PodmanRefused,
        detail: "a file of the deployment has an impossible path".into(),
        source: Some(source.into()),
    })?;
    let path = format!("/containers/{}/archive?path=%2F", encoded(&id.0));
    let call = Call::new(Method::PUT, path).bytes(archive, "application/x-tar");
    let put = client.send(call).await;
    put.map(drop)
        .map_err(|error| from_call(error, words::of_container))
}

async fn check_folder(volume: &Volume) -> Result<(), RuntimeError> {
    let VolumeSource::Folder(folder) = &volume.source else {
        return Ok(());
    };
    let is_folder = |metadata: std::fs::Metadata| metadata.is_dir();
    match tokio::fs::metadata(Path::new(folder)).await.map(is_folder) {
        Ok(true) => Ok(()),
        Ok(false) => Err(failure(
            FailureReason::FolderMissing,
            &format!("{folder} is not a folder"),
        )),
        Err(error) => Err(failure(
            FailureReason::FolderMissing,
            &format!("{folder}: {error}"),
        )),
    }
}

async fn check_secret(client: &Client, secret: &Secret) -> Result<(), RuntimeError> {
    let call = Call::get(format!("/secrets/{}/json", encoded(&secret.name)));
    match client.send(call).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Err(failure(
            FailureReason::SecretMissing,
            &format!("create it with `podman secret create {} -`", secret.name),
        )),
        Err(error) => Err(from_call(error, words::of_container)),
    }
}

/// Creates a named volume, so that it has our labels. One of somebody else is not used.
async fn ensure_volume(
    client: &Client,
    container: &NewContainer<'_>,
    volume: &Volume,
) -> Result<(), RuntimeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Found {
        #[serde(default)]
        labels: Option<Labels>,
    }
    #[derive(serde::Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct New {
        name: String,
        /// The first versions of podman 4 know only the one, later ones prefer the other.
        label: Labels,
        labels: Labels,
    }
    let VolumeSource::Named(name) = &volume.source else {
        return Ok(());
    };
    let name = volume_name(container.deployment, name.as_str());
    let refusal = |error| from_call(error, words::of_container);
    match client
        .read::<Found>(Call::get(format!("/volumes/{}/json", encoded(&name))))
        .await
    {
        Ok(found) => {
            let owner = found.labels.as_ref().and_then(|all| all.get(DEPLOYMENT));
            match owner {
                Some(owner) if owner == container.deployment.as_str() => Ok(()),
                Some(owner) => Err(failure(
                    FailureReason::NameTaken,
                    &format!("the volume {name} belongs to the deployment {owner}"),
                )),
                None => Err(failure(
                    FailureReason::NameTaken,
                    &format!("the volume {name} was not created by the fleet"),
                )),
            }
        }
        Err(error) if error.is_not_found() => {
            let labels = labels::of_volume(container.deployment);
            let new = New {
                name,
                label: labels.clone(),
                labels,
            };
            let call = Call::post("/volumes/create").json(&new).map_err(refusal)?;
            client.send(call).await.map(drop).map_err(refusal)
        }
        Err(error) => Err(refusal(error)),
    }
}
