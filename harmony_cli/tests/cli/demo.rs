//! Runs of Scores, by the `demo` example.

use std::fs;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::process::{Ended, Running, demo, run};

fn with(directory: &TempDir, args: &[&str]) -> Command {
    let mut command = demo(directory);
    command.args(args);
    command
}

fn ended(directory: &TempDir, args: &[&str]) -> Ended {
    run(with(directory, args))
}

fn documents(stdout: &str) -> Vec<Value> {
    stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a document per line"))
        .collect()
}

#[test]
fn a_plan_writes_nothing_and_an_apply_what_it_said() {
    let directory = tempdir().expect("a directory");
    let state = directory.path().join("state");

    let plan = ended(&directory, &["plan"]);
    assert_eq!(plan.code, Some(0), "{plan:?}");
    assert!(
        plan.stdout
            .contains(&format!("  + create file {}/greeting\n", state.display())),
        "{plan:?}"
    );
    assert!(plan.stdout.ends_with("plan: 3 to create\n"), "{plan:?}");
    assert!(!state.exists());

    let apply = ended(&directory, &[]);
    assert_eq!(apply.code, Some(0), "{apply:?}");
    assert!(
        apply.stdout.contains("\n3 created; 2 checks passed ("),
        "{apply:?}"
    );
    assert!(
        apply
            .stdout
            .ends_with(&format!("try: cat {}/farewell\n", state.display())),
        "{apply:?}"
    );
    assert_eq!(
        fs::read_to_string(state.join("greeting")).expect("it"),
        "hello"
    );

    let again = ended(&directory, &["apply"]);
    assert!(
        again.stdout.starts_with("no changes; 2 checks passed ("),
        "{again:?}"
    );

    let other = ended(&directory, &["plan", "--greeting", "hi"]);
    assert!(
        other.stdout.contains("      content: hello -> hi\n"),
        "{other:?}"
    );
    assert!(
        other.stdout.ends_with("plan: 1 to update, 2 unchanged\n"),
        "{other:?}"
    );
}

#[test]
fn progress_is_on_stderr_as_lines_without_colours_and_quiet_leaves_it_out() {
    let directory = tempdir().expect("a directory");
    let shown = ended(&directory, &[]);
    assert!(
        shown.stderr.contains("] write greeting: done\n"),
        "{shown:?}"
    );
    assert!(
        shown.stderr.lines().all(|line| line.starts_with('[')),
        "{shown:?}"
    );
    assert!(!(shown.stderr + &shown.stdout).contains('\u{1b}'));

    let quiet = ended(&directory, &["--quiet"]);
    assert_eq!(quiet.stderr, "");
    assert!(quiet.stdout.starts_with("no changes"), "{quiet:?}");
}

#[test]
fn json_is_one_document_per_line_and_the_last_is_the_result() {
    let directory = tempdir().expect("a directory");
    let apply = ended(&directory, &["--json", "--also", "fail"]);
    assert_eq!(
        (apply.code, apply.stderr.as_str()),
        (Some(1), ""),
        "{apply:?}"
    );
    let documents = documents(&apply.stdout);
    assert!(
        documents
            .iter()
            .all(|document| document["schemaVersion"] == 1)
    );
    let (result, events) = documents.split_last().expect("documents");
    assert!(events.iter().all(|event| event["type"] == "event"));
    assert_eq!(events[0]["event"], "score-started");
    assert_eq!(result["type"], "result");
    assert_eq!(
        (&result["mode"], &result["status"]),
        (&"apply".into(), &"failed".into())
    );
    assert_eq!(result["exitCode"], 1);
    assert_eq!(result["counts"]["create"], 3);
    assert_eq!(
        result["scores"][1]["outcome"]["changes"][0]["action"],
        "create"
    );
    assert_eq!(
        (&result["error"]["score"], &result["error"]["code"]),
        (&"fail".into(), &"H0303".into())
    );

    let quiet = ended(&directory, &["plan", "--json", "--quiet"]);
    assert_eq!(quiet.stdout.lines().count(), 1, "{quiet:?}");
}

#[test]
fn an_error_is_rendered_with_its_page_and_what_was_done_before() {
    let directory = tempdir().expect("a directory");
    let failed = ended(&directory, &["--also", "fail", "--quiet"]);
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""));
    assert_eq!(
        failed.stderr,
        "error[H0303]: container `operator` of Deployment fleet/operator keeps crashing
--> score fail, \
         Deployment fleet/operator
 = seen: exit code 3
 = seen: log: cannot connect to nats://nats:4222
 = help: \
         fix the problem in the log, then run the same command again
stopped after 2 of 3 Scores; changes so far: 2 created
for more information about this error, run `demo explain H0303`
"
    );
}

#[test]
fn a_topology_that_cannot_be_made_ready_is_named_instead_of_a_score() {
    let directory = tempdir().expect("a directory");
    let file = directory.path().join("file");
    fs::write(&file, "").expect("a file");
    let mut command = with(&directory, &["--quiet"]);
    command.env("DEMO_DIR", file.join("below"));
    let failed = run(command);
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""));
    let place = "\n--> topology directory\n = cause: Not a directory (os error 20)\n";
    assert!(failed.stderr.contains(place), "{failed:?}");
    assert!(!failed.stderr.contains("stopped after"), "{failed:?}");
}

