use std::collections::BTreeMap;
use std::process::Command;

use harmony_core::image::{FileEntry, ImageRecipe, LayerKind};

use super::*;
use crate::testing::{context, file, recipe};

fn key(recipe: &ImageRecipe) -> Option<Digest> {
    let plan = ImagePlan::new(recipe, &context(recipe.clone()), "app").unwrap();
    of_build(
        "native",
        &plan,
        &recipe.host_steps,
        &CancellationToken::new(),
    )
    .unwrap()
}

fn run(directory: &Path, command: &str) {
    let status = Command::new("sh")
        .args(["-ec", command])
        .current_dir(directory)
        .status()
        .unwrap();
    assert!(status.success(), "{command}");
}

fn repository() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    run(
        directory.path(),
        "git init -q . && echo ignored > .gitignore && echo 1 > a && mkdir sub && echo 1 > sub/b \
         && git add . && git -c user.name=t -c user.email=t@t commit -qm first",
    );
    directory
}

#[test]
fn every_change_of_a_tree_changes_its_state_and_undoing_it_restores_it() {
    let directory = repository();
    let clean = tree_state(directory.path()).expect("a repository has a state");
    for (change, undo) in [
        ("echo 2 > a", "git checkout -q a"),
        ("chmod +x a", "chmod -x a"),
        ("rm a", "git checkout -q a"),
        ("echo new > 'n e w'", "rm 'n e w'"),
        ("ln -s a link", "rm link"),
        ("echo 2 > a && git add a", "git reset -q --hard"),
        ("echo 2 > sub/b", "git checkout -q sub/b"),
    ] {
        run(directory.path(), change);
        assert_ne!(tree_state(directory.path()).unwrap(), clean, "{change}");
        run(directory.path(), undo);
        assert_eq!(tree_state(directory.path()).unwrap(), clean, "{undo}");
    }
    run(directory.path(), "echo x > ignored");
    assert_eq!(tree_state(directory.path()).unwrap(), clean);
    run(directory.path(), "echo 2 > a");
    let two = tree_state(directory.path()).unwrap();
    run(directory.path(), "echo 3 > a");
    assert_ne!(tree_state(directory.path()).unwrap(), two);
}

#[test]
fn a_folder_of_a_repository_has_its_own_state() {
    let directory = repository();
    let sub = directory.path().join("sub");
    let clean = tree_state(&sub).unwrap();
    run(directory.path(), "echo 2 > a");
    assert_eq!(tree_state(&sub).unwrap(), clean);
    run(directory.path(), "echo 2 > sub/b");
    assert_ne!(tree_state(&sub).unwrap(), clean);
}

#[test]
fn without_a_repository_nothing_is_known() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(tree_state(directory.path()), None);
    run(directory.path(), "git init -q .");
    assert_eq!(tree_state(directory.path()), None);
}

#[test]
fn whatever_enters_the_image_enters_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let host = directory.path().join("file");
    fs::write(&host, "1").unwrap();
    let base = recipe(vec![(
        LayerKind::Binary,
        vec![
            file("/usr/local/bin/app", "x", 0o755),
            FileEntry {
                path: "/data".into(),
                source: FileSource::Host(host.clone()),
                mode: 0o644,
            },
        ],
    )]);
    let first = key(&base).unwrap();
    assert_eq!(key(&base).unwrap(), first);
    let edits: [fn(&mut ImageRecipe); 6] = [
        |recipe| recipe.cmd.push("x".into()),
        |recipe| recipe.entrypoint.push("x".into()),
        |recipe| recipe.env = BTreeMap::from([("A".into(), "B".into())]),
        |recipe| recipe.user = harmony_core::image::User::ROOT,
        |recipe| recipe.working_dir = "/x".into(),
        |recipe| recipe.layers[0].files[0].mode = 0o700,
    ];
    for (index, edit) in edits.into_iter().enumerate() {
        let mut changed = base.clone();
        edit(&mut changed);
        assert_ne!(key(&changed).unwrap(), first, "edit {index}");
    }
    fs::write(&host, "2").unwrap();
    assert_ne!(key(&base).unwrap(), first);
    fs::remove_file(&host).unwrap();
    assert_eq!(key(&base), None);
}

#[test]
fn values_do_not_run_into_each_other() {
    let hash = |values: &[&str]| {
        let mut all = Fingerprint::default();
        all.add_all(values);
        all.digest()
    };
    assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
    assert_ne!(hash(&[]), hash(&[""]));
}
