//! Two checkouts of one commit, in different directories, with different cargo homes, target directories and
//! variables, become the same image.
//!
//! This file is its own child: with `REPRODUCIBLE_PROJECT` set it builds that project, for the variables of a build
//! are those of its process.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a test without a harness fails and reports by itself"
)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use harmony_containers::{NativeBuilder, RustBinary};
use harmony_core::Context;
use harmony_core::capability::container_builder::ContainerBuilder;
use harmony_core::image::{BuildContext, ImageSource};
use harmony_core::inventory::Platform;
use harmony_types::ImageRef;

const PROJECT: &str = "REPRODUCIBLE_PROJECT";
const PACKAGE: &str = "REPRODUCIBLE_PACKAGE";

fn main() {
    match (env::var_os(PROJECT), env::var(PACKAGE)) {
        (Some(project), Ok(package)) => println!("{}", build(Path::new(&project), package)),
        _ => two_checkouts_are_one_image(),
    }
}

fn two_checkouts_are_one_image() {
    let work = tempfile::tempdir().expect("a temporary directory");
    let home = |name: &str| work.path().join(name);

    let one = work.path().join("one");
    write_project(&one);
    let first = Command::new(env::current_exe().expect("this test has a path"))
        .env(PROJECT, &one)
        .env(PACKAGE, "app")
        .env("CARGO_HOME", home("home"))
        .env("CARGO_TARGET_DIR", work.path().join("out"))
        .output_text();

    // Elsewhere, deeper, with a space, with a target directory inside, and with a shell that wants other code.
    let two = work.path().join("somewhere else/quite/deep/two");
    write_project(&two);
    let second = Command::new(env::current_exe().expect("this test has a path"))
        .env(PROJECT, &two)
        .env(PACKAGE, "app")
        .env("CARGO_HOME", home("another cargo home"))
        .env_remove("CARGO_TARGET_DIR")
        .env("RUSTFLAGS", "-Cdebug-assertions=yes -Copt-level=0")
        .env("CFLAGS", "-O0 -DEXTRA=1")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "2")
        .output_text();
    assert_eq!(first, second);

    let binary = fs::read(
        two.join("target")
            .join(Platform::current().rust_target())
            .join("release/app"),
    )
    .expect("the binary is there");
    let has = |text: &str| {
        binary
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    for path in [
        "src/main.rs",
        "/cargo/registry/semver-",
        "/target/",
        "/workspace/src/place.c",
    ] {
        assert!(has(path), "the binary tells the place `{path}`");
    }
    let here = work.path().to_str().expect("the path is UTF-8");
    assert!(!has(here), "the binary tells where it was built");
    let run = Command::new(
        two.join("target")
            .join(Platform::current().rust_target())
            .join("release/app"),
    )
    .arg("localhost:1")
    .output()
    .expect("the program runs");
    let printed = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(
        printed.contains("127.0.0.1") || printed.contains("[::1]"),
        "{printed}"
    );
    println!("the same image twice: {}", first.trim());
}

trait OutputText {
    fn output_text(&mut self) -> String;
}

impl OutputText for Command {
    fn output_text(&mut self) -> String {
        let output = self
            .stderr(Stdio::inherit())
            .output()
            .expect("the child starts");
        assert!(output.status.success(), "a build failed");
        String::from_utf8(output.stdout).expect("a digest is text")
    }
}

/// A package with everything that takes paths into a binary: its own code, a crate's, generated code, and C.
fn write_project(root: &Path) {
    let files = [
        (
            "Cargo.toml",
            "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
             [dependencies]\nsemver = \"=1.0.27\"\n[build-dependencies]\ncc = \"=1.2.40\"\n[workspace]\n",
        ),
        (
            "build.rs",
            "fn main() {\n    let root = std::env::var(\"CARGO_MANIFEST_DIR\").unwrap();\n\
             cc::Build::new().file(format!(\"{root}/src/place.c\")).compile(\"place\");\n\
             let out = std::env::var(\"OUT_DIR\").unwrap();\n\
             std::fs::write(format!(\"{out}/made.rs\"), \"pub fn made(n: usize) -> usize { [1, 2, 3][n] }\").unwrap();\n}\n",
        ),
        (
            "src/place.c",
            "#include <assert.h>\nconst char *place(int n) { assert(n >= 0); return __FILE__; }\n",
        ),
        (
            "src/main.rs",
            "use std::net::ToSocketAddrs;\n\
             mod made { include!(concat!(env!(\"OUT_DIR\"), \"/made.rs\")); }\n\
             extern \"C\" { fn place(n: i32) -> *const std::ffi::c_char; }\n\
             fn main() {\n\
             let name = std::env::args().nth(1).unwrap();\n\
             println!(\"{:?}\", name.to_socket_addrs().unwrap().next());\n\
             let n = std::env::args().count();\n\
             println!(\"{:?} {}\", unsafe { std::ffi::CStr::from_ptr(place(n as i32)) }, made::made(n - 2));\n\
             println!(\"{:?}\", semver::VersionReq::parse(&name).is_ok());\n}\n",
        ),
    ];
    for (path, content) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a file has a folder"))
            .expect("the folder is made");
        fs::write(path, content).expect("the file is written");
    }
    let locked = Command::new("cargo")
        .args(["generate-lockfile", "--quiet"])
        .current_dir(root)
        .status()
        .expect("cargo runs");
    assert!(
        locked.success(),
        "cargo finds the crates: it needs its registry"
    );
}

/// The digest of the image.
fn build(project: &Path, package: String) -> String {
    let cache = tempfile::tempdir().expect("a temporary directory");
    let context = BuildContext {
        project_root: PathBuf::from(project),
        source: ImageSource::Buildable(Arc::new(RustBinary::new(package))),
        platform: Platform::current(),
        created: 1_700_000_000,
        labels: BTreeMap::new(),
    };
    let image = ImageRef::parse("registry.test/app:1.0.0").expect("the reference is valid");
    let builder = NativeBuilder::new(Context::new(), cache.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let built = runtime.block_on(builder.build(&context, &image));
    match built {
        Ok(built) => built.digest().expect("it was built").to_string(),
        Err(error) => panic!(
            "{error}\n{}",
            harmony_core::Diagnostic::evidence(&error).join("\n")
        ),
    }
}
