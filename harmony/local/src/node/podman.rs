//! Podman, for the simulated devices of this machine: a service for each, with its own images and containers.
//!
//! It is started when something asks for it, and it is a process of the node like its components: `down` stops it and its
//! containers. Other podman users of this machine do not see it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harmony_core::Context;
use harmony_core::outcome::Action;
use harmony_types::{ImageRef, ResourceName};
use tokio::net::UnixStream;
use tokio::process::Command;

use super::config::{Layout, LocalNodeConfig};
use super::containerd::Containerd;
use super::error::LocalNodeError;
use super::files::{self, Access};
use super::images;
use super::lock::Lock;
use super::packages;
use super::preflight;
use super::process::{self, Launch, NODE_MARK};
use super::tool;

const NAME: &str = "podman";
const BRIDGE: &str = "harmony-dev0";

/// The time that podman has to answer after its start, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_millis(25);

/// Starts the service, unless it runs, and returns its socket. Pods can use the socket through the folder that it is in.
///
/// In planning mode nothing is started.
pub(super) async fn ensure(
    ctx: &Context,
    config: &LocalNodeConfig,
    device: &ResourceName,
) -> Result<PathBuf, LocalNodeError> {
    preflight::check_root()?;
    let place = Place::of(config, device.as_str());
    let layout = config.layout();
    let socket = place.socket();
    if ctx.is_planning() || answers(&socket).await {
        return Ok(socket);
    }
    let _lock = Lock::acquire(ctx, &layout.lock(), "the local node").await?;
    if packages::search(NAME).is_none() {
        packages::install(ctx, &[NAME]).await?;
    }
    let program = packages::search(NAME).ok_or_else(missing)?;
    let host = packages::ensure(ctx).await?;
    if answers(&socket).await {
        return Ok(socket);
    }
    for old in running(config, place.process())? {
        old.stop(Duration::ZERO).await?;
    }
    write_files(&place, &host.cni_plugins)?;
    let launch = launch(&place, program);
    let process = process::launch(&launch, &host.setsid, &config.state_dir)?;
    let ready = async {
        while !answers(&socket).await {
            if process.has_ended() {
                return Err(LocalNodeError::Tool {
                    command: "podman system service".into(),
                    status: "it ended during startup".into(),
                    output: process.output(&launch.log, 6),
                });
            }
            tokio::time::sleep(EVERY).await;
        }
        Ok(())
    };
    let waited = ctx.unless_cancelled(tokio::time::timeout(PATIENCE, ready));
    waited.await?.unwrap_or_else(|_| {
        Err(LocalNodeError::NotReady {
            what: "podman does not answer".into(),
            seconds: PATIENCE.as_secs(),
            seen: process.output(&launch.log, 1),
            logs: layout.logs(),
        })
    })?;
    // The folder above is private. In a pod, the agent is not root.
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666))
        .map_err(LocalNodeError::file("open", &socket))?;
    Ok(socket)
}

/// Copies an image of the node to podman, under its name and digest, so that devices need not pull it.
///
/// # Errors
/// The node does not have the image.
pub(super) async fn provide(
    ctx: &Context,
    config: &LocalNodeConfig,
    device: &ResourceName,
    containerd: &Containerd,
    image: &ImageRef,
) -> Result<Action, LocalNodeError> {
    ensure(ctx, config, device).await?;
    let place = Place::of(config, device.as_str());
    let change = if is_present(&place, image).await {
        Action::Unchanged
    } else {
        Action::Create
    };
    if ctx.is_planning() || change == Action::Unchanged {
        return Ok(change);
    }
    // Not in the folder that pods see.
    let archive = place
        .layout
        .run()
        .join(format!("image-for-{}.tar", place.device));
    let copied = async {
        images::export(containerd, image, &archive).await?;
        let mut load = command(&place)?;
        load.arg("load").arg("--input").arg(&archive);
        let told = tool::finish(load, "").await?;
        let mut tag = command(&place)?;
        tag.arg("tag")
            .arg(loaded(&told))
            .arg(name_for_podman(image));
        tool::finish(tag, "").await
    };
    let copied = ctx.unless_cancelled(copied).await;
    files::remove(&archive)?;
    copied??;
    if is_present(&place, image).await {
        return Ok(change);
    }
    Err(LocalNodeError::Tool {
        command: format!("podman image exists {image}"),
        status: "it does not exist after it was loaded".into(),
        output: Vec::new(),
    })
}

