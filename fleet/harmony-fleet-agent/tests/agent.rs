//! Tests the agent's program with a real nats-server; the test plays the operator.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panic"
)]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use harmony_fleet_adapters_nats::testing::TestNats;
use harmony_fleet_adapters_nats::{NatsConnection, NatsDeviceCommander, NatsOperatorLink};
use harmony_fleet_domain::DeviceCommander;
use harmony_reconciler_contracts::{
    DeviceId, Heartbeat, RefusalReason, Registration, RegistrationReply, TenantId,
};

const AGENT: &str = env!("CARGO_BIN_EXE_harmony-fleet-agent");

fn tenant() -> TenantId {
    "acme".parse().unwrap()
}

fn device() -> DeviceId {
    "pump-1".parse().unwrap()
}

/// A running agent; killed on drop.
struct Agent {
    process: Child,
}

impl Agent {
    fn start(nats: &TestNats, state: &Path) -> Self {
        let process = Command::new(AGENT)
            .args([
                "--nats-url",
                &nats.url(),
                "--nats-user",
                nats.user(),
                "--nats-password",
                nats.password(),
            ])
            .args([
                "--tenant",
                "acme",
                "--device-id",
                "pump-1",
                "--labels",
                "site=lyon",
            ])
            .args(["--heartbeat-seconds", "1", "--state-dir"])
            .arg(state)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { process }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.process.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits until the process exits.
    async fn ended(&mut self) -> std::process::ExitStatus {
        for _ in 0..100 {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the agent did not end within 5 s");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The operator: answers registrations with `reply` and records everything it receives.
#[derive(Clone)]
struct Operator {
    link: NatsOperatorLink,
    heard: Arc<Mutex<Heard>>,
}

struct Heard {
    registrations: Vec<Registration>,
    heartbeats: Vec<Heartbeat>,
    reply: RegistrationReply,
}

impl Operator {
    async fn start(nats: &TestNats) -> Self {
        let connection = NatsConnection::connect_in_background(&nats.options("operator").unwrap())
            .await
            .unwrap();
        let link = NatsOperatorLink::new(connection, tenant());
        let heard = Arc::new(Mutex::new(Heard {
            registrations: vec![],
            heartbeats: vec![],
            reply: RegistrationReply::accepted(),
        }));
        let operator = Self {
            link: link.clone(),
            heard,
        };
        let noted = operator.heard.clone();
        let mut registrations = Box::pin(link.registrations().await.unwrap());
        tokio::spawn(async move {
            while let Some(request) = registrations.next().await {
                let reply = {
                    let mut heard = noted.lock().unwrap();
                    heard.registrations.push(request.registration.clone());
                    heard.reply.clone()
                };
                request.answer(&reply).await;
            }
        });
        let noted = operator.heard.clone();
        let mut heartbeats = Box::pin(link.heartbeats().await.unwrap());
        tokio::spawn(async move {
            while let Some((_, heartbeat)) = heartbeats.next().await {
                noted.lock().unwrap().heartbeats.push(heartbeat);
            }
        });
        operator
    }

    fn registrations(&self) -> Vec<Registration> {
        self.heard.lock().unwrap().registrations.clone()
    }

    fn heartbeats(&self) -> Vec<Heartbeat> {
        self.heard.lock().unwrap().heartbeats.clone()
    }

    fn reply_with(&self, reply: RegistrationReply) {
        self.heard.lock().unwrap().reply = reply;
    }
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..800 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("did not happen within 40 s: {what}");
}

fn status(state: &Path) -> Output {
    // A probe has the environment of the running agent, whose settings must not affect it.
    Command::new(AGENT)
        .args(["status", "--state-dir"])
        .arg(state)
        .env("FLEET_NATS_URL", "nats://nowhere:1")
        .env("FLEET_DEVICE_ID", "pump-1")
        .output()
        .unwrap()
}

#[tokio::test]
async fn registers_beats_answers_and_says_goodbye() {
    let nats = TestNats::start().unwrap();
    let state = tempfile::tempdir().unwrap();
    let operator = Operator::start(&nats).await;
    assert_eq!(status(state.path()).status.code(), Some(1), "nobody runs");
    let mut agent = Agent::start(&nats, state.path());
    eventually("heartbeats come", async || operator.heartbeats().len() >= 2).await;
    let registration = operator.registrations().remove(0);
    assert_eq!(registration.previous_boot, None);
    assert_eq!(registration.info.labels.to_string(), "site=lyon");
    assert_eq!(registration.heartbeat_seconds.seconds(), 1);
    let sequences: Vec<_> = operator.heartbeats().iter().map(|h| h.sequence).collect();
    assert_eq!(sequences[..2], [1, 2]);

    let ready = status(state.path());
    assert_eq!(ready.status.code(), Some(0), "{ready:?}");
    assert!(
        String::from_utf8_lossy(&ready.stdout).starts_with("device pump-1: ready"),
        "{ready:?}"
    );

    let tools = NatsConnection::connect(&nats.options("tools").unwrap())
        .await
        .unwrap();
    let pong = NatsDeviceCommander::new(tools, tenant())
        .ping(&device(), 1)
        .await
        .unwrap();
    assert_eq!(pong.boot, registration.boot);

    agent.signal("-TERM");
    assert_eq!(agent.ended().await.code(), Some(0));
    eventually("the farewell is heard", async || {
        operator.heartbeats().last().is_some_and(|h| h.leaving)
    })
    .await;
    assert_eq!(status(state.path()).status.code(), Some(1));
}

#[tokio::test]
async fn a_killed_nats_server_is_survived() {
    let mut nats = TestNats::start().unwrap();
    let state = tempfile::tempdir().unwrap();
    // The agent starts without a running server.
    nats.kill();
    let mut agent = Agent::start(&nats, state.path());
    eventually("the agent answers for its status", async || {
        !status(state.path()).stdout.is_empty()
    })
    .await;
    assert_eq!(status(state.path()).status.code(), Some(1));
    nats.start_again().unwrap();
    let operator = Operator::start(&nats).await;
    eventually("heartbeats come", async || operator.heartbeats().len() >= 2).await;

    for _ in 0..2 {
        nats.kill();
        eventually("it is not ready while it is cut off", async || {
            status(state.path()).status.code() == Some(1)
        })
        .await;
        let before = operator.heartbeats().len();
        nats.start_again().unwrap();
        eventually("heartbeats come again", async || {
            operator.heartbeats().len() > before + 1
        })
        .await;
        eventually("it is ready again", async || {
            status(state.path()).status.code() == Some(0)
        })
        .await;
    }
    assert_eq!(
        operator.registrations().len(),
        1,
        "a lost connection is no reason to register again"
    );
    assert!(
        agent.process.try_wait().unwrap().is_none(),
        "it never ended"
    );
}

#[tokio::test]
async fn a_killed_agent_proves_after_its_restart_that_it_is_the_same_device() {
    let nats = TestNats::start().unwrap();
    let state = tempfile::tempdir().unwrap();
    let operator = Operator::start(&nats).await;
    let mut agent = Agent::start(&nats, state.path());
    eventually("it registers", async || operator.heartbeats().len() == 1).await;
    let second = Agent::start(&nats, state.path()).ended().await;
    assert_eq!(
        second.code(),
        Some(1),
        "a second agent on the same state folder ends with an error"
    );
    agent.signal("-KILL");
    agent.ended().await;
    let _again = Agent::start(&nats, state.path());
    eventually("it registers again", async || {
        operator.registrations().len() == 2
    })
    .await;
    let registrations = operator.registrations();
    assert_eq!(
        registrations[1].previous_boot.as_ref(),
        Some(&registrations[0].boot)
    );
    assert_ne!(registrations[1].boot, registrations[0].boot);
}

#[tokio::test]
async fn a_refused_agent_is_not_ready_and_keeps_asking() {
    let nats = TestNats::start().unwrap();
    let state = tempfile::tempdir().unwrap();
    let operator = Operator::start(&nats).await;
    operator.reply_with(RegistrationReply::refused(
        RefusalReason::DuplicateIdentity,
        "taken",
        1,
    ));
    let _agent = Agent::start(&nats, state.path());
    eventually("it asks more than once", async || {
        operator.registrations().len() >= 3
    })
    .await;
    let refused = status(state.path());
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&refused.stdout).contains("refused by the operator: taken"),
        "{refused:?}"
    );
    assert_eq!(
        operator.heartbeats(),
        vec![],
        "no heartbeat before it is accepted"
    );
    operator.reply_with(RegistrationReply::accepted());
    eventually("it is ready", async || {
        status(state.path()).status.code() == Some(0)
    })
    .await;
}

#[tokio::test]
async fn an_operator_that_lost_its_registry_gets_a_new_registration() {
    let nats = TestNats::start().unwrap();
    let state = tempfile::tempdir().unwrap();
    let operator = Operator::start(&nats).await;
    let _agent = Agent::start(&nats, state.path());
    eventually("heartbeats come", async || {
        !operator.heartbeats().is_empty()
    })
    .await;
    operator.link.ask_to_register(&device()).await;
    eventually("it registers again", async || {
        operator.registrations().len() == 2
    })
    .await;
    let registrations = operator.registrations();
    assert_eq!(registrations[0].boot, registrations[1].boot);
    let before = operator.heartbeats().len();
    eventually("heartbeats go on", async || {
        operator.heartbeats().len() > before
    })
    .await;
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named_before_anything_starts() {
    let state = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(AGENT)
            .arg("--state-dir")
            .arg(state.path().join("new"))
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    for (arguments, expected) in [
        (
            vec!["--nats-url", "http://x", "--device-id", "a"],
            "nats://host:4222",
        ),
        (
            vec!["--nats-url", "nats://u:s3cret@x", "--device-id", "a"],
            "set the user and the password separately",
        ),
        (
            vec!["--nats-url", "nats://x", "--device-id", "Pump 1"],
            "FLEET_DEVICE_ID",
        ),
        (
            vec![
                "--nats-url",
                "nats://x",
                "--device-id",
                "a",
                "--nats-user",
                "u",
            ],
            "password",
        ),
        (vec![], "--nats-url"),
    ] {
        let (code, stderr) = run(&arguments);
        assert_ne!(code, Some(0));
        assert!(
            stderr.contains(expected) && !stderr.contains("s3cret"),
            "{arguments:?}: {stderr}"
        );
        assert!(!state.path().join("new").exists(), "{arguments:?}");
    }
}
