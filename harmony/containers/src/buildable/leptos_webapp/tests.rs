use std::fs;

use super::*;
use crate::testing::{context, recipe};

const MANIFEST: &str = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
    [package.metadata.leptos]\noutput-name = \"shop\"\nassets-dir = \"public\"\nstyle-file = \"style/main.css\"\n";

fn project(manifest: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for folder in ["src", "public/images"] {
        fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    fs::write(root.path().join("Cargo.toml"), manifest).unwrap();
    fs::write(root.path().join("src/main.rs"), "fn main() {}").unwrap();
    fs::write(root.path().join("public/images/logo.svg"), "").unwrap();
    root
}

fn found(root: &Path) -> CargoProject {
    CargoProject::find(root, "shop", "shop").unwrap()
}

fn build(root: &Path) -> BuildContext {
    BuildContext {
        project_root: root.to_owned(),
        ..context(recipe(Vec::new()))
    }
}

fn app(rendering: Rendering) -> LeptosWebapp {
    LeptosWebapp::new("shop", rendering)
}

#[test]
fn the_files_of_the_site_are_known_before_the_build() {
    let root = project(MANIFEST);
    let project = found(root.path());
    let settings = app(Rendering::Server).settings(&project).unwrap();
    assert_eq!(
        settings.generated(),
        ["pkg/shop.js", "pkg/shop.wasm", "pkg/shop.css"]
    );
    assert_eq!(assets(&project, &settings).unwrap(), ["images/logo.svg"]);
    assert_eq!(settings.variables()["LEPTOS_SITE_ROOT"], "/srv/site");
}

#[test]
fn settings_that_a_recipe_cannot_have_are_refused() {
    for manifest in [
        "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2024\"\n".to_owned(),
        format!("{MANIFEST}hash-files = true\n"),
    ] {
        let root = project(&manifest);
        let refused = app(Rendering::Server)
            .settings(&found(root.path()))
            .unwrap_err();
        assert!(matches!(refused, BuildError::Recipe { .. }), "{refused}");
    }
    let root = project(MANIFEST);
    let refused = app(Rendering::Browser)
        .recipe(&build(root.path()))
        .unwrap_err();
    assert!(refused.to_string().contains("trunk"), "{refused}");
}

#[test]
fn without_the_target_the_error_names_it_and_who_needs_none() {
    let root = project(MANIFEST);
    match app(Rendering::Server).recipe(&build(root.path())) {
        Err(BuildError::TargetMissing { target, able }) => {
            assert_eq!(target, "wasm32-unknown-unknown");
            assert_eq!(able.len(), 2);
        }
        // On a machine that has it.
        Ok(recipe) => assert_eq!(recipe.host_steps[0].program, "cargo-leptos"),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_dockerfiles_stay_as_they_are() {
    let root = project(MANIFEST);
    let text = |rendering| {
        let dockerfile = app(rendering).dockerfile(&build(root.path())).unwrap();
        dockerfile.unwrap().text
    };
    let server = text(Rendering::Server);
    for line in [
        "FROM docker.io/library/rust:1.95-bookworm AS build",
        "RUN rustup target add wasm32-unknown-unknown x86_64-unknown-linux-gnu",
        "ENV CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS=\"-Ctarget-feature=+crt-static\"",
        "    cargo leptos build --release --project shop \\",
        "USER 65532:65532",
        "ENTRYPOINT [\"/usr/local/bin/shop\"]",
    ] {
        assert!(
            server.lines().any(|found| found == line),
            "{line}\n{server}"
        );
    }
    let browser = text(Rendering::Browser);
    assert!(
        browser.contains("--page-fallback=/srv/site/index.html"),
        "{browser}"
    );
    let injected = LeptosWebapp::new("shop\nRUN evil", Rendering::Server);
    assert!(injected.dockerfile(&build(root.path())).is_err());
}
