//! Deployments from the file to a simulated device and back.

use std::collections::BTreeMap;
use std::path::PathBuf;

use harmony_fleet_adapters_nats::{NatsConnection, NatsWorkloadLink};
use harmony_fleet_domain::{AgentLink, WorkloadLink};
use harmony_reconciler_contracts::{
    DesiredState, Heartbeat, ObservedDeployment, ObservedState, Phase, Registration,
    RegistrationReply, SchemaVersion,
};

use super::*;

/// A device without containers: it reports what it is told to report.
struct Simulated {
    link: NatsWorkloadLink,
    sequence: u64,
}

impl Simulated {
    async fn register(nats: &TestNats, id: &str, labels: &str) -> Self {
        let connection = NatsConnection::connect(&nats.options(id).unwrap())
            .await
            .unwrap();
        let tenant = "acme".parse().unwrap();
        let link = NatsWorkloadLink::new(connection, &tenant, &id.parse().unwrap());
        let registration = Registration {
            version: SchemaVersion::CURRENT,
            boot: "b1".parse().unwrap(),
            previous_boot: None,
            heartbeat_seconds: HeartbeatInterval::NOMINAL,
            info: DeviceInfo {
                labels: labels.parse().unwrap(),
                ..DeviceInfo::default()
            },
        };
        eventually("the device is registered", async || {
            let reply = link.register(&registration).await;
            matches!(reply, Ok(RegistrationReply::Accepted { .. }))
        })
        .await;
        let heartbeat = Heartbeat {
            version: SchemaVersion::CURRENT,
            boot: "b1".parse().unwrap(),
            sequence: 1,
            leaving: false,
        };
        link.heartbeat(&heartbeat).await.unwrap();
        Self { link, sequence: 0 }
    }

    /// Reports this phase of everything in the state.
    async fn report(&mut self, state: &DesiredState, phase: Phase) {
        self.sequence += 1;
        let cause =
            r#"{"reason": "image_missing", "detail": "manifest unknown", "container": "web"}"#;
        let cause = (phase == Phase::Failed).then(|| serde_json::from_str(cause).unwrap());
        let deployments = state.deployments.iter().map(|(name, content)| {
            let observed = ObservedDeployment {
                wanted: content.hash.clone(),
                running: (phase == Phase::Running).then(|| content.hash.clone()),
                phase,
                cause: cause.clone(),
                since_ms: 0,
                containers: BTreeMap::new(),
            };
            (name.clone(), observed)
        });
        let state = ObservedState {
            version: SchemaVersion::CURRENT,
            boot: "b1".parse().unwrap(),
            sequence: self.sequence,
            generation: state.generation,
            deployments: deployments.collect(),
        };
        self.link.report(&state).await.unwrap();
    }
}

