use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::sync::Arc;

use flate2::read::GzDecoder;
use harmony_core::image::{FileEntry, ImageRecipe, LayerKind};
use proptest::prelude::*;
use tar::EntryType::{Directory, Regular, Symlink};

use super::*;
use crate::host_file::hash_file;
use crate::plan::ImagePlan;
use crate::testing::{context, directory, file, link, recipe};

fn write(recipe: &ImageRecipe, layer: usize) -> (Vec<u8>, LayerBlob) {
    let plan = ImagePlan::new(recipe, &context(recipe.clone()), "app").unwrap();
    let entries = &plan.layers[layer].entries;
    let mut out = Vec::new();
    let states = vec![None; entries.len()];
    let cancel = CancellationToken::new();
    let blob = write_layer(entries, &states, 0, &mut out, Path::new("out"), &cancel).unwrap();
    (out, blob)
}

fn one_layer(kind: LayerKind, files: Vec<FileEntry>) -> (Vec<u8>, LayerBlob) {
    write(&recipe(vec![(kind, files)]), 0)
}

/// Reads an archive back: path, type, mode, owner, time, content, link.
type Seen = (
    String,
    tar::EntryType,
    u32,
    (u64, u64),
    u64,
    Vec<u8>,
    Option<String>,
);

fn read(compressed: &[u8]) -> Vec<Seen> {
    let mut archive = tar::Archive::new(GzDecoder::new(Cursor::new(compressed)));
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let header = entry.header().clone();
            assert_eq!(header.username_bytes().unwrap_or_default(), b"");
            (
                String::from_utf8(entry.path_bytes().into_owned()).unwrap(),
                header.entry_type(),
                header.mode().unwrap(),
                (header.uid().unwrap(), header.gid().unwrap()),
                header.mtime().unwrap(),
                content,
                entry
                    .link_name_bytes()
                    .map(|name| String::from_utf8(name.into_owned()).unwrap()),
            )
        })
        .collect()
}

#[test]
fn golden_digests_of_each_kind_of_layer() {
    // If one of these changes, every released layer changes: change `ENCODER` too.
    let assets = one_layer(
        LayerKind::Assets,
        vec![
            file(
                "/etc/passwd",
                "root:x:0:0:root:/root:/sbin/nologin\n",
                0o644,
            ),
            directory("/tmp", 0o1777),
            link("/etc/mtab", "/proc/mounts"),
        ],
    );
    let libraries = one_layer(
        LayerKind::Libraries,
        vec![file(
            &format!("/usr/lib/{}.so", "n".repeat(120)),
            "library",
            0o644,
        )],
    );
    let numbers: Vec<_> = (0..100_000).map(|n: u32| n.to_string()).collect();
    let program = numbers.join(" ") + " ";
    let binary = one_layer(
        LayerKind::Binary,
        vec![file("/usr/local/bin/app", &program, 0o755)],
    );
    let found = [assets, libraries, binary]
        .map(|(_, blob)| [blob.diff_id.to_string(), blob.digest.to_string()]);
    assert_eq!(
        found,
        [
            [
                "sha256:56a35e907e3a4e0c951d8dcd5e8176978964d67f2e11200245b1a3f19d65ed3a",
                "sha256:37b5a5f245dafc250e5ccdb2bcdf59cd4e96e976c660cfa1a2f944b9eaf3f471",
            ],
            [
                "sha256:e839dc9cef7d4e4b9ca53f20f4df080ecc246c9ee85a91e0856204d57fd906b0",
                "sha256:be8aa5568e39b3d1469f969aabdfd431b8b87d2f545667f592b653c4621d7f6e",
            ],
            [
                "sha256:7739f5d834ac3727588a9f083cd263db689ac4979e70e1120cca42cfa6134c48",
                "sha256:c0d9a379d1e10f56b84f0900a31000bc15ba5cff35359936019c8f6dcb64ad35",
            ],
        ]
    );
}

#[test]
fn an_archive_says_only_what_the_plan_says() {
    let (compressed, blob) = one_layer(
        LayerKind::Binary,
        vec![
            file("/b/app", "program", 0o755),
            link("/b/link", "app"),
            directory("/a", 0o700),
        ],
    );
    assert_eq!(blob.size, compressed.len() as u64);
    assert_eq!(blob.digest, harmony_oci::sha256(&compressed));
    let mut plain = Vec::new();
    GzDecoder::new(&*compressed)
        .read_to_end(&mut plain)
        .unwrap();
    assert_eq!(blob.diff_id, harmony_oci::sha256(&plain));
    let none = Vec::new;
    assert_eq!(
        read(&compressed),
        [
            ("a/".into(), Directory, 0o700, (0, 0), 0, none(), None),
            ("b/".into(), Directory, 0o755, (0, 0), 0, none(), None),
            (
                "b/app".into(),
                Regular,
                0o755,
                (0, 0),
                0,
                b"program".to_vec(),
                None
            ),
            (
                "b/link".into(),
                Symlink,
                0o777,
                (0, 0),
                0,
                none(),
                Some("app".into())
            ),
        ]
    );
    // RFC 1952: no name, no time, unknown operating system.
    assert_eq!(compressed[3..10], [0, 0, 0, 0, 0, compressed[8], 255]);
}

