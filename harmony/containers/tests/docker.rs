//! The docker adapter against a real Docker Engine, which each test starts and stops by itself.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod docker_engine;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use docker_engine::DockerEngine;
use flate2::read::GzDecoder;
use harmony_containers::{DockerBuilder, NativeBuilder};
use harmony_core::Context;
use harmony_core::capability::container_builder::{BuildError, ContainerBuilder};
use harmony_core::image::{
    Base, BuildContext, Buildable, Built, BuiltImage, FileEntry, FileSource, HostStep,
    ImageLocation, ImageRecipe, ImageSource, Layer, LayerKind, StepInputs, User,
};
use harmony_core::inventory::Platform;
use harmony_oci::{Image, archive};
use harmony_types::ImageRef;

#[tokio::test(flavor = "multi_thread")]
async fn a_recipe_is_the_same_image_whoever_builds_it() {
    let engine = DockerEngine::start();
    let work = tempfile::tempdir().unwrap();
    let context = build_context(
        work.path(),
        ImageSource::Buildable(Arc::new(Everything(work.path().into()))),
    );

    let native = NativeBuilder::new(Context::new(), work.path().join("native"));
    let native = layout(&image_of(native.build(&context, &image()).await.unwrap()));
    let docker = docker_builder(&engine, work.path());
    let built = image_of(docker.build(&context, &image()).await.unwrap());
    let docker_layout = layout(&built);

    let (ours, theirs) = (files(&native), files(&docker_layout));
    assert!(ours.len() > 15, "{ours:#?}");
    assert_eq!(ours, theirs);
    let (ours, theirs) = (native.config().unwrap(), docker_layout.config().unwrap());
    assert_eq!(
        (ours.os(), ours.architecture()),
        (theirs.os(), theirs.architecture())
    );
    let (ours, theirs) = (
        ours.config().clone().unwrap(),
        theirs.config().clone().unwrap(),
    );
    assert_eq!(ours.user(), theirs.user());
    assert_eq!(ours.entrypoint(), theirs.entrypoint());
    assert_eq!(ours.cmd(), theirs.cmd());
    assert_eq!(ours.working_dir(), theirs.working_dir());
    assert_eq!(ours.labels(), theirs.labels());
    let sorted = |env: &Option<Vec<String>>| {
        let mut env = env.clone().unwrap();
        env.sort();
        env
    };
    assert_eq!(sorted(ours.env()), sorted(theirs.env()));
    assert_eq!(
        native.manifest().annotations(),
        docker_layout.manifest().annotations()
    );

    // Built again, docker finds everything in its cache, and the image is the same.
    let again = image_of(docker.build(&context, &image()).await.unwrap());
    assert_eq!(again, built);
    assert_eq!(docker.to_oci_layout(&image()).await.unwrap(), built);
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_loads_what_the_native_builder_made() {
    let engine = DockerEngine::start();
    let work = tempfile::tempdir().unwrap();
    let context = build_context(
        work.path(),
        ImageSource::Buildable(Arc::new(Everything(work.path().into()))),
    );
    let native = NativeBuilder::new(Context::new(), work.path().join("native"));
    let native = image_of(native.build(&context, &image()).await.unwrap());
    let native_layout = layout(&native);

    let path = work.path().join("image.tar");
    let mut file = fs::File::create(&path).unwrap();
    archive::write(&native_layout, &image(), &mut file).unwrap();
    engine.load(&path);

    // What docker gives back has the same configuration and, compressed again, the same layers.
    let exported = docker_builder(&engine, work.path())
        .to_oci_layout(&image())
        .await
        .unwrap();
    assert_eq!(exported.digest, native.digest);
    assert_eq!(files(&layout(&exported)), files(&native_layout));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dockerfile_is_built_with_its_arguments_and_without_ignored_files() {
    let engine = DockerEngine::start();
    let work = tempfile::tempdir().unwrap();
    let project = work.path().join("project");
    fs::create_dir_all(project.join("content/secret")).unwrap();
    fs::write(project.join("content/page"), "hello").unwrap();
    fs::write(project.join("content/secret/key"), "key").unwrap();
    fs::write(project.join(".dockerignore"), "**/secret\n").unwrap();
    fs::write(
        project.join("Dockerfile"),
        "FROM scratch\nARG WHO=nobody\nLABEL who=$WHO\nCOPY content/ /srv/\nCMD [\"/srv/page\"]\n",
    )
    .unwrap();
    let source = |arguments: &[(&str, &str)]| ImageSource::Dockerfile {
        path: "Dockerfile".into(),
        build_args: arguments
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
    };
    let docker = docker_builder(&engine, work.path());
    let context = build_context(&project, source(&[("WHO", "somebody")]));
    let built = image_of(docker.build(&context, &image()).await.unwrap());
    let built = layout(&built);
    assert_eq!(
        files(&built).keys().collect::<Vec<_>>(),
        ["srv", "srv/page"]
    );
    let config = built.config().unwrap();
    let labels = config.labels_of_config().unwrap();
    assert_eq!(labels["who"], "somebody");
    assert_eq!(labels["org.opencontainers.image.version"], "1.0.0");

    fs::write(project.join("Dockerfile"), "FROM scratch\nCOPY missing /\n").unwrap();
    let error = docker
        .build(&build_context(&project, source(&[])), &image())
        .await
        .unwrap_err();
    let BuildError::Daemon { output, doing, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(doing, &format!("building {}", image()));
    assert!(
        output.iter().any(|line| line.contains("missing")),
        "{output:?}"
    );
}

#[tokio::test]
async fn without_an_engine_the_error_says_what_to_do() {
    let work = tempfile::tempdir().unwrap();
    let context = build_context(
        work.path(),
        ImageSource::Buildable(Arc::new(Everything(work.path().into()))),
    );
    for endpoint in [
        "unix:///no/such/docker.sock",
        "tcp://127.0.0.1:1",
        "gopher://x",
    ] {
        let docker =
            DockerBuilder::new(Context::new(), work.path().join("cache")).with_endpoint(endpoint);
        let error = docker.build(&context, &image()).await.unwrap_err();
        let BuildError::Daemon {
            endpoint: named,
            help,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(named, endpoint);
        assert!(help.contains("DOCKER_HOST"));
    }
}

fn docker_builder(engine: &DockerEngine, work: &Path) -> DockerBuilder {
    DockerBuilder::new(Context::new(), work.join("docker")).with_endpoint(engine.endpoint())
}

fn image() -> ImageRef {
    ImageRef::parse("registry.test/team/app:1.0.0").unwrap()
}

fn build_context(project_root: &Path, source: ImageSource) -> BuildContext {
    BuildContext {
        project_root: project_root.to_owned(),
        source,
        platform: Platform::current(),
        created: 1_700_000_000,
        labels: BTreeMap::from([(
            "org.opencontainers.image.version".to_owned(),
            "1.0.0".to_owned(),
        )]),
    }
}

/// A recipe with one of everything; its host step works in this directory.
#[derive(Debug)]
struct Everything(PathBuf);

impl Buildable for Everything {
    fn recipe(&self, _: &BuildContext) -> Result<ImageRecipe, BuildError> {
        let made = self.0.join("made");
        fs::write(self.0.join("program"), static_program()).unwrap();
        let step = HostStep {
            label: "make the program".into(),
            program: "sh".into(),
            args: ["-c", "cp program made"].map(str::to_owned).into(),
            env: BTreeMap::new(),
            inherited_env: [].into(),
            tools: Vec::new(),
            working_dir: self.0.clone(),
            inputs: StepInputs::Unknown,
            outputs: vec![made.clone()],
        };
        let bytes = |text: &str| FileSource::Bytes(Arc::from(text.as_bytes()));
        let entry = |path: &str, source: FileSource, mode: u32| FileEntry {
            path: path.into(),
            source,
            mode,
        };
        Ok(ImageRecipe {
            base: Base::Scratch,
            host_steps: vec![step],
            layers: vec![
                Layer {
                    kind: LayerKind::Assets,
                    files: vec![
                        entry("/etc/passwd", bytes("root:x:0:0\n"), 0o644),
                        entry("/etc/private", bytes("secret"), 0o600),
                        entry(
                            "/etc/mtab",
                            FileSource::Symlink("/proc/mounts".into()),
                            0o777,
                        ),
                        entry("/tmp", FileSource::Directory, 0o1777),
                        entry("/empty", FileSource::Directory, 0o700),
                        entry("/nothing", bytes(""), 0o444),
                        entry("/name with space & $more", bytes("x"), 0o640),
                    ],
                },
                Layer {
                    kind: LayerKind::Libraries,
                    files: vec![
                        entry(
                            &format!("/usr/lib/{}/lib.so", "long".repeat(40)),
                            bytes("library"),
                            0o644,
                        ),
                        entry("/usr/lib/straße", bytes("x"), 0o644),
                    ],
                },
                Layer {
                    kind: LayerKind::Binary,
                    files: vec![
                        entry("/usr/local/bin/app", FileSource::Host(made), 0o755),
                        entry("/var/shared", FileSource::Directory, 0o2775),
                    ],
                },
            ],
            entrypoint: ["/usr/local/bin/app", "--say", "a \"b\" $HOME"]
                .map(str::to_owned)
                .into(),
            cmd: vec!["serve".into()],
            env: BTreeMap::from([
                ("RUST_LOG".to_owned(), "info,app=debug".to_owned()),
                ("ODD".to_owned(), r#"a "b" \ $HOME 'c'"#.to_owned()),
            ]),
            user: User::NONROOT,
            working_dir: "/var/lib/app".into(),
            labels: BTreeMap::from([("team".to_owned(), "with \"quotes\" and $".to_owned())]),
        })
    }
}

fn image_of(built: Built) -> BuiltImage {
    match built {
        Built::Image(image) => image,
        Built::Predicted(_) => panic!("nothing was built"),
    }
}

fn layout(image: &BuiltImage) -> Image {
    match &image.location {
        ImageLocation::OciLayout(path) => Image::open(path).unwrap(),
        other => panic!("the image is at {other:?}"),
    }
}

/// What a container sees: type, mode, owner, content, link of each path.
type Node = (tar::EntryType, u32, (u64, u64), Vec<u8>, Option<PathBuf>);

fn files(layout: &Image) -> BTreeMap<String, Node> {
    let mut files = BTreeMap::new();
    for layer in layout.manifest().layers() {
        let content = layout.blob(layer).unwrap().open().unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(content));
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry
                .path()
                .unwrap()
                .to_str()
                .unwrap()
                .trim_end_matches('/')
                .to_owned();
            assert!(!path.contains(".wh."), "{path}");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let header = entry.header();
            let node = (
                header.entry_type(),
                header.mode().unwrap() & 0o7777,
                (header.uid().unwrap(), header.gid().unwrap()),
                content,
                entry.link_name().unwrap().map(std::borrow::Cow::into_owned),
            );
            files.insert(path, node);
        }
    }
    files
}

/// The header of a static program for this processor, which is all that a builder looks at.
fn static_program() -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    header[16] = 2; // an executable
    header[18] = if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    };
    header
}
