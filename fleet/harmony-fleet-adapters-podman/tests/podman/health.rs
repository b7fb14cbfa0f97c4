//! Health checks and events.

use std::time::Duration;

use harmony_fleet_domain::{Checked, ContainerRuntime, ContainerSigns};
use harmony_reconciler_contracts::FailureReason;

use crate::bench::{Bench, container};

#[tokio::test]
async fn a_check_passes_fails_and_is_killed_when_it_takes_too_long() {
    let bench = Bench::start().await;
    let script =
        "case $(cat /tmp/how 2>&1) in slow) sleep 987654;; bad) echo broken; exit 4;; esac";
    let command = ["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
    let spec = container(
        &bench.image,
        &format!(
            r#","command":["sh","-c","echo good > /tmp/how; echo up; while read -r x; do :; done < /tmp/how; sleep 100000"],
            "health":{{"command":{},"timeout_seconds":1}}"#,
            serde_json::json!(command)
        ),
    );
    bench.run("shop", "web", &spec).await.unwrap();
    let [live] = bench.podman.list().await.unwrap().try_into().unwrap();
    bench.until(&live.id, |lines| lines == ["up"]).await;
    let check = async || bench.podman.check(&live.id, &command, 1).await.unwrap();
    assert_eq!(check().await, Checked::Passed);

    bench.write(&live.id, "/tmp/how", "bad").await;
    let Checked::Failed { words } = check().await else {
        panic!("it passed");
    };
    assert!(
        words.contains("exit code") && words.contains("broken"),
        "{words}"
    );

    bench.write(&live.id, "/tmp/how", "slow").await;
    let Checked::Failed { words } = check().await else {
        panic!("it passed");
    };
    assert_eq!(words, "no result after 1 s");
    for _ in 0..200 {
        if !has_process("987654") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!has_process("987654"), "the check still runs");

    let error = bench
        .podman
        .check(&live.id, &["other".into()], 1)
        .await
        .unwrap_err();
    assert_eq!(error.reason, FailureReason::PodmanRefused, "{error}");
}

#[tokio::test]
async fn a_program_that_the_image_does_not_have_fails_the_check() {
    let bench = Bench::start().await;
    let spec = container(&bench.image, r#","health":{"command":["/nope"]}"#);
    bench.run("shop", "web", &spec).await.unwrap();
    let [live] = bench.podman.list().await.unwrap().try_into().unwrap();
    let checked = bench
        .podman
        .check(&live.id, &["/nope".into()], 10)
        .await
        .unwrap();
    assert!(matches!(checked, Checked::Failed { .. }), "{checked:?}");
}

#[tokio::test]
async fn changes_are_noticed_also_after_podman_was_restarted() {
    let mut bench = Bench::start().await;
    let spec = container(&bench.image, r#","command":["sh","-c","exit 0"]"#);
    // The first call connects; the hint after it is one for the container.
    let (_, ran) = tokio::join!(bench.podman.changed(), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        bench.run("shop", "one", &spec).await
    });
    ran.unwrap();
    bench.peer.kill();
    bench.peer.start_again().await.unwrap();
    // Changes that were missed meanwhile cause a hint, too.
    let hint = tokio::time::timeout(Duration::from_secs(60), bench.podman.changed());
    hint.await.expect("a hint after the restart");
}

/// Whether a program with this argument runs on this machine.
fn has_process(argument: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|command| {
            let command = String::from_utf8_lossy(&command).into_owned();
            command.split('\0').any(|part| part == argument)
        })
}