#[test]
fn long_and_foreign_names_survive() {
    let long = format!("/opt/{}/{}/file", "d".repeat(200), "e".repeat(200));
    let (compressed, _) = one_layer(
        LayerKind::Assets,
        vec![
            file(&long, "1", 0o644),
            file("/straße/文", "2", 0o644),
            link("/l", &format!("/{}", "t".repeat(300))),
        ],
    );
    let seen = read(&compressed);
    let find = |path: &str| seen.iter().find(|entry| entry.0 == path).unwrap();
    assert_eq!(find(&long[1..]).5, b"1");
    assert_eq!(find("straße/文").5, b"2");
    assert_eq!(find("l").6.as_ref().unwrap().len(), 301);
}

#[test]
fn a_file_that_changed_since_it_was_hashed_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app");
    fs::write(&path, "first").unwrap();
    let cancel = CancellationToken::new();
    let (_, state) = hash_file(&path, &cancel).unwrap();
    let entry = PlannedEntry {
        path: "app".into(),
        source: FileSource::Host(path.clone()),
        mode: 0o755,
    };
    let write = |state| {
        let entries = [entry.clone()];
        write_layer(
            &entries,
            &[Some(state)],
            0,
            Vec::new(),
            Path::new("out"),
            &cancel,
        )
    };
    write(state).unwrap();
    fs::write(&path, "second one").unwrap();
    assert!(matches!(write(state), Err(BuildError::File { path: found, .. }) if found == path));
}

#[test]
fn a_directory_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let result = hash_file(directory.path(), &CancellationToken::new());
    assert!(matches!(result, Err(BuildError::File { .. })));
}

#[test]
fn a_full_disk_is_told_as_such() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let noise: Vec<u8> = (0..1_000_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let entry = PlannedEntry {
        path: "app".into(),
        source: FileSource::Bytes(Arc::from(noise)),
        mode: 0o755,
    };
    let cancel = CancellationToken::new();
    let error = write_layer(&[entry], &[None], 0, Full, Path::new("/full"), &cancel).unwrap_err();
    let BuildError::Write { path, source } = &error else {
        panic!("{error}");
    };
    assert_eq!(
        (path.as_path(), source.kind()),
        (Path::new("/full"), io::ErrorKind::StorageFull)
    );
}

#[test]
fn a_cancelled_layer_ends() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let plan = recipe(vec![(LayerKind::Binary, vec![file("/app", "x", 0o755)])]);
    let plan = ImagePlan::new(&plan, &context(plan.clone()), "app").unwrap();
    let result = write_layer(
        &plan.layers[0].entries,
        &[None],
        0,
        Vec::new(),
        Path::new("o"),
        &cancel,
    );
    assert!(matches!(result, Err(BuildError::Cancelled(_))));
}

prop_compose! {
    fn some_files()(
        files in prop::collection::btree_map(
            prop::collection::vec("[a-c.é-]{1,40}", 1..5)
                .prop_map(|parts| format!("/{}", parts.join("/")))
                .prop_filter("no dots alone", |path| !path.split('/').any(|part| part == "." || part == ".." || part.starts_with(".wh."))),
            (".{0,30}", 0_u32..0o7777),
            1..12,
        )
    ) -> BTreeMap<String, (String, u32)> {
        // A file cannot be the parent of another one.
        let mut kept: BTreeMap<String, (String, u32)> = BTreeMap::new();
        for (path, value) in files {
            if !kept.keys().any(|other| path.starts_with(&format!("{other}/"))) {
                kept.retain(|other, _| !other.starts_with(&format!("{path}/")));
                kept.insert(path, value);
            }
        }
        kept
    }
}

proptest! {
    #[test]
    fn order_does_not_matter_and_every_parent_comes_first(files in some_files(), seed: u64) {
        let sorted: Vec<_> = files.iter().map(|(path, (text, mode))| file(path, text, *mode)).collect();
        let mut shuffled = sorted.clone();
        shuffled.sort_by_key(|file| {
            let hash = file.path.bytes().fold(seed, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
            hash.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        });
        let (compressed, blob) = one_layer(LayerKind::Assets, sorted);
        prop_assert_eq!(&one_layer(LayerKind::Assets, shuffled).1, &blob);

        let seen = read(&compressed);
        let names: Vec<_> = seen.iter().map(|entry| entry.0.trim_end_matches('/').to_owned()).collect();
        let mut in_order = names.clone();
        in_order.sort();
        prop_assert_eq!(&names, &in_order);
        for (index, name) in names.iter().enumerate() {
            if let Some((parent, _)) = name.rsplit_once('/') {
                prop_assert!(names[..index].iter().any(|earlier| earlier == parent));
            }
        }
        for (path, (text, mode)) in &files {
            let entry = seen.iter().find(|entry| entry.0 == path[1..]).unwrap();
            prop_assert_eq!(&entry.5, text.as_bytes());
            prop_assert_eq!(entry.2, *mode);
        }
    }

    #[test]
    fn any_change_changes_the_digest(files in some_files(), pick: prop::sample::Index) {
        let all: Vec<_> = files.iter().map(|(path, (text, mode))| file(path, text, *mode)).collect();
        let (_, first) = one_layer(LayerKind::Assets, all.clone());
        let mut other_mode = all.clone();
        pick.get_mut(&mut other_mode).mode ^= 1;
        prop_assert_ne!(one_layer(LayerKind::Assets, other_mode).1.diff_id, first.diff_id.clone());
        let mut other_text = all;
        pick.get_mut(&mut other_text).source = FileSource::Bytes(Arc::from(&b"something else that is longer"[..]));
        prop_assert_ne!(one_layer(LayerKind::Assets, other_text).1.diff_id, first.diff_id);
    }
}
