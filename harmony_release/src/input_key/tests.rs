use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{
    Base, Buildable, DockerfileText, FileEntry, Layer, LayerKind, SecretSource, User,
};
use harmony_core::inventory::Platform;

use super::*;

/// A recipe as a `Buildable`.
#[derive(Debug, Clone)]
struct Fixed(ImageRecipe);

impl Buildable for Fixed {
    fn recipe(&self, _: &BuildContext) -> Result<ImageRecipe, BuildError> {
        Ok(self.0.clone())
    }
}

/// A `Buildable` that compiles only inside of a builder.
#[derive(Debug)]
struct Inside(&'static str);

impl Buildable for Inside {
    fn recipe(&self, _: &BuildContext) -> Result<ImageRecipe, BuildError> {
        Err(BuildError::ProgramMissing {
            program: "compiler".into(),
            help: String::new(),
        })
    }

    fn dockerfile(&self, _: &BuildContext) -> Result<Option<DockerfileText>, BuildError> {
        Ok(Some(DockerfileText {
            text: self.0.into(),
            ignored: Vec::new(),
        }))
    }
}

fn step(root: &Path) -> HostStep {
    HostStep {
        label: "compile".into(),
        program: "make".into(),
        args: vec![format!("--out={}/out", root.display())],
        env: BTreeMap::from([("JOBS".into(), "2".into())]),
        inherited_env: BTreeSet::new(),
        tools: vec!["make 4.3".into()],
        portable: None,
        working_dir: root.to_owned(),
        inputs: StepInputs::Tree(root.to_owned()),
        outputs: vec![root.join("out")],
    }
}

fn recipe(root: &Path) -> ImageRecipe {
    let file = |path: &str, source, mode| FileEntry {
        path: path.into(),
        source,
        mode,
    };
    ImageRecipe {
        base: Base::Scratch,
        host_steps: vec![step(root)],
        layers: vec![Layer {
            kind: LayerKind::Binary,
            files: vec![
                file("/app", FileSource::Host(root.join("out")), 0o755),
                file("/page", FileSource::Host(root.join("page")), 0o644),
                file("/etc/x", FileSource::Bytes(Arc::from(*b"x")), 0o600),
            ],
        }],
        entrypoint: vec!["/app".into()],
        cmd: Vec::new(),
        env: BTreeMap::new(),
        user: User::NONROOT,
        working_dir: "/".into(),
        labels: BTreeMap::new(),
    }
}

/// The key of a release from a checkout in `root`.
fn key_in(root: &Path, source: ImageSource) -> Option<Value> {
    document(&Inputs {
        unit: ReleaseUnit::new("shop".parse().unwrap(), "web".parse().unwrap()).unwrap(),
        version: "1.2.3".parse().unwrap(),
        source: Source {
            commit: serde_json::from_value(json!("0123456789")).unwrap(),
            created: 7,
            dirty: Vec::new(),
            repository: root.to_owned(),
        },
        images: BTreeMap::from([(
            "shop-web".to_owned(),
            BuildContext {
                project_root: root.to_owned(),
                source,
                platform: Platform {
                    os: "linux",
                    architecture: "amd64",
                },
                created: 7,
                labels: BTreeMap::new(),
            },
        )]),
    })
}

fn checkout() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("page"), "hello").unwrap();
    root
}

fn buildable(recipe: ImageRecipe) -> ImageSource {
    ImageSource::Buildable(Arc::new(Fixed(recipe)))
}

#[test]
fn two_checkouts_of_a_commit_have_the_same_inputs() {
    let (one, two) = (checkout(), checkout());
    let key = |root: &Path| key_in(root, buildable(recipe(root))).unwrap();
    assert_eq!(key(one.path()), key(two.path()));
    let dockerfile = |root: &Path| key_in(root, ImageSource::dockerfile("Dockerfile")).unwrap();
    assert_eq!(dockerfile(one.path()), dockerfile(two.path()));
    assert_ne!(key(one.path()), dockerfile(one.path()));
}

