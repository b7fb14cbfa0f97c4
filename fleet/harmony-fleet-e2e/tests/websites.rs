//! Tests the images of websites: built, released, and served by the local node.
//!
//! The compilers of a Leptos app cannot be had without rustup and GitHub. So the Dockerfiles of `LeptosWebapp` run in
//! BuildKit as they are, in an image in which `cargo`, `rustup` and `trunk` are stand-ins that check how they are called.

#[path = "../../../harmony/containers/tests/peers/buildkit_daemon.rs"]
#[allow(dead_code, reason = "the tests of the builders use all of it")]
mod buildkit_daemon;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::Context as _;
use buildkit_daemon::BuildKitDaemon;
use harmony::Context;
use harmony::configuration::{BuilderChoice, DeliveryChoice};
use harmony::containers::{LeptosWebapp, NativeBuilder, Prebuilt, Rendering, Runtime, StaticSite};
use harmony::core::capability::{ContainerBuilder, OciRegistry};
use harmony::core::image::{BuildContext, Buildable, FileEntry, FileSource, ImageSource, User};
use harmony::core::inventory::Platform as Machine;
use harmony::core::verify::ServicePort;
use harmony::prelude::*;
use harmony::release::VersionSource;
use harmony::types::{ImageRef, Namespace, ReleaseUnit};
use harmony_fleet_e2e::released::{PULL_SECRET, ReleaseRig};
use harmony_fleet_e2e::stack::{discard, in_order, new_namespace, topology};
use harmony_registry::testing::{Protection, RegistryPeer};
use harmony_registry::{Environment, OciRegistryClient, RegistrySettings};

const NAME: &str = "test-site";

/// A repository with these files.
fn project(files: &[(&str, &str)]) -> anyhow::Result<tempfile::TempDir> {
    let root = tempfile::tempdir()?;
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        fs::write(path, text)?;
    }
    let identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
    for args in [
        &["init", "--quiet"][..],
        &["add", "."],
        &["commit", "--quiet", "-m", "a site"],
    ] {
        let mut git = Command::new("git");
        git.arg("-C").arg(root.path()).args(identity).args(args);
        anyhow::ensure!(git.status()?.success(), "{git:?}");
    }
    Ok(root)
}

/// A page of the app, and what it contains.
fn page(path: &str, status: u16, contains: &str) -> anyhow::Result<SmokeCheck> {
    Ok(SmokeCheck::Http {
        service: ServicePort {
            service: NAME.parse()?,
            port: StaticSite::PORT,
        },
        path: path.into(),
        status,
        contains: Some(contains.into()),
    })
}

/// Releases the site with this builder, deploys the release, and looks at the pages.
async fn serve(
    rig: &ReleaseRig,
    builder: BuilderChoice,
    namespace: &Namespace,
    site: (&Path, &str, ImageSource),
    pages: &[SmokeCheck],
) -> anyhow::Result<()> {
    let (root, version, image) = site;
    let server = HttpServer {
        pull_secret: Some(PULL_SECRET.parse()?),
        ..HttpServer::on(StaticSite::PORT)
    };
    let unit = ReleaseUnit::new("test".parse()?, "site".parse()?)?;
    let mut app = AppSpec {
        version: VersionSource::Fixed(version.parse()?),
        ..AppSpec::image_only(unit, root.to_path_buf(), image).serving(server)
    };
    app.smoke = pages.iter().cloned().fold(app.smoke, Checks::and);
    let app = Arc::new(app);
    let target = DeployTarget::namespace(namespace.clone());
    let scores = scores![ReleaseScore::of(&app), DeployScore::of(&app, target)];
    let outcome = in_order(scores, &rig.production(builder, DeliveryChoice::Direct)).await;
    let outcome = outcome.map_err(|report| anyhow::anyhow!("{report:#?}"))?;
    assert_eq!(outcome.checks.len(), pages.len() + 1, "{outcome:#?}");
    Ok(())
}

