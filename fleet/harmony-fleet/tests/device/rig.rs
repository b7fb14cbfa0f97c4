//! A fleet with one device.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use harmony_fleet_adapters_nats::testing::TestNats;
use harmony_fleet_adapters_nats::{NatsConnection, NatsDeploymentStore};
use harmony_fleet_adapters_podman::testing::{PodmanPeer, TestImage};
use harmony_fleet_domain::{DeploymentStore, Expected};
use harmony_reconciler_contracts::StoredDeployment;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{eventually, harmony_fleet, programs, save_context, start_operator};

/// The only device.
pub(crate) const DEVICE: &str = "pump-1";

/// A fleet with one device, whose agent and podman are programs of their own.
pub(crate) struct Rig {
    agent: Option<Child>,
    pub(crate) nats: TestNats,
    pub(crate) podman: PodmanPeer,
    pub(crate) image: TestImage,
    /// The seconds between two heartbeats.
    heartbeat: u32,
    folder: TempDir,
    _operator: DropGuard,
}

/// A container as podman lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) deployment: String,
    pub(crate) state: String,
    /// The content that it was created for.
    pub(crate) content: String,
}

impl Rig {
    /// Starts everything, and waits until the device is online.
    pub(crate) async fn start(podman: PodmanPeer) -> Self {
        Self::start_with_heartbeat(podman, 1).await
    }

    /// The same, with this many seconds between two heartbeats.
    pub(crate) async fn start_with_heartbeat(podman: PodmanPeer, seconds: u32) -> Self {
        let nats = TestNats::start().unwrap();
        let image = TestImage::busybox("registry.example/app").unwrap();
        podman.load(&image).await.unwrap();
        let stop = CancellationToken::new();
        start_operator(&nats, &stop);
        let folder = tempfile::tempdir().unwrap();
        save_context(&nats, &folder.path().join("context.json"));
        let mut rig = Self {
            agent: None,
            nats,
            podman,
            image,
            heartbeat: seconds,
            folder,
            _operator: stop.drop_guard(),
        };
        rig.start_agent();
        rig.until_online().await;
        rig
    }

    /// Starts the agent's program.
    pub(crate) fn start_agent(&mut self) {
        self.kill_agent();
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("agent.log"))
            .unwrap();
        let agent = Command::new(agent_program())
            .env_clear()
            .env("RUST_LOG", "info,harmony_fleet_agent=debug")
            .env("FLEET_NATS_URL", self.nats.url())
            .env("FLEET_NATS_USER", self.nats.user())
            .env("FLEET_NATS_PASSWORD", self.nats.password())
            .env("FLEET_TENANT", "acme")
            .env("FLEET_DEVICE_ID", DEVICE)
            .env("FLEET_HEARTBEAT_SECONDS", self.heartbeat.to_string())
            .env("FLEET_PODMAN_SOCKET", self.podman.socket())
            .env("FLEET_STATE_DIR", self.folder.path().join("state"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.agent = Some(agent);
    }

    /// Kills the agent with SIGKILL.
    pub(crate) fn kill_agent(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill().unwrap();
            agent.wait().unwrap();
        }
    }

    /// The number of the agent's process.
    pub(crate) fn agent_process(&self) -> u32 {
        self.agent.as_ref().unwrap().id()
    }

    /// Waits until the operator hears the device.
    pub(crate) async fn until_online(&self) {
        eventually("the device is online", async || {
            let (_, stdout, _) = self.fleet(&["devices"]).await;
            stdout.contains(" online ")
        })
        .await;
    }

    /// Runs the command.
    pub(crate) async fn fleet(&self, arguments: &[&str]) -> (i32, String, String) {
        harmony_fleet(&self.folder.path().join("context.json"), arguments).await
    }

    /// `harmony-fleet apply` of these deployments.
    pub(crate) async fn apply(&self, deployments: &[Value]) -> String {
        let file = self.folder.path().join("deployments.json");
        let documents: Vec<String> = deployments.iter().map(Value::to_string).collect();
        fs::write(&file, documents.join("\n")).unwrap();
        let (code, stdout, stderr) = self.fleet(&["apply", file.to_str().unwrap()]).await;
        assert_eq!(code, 0, "{stderr}");
        stdout
    }