async fn is_present(place: &Place, image: &ImageRef) -> bool {
    let Ok(mut exists) = command(place) else {
        return false;
    };
    let repository = format!("{}/{}", image.registry(), image.repository());
    let digest = image.digest().map(ToString::to_string).unwrap_or_default();
    exists.args(["image", "exists"]);
    exists.arg(format!("{repository}@{digest}"));
    tool::finish(exists, "").await.is_ok()
}

/// The tag only keeps the image from being removed as unused.
fn name_for_podman(image: &ImageRef) -> String {
    let digest = image.digest().map(ToString::to_string).unwrap_or_default();
    let tag: String = digest.chars().skip("sha256:".len()).take(12).collect();
    format!("{}/{}:{tag}", image.registry(), image.repository())
}

/// The name or the id that `podman load` tells.
fn loaded(told: &str) -> &str {
    let last = told.trim().lines().last().unwrap_or_default();
    last.strip_prefix("Loaded image: ").unwrap_or(last).trim()
}

fn command(place: &Place) -> Result<Command, LocalNodeError> {
    let program = packages::search(NAME).ok_or_else(missing)?;
    let mut command = harmony_core::process::async_command(&program, &[]);
    command
        .envs(environment(&place.layout))
        .args(place.arguments());
    Ok(command)
}

/// Removes the podman of a device with all its containers and images.
pub(super) async fn remove(
    ctx: &Context,
    config: &LocalNodeConfig,
    device: &ResourceName,
) -> Result<(), LocalNodeError> {
    preflight::check_root()?;
    let place = Place::of(config, device.as_str());
    if ctx.is_planning() || !place.storage().exists() {
        return Ok(());
    }
    place
        .stop(config, &["rm", "--all", "--force", "--time", "1"])
        .await?;
    super::mounts::unmount_below(&place.storage())?;
    files::remove(&place.storage())?;
    files::remove(&place.shared())
}

/// Stops the containers of all devices and the services.
pub(super) async fn stop(config: &LocalNodeConfig) -> Result<(), LocalNodeError> {
    let devices = fs::read_dir(config.layout().state().join(NAME));
    for device in devices.into_iter().flatten().flatten() {
        let device = device.file_name();
        let place = Place::of(config, &device.to_string_lossy());
        place
            .stop(config, &["stop", "--all", "--time", "3"])
            .await?;
    }
    if let Some(ip) = packages::search("ip") {
        // It does not exist if no container ran.
        let _ = tool::run(&ip, &["link", "delete", BRIDGE]).await;
    }
    Ok(())
}

/// The podman of a device.
struct Place {
    layout: Layout,
    device: String,
}

impl Place {
    fn of(config: &LocalNodeConfig, device: &str) -> Self {
        Self {
            layout: config.layout(),
            device: device.to_owned(),
        }
    }

    /// Ends the containers with this command, and the service.
    async fn stop(
        &self,
        config: &LocalNodeConfig,
        containers: &[&str],
    ) -> Result<(), LocalNodeError> {
        let Ok(mut command) = command(self) else {
            return Ok(());
        };
        command.args(containers);
        // What does not end is killed with all other processes of the node.
        let _ = tokio::time::timeout(PATIENCE, tool::finish(command, "")).await;
        for service in running(config, self.process())? {
            service.stop(Duration::from_secs(2)).await?;
        }
        Ok(())
    }

    /// The folder that pods see.
    fn shared(&self) -> PathBuf {
        self.layout.run().join(NAME).join(&self.device)
    }

    fn socket(&self) -> PathBuf {
        self.shared().join("podman.sock")
    }

    fn storage(&self) -> PathBuf {
        self.layout.state().join(NAME).join(&self.device)
    }

    /// The name in the marker of the process.
    fn process(&self) -> String {
        format!("{NAME}-{}", self.device)
    }

