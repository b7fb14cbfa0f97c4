//! The docker adapter against a real Docker Engine, which each test starts and stops by itself.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod peers;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use harmony_containers::{DockerBuilder, NativeBuilder};
use harmony_core::Context;
use harmony_core::capability::container_builder::{BuildError, ContainerBuilder};
use harmony_core::image::ImageSource;
use harmony_oci::archive;
use peers::docker_engine::DockerEngine;
use peers::everything::{Everything, build_context, image};
use peers::image_files::{files, image_of, layout};

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
        secrets: BTreeMap::new(),
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