#[test]
fn everything_that_determines_the_image_is_an_input() {
    let root = checkout();
    let root = root.path();
    let key = |change: &dyn Fn(&mut ImageRecipe)| {
        let mut recipe = recipe(root);
        change(&mut recipe);
        key_in(root, buildable(recipe)).unwrap()
    };
    let changes: [&dyn Fn(&mut ImageRecipe); 13] = [
        &|_| {},
        &|recipe| recipe.host_steps[0].tools = vec!["make 4.4".into()],
        &|recipe| recipe.host_steps[0].args.push("-k".into()),
        &|recipe| recipe.host_steps[0].portable = Some(vec!["make".into()]),
        &|recipe| recipe.host_steps[0].inputs = StepInputs::Pinned,
        &|recipe| recipe.layers[0].files[0].mode = 0o555,
        &|recipe| recipe.layers[0].files[1].source = FileSource::Directory,
        &|recipe| recipe.layers[0].files[2].source = FileSource::Bytes(Arc::from(*b"y")),
        &|recipe| recipe.entrypoint.push("serve".into()),
        &|recipe| recipe.user = User::ROOT,
        &|recipe| recipe.working_dir = "/srv".into(),
        &|recipe| drop(recipe.env.insert("A".into(), "b".into())),
        &|recipe| drop(recipe.labels.insert("a".into(), "b".into())),
    ];
    let keys: BTreeSet<_> = changes
        .iter()
        .map(|change| key(change).to_string())
        .collect();
    assert_eq!(keys.len(), changes.len());

    let dockerfile = |args: &[&str], secret: &str| ImageSource::Dockerfile {
        path: "Dockerfile".into(),
        build_args: args
            .iter()
            .map(|arg| ((*arg).to_owned(), "1".to_owned()))
            .collect(),
        secrets: BTreeMap::from([(secret.parse().unwrap(), SecretSource::Env("X".into()))]),
    };
    let keys: BTreeSet<_> = [
        dockerfile(&[], "a"),
        dockerfile(&["A"], "a"),
        dockerfile(&[], "b"),
    ]
    .map(|source| key_in(root, source).unwrap().to_string())
    .into();
    assert_eq!(keys.len(), 3);

    fs::write(root.join("page"), "changed").unwrap();
    assert_ne!(key(&|_| {}), {
        fs::write(root.join("page"), "hello").unwrap();
        key(&|_| {})
    });
}

#[test]
fn portable_words_replace_the_command() {
    let root = checkout();
    let key = |jobs: &str, portable: &str| {
        let mut recipe = recipe(root.path());
        recipe.host_steps[0].env.insert("JOBS".into(), jobs.into());
        recipe.host_steps[0].portable = Some(vec![portable.into()]);
        key_in(root.path(), buildable(recipe)).unwrap()
    };
    assert_eq!(key("2", "make app"), key("8", "make app"));
    assert_ne!(key("2", "make app"), key("2", "make other"));
}

#[test]
fn a_dockerfile_that_a_buildable_wrote_needs_no_compiler() {
    let root = checkout();
    let key = |text| key_in(root.path(), ImageSource::Buildable(Arc::new(Inside(text))));
    assert!(key("FROM a").is_some());
    assert_ne!(key("FROM a"), key("FROM b"));
}

#[test]
fn unknown_inputs_have_no_key() {
    let (root, elsewhere) = (checkout(), checkout());
    let key = |change: &dyn Fn(&mut ImageRecipe)| {
        let mut recipe = recipe(root.path());
        change(&mut recipe);
        key_in(root.path(), buildable(recipe))
    };
    let outside = elsewhere.path().to_owned();
    assert!(key(&|_| {}).is_some());
    assert!(key(&|recipe| recipe.host_steps[0].inputs = StepInputs::Unknown).is_none());
    assert!(
        key(&|recipe| recipe.host_steps[0].inputs = StepInputs::Tree(outside.clone())).is_none()
    );
    let missing = FileSource::Host("/no/such/file".into());
    assert!(key(&|recipe| recipe.layers[0].files[1].source = missing.clone()).is_none());
}

#[test]
fn the_key_stays_the_same_for_ever() {
    let root = checkout();
    let document = key_in(root.path(), ImageSource::dockerfile("Dockerfile")).unwrap();
    assert_eq!(
        document.to_string(),
        concat!(
            r#"{"commit":"0123456789","format":1,"images":{"shop-web":{"created":7,"labels":{},"#,
            r#""platform":{"architecture":"amd64","os":"linux"},"root":"","#,
            r#""source":{"buildArgs":{},"dockerfile":"Dockerfile","secrets":[]}}},"unit":"shop-web","version":"1.2.3"}"#
        )
    );
}