fn greeter(folder: &Path, tag: char) -> PathBuf {
    let path = folder.join("greeter.yaml");
    let digest = tag.to_string().repeat(64);
    let text = format!(
        "name: greeter\ntarget: {{ labels: {{ site: lyon }} }}\ncontainers:\n  web:\n    image: r.example.com/greeter@sha256:{digest}\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_is_applied_followed_explained_and_deleted() {
    let nats = TestNats::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let context = folder.path().join("context.json");
    save_context(&nats, &context);
    let file = greeter(folder.path(), 'a');
    let file = file.to_str().unwrap();
    let fleet = async |arguments: &[&str]| harmony_fleet(&context, arguments).await;

    // Without an operator, there is nowhere to write.
    let (code, _, stderr) = fleet(&["apply", file]).await;
    assert_eq!(code, 1);
    assert!(
        stderr.contains("bucket `deployments` does not exist")
            && stderr.contains("hint: the operator"),
        "{stderr}"
    );

    let stop = CancellationToken::new();
    start_operator(&nats, &stop);
    let mut pump = Simulated::register(&nats, "pump-1", "site=lyon").await;
    let _valve = Simulated::register(&nats, "valve-1", "site=nice").await;
    eventually("deployments can be listed", async || {
        fleet(&["deployments"]).await.0 == 0
    })
    .await;
    let (_, stdout, _) = fleet(&["deployments"]).await;
    assert!(
        stdout.starts_with("There is no deployment for tenant `acme`."),
        "{stdout}"
    );

    // The subscription is open before the apply, so the first push is the answer to it.
    assert_eq!(pump.link.desired().await.unwrap(), None);
    let (code, stdout, stderr) = fleet(&["apply", file]).await;
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        stdout,
        "greeter: created\nnext: harmony-fleet status greeter --watch\n"
    );
    let first = pump.link.pushed().await;
    let (code, stdout, _) = fleet(&["status", "greeter"]).await;
    assert_eq!(code, 0, "not yet is no failure");
    assert!(
        stdout.starts_with("greeter runs on 0 of 1 device.\nDEVICE  PRESENCE  WANTED"),
        "{stdout}"
    );
    assert!(
        stdout.contains("waiting  -      the device has not answered yet\n"),
        "{stdout}"
    );
    let (code, _, stderr) = fleet(&["status", "greeter", "--watch", "--timeout", "1"]).await;
    assert_eq!(code, 1);
    assert!(
        stderr.contains("does not run on all online devices after 1 s"),
        "{stderr}"
    );

    // Two runs of `status --watch` end by themselves: with a success, and with a failure.
    let watch = fleet(&["status", "greeter", "--watch"]);
    let run = async {
        pump.report(&first, Phase::Pulling).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        pump.report(&first, Phase::Running).await;
    };
    let ((code, stdout, stderr), ()) = tokio::join!(watch, run);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.starts_with("greeter runs on 1 of 1 device.\n"),
        "{stdout}"
    );
    assert_eq!(fleet(&["apply", file]).await.1, "greeter: no changes\n");
    let file = greeter(folder.path(), 'b');
    let file = file.to_str().unwrap();
    assert!(
        fleet(&["apply", file])
            .await
            .1
            .starts_with("greeter: updated\n")
    );
    let second = pump.link.pushed().await;
    assert!(second.generation > first.generation);
    pump.report(&second, Phase::Failed).await;
    let (code, stdout, stderr) = fleet(&["status", "greeter", "--watch"]).await;
    assert_eq!(code, 1);
    let reason = "the image does not exist (container web): manifest unknown\n";
    assert!(stdout.ends_with(reason), "{stdout}");
    assert!(
        stderr.contains("hint: run `harmony-fleet why pump-1 greeter`"),
        "{stderr}"
    );
    let (code, stdout, _) = fleet(&["why", "pump-1"]).await;
    assert_eq!(code, 0);
    assert!(
        stdout.contains("  delivery   generation 2 was written") && stdout.contains(reason),
        "{stdout}"
    );
    let (_, stdout, _) = fleet(&["why", "valve-1", "greeter"]).await;
    assert!(
        stdout.contains("the target asks for site=lyon, and the device has site=nice"),
        "{stdout}"
    );
    for arguments in [
        &["deployments", "--json"][..],
        &["why", "pump-1", "--json"],
        &["apply", file, "--json"],
    ] {
        let (_, stdout, stderr) = fleet(arguments).await;
        let value: serde_json::Value = serde_json::from_str(&stdout).expect(&stderr);
        assert_eq!(
            (&value["version"], &value["tenant"]),
            (&1.into(), &"acme".into())
        );
    }
    let (_, stdout, _) = fleet(&["deployments"]).await;
    assert!(
        stdout.contains("greeter     site=lyon  1        0        1\n"),
        "{stdout}"
    );

    assert_eq!(fleet(&["delete", "greeter"]).await.1, "greeter: deleted\n");
    assert!(pump.link.pushed().await.deployments.is_empty());
    for arguments in [&["delete", "greeter"][..], &["status", "nothing"]] {
        let (code, _, stderr) = fleet(arguments).await;
        assert_eq!(code, 1);
        assert!(
            stderr.contains("does not exist\nhint: there is none"),
            "{stderr}"
        );
    }
    let (code, _, stderr) = fleet(&["why", "pump-9"]).await;
    assert!(
        code == 1 && stderr.contains("the devices are `pump-1`, `valve-1`"),
        "{stderr}"
    );
    stop.cancel();
}

#[tokio::test]
async fn a_wrong_file_is_a_usage_error_that_contacts_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let file = greeter(folder.path(), 'a');
    let text = std::fs::read_to_string(&file).unwrap() + "    portz: []\n";
    std::fs::write(&file, text).unwrap();
    let nowhere = Path::new("/nonexistent/context.json");
    let (code, _, stderr) = harmony_fleet(nowhere, &["apply", file.to_str().unwrap()]).await;
    assert_eq!(code, 2);
    let expected = "because: line 6, column 5: containers.web: unknown field `portz`, expected one of `image`, `entrypoint`, `command`, ";
    assert!(stderr.contains(expected), "{stderr}");
    let (code, _, stderr) = harmony_fleet(nowhere, &["apply", "/nonexistent/file"]).await;
    assert!(
        code == 2 && stderr.contains("cannot read `/nonexistent/file`"),
        "{stderr}"
    );
}
