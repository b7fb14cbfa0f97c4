use std::fs;
use std::path::Path;
use std::sync::Arc;

use harmony_core::image::ImageSource;

use super::*;
use crate::testing::{context, recipe};

/// A cargo package without dependencies, in its own workspace.
fn package(root: &Path) {
    fs::create_dir_all(root.join("src")).unwrap();
    fs::write(
        root.join("Cargo.toml"),
        "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[features]\nextra = []\n[workspace]\n",
    )
    .unwrap();
    fs::write(
        root.join("Cargo.lock"),
        "version = 4\n\n[[package]]\nname = \"tiny\"\nversion = \"0.1.0\"\n",
    )
    .unwrap();
    fs::write(
        root.join("src/main.rs"),
        "fn main() { panic!(\"at the disco\") }\n",
    )
    .unwrap();
}

fn context_of(root: &Path, binary: &RustBinary) -> BuildContext {
    BuildContext {
        project_root: root.to_owned(),
        source: ImageSource::Buildable(Arc::new(binary.clone())),
        ..context(recipe(Vec::new()))
    }
}

#[test]
fn the_step_is_a_locked_static_release_build() {
    let directory = tempfile::tempdir().unwrap();
    package(directory.path());
    let binary = RustBinary::new("tiny")
        .with_features(["extra"])
        .without_default_features();
    let recipe = binary
        .recipe(&context_of(directory.path(), &binary))
        .unwrap();
    let [step] = &recipe.host_steps[..] else {
        panic!("{:?}", recipe.host_steps);
    };
    let args = step.args.join(" ");
    assert!(
        args.starts_with(
            "build --release --locked --package=tiny --bin=tiny --target=x86_64-unknown-linux-gnu --config="
        ),
        "{args}"
    );
    assert!(
        args.ends_with("--features=extra --no-default-features"),
        "{args}"
    );
    assert!(args.contains("+crt-static"), "{args}");
    assert!(step.outputs[0].ends_with("x86_64-unknown-linux-gnu/release/tiny"));
    assert!(step.inherited_env.contains("CARGO_HOME"));
    assert!(step.tools[0].starts_with("rustc "), "{:?}", step.tools);
    assert_eq!(step.env["SOURCE_DATE_EPOCH"], "315532800");
    assert_eq!(step.inputs, StepInputs::Tree(step.working_dir.clone()));
    assert_eq!(recipe.entrypoint, ["/usr/local/bin/tiny"]);
}

#[test]
fn names_that_look_like_arguments_reach_no_program() {
    let directory = tempfile::tempdir().unwrap();
    package(directory.path());
    let recipe = |binary: RustBinary| binary.recipe(&context_of(directory.path(), &binary));
    for name in ["--config=build.rustc='/tmp/x'", "-Zunstable", "--", ""] {
        for binary in [
            RustBinary::new(name),
            RustBinary::new("tiny").with_bin(name),
        ] {
            assert!(
                matches!(recipe(binary), Err(BuildError::Recipe { .. })),
                "{name}"
            );
        }
    }
    // The feature is part of one argument, so cargo treats it as the name of a feature.
    let binary = RustBinary::new("tiny").with_features(["--config=x"]);
    let args = recipe(binary).unwrap().host_steps[0].args.clone();
    assert!(args.contains(&"--features=--config=x".to_owned()));
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let directory = tempfile::tempdir().unwrap();
    package(directory.path());
    let refusal = |binary: RustBinary| match binary.recipe(&context_of(directory.path(), &binary)) {
        Err(BuildError::Recipe { reason, help, .. }) => format!("{reason}; {help}"),
        other => panic!("{other:?}"),
    };
    assert!(
        refusal(RustBinary::new("other"))
            .ends_with("has no package `other`; its packages are: tiny")
    );
    assert_eq!(
        refusal(RustBinary::new("tiny").with_bin("other")),
        "the package `tiny` has no binary `other`; select one of its binaries with `with_bin`: tiny"
    );
    let binary = RustBinary::new("tiny");
    let nowhere = binary.recipe(&context_of(Path::new("/no/such/project"), &binary));
    assert!(matches!(nowhere, Err(BuildError::File { .. })));
    let empty = tempfile::tempdir().unwrap();
    let no_manifest = binary.recipe(&context_of(empty.path(), &binary));
    assert!(
        matches!(no_manifest, Err(BuildError::HostStep { .. })),
        "{no_manifest:?}"
    );
}

#[test]
fn sources_outside_the_workspace_make_the_outcome_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let (app, library) = (
        directory.path().join("app"),
        directory.path().join("library"),
    );
    package(&app);
    fs::create_dir_all(library.join("src")).unwrap();
    fs::write(library.join("src/lib.rs"), "").unwrap();
    fs::write(
        library.join("Cargo.toml"),
        "[package]\nname = \"library\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    )
    .unwrap();
    let manifest = fs::read_to_string(app.join("Cargo.toml")).unwrap();
    let manifest = format!("{manifest}[dependencies]\nlibrary = {{ path = \"../library\" }}\n");
    fs::write(app.join("Cargo.toml"), manifest).unwrap();
    let binary = RustBinary::new("tiny");
    let recipe = binary.recipe(&context_of(&app, &binary)).unwrap();
    assert_eq!(recipe.host_steps[0].inputs, StepInputs::Unknown);
}
