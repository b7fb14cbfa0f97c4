//! Containers in a real podman.

use std::net::TcpListener;

use crate::bench::{Bench, container, read_from};
use harmony_fleet_adapters_podman::testing::PodmanPeer;
use harmony_fleet_domain::{ContainerRuntime, ContainerSigns, LiveState};
use harmony_reconciler_contracts::FailureReason;

#[tokio::test]
async fn a_container_has_what_it_asks_for_and_nothing_else() {
    let bench = Bench::start().await;
    bench.peer.create_secret("token", "s3cret").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plan"), "from the device").unwrap();
    let script = "id -u; grep -E 'CapEff|NoNewPrivs' /proc/self/status; cat /etc/app/a.toml; echo $(cat /run/secrets/t); \
        echo $TOKEN $COLOUR; echo $(cat /srv/plan); touch /tmp/a && echo tmp; touch /srv/b || echo srv; \
        touch /data/c && echo data; touch /etc/app/d || echo root; ls -ln /etc/app /run/secrets";
    let spec = container(
        &bench.image,
        &format!(
            r#","command":["sh","-c",{}],"env":{{"COLOUR":"blue"}},"files":{{"/etc/app/a.toml":"a = 1\n"}},
            "secrets":[{{"name":"token","target":{{"file":"t"}}}},{{"name":"token","target":{{"env":"TOKEN"}}}}],
            "capabilities":["NET_BIND_SERVICE"],"restart":"never",
            "volumes":[{{"source":{{"named":"data"}},"path":"/data"}},
                       {{"source":{{"folder":"{}"}},"path":"/srv","read_only":true}}]"#,
            serde_json::json!(script),
            folder.path().display(),
        ),
    );
    bench.run("shop", "web", &spec).await.unwrap();
    let live = bench.ended("shop-web").await;
    assert_eq!(live.deployment.as_str(), "shop");
    assert_eq!(live.image.as_deref(), Some(bench.image.digest()));
    let lines = bench.podman.last_lines(&live.id, 50).await.unwrap();
    let text = lines.join("\n");
    for expected in [
        "0\n",
        "CapEff:\t0000000000000400",
        "NoNewPrivs:\t1",
        "a = 1",
        "s3cret\ns3cret blue",
        "from the device",
        "\ntmp",
        "\nsrv",
        "\ndata",
        "\nroot",
        "-r--r--r--    1 0        0                6",
    ] {
        assert!(text.contains(expected), "`{expected}` is not in:\n{text}");
    }
    assert_eq!(
        bench.podman.last_lines(&live.id, 2).await.unwrap(),
        lines[lines.len() - 2..]
    );

    // Named volumes stay, with our label; the container goes.
    bench.podman.remove(&live.id).await.unwrap();
    bench.podman.remove(&live.id).await.unwrap();
    assert_eq!(bench.podman.list().await.unwrap(), []);
    let volume = bench
        .peer
        .request("GET", "/volumes/shop-data/json", None)
        .await
        .unwrap();
    assert_eq!(volume["Labels"]["io.harmony.fleet.deployment"], "shop");
}

#[tokio::test]
async fn limits_users_and_programs_are_those_of_the_container() {
    let bench = Bench::start().await;
    let spec = container(
        &bench.image,
        r#","entrypoint":["/bin/sh","-c"],"command":["id -u; id -g; touch /x && echo written; exec sleep 1000"],
           "user":"1000:1001","limits":{"memory_bytes":33554432,"cpu_millis":500,"pids":20}"#,
    );
    bench.run("shop", "web", &spec).await.unwrap();
    let [live] = bench.podman.list().await.unwrap().try_into().unwrap();
    assert_eq!(live.state, LiveState::Running);
    let json = bench
        .peer
        .request("GET", &format!("/containers/{}/json", live.id.0), None)
        .await
        .unwrap();
    let host = &json["HostConfig"];
    assert_eq!(host["Memory"], 33_554_432);
    assert_eq!(host["CpuQuota"], 50_000);
    assert_eq!(host["PidsLimit"], 20);
    assert_eq!(host["RestartPolicy"]["Name"], "no");
    assert_eq!(host["LogConfig"]["Type"], "k8s-file");
    bench.until(&live.id, |lines| lines.len() == 3).await;
    let lines = bench.podman.last_lines(&live.id, 10).await.unwrap();
    assert_eq!(lines[..2], ["1000", "1001"]);
    assert!(lines[2].contains("Read-only file system"), "{lines:?}");
}