#[test]
fn each_way_to_end_has_its_exit_code() {
    let directory = tempdir().expect("a directory");
    let table: &[(&[&str], i32, &str)] = &[
        (&["--also", "refuse"], 3, "error[H0303]"),
        (
            &["--filter", "nothing"],
            2,
            "available Scores: greeting, farewell",
        ),
        (&["--filter", "[x"], 2, "error[H0004]"),
        (&["--topology", "moon"], 2, "use one of: directory"),
        (&["--topology", "moon", "--json"], 2, ""),
        (
            &["--no-such-option"],
            2,
            "unexpected argument '--no-such-option'",
        ),
        (&["explain", "H9999"], 2, "error[H0002]"),
        (&["--topology", "directory", "list"], 0, ""),
    ];
    for (args, code, stderr) in table {
        let ended = ended(&directory, args);
        assert_eq!(ended.code, Some(*code), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(stderr), "{args:?}: {ended:?}");
    }
    assert!(!directory.path().join("state/nothing").exists());
}

#[test]
fn a_usage_error_with_json_is_a_result_document() {
    let directory = tempdir().expect("a directory");
    let ended = ended(&directory, &["--topology", "moon", "--json"]);
    let documents = documents(&ended.stdout);
    assert_eq!(documents.len(), 1);
    assert_eq!(
        (&documents[0]["status"], &documents[0]["exitCode"]),
        (&"usage".into(), &2.into())
    );
    assert_eq!(documents[0]["error"]["code"], "H0003");
}

#[test]
fn a_filter_runs_only_what_it_names() {
    let directory = tempdir().expect("a directory");
    let filtered = ended(&directory, &["--filter", "fare*"]);
    assert_eq!(filtered.code, Some(0), "{filtered:?}");
    assert!(directory.path().join("state/farewell").exists());
    assert!(!directory.path().join("state/greeting").exists());

    assert_eq!(ended(&directory, &["list"]).stdout, "greeting\nfarewell\n");
    assert_eq!(
        ended(&directory, &["list", "--filter", "g*"]).stdout,
        "greeting\n"
    );
    let json = documents(&ended(&directory, &["list", "--json"]).stdout);
    assert_eq!(
        json[0]["scores"],
        serde_json::json!(["greeting", "farewell"])
    );
}

#[test]
fn deletions_are_refused_where_nobody_can_be_asked_unless_agreed_to_beforehand() {
    let directory = tempdir().expect("a directory");
    let old = directory.path().join("state/old");
    fs::create_dir(directory.path().join("state")).expect("a directory");
    fs::write(&old, "").expect("a file");
    for args in [&["--also", "ask"][..], &["--also", "ask", "--json"]] {
        let refused = ended(&directory, args);
        assert_eq!(refused.code, Some(3), "{refused:?}");
        assert!((refused.stderr + &refused.stdout).contains("--yes"));
        assert!(old.exists());
    }
    let plan = ended(&directory, &["plan", "--also", "ask"]);
    assert!(
        plan.stdout
            .contains(&format!("  - delete file {}", old.display())),
        "{plan:?}"
    );
    assert!(old.exists());

    let agreed = ended(&directory, &["--also", "ask", "--yes"]);
    assert_eq!(agreed.code, Some(0), "{agreed:?}");
    assert!(!old.exists());
}

#[test]
fn an_interrupted_run_ends_in_good_order_and_says_that_it_can_continue() {
    for signal in [Signal::INT, Signal::TERM] {
        let directory = tempdir().expect("a directory");
        let running = Running::start(with(&directory, &["--also", "hang"]));
        running.wait_for("wait for what never comes");
        running.signal(signal);
        let (code, stderr) = running.end();
        assert_eq!(code, Some(130), "{stderr}");
        assert!(stderr.contains("error[H0001]: cancelled"), "{stderr}");
        assert!(
            stderr.contains("run the same command again to continue"),
            "{stderr}"
        );
    }
}

#[test]
fn a_second_interrupt_ends_a_run_that_does_not_stop_by_itself() {
    let directory = tempdir().expect("a directory");
    let running = Running::start(with(&directory, &["--also", "stuck"]));
    running.wait_for("pay no attention");
    running.signal(Signal::INT);
    running.wait_for("press Ctrl-C again");
    running.signal(Signal::INT);
    assert_eq!(running.end().0, Some(130));
}

#[test]
fn help_is_that_of_the_binary_with_the_options_of_a_run() {
    let directory = tempdir().expect("a directory");
    let help = ended(&directory, &["--help"]);
    assert_eq!(help.code, Some(0));
    assert!(
        help.stdout
            .starts_with("Keep a few files up to date (a demonstration)\n"),
        "{}",
        help.stdout
    );
    for text in [
        "--greeting",
        "--filter <GLOB>",
        "completions",
        "Examples",
        "Exit codes: 0 success",
    ] {
        assert!(help.stdout.contains(text), "{text}: {}", help.stdout);
    }
    let script = ended(&directory, &["completions", "bash"]);
    assert!(
        script.stdout.contains("--greeting") && script.stdout.contains("--filter"),
        "{script:?}"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let directory = tempdir().expect("a directory");
    let program = demo(&directory);
    let mut shell = Command::new("bash");
    let line = format!(
        "set -o pipefail; {} explain H0301 | true; exit $?",
        program.get_program().display()
    );
    shell.args(["-c", &line]);
    assert_eq!(run(shell).code, Some(0));
}
