use harmony_core::image::{ImageRecipe, LayerKind};

use super::*;
use crate::testing::{context, directory, file, link, recipe};

/// The smallest ELF file: its header, and a program header for a loader.
fn program(machine: u16, loader: &str) -> Vec<u8> {
    let mut bytes = vec![0; 64 + 56];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[16..18].copy_from_slice(&2_u16.to_le_bytes());
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
    bytes[54..56].copy_from_slice(&56_u16.to_le_bytes());
    bytes[56..58].copy_from_slice(&u16::from(!loader.is_empty()).to_le_bytes());
    bytes[64..68].copy_from_slice(&PT_INTERP.to_le_bytes());
    bytes[72..80].copy_from_slice(&120_u64.to_le_bytes());
    let size = loader.len() as u64 + 1;
    bytes[96..104].copy_from_slice(&size.to_le_bytes());
    bytes.extend(loader.as_bytes());
    bytes.push(0);
    bytes
}

fn refusal(recipe: &ImageRecipe) -> Option<String> {
    let plan = ImagePlan::new(recipe, &context(recipe.clone()), "app").unwrap();
    check(&plan, "app").err().map(|error| error.to_string())
}

fn with(content: &[u8], mode: u32) -> ImageRecipe {
    let mut recipe = recipe(vec![(
        LayerKind::Binary,
        vec![file("/usr/local/bin/app", "", mode)],
    )]);
    recipe.layers[0].files[0].source = FileSource::Bytes(content.into());
    recipe
}

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

#[test]
fn what_is_missing_is_named() {
    assert_eq!(refusal(&with(&program(EM_X86_64, ""), 0o755)), None);
    let refused = |content: &[u8], mode| refusal(&with(content, mode)).unwrap();
    assert_eq!(
        refused(&program(EM_X86_64, LOADER), 0o755),
        "`/usr/local/bin/app` cannot start in the image app: it is linked dynamically and needs the loader \
         `/lib64/ld-linux-x86-64.so.2`, which an image from scratch does not have"
    );
    for (content, mode, word) in [
        (program(EM_AARCH64, ""), 0o755, "not built for linux/amd64"),
        (program(EM_X86_64, ""), 0o644, "its mode 644"),
        (b"#!/bin/sh\n".to_vec(), 0o755, "`/bin/sh`"),
        (
            b"#!  /usr/bin/env -S python3".to_vec(),
            0o755,
            "`/usr/bin/env`",
        ),
        (b"echo hello\n".to_vec(), 0o755, "neither"),
        (
            b"\xcf\xfa\xed\xfe of another system".to_vec(),
            0o755,
            "neither",
        ),
        (b"\x7fELF cut".to_vec(), 0o755, "neither"),
        (Vec::new(), 0o755, "neither"),
    ] {
        let text = refused(&content, mode);
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn a_loader_that_the_recipe_brings_is_enough() {
    let mut recipe = with(&program(EM_X86_64, LOADER), 0o755);
    recipe.layers[0].files.extend([
        link("/lib64", "usr/lib64"),
        link("/usr/lib64/ld-linux-x86-64.so.2", "../lib/ld.so"),
        file("/usr/lib/ld.so", "", 0o755),
    ]);
    assert_eq!(refusal(&recipe), None);
    recipe.layers[0].files.pop();
    assert!(refusal(&recipe).is_some());
}

#[test]
fn the_program_is_found_as_a_runtime_finds_it() {
    let program = program(EM_X86_64, "");
    let mut recipe = with(&program, 0o755);
    recipe.entrypoint = vec!["app".into()];
    assert_eq!(refusal(&recipe), None);
    recipe.working_dir = "/usr/local".into();
    recipe.entrypoint = vec!["./bin/app".into()];
    assert_eq!(refusal(&recipe), None);
    recipe.entrypoint = Vec::new();
    recipe.cmd = vec!["/usr/local/bin/app".into()];
    assert_eq!(refusal(&recipe), None);
    for missing in ["/usr/local/bin/other", "other", "/usr/local/bin", "loop"] {
        recipe.cmd = vec![missing.into()];
        assert!(refusal(&recipe).is_some(), "{missing}");
    }
    let mut links = recipe;
    links.layers[0]
        .files
        .extend([link("/a", "/b"), link("/b", "/a"), directory("/d", 0o755)]);
    links.cmd = vec!["/a".into()];
    assert!(refusal(&links).is_some());
}
