use std::path::Path;
use std::process::Command;

use harmony_core::context::Context;
use harmony_core::image::{FileEntry, LayerKind};
use harmony_oci::archive;

use super::*;
use crate::testing::{context, directory, file, image, link, recipe};

fn cache() -> (tempfile::TempDir, Cache) {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::open(&directory.path().join("cache").into()).unwrap();
    cache.prepare().unwrap();
    (directory, cache)
}

fn plan(files: Vec<FileEntry>) -> ImagePlan {
    let recipe = recipe(vec![
        (
            LayerKind::Assets,
            vec![directory("/tmp", 0o1777), link("/etc/mtab", "/proc/mounts")],
        ),
        (LayerKind::Binary, files),
    ]);
    ImagePlan::new(&recipe, &context(recipe.clone()), "app").unwrap()
}

fn build(plan: &ImagePlan, cache: &Cache) -> Result<BuiltImage, BuildError> {
    let step = Context::new().step("test");
    assemble(plan, cache, &step, &CancellationToken::new())
}

fn layout_of(built: &BuiltImage) -> Image {
    let ImageLocation::OciLayout(path) = &built.location else {
        panic!("the image is not a layout");
    };
    Image::open(path).unwrap()
}

#[test]
fn two_caches_give_one_image_and_it_is_what_it_says() {
    let (_one, first) = cache();
    let (_two, second) = cache();
    let plan = plan(vec![file("/usr/local/bin/app", "program", 0o755)]);
    let built = build(&plan, &first).unwrap();
    assert_eq!(built.digest, build(&plan, &second).unwrap().digest);
    let layout = layout_of(&built);
    assert_eq!(layout.manifest().layers().len(), 2);
    assert_eq!(layout.layers_size(), built.size);
    for blob in layout.blobs() {
        let content = fs::read(layout.blob(blob).unwrap().path).unwrap();
        assert_eq!(
            harmony_oci::sha256(&content).as_str(),
            blob.digest().to_string()
        );
    }
    let annotations = layout.manifest().annotations().clone().unwrap();
    assert_eq!(annotations["org.opencontainers.image.version"], "1.0.0");
    let config = layout.config().unwrap();
    assert_eq!(config.created().as_deref(), Some("2023-11-14T22:13:20Z"));
    assert_eq!(config.rootfs().diff_ids().len(), 2);
}

#[test]
fn a_layer_that_did_not_change_is_not_written_again() {
    let (directory, cache) = cache();
    let program = directory.path().join("app");
    fs::write(&program, "one").unwrap();
    let entry = FileEntry {
        path: "/usr/local/bin/app".into(),
        source: FileSource::Host(program.clone()),
        mode: 0o755,
    };
    let plan = plan(vec![entry]);
    let first = layout_of(&build(&plan, &cache).unwrap());
    fs::write(&program, "two").unwrap();
    let second = layout_of(&build(&plan, &cache).unwrap());
    let digests = |layout: &Image| -> Vec<String> {
        layout
            .manifest()
            .layers()
            .iter()
            .map(|layer| layer.digest().to_string())
            .collect()
    };
    let (first, second) = (digests(&first), digests(&second));
    assert_eq!(first[0], second[0]);
    assert_ne!(first[1], second[1]);
}

#[test]
fn what_is_damaged_is_made_again() {
    let (_directory, cache) = cache();
    let plan = plan(vec![file("/usr/local/bin/app", "program", 0o755)]);
    let built = build(&plan, &cache).unwrap();
    let layout = layout_of(&built);
    let layer = layout.manifest().layers()[1].clone();
    // The blob in the cache is the same file, by a hard link.
    fs::write(layout.blob(&layer).unwrap().path, "cut").unwrap();
    assert!(Image::open(layout.layout().path()).is_err());
    let again = build(&plan, &cache).unwrap();
    assert_eq!(again, built);
    assert_eq!(layout_of(&again).blob(&layer).unwrap().size, layer.size());

    fs::remove_file(layout.layout().path().join("index.json")).unwrap();
    assert_eq!(build(&plan, &cache).unwrap(), built);
    layout_of(&built);
}

#[test]
fn a_missing_file_is_named() {
    let (_directory, cache) = cache();
    let missing = Path::new("/no/such/program");
    let plan = plan(vec![FileEntry {
        path: "/usr/local/bin/app".into(),
        source: FileSource::Host(missing.into()),
        mode: 0o755,
    }]);
    let error = build(&plan, &cache).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read `/no/such/program` for the image"
    );
}

#[test]
fn the_archive_is_one_that_tar_reads_and_names_the_image_twice() {
    let (directory, cache) = cache();
    let plan = plan(vec![file("/usr/local/bin/app", "program", 0o755)]);
    let built = build(&plan, &cache).unwrap();
    let layout = layout_of(&built);
    let mut bytes = Vec::new();
    archive::write(&layout, &image(), &mut bytes).unwrap();
    let mut again = Vec::new();
    archive::write(&layout, &image(), &mut again).unwrap();
    assert_eq!(bytes, again);
    let path = directory.path().join("image.tar");
    fs::write(&path, &bytes).unwrap();
    let index = Command::new("tar")
        .arg("-xOf")
        .arg(&path)
        .arg("index.json")
        .output()
        .unwrap();
    let index = String::from_utf8(index.stdout).unwrap();
    for name in [
        r#""io.containerd.image.name":"registry.test/app:1.0.0""#.to_owned(),
        format!(
            r#""io.containerd.image.name":"registry.test/app@{}""#,
            built.digest
        ),
    ] {
        assert!(index.contains(&name), "{index}");
    }
}
