//! Stops the node, from any state, and leaves no process, mount, link, route or rule behind.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harmony_core::event::Event;
use harmony_core::outcome::{Action, Change, Subject};
use harmony_core::{Context, Outcome};

use super::cgroups;
use super::component::Component;
use super::components;
use super::config::{Layout, LocalNodeConfig};
use super::containerd;
use super::error::LocalNodeError;
use super::files;
use super::lock::Lock;
use super::machine::Machine;
use super::mounts::unmount_below;
use super::network::{self, MachineRecord};
use super::packages;
use super::podman;
use super::preflight;
use super::process::{self, Marked};
use super::program;

/// Whether to keep the data of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Keep the database, images and certificates. The next `up` continues with the same objects.
    State,
    /// Delete everything in the state directory, but keep the cache with the built program.
    Nothing,
}

/// The time that the components that write to disk get to exit.
const GRACE: Duration = Duration::from_secs(5);
const STATELESS: [Component; 5] = [
    Component::Kubelet,
    Component::Proxy,
    Component::Scheduler,
    Component::ControllerManager,
    Component::ApiServer,
];
/// Long, because pods are killed and not asked to exit.
const DRAIN_AT_MOST: Duration = Duration::from_secs(30);

pub(super) async fn down(
    ctx: &Context,
    config: &LocalNodeConfig,
    keep: Keep,
) -> Result<Outcome, LocalNodeError> {
    config.validate()?;
    preflight::check_root()?;
    let result = outcome(config, keep)?;
    if ctx.is_planning() || result.is_unchanged() {
        return Ok(result);
    }
    let lock = Lock::acquire(ctx, &config.layout().lock(), "the local node").await?;
    let step = ctx.step("stop the local Kubernetes node");
    let layout = config.layout();

    step.message("control plane");
    let mut running = components::leaders(config)?;
    // Stop the kubelet too, because it would restart what is stopped next. None of these components stores anything.
    end(&mut running, &STATELESS, Duration::ZERO).await?;
    step.message("containers of devices");
    podman::stop(config).await?;
    step.message("pods");
    drain(ctx, config, running.contains_key(&Component::Containerd)).await;
    end(
        &mut running,
        &[Component::Containerd, Component::Etcd],
        GRACE,
    )
    .await?;
    end_children(config).await?;
    cgroups::remove(config, &Machine::inspect(&config.state_dir)).await?;
    step.message("mounts and network");
    unmount_below(layout.state())?;
    if MachineRecord::read(config).is_some() {
        let kept = network::remove(config, &packages::find_installed()?).await?;
        for (setting, users) in kept {
            let message = format!(
                "the kernel setting {} is not restored, because others may need it now ({})",
                setting.replace('/', "."),
                users.join(", ")
            );
            ctx.emit(Event::Warning { message });
        }
    }
    remove_traces(&layout)?;
    files::remove(&layout.run())?;
    if keep == Keep::Nothing {
        step.message("state");
        files::remove(layout.state())?;
    }
    step.done("");
    lock.release_and_remove()?;
    Ok(result)
}

fn outcome(config: &LocalNodeConfig, keep: Keep) -> Result<Outcome, LocalNodeError> {
    let layout = config.layout();
    let something_left = !process::find(process::NODE_MARK, &config.state_dir)?.is_empty()
        || layout.run().exists()
        || (keep == Keep::Nothing && layout.state().exists());
    let change = |action| Change::new(action, Subject::Cluster(config.name.clone()));
    let change = match (something_left, keep) {
        (false, _) => change(Action::Unchanged),
        (true, Keep::Nothing) => change(Action::Delete),
        (true, Keep::State) => {
            change(Action::Update).with_note("stop; objects and images are kept")
        }
    };
    Ok(change.into())
}

async fn end(
    running: &mut BTreeMap<Component, Marked>,
    which: &[Component],
    grace: Duration,
) -> Result<(), LocalNodeError> {
    let ending = which
        .iter()
        .filter_map(|component| running.remove(component))
        .map(|one| one.stop(grace));
    futures_util::future::try_join_all(ending).await.map(drop)
}

/// Asks containerd to stop the pods, which also releases their network. The rest is killed later.
async fn drain(ctx: &Context, config: &LocalNodeConfig, containerd_runs: bool) {
    let layout = config.layout();
    let (true, Some(program)) = (containerd_runs, program::find_built(&config.cache_dir)) else {
        return;
    };
    if !containerd::answers(&layout).await {
        return;
    }
    match tokio::time::timeout(DRAIN_AT_MOST, containerd::drain(&layout, &program)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let message =
                format!("containerd could not remove all pods; killing them instead: {error}");
            ctx.emit(Event::Warning { message });
        }
        Err(_) => {
            let message = format!(
                "containerd did not remove all pods within {} s; killing them instead",
                DRAIN_AT_MOST.as_secs()
            );
            ctx.emit(Event::Warning { message });
        }
    }
}

/// The shims of containerd intentionally outlive it.
async fn end_children(config: &LocalNodeConfig) -> Result<(), LocalNodeError> {
    for child in process::find(process::NODE_MARK, &config.state_dir)? {
        child.stop(Duration::ZERO).await?;
    }
    Ok(())
}

/// Deletes what kubelet and containerd leave in paths that cannot be configured.
fn remove_traces(layout: &Layout) -> Result<(), LocalNodeError> {
    let logs = Path::new("/var/log/containers");
    for link in entries(logs) {
        if fs::read_link(&link).is_ok_and(|target| target.starts_with(layout.state())) {
            files::remove(&link)?;
        }
    }
    // A killed shim leaves its socket, whose path is in its bundle.
    let bundles = layout
        .containerd_state()
        .join("io.containerd.runtime.v2.task");
    for bundle in entries(&bundles)
        .iter()
        .flat_map(|namespace| entries(namespace))
    {
        let address = fs::read_to_string(bundle.join("address")).unwrap_or_default();
        if let Some(socket) = address.trim().strip_prefix("unix://") {
            files::remove(Path::new(socket))?;
        }
    }
    let plugins = Path::new("/var/lib/kubelet/device-plugins");
    let socket = plugins.join("kubelet.sock");
    // Another kubelet on this machine may have taken it over.
    if UnixStream::connect(&socket).is_err() {
        files::remove(&socket)?;
    }
    for folder in [
        logs,
        plugins,
        Path::new("/var/lib/kubelet"),
        Path::new("/run/containerd/s"),
        Path::new("/run/containerd"),
    ] {
        // Deleted if empty; its content belongs to someone else.
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}
