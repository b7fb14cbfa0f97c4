//! A deployment from its first day to its last.

use harmony_fleet_adapters_podman::testing::PodmanPeer;
use serde_json::json;

use crate::rig::{DEVICE, Rig};
use crate::support::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_runs_whatever_is_killed_until_it_is_deleted() {
    let mut rig = Rig::start(PodmanPeer::start().await.unwrap()).await;
    let greeter = rig.deployment("greeter", &json!({"env": {"GREETING": "hello"}}));
    let applied = rig.apply(std::slice::from_ref(&greeter)).await;
    assert!(applied.starts_with("greeter: created\n"), "{applied}");
    rig.until_running("greeter").await;
    let first = rig.running_container().await;
    assert_eq!(first.name, "greeter-web");

    // The agent is killed. It works again when it has carried out another deployment, and has changed nothing else.
    rig.kill_agent();
    assert_eq!(rig.container().await, first);
    rig.start_agent();
    carry_out_another(&rig).await;
    assert_eq!(rig.container().await, first);

    // The same with podman's service.
    rig.podman.kill();
    eventually("the agent says that podman is away", async || {
        let (code, status) = rig.status("greeter").await;
        code == 1 && status["devices"][0]["cause"] == "podman_unavailable"
    })
    .await;
    rig.podman.start_again().await.unwrap();
    carry_out_another(&rig).await;
    assert_eq!(rig.container().await, first);
    assert_eq!(rig.status("greeter").await.0, 0);

    // A person removes the container.
    remove(&rig, &first.id).await;
    let second = rig.running_container().await;
    assert_ne!(second.id, first.id);
    rig.until_running("greeter").await;

    // Without NATS, everything keeps running, and comes back: here after the agent and the containers were killed.
    rig.nats.kill();
    assert_eq!(rig.running_container().await, second);
    rig.kill_agent();
    let kill = format!("/containers/{}/kill", second.id);
    rig.podman.request("POST", &kill, None).await.unwrap();
    eventually("the container has ended", async || {
        rig.container().await.state == "exited"
    })
    .await;
    rig.start_agent();
    assert_eq!(rig.running_container().await, second);
    remove(&rig, &second.id).await;
    let third = rig.running_container().await;
    rig.nats.start_again().unwrap();
    rig.until_online().await;
    rig.until_running("greeter").await;
    assert_eq!(rig.container().await, third);

    // An update replaces the container.
    let greeter = rig.deployment("greeter", &json!({"env": {"GREETING": "bye"}}));
    let applied = rig.apply(&[greeter]).await;
    assert!(applied.starts_with("greeter: updated\n"), "{applied}");
    rig.until_running("greeter").await;
    let updated = rig.running_container().await;
    assert_ne!(updated.content, third.content);

    let (code, stdout, stderr) = rig.fleet(&["delete", "greeter"]).await;
    assert_eq!(
        (code, stdout.as_str()),
        (0, "greeter: deleted\n"),
        "{stderr}"
    );
    eventually("the container is gone", async || {
        rig.containers().await.is_empty()
    })
    .await;
    eventually("the deployment is gone", async || {
        let (code, _, stderr) = rig.fleet(&["status", "greeter"]).await;
        code == 1 && stderr.contains("`greeter` does not exist")
    })
    .await;
    let (code, stdout, _) = rig.fleet(&["why", DEVICE]).await;
    assert_eq!(code, 0);
    assert!(
        stdout.contains("No deployment is for this device, and it has none."),
        "{stdout}"
    );
}

/// Shows that the agent has seen the containers of the device and works.
async fn carry_out_another(rig: &Rig) {
    rig.apply(&[rig.deployment("other", &json!({}))]).await;
    rig.until_online().await;
    rig.until_running("other").await;
    assert_eq!(rig.fleet(&["delete", "other"]).await.0, 0);
    eventually("the other deployment is gone", async || {
        rig.containers().await.len() == 1
    })
    .await;
}

async fn remove(rig: &Rig, id: &str) {
    let path = format!("/containers/{id}?force=true&timeout=0");
    rig.podman.request("DELETE", &path, None).await.unwrap();
}
