//! Runs every command in `docs/guides/your-first-app.md`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use harmony::core::capability::KubernetesCluster;
use harmony_fleet_deploy::apps::workspace;
use harmony_fleet_e2e::stack::{namespace_object, topology};

/// A step of the guide.
#[derive(Debug, PartialEq)]
enum Step {
    /// Write this text to a file.
    Write(PathBuf, String),
    /// Run this command.
    Run(String),
}

/// The code blocks of the guide: `console` blocks contain commands, and other blocks start with a comment that contains
/// their file name.
fn steps(guide: &str) -> anyhow::Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```").filter(|kind| !kind.is_empty()) else {
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if kind == "console" {
            steps.extend(
                block
                    .iter()
                    .filter_map(|line| Some(Step::Run(line.strip_prefix("$ ")?.to_owned()))),
            );
        } else {
            let (first, rest) = block.split_first().context("an empty block")?;
            let file = first.trim_start_matches(['#', '/', ' ']);
            steps.push(Step::Write(file.into(), rest.join("\n") + "\n"));
        }
    }
    Ok(steps)
}

/// Runs a command of the guide, and returns its output.
fn type_line(line: &str, folder: &Path, harmony: &str) -> anyhow::Result<String> {
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env("HARMONY", harmony)
        // Shared, so that the test does not compile the framework again.
        .env("CARGO_TARGET_DIR", shared_target())
        .output()?;
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    anyhow::ensure!(
        output.status.success(),
        "`{line}`: {}\n{text}",
        output.status
    );
    Ok(text)
}

/// Lets the reader's folder use what is compiled already: the versions and the profiles of this workspace.
fn share_compiled_crates(folder: &Path) -> anyhow::Result<()> {
    std::fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    let manifest = std::fs::read_to_string(workspace().join("Cargo.toml"))?;
    let manifest: toml::Table = manifest.parse()?;
    let profiles = manifest
        .get("profile")
        .context("the workspace has profiles")?;
    let config = toml::Table::from_iter([("profile".to_owned(), profiles.clone())]);
    std::fs::create_dir_all(folder.join(".cargo"))?;
    std::fs::write(folder.join(".cargo/config.toml"), config.to_string())?;
    Ok(())
}

fn shared_target() -> &'static Path {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    scratch.parent().unwrap_or(scratch)
}

#[tokio::test]
async fn a_newcomer_gets_an_app_of_their_own_deployed_and_verified() -> anyhow::Result<()> {
    let cluster = topology().await?;
    let namespace = namespace_object(&"greeter".parse()?)?;
    cluster.delete(&namespace).await?;
    let guide = std::fs::read_to_string(workspace().join("docs/guides/your-first-app.md"))?;
    let folder = tempfile::tempdir()?;
    let harmony = workspace().display().to_string();
    let mut answers = Vec::new();
    share_compiled_crates(folder.path())?;
    for step in steps(&guide)? {
        match step {
            Step::Write(file, text) => {
                std::fs::write(folder.path().join(file), text.replace("$HARMONY", &harmony))?;
            }
            Step::Run(line) => {
                answers.push((line.clone(), type_line(&line, folder.path(), &harmony)?));
            }
        }
    }
    let of = |end: &str| {
        answers
            .iter()
            .find(|(line, _)| line.ends_with(end))
            .map(|(_, text)| text.clone())
            .unwrap_or_default()
    };
    // The rest of the output depends on earlier runs on this machine.
    let planned = [
        "image harmony.localhost:5000/greeter-web:0.1.0",
        "chart oci://harmony.localhost:5000/charts/greeter-web:0.1.0",
        "check  GET http://greeter-web:8080/ answers 200",
    ];
    for planned in planned {
        assert!(of("-- plan").contains(planned), "{}", of("-- plan"));
    }
    assert!(
        of("-p greeter-deploy").contains("answers 200"),
        "{}",
        of("-p greeter-deploy")
    );
    assert!(of("get pods").contains("Running"), "{}", of("get pods"));

    let again = type_line("cargo run -q -p greeter-deploy", folder.path(), &harmony)?;
    assert!(again.contains("no changes"), "{again}");
    cluster.delete(&namespace).await?;
    Ok(())
}

#[test]
fn blocks_are_told_apart() {
    let guide =
        "text\n```toml\n# a/Cargo.toml\nx = 1\n```\nmore\n```console\n$ one\noutput\n$ two\n```\n";
    let expected = [
        Step::Write("a/Cargo.toml".into(), "x = 1\n".into()),
        Step::Run("one".into()),
        Step::Run("two".into()),
    ];
    assert_eq!(steps(guide).unwrap(), expected);
}