#[tokio::test]
#[ignore = "compiles static-web-server, which takes minutes the first time"]
async fn a_static_site_is_built_by_two_builders_and_served() -> anyhow::Result<()> {
    topology().await?;
    let rig = ReleaseRig::start().await?;
    let buildkit = BuildKitDaemon::start();
    let namespace = new_namespace()?;
    rig.let_pull(&namespace).await?;
    let files = project(&[
        ("dist/index.html", "the first page"),
        ("dist/css/site.css", "body {}"),
        ("dist/404.html", "nothing here"),
    ])?;
    let site = StaticSite::new("dist", harmony::dirs::cache().join("crates"));
    let routed = site.clone().with_routes_in_browser();
    let css = page("/css/site.css", 200, "body {}")?;
    for (version, builder, site, elsewhere) in [
        (
            "1.0.0",
            BuilderChoice::Native,
            site,
            page("/nowhere", 404, "nothing here")?,
        ),
        (
            "1.0.1",
            BuilderChoice::BuildKit(buildkit.endpoint()),
            routed,
            page("/a/route/of/the/app", 200, "the first page")?,
        ),
    ] {
        let pages = [page("/", 200, "the first page")?, css.clone(), elsewhere];
        let image = ImageSource::Buildable(Arc::new(site));
        let site = (files.path(), version, image);
        serve(&rig, builder, &namespace, site, &pages).await?;
    }
    discard(&namespace)
}

#[tokio::test]
async fn the_dockerfiles_of_a_leptos_app_are_built_and_served() -> anyhow::Result<()> {
    topology().await?;
    let rig = ReleaseRig::start().await?;
    let buildkit = BuildKitDaemon::start();
    let namespace = new_namespace()?;
    rig.let_pull(&namespace).await?;
    let compilers = Compilers::publish().await?;
    let manifest = "[package]\nname = \"shop\"\nversion = \"0.1.0\"\n";
    let project = project(&[
        ("Cargo.toml", manifest),
        ("index.html", "the app"),
        ("target/old", "not copied"),
    ])?;
    for (version, rendering, pages) in [
        (
            "1.0.0",
            Rendering::Server,
            [
                page("/", 200, "rendered by shop")?,
                page("/pkg/shop.js", 200, "the code")?,
            ],
        ),
        (
            "1.0.1",
            Rendering::Browser,
            [
                page("/index.html", 200, "the app")?,
                page("/", 200, "--page-fallback=/srv/site/index.html")?,
            ],
        ),
    ] {
        let app = LeptosWebapp::new("shop", rendering).with_compiler(compilers.image.clone());
        let image = ImageSource::Buildable(Arc::new(app));
        let builder = BuilderChoice::BuildKit(buildkit.endpoint());
        let site = (project.path(), version, image);
        serve(&rig, builder, &namespace, site, &pages).await?;
    }
    discard(&namespace)
}

/// The image with the compilers, in a registry from which BuildKit pulls it.
struct Compilers {
    image: ImageRef,
    _registry: RegistryPeer,
}

/// What is called in the Dockerfiles, with the arguments that it must have.
const CARGO: &str = r#"#!/bin/sh
set -eu
case "$1 $2" in
"install --locked")
    for crate; do :; done
    case "$crate" in
    cargo-leptos@*.*.* | trunk@*.*.*) ;;
    static-web-server@*.*.*)
        test "$RUSTFLAGS" = -Ctarget-feature=+crt-static
        mkdir -p /usr/local/cargo/bin
        cp /opt/static-web-server /usr/local/cargo/bin/
        ;;
    *) exit 2 ;;
    esac
    ;;
"leptos build")
    test "$*" = "leptos build --release --project shop"
    test ! -e target/old
    # Both are caches of the daemon.
    grep -q " /usr/local/cargo/registry " /proc/mounts
    grep -q " /src/target " /proc/mounts
    mkdir -p "target/$LEPTOS_BIN_TARGET_TRIPLE/release" target/site/pkg
    cp /opt/shop "target/$LEPTOS_BIN_TARGET_TRIPLE/release/"
    echo "the code" > target/site/pkg/shop.js
    ;;
*) exit 2 ;;
esac
"#;

const RUSTUP: &str = r#"#!/bin/sh
test "$*" = "target add wasm32-unknown-unknown $(arch)-unknown-linux-gnu"
"#;

const TRUNK: &str = r#"#!/bin/sh
set -eu
test "$1 $2 $3" = "build --release --dist"
mkdir -p "$4"
cp index.html "$4/"
"#;