    /// Where it keeps its containers; the same for each command.
    fn arguments(&self) -> Vec<OsString> {
        // Podman refuses a longer path than 50 characters for its runtime state.
        let short: String = files::fingerprint([self.device.as_bytes()])
            .chars()
            .take(8)
            .collect();
        let run = self.layout.run().join("dev").join(short);
        let path = |flag: &str, path: PathBuf| [OsString::from(flag), path.into_os_string()];
        [
            path("--root", self.storage()),
            path("--runroot", run.clone()),
            path("--tmpdir", run.join("tmp")),
            path(
                "--network-config-dir",
                self.layout.config("podman-networks"),
            ),
            [OsString::from("--cgroup-manager"), "cgroupfs".into()],
        ]
        .concat()
    }
}

fn missing() -> LocalNodeError {
    LocalNodeError::PackagesMissing {
        programs: vec![NAME.into()],
        packages: vec![NAME],
    }
}

fn running(config: &LocalNodeConfig, name: String) -> Result<Vec<process::Marked>, LocalNodeError> {
    let marked = process::find(NODE_MARK, &config.state_dir)?.into_iter();
    Ok(marked
        .filter(|one| one.leader && one.name == name)
        .collect())
}

async fn answers(socket: &Path) -> bool {
    UnixStream::connect(socket).await.is_ok()
}

fn environment(layout: &Layout) -> Vec<(OsString, OsString)> {
    let file = |key: &str, file: &str| (OsString::from(key), layout.config(file).into());
    vec![
        file("CONTAINERS_CONF", "containers.conf"),
        file("CONTAINERS_REGISTRIES_CONF", "registries.conf"),
    ]
}

fn launch(place: &Place, program: PathBuf) -> Launch {
    let mut args = place.arguments();
    args.extend(["system", "service", "--time", "0"].map(OsString::from));
    let mut socket = OsString::from("unix://");
    socket.push(place.socket());
    args.push(socket);
    let name = place.process();
    Launch {
        log: place.layout.logs().join(format!("{name}.log")),
        name: name.into(),
        program,
        args,
        reaches_out: true,
        env: environment(&place.layout),
        spec: String::new(),
    }
}

fn write_files(place: &Place, plugins: &Path) -> Result<(), LocalNodeError> {
    let layout = &place.layout;
    for folder in [
        layout.logs(),
        layout.run(),
        place.storage(),
        layout.config("podman-networks"),
    ] {
        files::create_private_dir(&folder)?;
    }
    let folder = place.shared();
    fs::create_dir_all(&folder).map_err(LocalNodeError::file("create", &folder))?;
    let plugins = plugins.display();
    // Without CAP_SYS_RESOURCE, limits cannot be raised.
    let containers = format!(
        "[containers]\ndefault_ulimits = []\nlog_size_max = 1048576\n\
         [network]\nnetwork_backend = \"cni\"\ncni_plugin_dirs = [\"{plugins}\"]\n\
         [engine]\nruntime = \"runc\"\nevents_logger = \"file\"\n"
    );
    let network = serde_json::json!({
        "cniVersion": "0.4.0",
        "name": "podman",
        "plugins": [
            {
                "type": "bridge", "bridge": BRIDGE, "isGateway": true, "ipMasq": true, "hairpinMode": true,
                "ipam": {
                    "type": "host-local", "routes": [{ "dst": "0.0.0.0/0" }],
                    "dataDir": layout.run().join("dev/addresses"),
                    "ranges": [[{ "subnet": SUBNET }]],
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
            { "type": "firewall" },
            { "type": "tuning" },
        ],
    });
    for (path, content) in [
        (layout.config("containers.conf"), containers),
        // Images are loaded, or pulled from registries that the machine trusts.
        (
            layout.config("registries.conf"),
            "[[registry]]\nlocation = \"localhost\"\ninsecure = true\n".to_owned(),
        ),
        (
            layout.config("podman-networks/87-podman.conflist"),
            network.to_string(),
        ),
    ] {
        files::write_if_changed(&path, content.as_bytes(), Access::Public)?;
    }
    Ok(())
}

/// The addresses of containers on devices of this machine.
const SUBNET: &str = "10.209.0.0/16";
