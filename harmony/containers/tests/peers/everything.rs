//! A recipe with one of everything, and its surroundings.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{
    Base, BuildContext, Buildable, FileEntry, FileSource, HostStep, ImageRecipe, ImageSource,
    Layer, LayerKind, StepInputs, User,
};
use harmony_core::inventory::Platform;
use harmony_types::ImageRef;

pub(crate) fn image() -> ImageRef {
    ImageRef::parse("registry.test/team/app:1.0.0").unwrap()
}

pub(crate) fn build_context(project_root: &Path, source: ImageSource) -> BuildContext {
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
pub(crate) struct Everything(pub(crate) PathBuf);

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
            portable: None,
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