#[tokio::test]
async fn a_port_of_the_device_leads_to_the_container() {
    let bench = Bench::start().await;
    let port = free_port();
    let spec = container(
        &bench.image,
        &format!(
            r#","command":["nc","-ll","-p","8080","-e","/bin/busybox","echo","hello"],
               "ports":[{{"host":{port},"container":8080}}]"#
        ),
    );
    bench.run("shop", "web", &spec).await.unwrap();
    let mut answer = String::new();
    for _ in 0..100 {
        answer = read_from(port).await;
        if !answer.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(answer, "hello\n");

    let error = bench.run("shop", "other", &spec).await.unwrap_err();
    assert_eq!(error.reason, FailureReason::PortTaken, "{error}");
    let names: Vec<_> = bench.podman.list().await.unwrap();
    assert_eq!(names.len(), 1, "what failed is not left: {names:?}");
}

#[tokio::test]
async fn a_container_that_ended_tells_how_and_starts_again_with_its_files() {
    let bench = Bench::start().await;
    let spec = container(
        &bench.image,
        r#","command":["sh","-c","echo run >> /etc/count; cat /etc/count; exit 7"],"writable_root":true"#,
    );
    bench.run("shop", "web", &spec).await.unwrap();
    let live = bench.ended("shop-web").await;
    let code = LiveState::Ended {
        code: 7,
        out_of_memory: false,
    };
    assert_eq!(live.state, code);
    bench.podman.start(&live.id).await.unwrap();
    bench.until(&live.id, |lines| lines.len() == 3).await;
}

#[tokio::test]
async fn the_kernel_says_that_memory_was_the_cause() {
    let bench = Bench::start().await;
    let spec = container(
        &bench.image,
        r#","command":["dd","if=/dev/zero","of=/dev/null","bs=200M"],"limits":{"memory_bytes":16777216}"#,
    );
    bench.run("shop", "big", &spec).await.unwrap();
    let killed = LiveState::Ended {
        code: 137,
        out_of_memory: true,
    };
    assert_eq!(bench.ended("shop-big").await.state, killed);

    // The same exit code by another cause.
    let spec = container(
        &bench.image,
        r#","command":["sh","-c","kill -9 $$; exit 137"]"#,
    );
    bench.run("shop", "killed", &spec).await.unwrap();
    let killed = LiveState::Ended {
        code: 137,
        out_of_memory: false,
    };
    assert_eq!(bench.ended("shop-killed").await.state, killed);
}

#[tokio::test]
async fn containers_keep_running_without_podmans_service() {
    let mut bench = Bench::start().await;
    let spec = container(&bench.image, "");
    bench.run("shop", "web", &spec).await.unwrap();
    let before = bench.podman.list().await.unwrap();
    bench.peer.kill();
    let error = bench.podman.list().await.unwrap_err();
    assert_eq!(error.reason, FailureReason::PodmanUnavailable);
    assert!(error.source.is_some());
    bench.peer.start_again().await.unwrap();
    let after = bench.podman.list().await.unwrap();
    assert_eq!(before, after);
    assert_eq!(after[0].state, LiveState::Running);
}

#[tokio::test]
async fn what_is_missing_on_the_device_is_said_before_anything_is_created() {
    let bench = Bench::start().await;
    for (rest, reason, word) in [
        (
            r#","volumes":[{"source":{"folder":"/nonexistent/folder"},"path":"/x"}]"#,
            FailureReason::FolderMissing,
            "/nonexistent/folder",
        ),
        (
            r#","secrets":[{"name":"absent","target":{"env":"A"}}],"volumes":[{"source":{"named":"data"},"path":"/x"}]"#,
            FailureReason::SecretMissing,
            "absent",
        ),
        (
            r#","files":{"/x/a":""},"volumes":[{"source":{"named":"data"},"path":"/x"}]"#,
            FailureReason::PodmanRefused,
            "/x/a",
        ),
        (
            r#","entrypoint":["/nope"]"#,
            FailureReason::CannotStart,
            "/nope",
        ),
        (
            r#","entrypoint":["/etc/text"]"#,
            FailureReason::CannotStart,
            "/etc/text",
        ),
        (
            r#","entrypoint":["nope"]"#,
            FailureReason::CannotStart,
            "nope",
        ),
        (
            r#","capabilities":["NOPE"]"#,
            FailureReason::PodmanRefused,
            "NOPE",
        ),
    ] {
        let spec = container(&bench.image, rest);
        let error = bench.run("shop", "web", &spec).await.unwrap_err();
        assert_eq!(error.reason, reason, "{rest}: {error}");
        assert!(error.detail.contains(word), "{rest}: {error}");
        assert_eq!(bench.podman.list().await.unwrap(), [], "{rest}");
        let volumes = bench
            .peer
            .request("GET", "/volumes/json", None)
            .await
            .unwrap();
        assert_eq!(volumes, serde_json::json!([]), "{rest}");
    }
    let absent = format!("localhost/absent@sha256:{}", "0".repeat(64));
    let spec = container(&absent.parse().unwrap(), "");
    let error = bench.run("shop", "web", &spec).await.unwrap_err();
    assert_eq!(error.reason, FailureReason::ImageMissing, "{error}");
}

#[tokio::test]
async fn nothing_of_somebody_else_is_touched() {
    let bench = Bench::start().await;
    let foreign = bench.foreign("shop-web", &serde_json::json!({})).await;
    let half = bench
        .foreign(
            "half",
            &serde_json::json!({"io.harmony.fleet.deployment": "shop"}),
        )
        .await;
    bench
        .peer
        .request(
            "POST",
            "/volumes/create",
            Some(&serde_json::json!({"Name": "shop-data"})),
        )
        .await
        .unwrap();

    assert_eq!(bench.podman.list().await.unwrap(), []);
    let spec = container(&bench.image, "");
    let error = bench.run("shop", "web", &spec).await.unwrap_err();
    assert_eq!(error.reason, FailureReason::NameTaken, "{error}");
    assert!(error.detail.contains("shop-web"), "{error}");
    let spec = container(
        &bench.image,
        r#","volumes":[{"source":{"named":"data"},"path":"/x"}]"#,
    );
    let error = bench.run("shop", "other", &spec).await.unwrap_err();
    assert_eq!(error.reason, FailureReason::NameTaken, "{error}");
    assert!(error.detail.contains("shop-data"), "{error}");

    for error in [
        bench.podman.remove(&foreign).await.unwrap_err(),
        bench.podman.start(&foreign).await.unwrap_err(),
        bench.podman.last_lines(&foreign, 1).await.unwrap_err(),
        bench
            .podman
            .check(&foreign, &["true".into()], 1)
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.reason, FailureReason::PodmanRefused, "{error}");
    }
    for name in [&foreign, &half] {
        let json = bench
            .peer
            .request("GET", &format!("/containers/{}/json", name.0), None)
            .await
            .unwrap();
        assert_eq!(json["State"]["Status"], "running", "{json}");
    }
}