/// The server of a Leptos app, or static-web-server. Serves the files of the site, and its arguments. Standard library only.
const SERVER: &str = r#"
use std::io::{Read, Write};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (address, site) = match arguments.is_empty() {
        true => {
            let variable = |name: &str| std::env::var(name).unwrap();
            assert_eq!(variable("LEPTOS_OUTPUT_NAME"), "shop");
            (variable("LEPTOS_SITE_ADDR"), variable("LEPTOS_SITE_ROOT"))
        }
        false => {
            let argument = |name: &str| arguments.iter().find_map(|it| it.strip_prefix(name)).unwrap().to_owned();
            (format!("0.0.0.0:{}", argument("--port=")), argument("--root="))
        }
    };
    for mut stream in std::net::TcpListener::bind(address).unwrap().incoming().flatten() {
        let mut request = [0; 4096];
        let read = stream.read(&mut request).unwrap_or(0);
        let request = String::from_utf8_lossy(&request[..read]).into_owned();
        let path = request.split(' ').nth(1).unwrap_or("/");
        let body = match path {
            "/" => format!("rendered by shop {}", arguments.join(" ")),
            _ => std::fs::read_to_string(format!("{site}{path}")).unwrap_or_default(),
        };
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    }
}
"#;

impl Compilers {
    /// Debian's busybox and the stand-ins, under the names of Rust's image.
    async fn publish() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let server = compiled(folder.path())?;
        let script = |path: &str, text: &str| FileEntry {
            path: path.into(),
            source: FileSource::Bytes(Arc::from(text.as_bytes())),
            mode: 0o755,
        };
        let program = |path: &str, file: PathBuf| FileEntry {
            path: path.into(),
            source: FileSource::Host(file),
            mode: 0o755,
        };
        let mut files = vec![
            script("/usr/local/bin/cargo", CARGO),
            script("/usr/local/bin/rustup", RUSTUP),
            script("/usr/local/bin/trunk", TRUNK),
            program("/opt/shop", server.clone()),
            program("/opt/static-web-server", server),
        ];
        files.extend(
            ["sh", "mkdir", "chmod", "cp", "test", "grep", "arch"].map(|name| FileEntry {
                path: format!("/bin/{name}"),
                source: FileSource::Symlink("/usr/local/bin/busybox".into()),
                mode: 0o777,
            }),
        );
        let base = Prebuilt::new("/bin/busybox").with_runtime(Runtime {
            user: User::ROOT,
            files,
            ..Runtime::default()
        });
        // Without TLS: the daemon allows that for a registry on this machine.
        let registry = RegistryPeer::start_with(Protection::Open).await?;
        let location = registry.location("rust");
        let name: ImageRef = format!("{location}/rust:1.0.0").parse()?;
        let context = Context::new();
        let settings = RegistrySettings::new(Environment::default());
        let client = OciRegistryClient::new(context.clone(), location, settings)?;
        let built = NativeBuilder::new(context, folder.path().join("images"))
            .build(&build_context(folder.path(), base), &name)
            .await?;
        client.push_image(&built, &name).await?;
        let digest = built.digest().context("an image was built")?;
        Ok(Self {
            image: name.with_digest(digest.clone()),
            _registry: registry,
        })
    }
}

fn build_context(root: &Path, buildable: impl Buildable + 'static) -> BuildContext {
    BuildContext {
        project_root: root.to_owned(),
        source: ImageSource::Buildable(Arc::new(buildable)),
        platform: Machine::current(),
        created: 0,
        labels: BTreeMap::new(),
    }
}

/// [`SERVER`] as a static program.
fn compiled(folder: &Path) -> anyhow::Result<PathBuf> {
    let (source, program) = (folder.join("shop.rs"), folder.join("shop"));
    fs::write(&source, SERVER)?;
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc
        .args([
            "--edition=2024",
            "-O",
            "-Cstrip=symbols",
            "-Ctarget-feature=+crt-static",
        ])
        .args(["--target", &target, "-o"])
        .args([&program, &source]);
    anyhow::ensure!(rustc.status()?.success(), "{rustc:?}");
    Ok(program)
}