    /// Writes a deployment that this command cannot write.
    pub(crate) async fn write(&self, deployment: &Value) {
        let deployment: StoredDeployment = serde_json::from_value(deployment.clone()).unwrap();
        let connection = NatsConnection::connect(&self.nats.options("newer").unwrap())
            .await
            .unwrap();
        let store = NatsDeploymentStore::new(connection, "acme".parse().unwrap());
        let known = store.read(&deployment.name).await.unwrap();
        let expected = known.map_or(Expected::Absent, |it| Expected::Revision(it.revision));
        store.write(&deployment, expected).await.unwrap();
    }

    /// Waits with `harmony-fleet status --watch` until the deployment runs.
    pub(crate) async fn until_running(&self, name: &str) {
        let watch = ["status", name, "--watch", "--timeout", "40"];
        let (code, stdout, stderr) = self.fleet(&watch).await;
        let runs = stdout.starts_with(&format!("{name} runs on 1 of 1 device.\n"));
        assert!(
            code == 0 && runs,
            "exit code {code}\n{stdout}{stderr}\nlog of the agent:\n{}",
            self.agent_log()
        );
    }

    /// `harmony-fleet status --json`, and its exit code.
    pub(crate) async fn status(&self, name: &str) -> (i32, Value) {
        let (code, stdout, stderr) = self.fleet(&["status", name, "--json"]).await;
        let json = serde_json::from_str(&stdout);
        (code, json.unwrap_or_else(|_| json!({ "error": stderr })))
    }

    /// The containers of the fleet that podman has, by name.
    pub(crate) async fn containers(&self) -> Vec<Listed> {
        let listed = self
            .podman
            .request("GET", "/containers/json?all=true", None)
            .await
            .unwrap();
        let listed = listed.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut listed: Vec<_> = listed
            .iter()
            .map(|container| Listed {
                id: text(&container["Id"]),
                name: text(&container["Names"][0]),
                deployment: text(&container["Labels"]["io.harmony.fleet.deployment"]),
                state: text(&container["State"]),
                content: text(&container["Labels"]["io.harmony.fleet.hash"]),
            })
            .collect();
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        listed
    }

    /// The only container.
    pub(crate) async fn container(&self) -> Listed {
        let containers = self.containers().await;
        let [container] = containers.as_slice() else {
            panic!("not one container: {containers:?}");
        };
        container.clone()
    }

    /// A running container of the only deployment, after all changes are done.
    pub(crate) async fn running_container(&self) -> Listed {
        eventually(
            "one container runs",
            async || matches!(self.containers().await.as_slice(), [one] if one.state == "running"),
        )
        .await;
        self.container().await
    }

    /// What the agent has said.
    pub(crate) fn agent_log(&self) -> String {
        fs::read_to_string(self.folder.path().join("agent.log")).unwrap_or_default()
    }

    /// A folder for the files of a test.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A deployment for the device with one container of the image that podman has, and more fields.
    pub(crate) fn deployment(&self, name: &str, rest: &Value) -> Value {
        let mut container = json!({
            "image": self.image.pinned().as_str(),
            "health": {"command": ["/bin/busybox", "true"], "interval_seconds": 1},
        });
        for (field, value) in rest.as_object().into_iter().flatten() {
            container[field] = value.clone();
        }
        json!({"name": name, "target": {"devices": [DEVICE]}, "containers": {"web": container}})
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("log of the agent:\n{}", self.agent_log());
        }
        if let Some(agent) = &mut self.agent {
            // Both fail only if it has ended.
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

/// The agent next to the tests, built by `cargo build --workspace`.
pub(crate) fn agent_program() -> PathBuf {
    if let Some(folder) = programs() {
        return folder.join("harmony-fleet-agent");
    }
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = scratch
        .parent()
        .unwrap_or(scratch)
        .join("debug/harmony-fleet-agent");
    assert!(
        program.is_file(),
        "{} does not exist: `cargo build -p harmony-fleet-agent`",
        program.display()
    );
    program
}