#[tokio::test]
async fn without_a_socket_podman_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        harmony_fleet_adapters_podman::PodmanSettings::new(folder.path().join("podman.sock"));
    let podman = harmony_fleet_adapters_podman::Podman::new(settings);
    let error = podman.list().await.unwrap_err();
    assert_eq!(error.reason, FailureReason::PodmanUnavailable);
    assert!(error.detail.contains("podman.sock"), "{error}");
}

#[tokio::test]
async fn a_peer_leaves_nothing() {
    let bench = Bench::start().await;
    let spec = container(&bench.image, "");
    bench.run("shop", "web", &spec).await.unwrap();
    let [live] = bench.podman.list().await.unwrap().try_into().unwrap();
    bench.write(&live.id, "/tmp/a", "text").await;
    let folder = bench.peer.socket().parent().unwrap().to_owned();
    let Bench { peer, .. } = bench;
    drop::<PodmanPeer>(peer);
    assert!(!folder.exists());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(folder.to_str().unwrap()), "{mounts}");
    // What was killed may take a moment to end.
    for _ in 0..200 {
        if process_with(folder.to_str().unwrap()).is_none() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(process_with(folder.to_str().unwrap()), None);
}

fn free_port() -> u16 {
    TcpListener::bind(("0.0.0.0", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn process_with(argument: &str) -> Option<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .map(|command| String::from_utf8_lossy(&command).into_owned())
        .find(|command| command.contains(argument))
}
