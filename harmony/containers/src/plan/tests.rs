use harmony_core::image::{ImageRecipe, LayerKind};

use super::*;
use crate::testing::{context, directory, file, link, recipe};

fn plan(recipe: &ImageRecipe) -> Result<ImagePlan, BuildError> {
    ImagePlan::new(recipe, &context(recipe.clone()), "registry.test/app:1.0.0")
}

fn paths(layer: &PlannedLayer) -> Vec<(&str, u32)> {
    layer
        .entries
        .iter()
        .map(|entry| (entry.path.as_str(), entry.mode))
        .collect()
}

fn refusal(recipe: &ImageRecipe) -> String {
    let BuildError::Recipe { reason, help, .. } = plan(recipe).expect_err("the recipe is refused")
    else {
        panic!("another kind of error");
    };
    assert!(!help.is_empty());
    reason
}

#[test]
fn parents_are_added_and_sorted_before_their_children() {
    let planned = plan(&recipe(vec![(
        LayerKind::Binary,
        vec![
            file("/usr/local/bin/app", "x", 0o755),
            file("/usr/local-x", "x", 0o644),
            file("/etc/passwd", "x", 0o644),
        ],
    )]))
    .unwrap();
    assert_eq!(
        paths(&planned.layers[0]),
        [
            ("etc", 0o755),
            ("etc/passwd", 0o644),
            ("usr", 0o755),
            ("usr/local", 0o755),
            ("usr/local-x", 0o644),
            ("usr/local/bin", 0o755),
            ("usr/local/bin/app", 0o755),
        ]
    );
}

#[test]
fn a_later_layer_does_not_repeat_the_directories_below_it() {
    let planned = plan(&recipe(vec![
        (LayerKind::Assets, vec![directory("/tmp", 0o1777)]),
        (LayerKind::Binary, vec![file("/tmp/app", "x", 0o755)]),
    ]))
    .unwrap();
    assert_eq!(paths(&planned.layers[0]), [("tmp", 0o1777)]);
    assert_eq!(paths(&planned.layers[1]), [("tmp/app", 0o755)]);
}

#[test]
fn the_working_directory_exists() {
    let mut recipe = recipe(vec![(LayerKind::Binary, vec![file("/app", "x", 0o755)])]);
    recipe.working_dir = "/var/lib/app".into();
    let planned = plan(&recipe).unwrap();
    assert_eq!(
        paths(&planned.layers[0]),
        [
            ("app", 0o755),
            ("var", 0o755),
            ("var/lib", 0o755),
            ("var/lib/app", 0o755)
        ]
    );
    recipe.working_dir = "/app".into();
    assert_eq!(refusal(&recipe), "its working directory `/app` is a file");
}

#[test]
fn a_path_is_set_unless_the_recipe_sets_one() {
    let mut recipe = recipe(vec![(LayerKind::Binary, vec![file("/app", "x", 0o755)])]);
    assert_eq!(plan(&recipe).unwrap().run.env["PATH"], DEFAULT_PATH);
    recipe.env.insert("PATH".into(), "/app".into());
    assert_eq!(plan(&recipe).unwrap().run.env["PATH"], "/app");
}

#[test]
fn the_same_entry_twice_is_one() {
    let planned = plan(&recipe(vec![
        (LayerKind::Assets, vec![directory("/data", 0o700)]),
        (
            LayerKind::Binary,
            vec![directory("/data", 0o700), file("/data/x", "x", 0o644)],
        ),
    ]))
    .unwrap();
    assert_eq!(paths(&planned.layers[1]), [("data/x", 0o644)]);
}

#[test]
fn recipes_that_cannot_be_are_refused() {
    let cases = [
        (
            vec![file("app", "", 0o644)],
            "`app` is not an absolute path of a file",
        ),
        (
            vec![file("/", "", 0o644)],
            "`/` is not an absolute path of a file",
        ),
        (
            vec![file("", "", 0o644)],
            "`` is not an absolute path of a file",
        ),
        (
            vec![file("/a//b", "", 0o644)],
            "the path `/a//b` has the invalid component ``",
        ),
        (
            vec![file("/a/", "", 0o644)],
            "the path `/a/` has the invalid component ``",
        ),
        (
            vec![file("/a/../b", "", 0o644)],
            "the path `/a/../b` has the invalid component `..`",
        ),
        (
            vec![file("/./b", "", 0o644)],
            "the path `/./b` has the invalid component `.`",
        ),
        (
            vec![file("/a\0b", "", 0o644)],
            "`/a\\0b` is not a possible path of a file",
        ),
        (
            vec![file("/a/.wh.b", "", 0o644)],
            "the name `.wh.b` marks a deletion in an image layer",
        ),
        (
            vec![file("/a", "", 0o100_644)],
            "`/a` has the mode 100644, which contains more than permission bits",
        ),
        (
            vec![file("/a", "1", 0o644), file("/a", "2", 0o644)],
            "`/a` is listed twice, with different content",
        ),
        (
            vec![file("/a", "", 0o644), file("/a/b", "", 0o644)],
            "`/a/b` is in `/a`, which is not a directory",
        ),
        (
            vec![link("/lib", "usr/lib"), file("/lib/b", "", 0o644)],
            "`/lib/b` is in `/lib`, which is not a directory",
        ),
        (
            vec![link("/a", "")],
            "the target of the link `/a` is not valid",
        ),
    ];
    for (files, reason) in cases {
        assert_eq!(refusal(&recipe(vec![(LayerKind::Assets, files)])), reason);
    }
    let long = format!("/{}", "n".repeat(256));
    assert!(
        refusal(&recipe(vec![(
            LayerKind::Assets,
            vec![file(&long, "", 0o644)]
        )]))
        .ends_with("is longer than 255 bytes")
    );
}

#[test]
fn a_directory_may_not_come_after_its_files() {
    let recipe = recipe(vec![
        (LayerKind::Assets, vec![file("/data/x", "x", 0o644)]),
        (LayerKind::Binary, vec![directory("/data", 0o700)]),
    ]);
    assert_eq!(
        refusal(&recipe),
        "`/data` is in a later layer than its content"
    );
}

#[test]
fn how_it_runs_is_checked() {
    let base = recipe(vec![(LayerKind::Binary, vec![file("/app", "x", 0o755)])]);
    assert_eq!(refusal(&recipe(Vec::new())), "it has no files");
    let mut without_program = base.clone();
    without_program.entrypoint.clear();
    assert_eq!(
        refusal(&without_program),
        "it has neither entrypoint nor command"
    );
    for name in ["", "A=B", "A B", "A\nB"] {
        let mut bad = base.clone();
        bad.env.insert(name.into(), String::new());
        assert!(refusal(&bad).contains("is not valid"), "{name:?}");
    }
    let mut relative = base.clone();
    relative.working_dir = "var".into();
    assert_eq!(
        refusal(&relative),
        "`var` is not an absolute path of a file"
    );
    let mut moving = base;
    moving.base = Base::Image(harmony_types::ImageRef::parse("registry.test/base:1").unwrap());
    assert_eq!(
        refusal(&moving),
        "its base `registry.test/base:1` can change: it has no digest"
    );
}
