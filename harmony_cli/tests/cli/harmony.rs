//! The `harmony` command, with plugins of its own on `PATH`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tempfile::{TempDir, tempdir};

use crate::process::{Ended, harmony, run};

/// Shell scripts as plugins.
fn plugins() -> TempDir {
    let directory = tempdir().expect("a directory");
    let scripts = [
        (
            "harmony-fleet",
            "if [ \"$1\" = --help ]; then echo 'See and reach devices.'; echo more; else echo \"got $*\"; exit 7; fi",
        ),
        // not a `harmony-*` command of the list: found by the name of the app
        ("hello-deploy", "echo \"hello got $*\"; exit 6"),
        ("harmony-broken", "exit 3"),
        ("harmony-silent", "true"),
        ("harmony-slow", "exec sleep 60"),
        (
            "harmony-noisy",
            "echo; echo '  \u{1b}[1mMakes noise\u{1b}[0m'; exec yes",
        ),
    ];
    for (name, body) in scripts {
        let path = directory.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    directory
}

fn ended(plugins: &TempDir, args: &[&str]) -> Ended {
    let mut command: Command = harmony(plugins);
    let path = format!("{}:/usr/bin:/bin", plugins.path().display());
    run({
        command.args(args).env("PATH", path);
        command
    })
}

#[test]
fn it_lists_what_each_command_says_and_which_say_nothing() {
    let plugins = plugins();
    let list = ended(&plugins, &["list"]);
    assert_eq!(list.code, Some(0), "{list:?}");
    assert_eq!(
        list.stdout,
        "  \
  broken  (broken: --help exited with exit status: 3)
  fleet   See and reach devices
  noisy   Makes noise
  silent  (broken: --help prints nothing)
  slow    (broken: no answer to --help within 3 s)
"
    );
    for args in [&[][..], &["--help"], &["help"]] {
        let help = ended(&plugins, args);
        assert_eq!(help.code, Some(0), "{help:?}");
        assert!(
            help.stdout.contains("  fleet   See and reach devices\n"),
            "{help:?}"
        );
        assert!(help.stdout.contains("Usage: harmony"), "{help:?}");
    }
}

#[test]
fn it_becomes_the_command_that_is_asked_for() {
    let plugins = plugins();
    let fleet = ended(&plugins, &["fleet", "devices", "--json", "--", "x y"]);
    assert_eq!(
        (fleet.code, fleet.stdout.as_str()),
        (Some(7), "got devices --json -- x y\n")
    );
}

#[test]
fn deploy_and_release_find_the_program_of_an_app() {
    let plugins = plugins();
    let deploy = ended(&plugins, &["deploy", "hello", "--yes", "--list"]);
    assert_eq!(
        (deploy.code, deploy.stdout.as_str()),
        (Some(6), "hello got --yes --list\n")
    );
    let release = ended(&plugins, &["release", "hello-web-v0.1.0", "--dry-run"]);
    assert_eq!(
        (release.code, release.stdout.as_str()),
        (
            Some(6),
            "hello got --release --from-tag hello-web-v0.1.0 --dry-run\n"
        )
    );
    let unknown = ended(&plugins, &["deploy", "nothing"]);
    assert!(unknown.stderr.contains("H0010"), "{unknown:?}");
    assert!(unknown.stderr.contains("nothing-deploy"), "{unknown:?}");
    let wrong = ended(&plugins, &["release", "hello"]);
    assert!(wrong.stderr.contains("H0011"), "{wrong:?}");
}

#[test]
fn an_unknown_command_is_a_usage_error_with_the_nearest_names() {
    let plugins = plugins();
    let unknown = ended(&plugins, &["flete"]);
    assert_eq!(unknown.code, Some(2));
    assert!(
        unknown.stderr.contains("did you mean: fleet?"),
        "{unknown:?}"
    );
    let alone = tempdir().expect("a directory");
    let none = ended(&alone, &["list"]);
    assert_eq!(none.stdout, "  no harmony-* commands found on PATH\n");
}

#[test]
fn it_explains_codes_and_completes_itself() {
    let plugins = plugins();
    let page = ended(&plugins, &["explain", "h301"]);
    assert!(
        page.stdout
            .starts_with("H0301: the image does not exist\n\n"),
        "{page:?}"
    );
    assert_eq!(ended(&plugins, &["explain", "nonsense"]).code, Some(2));
    let script = ended(&plugins, &["completions", "zsh"]);
    assert!(
        script.stdout.contains("explain") && script.stdout.contains("fleet"),
        "{script:?}"
    );
}
