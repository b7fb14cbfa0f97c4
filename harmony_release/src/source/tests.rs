use std::fs;
use std::path::Path;
use std::process::Command as StdCommand;

use super::*;

/// git in a repository of the test, without the settings of the machine.
fn git_in(root: &Path, arguments: &[&str]) {
    let output = StdCommand::new("git")
        .arg("-C")
        .arg(root)
        .args([
            "-c",
            "user.name=Test",
            "-c",
            "user.email=test@example.com",
            "-c",
            "commit.gpgsign=false",
        ])
        .args(arguments)
        .env("GIT_COMMITTER_DATE", "2024-02-29T12:00:00Z")
        .env("GIT_AUTHOR_DATE", "2024-02-29T12:00:00Z")
        .output()
        .expect("git is installed: `apt-get install git`");
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
}

fn repository() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    git_in(root.path(), &["init", "--quiet"]);
    root
}

#[tokio::test]
async fn a_clean_tree_is_its_commit() {
    let root = repository();
    fs::write(root.path().join("a"), "1").unwrap();
    git_in(root.path(), &["add", "."]);
    git_in(root.path(), &["commit", "--quiet", "-m", "first"]);
    let source = Source::read(root.path()).await.unwrap();
    assert_eq!(source.created, 1_709_208_000);
    assert_eq!(source.dirty, Vec::<String>::new());
    assert_eq!(source.commit.as_str().len(), 40);

    git_in(root.path(), &["tag", "-a", "-m", "x", "shop-web-v1.0.0"]);
    let tagged = Source::tagged(root.path(), "shop-web-v1.0.0")
        .await
        .unwrap();
    assert_eq!(
        tagged,
        Some(source.commit),
        "an annotated tag stands for its commit"
    );
    assert_eq!(
        Source::tagged(root.path(), "shop-web-v2.0.0")
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn every_kind_of_difference_is_listed() {
    let root = repository();
    for name in ["changed", "removed"] {
        fs::write(root.path().join(name), "1").unwrap();
    }
    fs::write(root.path().join(".gitignore"), "ignored\n").unwrap();
    git_in(root.path(), &["add", "."]);
    git_in(root.path(), &["commit", "--quiet", "-m", "first"]);
    fs::write(root.path().join("changed"), "2").unwrap();
    fs::remove_file(root.path().join("removed")).unwrap();
    fs::write(root.path().join("new"), "").unwrap();
    fs::write(root.path().join("ignored"), "").unwrap();
    let source = Source::read(root.path()).await.unwrap();
    assert_eq!(source.dirty, [" M changed", " D removed", "?? new"]);
}

#[tokio::test]
async fn what_is_no_commit_is_told_apart() {
    let empty = repository();
    let error = Source::read(empty.path()).await.unwrap_err();
    assert!(matches!(error, SourceError::NoCommit { .. }), "{error:?}");

    let outside = tempfile::tempdir().unwrap();
    let error = Source::read(outside.path()).await.unwrap_err();
    assert!(
        matches!(error, SourceError::NotARepository { .. }),
        "{error:?}"
    );

    let missing = outside.path().join("missing");
    let error = Source::read(&missing).await.unwrap_err();
    assert!(matches!(error, SourceError::Git { .. }), "{error:?}");
}
