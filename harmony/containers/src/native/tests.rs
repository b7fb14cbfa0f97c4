use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use harmony_core::diagnostic::Diagnostic;
use harmony_core::image::{
    FileEntry, FileSource, ImageLocation, ImageRecipe, LayerKind, StepInputs,
};

use super::*;
use crate::testing::{context, file, image, program, recipe};

/// A recipe with a step that copies `input` in `directory` to `output`.
fn copying(directory: &Path, inputs: StepInputs) -> ImageRecipe {
    let output = directory.join("output");
    let mut recipe = recipe(vec![(
        LayerKind::Binary,
        vec![
            program(),
            FileEntry {
                path: "/srv/output".into(),
                source: FileSource::Host(output.clone()),
                mode: 0o644,
            },
        ],
    )]);
    recipe.host_steps = vec![HostStep {
        label: "copy".into(),
        program: "sh".into(),
        args: vec!["-c".into(), "echo copying; cat input > output".into()],
        env: [].into(),
        inherited_env: BTreeSet::new(),
        tools: Vec::new(),
        portable: None,
        working_dir: directory.to_owned(),
        inputs,
        outputs: vec![output],
    }];
    recipe
}

fn sh(directory: &Path, command: &str) {
    let status = Command::new("sh")
        .args(["-ec", command])
        .current_dir(directory)
        .status()
        .unwrap();
    assert!(status.success(), "{command}");
}

#[tokio::test]
async fn a_plan_tells_the_digest_of_what_was_built_and_nothing_else() {
    let source = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    sh(
        source.path(),
        "git init -q . && echo output > .gitignore && echo 1 > input && git add . \
         && git -c user.name=t -c user.email=t@t commit -qm first",
    );
    let build_context = context(copying(
        source.path(),
        StepInputs::Tree(source.path().into()),
    ));
    let apply = NativeBuilder::new(Context::new(), cache.path().join("cache"));
    let plan = NativeBuilder::new(Context::new().planning(), cache.path().join("cache"));

    assert_eq!(
        plan.build(&build_context, &image()).await.unwrap(),
        Built::Predicted(None)
    );
    assert!(
        !cache.path().join("cache").exists(),
        "planning writes nothing"
    );
    assert!(
        !source.path().join("output").exists(),
        "planning runs nothing"
    );

    let built = apply.build(&build_context, &image()).await.unwrap();
    let predicted = plan.build(&build_context, &image()).await.unwrap();
    assert_eq!(predicted, Built::Predicted(built.digest().cloned()));

    sh(source.path(), "echo 2 > input");
    assert_eq!(
        plan.build(&build_context, &image()).await.unwrap(),
        Built::Predicted(None)
    );
    let changed = apply.build(&build_context, &image()).await.unwrap();
    assert_ne!(changed.digest(), built.digest());
    sh(source.path(), "echo 1 > input");
    let predicted = plan.build(&build_context, &image()).await.unwrap();
    assert_eq!(predicted, Built::Predicted(built.digest().cloned()));
}

#[tokio::test]
async fn what_cannot_be_known_is_not_predicted() {
    let source = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    fs::write(source.path().join("input"), "1").unwrap();
    for inputs in [StepInputs::Unknown, StepInputs::Tree(source.path().into())] {
        let build_context = context(copying(source.path(), inputs));
        let apply = NativeBuilder::new(Context::new(), cache.path());
        apply.build(&build_context, &image()).await.unwrap();
        let plan = NativeBuilder::new(Context::new().planning(), cache.path());
        assert_eq!(
            plan.build(&build_context, &image()).await.unwrap(),
            Built::Predicted(None)
        );
    }
}

#[tokio::test]
async fn a_dockerfile_is_refused_with_who_can() {
    let builder = NativeBuilder::new(Context::new(), "/no/cache");
    let mut build_context = context(recipe(Vec::new()));
    build_context.source = ImageSource::dockerfile("Dockerfile");
    let error = builder.build(&build_context, &image()).await.unwrap_err();
    assert!(matches!(
        error,
        BuildError::DockerfileUnsupported {
            builder: "native",
            ..
        }
    ));
    assert!(error.hints()[0].contains("DockerBuilder"));
}

#[tokio::test]
async fn a_base_image_is_refused_before_anything_runs() {
    let source = tempfile::tempdir().unwrap();
    let mut with_base = copying(source.path(), StepInputs::Unknown);
    let base = format!("registry.test/base@sha256:{}", "0".repeat(64));
    with_base.base = Base::Image(ImageRef::parse(base).unwrap());
    let builder = NativeBuilder::new(Context::new(), source.path().join("cache"));
    let error = builder
        .build(&context(with_base), &image())
        .await
        .unwrap_err();
    assert!(matches!(error, BuildError::Recipe { .. }));
    assert_eq!(fs::read_dir(source.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    let builder = NativeBuilder::new(Context::new(), directory.path().join("file/cache"));
    let recipe = recipe(vec![(LayerKind::Binary, vec![file("/app", "x", 0o755)])]);
    let error = builder.build(&context(recipe), &image()).await.unwrap_err();
    assert!(matches!(error, BuildError::CacheDir(_)), "{error}");
}

#[tokio::test]
async fn builders_that_share_a_cache_agree() {
    let cache = tempfile::tempdir().unwrap();
    let text = "many words of a program ".repeat(40_000);
    let recipe = recipe(vec![(
        LayerKind::Binary,
        vec![program(), file("/srv/text", &text, 0o644)],
    )]);
    let build_context = Arc::new(context(recipe.clone()));
    let builds = (0..8).map(|_| {
        let (builder, build_context) = (
            NativeBuilder::new(Context::new(), cache.path()),
            Arc::clone(&build_context),
        );
        tokio::spawn(async move { builder.build(&build_context, &image()).await })
    });
    let mut built = BTreeSet::new();
    for build in builds {
        let Built::Image(image) = build.await.unwrap().unwrap() else {
            panic!("nothing was built");
        };
        let ImageLocation::OciLayout(path) = image.location else {
            panic!("the image is not a layout");
        };
        harmony_oci::Image::open(&path).unwrap();
        built.insert(path);
    }
    assert_eq!(built.len(), 1);
    assert_eq!(fs::read_dir(cache.path().join("tmp")).unwrap().count(), 0);
}
