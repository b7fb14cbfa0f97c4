//! Every builder against the others: the same sources give the same images. The result is a table in
//! `docs/reference/builders.md`; `cargo xtask builders` writes it again.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod peers;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harmony_containers::{DockerBuilder, NativeBuilder, Prebuilt, Runtime};
use harmony_core::Context;
use harmony_core::capability::container_builder::{BuildError, ContainerBuilder};
use harmony_core::diagnostic::Report;
use harmony_core::image::{
    BuildContext, Buildable, DockerfileText, ImageRecipe, ImageSource, SecretSource, User,
};
use harmony_oci::Image;
use peers::buildkit_daemon::BuildKitDaemon;
use peers::docker_engine::DockerEngine;
use peers::everything::{Everything, build_context, image};
use peers::image_files::{files, image_of, layout};

/// The page with the table, between two lines.
const PAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/reference/builders.md"
);
const BEGIN: &str = "<!-- written by `cargo xtask builders` -->\n";
const END: &str = "<!-- end -->\n";

/// If set, the page is written instead of compared.
const WRITE: &str = "HARMONY_WRITE_DOCS";

#[tokio::test(flavor = "multi_thread")]
async fn all_builders_give_the_same_images() {
    let rig = Rig::start();
    let table = format!("{}\n{}", rig.images().await, rig.abilities().await);
    println!("{table}");
    let page = fs::read_to_string(PAGE).unwrap();
    let (head, rest) = page.split_once(BEGIN).unwrap();
    let (written, tail) = rest.split_once(END).unwrap();
    if env::var_os(WRITE).is_some() {
        fs::write(PAGE, format!("{head}{BEGIN}{table}{END}{tail}")).unwrap();
    } else {
        assert_eq!(
            written, table,
            "run `cargo xtask builders` to update {PAGE}"
        );
    }
}

/// Two machines, as far as builders can tell: each has its own daemons and caches.
struct Rig([Machine; 2]);

struct Machine {
    engine: DockerEngine,
    buildkit: BuildKitDaemon,
    work: tempfile::TempDir,
}

type Builder = Box<dyn ContainerBuilder>;

impl Machine {
    fn start() -> Self {
        let machine = Self {
            engine: DockerEngine::start(),
            buildkit: BuildKitDaemon::start(),
            work: tempfile::tempdir().unwrap(),
        };
        let root = machine.root();
        fs::create_dir_all(root.join("content/private")).unwrap();
        fs::copy("/bin/busybox", root.join("busybox"))
            .expect("these tests need a static program: apt-get install busybox-static");
        fs::write(root.join("content/page"), "hello").unwrap();
        fs::write(root.join("content/private/key"), "key").unwrap();
        fs::write(root.join(".dockerignore"), "**/private\n").unwrap();
        machine
    }

    fn root(&self) -> PathBuf {
        self.work.path().join("project")
    }

    fn builders(&self) -> Vec<(&'static str, Builder)> {
        let work = self.work.path();
        let docker = |client: &Path| {
            DockerBuilder::new(Context::new(), work.join("docker"))
                .with_endpoint(self.engine.endpoint())
                .with_client(client)
        };
        let native = NativeBuilder::new(Context::new(), work.join("native"));
        vec![
            ("native", Box::new(native)),
            ("Docker, classic", Box::new(docker(Path::new("/no/client")))),
            (
                "Docker, BuildKit",
                Box::new(docker(Path::new("/usr/bin/docker"))),
            ),
            (
                "BuildKit",
                Box::new(self.buildkit.builder(&Context::new(), work)),
            ),
        ]
    }

    async fn build(&self, builder: &Builder, source: ImageSource) -> Result<Image, BuildError> {
        let context = build_context(&self.root(), source);
        let built = builder.build(&context, &image()).await?;
        Ok(layout(&image_of(built)))
    }

    fn dockerfile(&self, text: &str) -> ImageSource {
        fs::write(self.root().join("Dockerfile"), text).unwrap();
        ImageSource::dockerfile("Dockerfile")
    }

    fn sources(&self) -> Vec<(&'static str, ImageSource)> {
        let busybox = Prebuilt::new("busybox").with_runtime(Runtime {
            args: vec!["sh".into()],
            ca_certificates: true,
            ..Runtime::default()
        });
        let everything = Everything(self.work.path().to_owned());
        let dockerfile = "FROM scratch\nCOPY content/ /srv/\nCOPY busybox /bin/busybox\n\
             ENV A=b\nENV PATH=/bin\nWORKDIR /srv\nUSER 7:8\nLABEL a=b\n\
             ENTRYPOINT [\"/bin/busybox\", \"cat\"]\nCMD [\"page\"]\n";
        vec![
            ("`Prebuilt`", ImageSource::Buildable(Arc::new(busybox))),
            (
                "another crate's `Buildable`",
                ImageSource::Buildable(Arc::new(everything)),
            ),
            ("a Dockerfile", self.dockerfile(dockerfile)),
        ]
    }
}

impl Rig {
    fn start() -> Self {
        Self([Machine::start(), Machine::start()])
    }

    /// What the images of each source contain. Builders must agree.
    async fn images(&self) -> String {
        let machine = &self.0[0];
        let mut table = String::from(
            "| source | builder | files | user | entrypoint and arguments | directory | variables | labels |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for (name, source) in machine.sources() {
            let mut reference: Option<Facts> = None;
            for (builder, with) in machine.builders() {
                let row = match machine.build(&with, source.clone()).await {
                    Ok(image) => {
                        let facts = Facts::of(&image);
                        let reference = reference.get_or_insert_with(|| facts.clone());
                        assert_eq!(facts, *reference, "{name} with {builder}");
                        facts.row()
                    }
                    Err(error) => format!("{} | | | | |", refusal(&error)),
                };
                let _ = writeln!(table, "| {name} | {builder} | {row} |");
            }
        }
        table
    }

    /// What each builder supports, found out by trying it.
    async fn abilities(&self) -> String {
        let machine = &self.0[0];
        let shell =
            "FROM scratch\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n";
        let cache = "RUN --mount=type=cache,target=/cache echo x > /cache/x\n";
        let secret = "RUN --mount=type=secret,id=token test -s /run/secrets/token\n";
        let ImageSource::Dockerfile {
            path, build_args, ..
        } = ImageSource::dockerfile("Dockerfile")
        else {
            panic!("it is one");
        };
        let token = SecretSource::Env("PATH".into());
        let with_secret = ImageSource::Dockerfile {
            path,
            build_args,
            secrets: BTreeMap::from([("token".parse().unwrap(), token)]),
        };
        let buildable = |buildable: Arc<dyn Buildable>| ImageSource::Buildable(buildable);
        let plain = ImageSource::dockerfile("Dockerfile");
        let attempts = [
            (
                "a recipe",
                "",
                buildable(Arc::new(Everything(machine.work.path().into()))),
            ),
            ("a Dockerfile", "", plain.clone()),
            (
                "a Dockerfile that a `Buildable` wrote",
                "",
                buildable(Arc::new(Written)),
            ),
            ("`RUN --mount=type=cache`", cache, plain.clone()),
            ("secrets", secret, with_secret),
            (
                "set-id bits in a recipe",
                "",
                buildable(Arc::new(SetId(machine.work.path().into()))),
            ),
        ];
        let builders = machine.builders();
        let mut table = String::from("| ability |");
        for (name, _) in &builders {
            let _ = write!(table, " {name} |");
        }
        table.push_str("\n| --- |");
        table.push_str(&" --- |".repeat(builders.len()));
        for (ability, step, source) in attempts {
            let _ = write!(table, "\n| {ability} |");
            fs::write(machine.root().join("Dockerfile"), format!("{shell}{step}")).unwrap();
            for (_, builder) in &builders {
                let cell = match machine.build(builder, source.clone()).await {
                    Ok(_) => "yes".to_owned(),
                    Err(error) => refusal(&error),
                };
                let _ = write!(table, " {cell} |");
            }
        }
        table.push_str("\n| the same digest on two machines |");
        for number in 0..builders.len() {
            let mut same = true;
            for (of, _) in machine.sources().iter().enumerate() {
                let mut digests = Vec::new();
                for machine in &self.0 {
                    let (_, builder) = &machine.builders()[number];
                    let (_, source) = machine.sources().swap_remove(of);
                    if let Ok(image) = machine.build(builder, source).await {
                        digests.push(image.digest().clone());
                    }
                }
                same &= digests.windows(2).all(|pair| pair[0] == pair[1]);
            }
            let _ = write!(table, " {} |", if same { "yes" } else { "no" });
        }
        table.push('\n');
        table
    }
}

/// A link to the error.
fn refusal(error: &BuildError) -> String {
    let code = Report::of(error).code.to_string();
    format!("no, {code}")
}

/// What a container sees.
#[derive(Debug, Clone, PartialEq)]
struct Facts {
    files: BTreeMap<String, peers::image_files::Node>,
    user: String,
    command: Vec<String>,
    directory: String,
    env: Vec<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    platform: String,
}

impl Facts {
    fn of(image: &Image) -> Self {
        let config = image.config().unwrap();
        let run = config.config().clone().unwrap();
        let mut env = run.env().clone().unwrap_or_default();
        env.sort();
        let command = [run.entrypoint(), run.cmd()]
            .into_iter()
            .flatten()
            .flatten();
        Self {
            files: files(image),
            user: run.user().clone().unwrap_or_default(),
            command: command.cloned().collect(),
            directory: run.working_dir().clone().unwrap_or_default(),
            env,
            labels: run
                .labels()
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            annotations: image
                .manifest()
                .annotations()
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            platform: format!("{}/{}", config.os(), config.architecture()),
        }
    }

    fn row(&self) -> String {
        let mut modes: BTreeMap<u32, u32> = BTreeMap::new();
        for (_, mode, ..) in self.files.values() {
            *modes.entry(*mode).or_default() += 1;
        }
        let modes: Vec<_> = modes
            .iter()
            .map(|(mode, count)| format!("{count} x {mode:o}"))
            .collect();
        format!(
            "{}: {} | {} | `{}` | `{}` | {} | {}",
            self.files.len(),
            modes.join(", "),
            self.user,
            self.command.join(" "),
            self.directory,
            self.env.len(),
            self.labels.len(),
        )
    }
}

/// Compiles only inside of a builder.
#[derive(Debug)]
struct Written;

impl Buildable for Written {
    fn recipe(&self, _: &BuildContext) -> Result<ImageRecipe, BuildError> {
        Err(BuildError::ProgramMissing {
            program: "compiler".into(),
            help: "install it".into(),
        })
    }

    fn dockerfile(&self, _: &BuildContext) -> Result<Option<DockerfileText>, BuildError> {
        Ok(Some(DockerfileText {
            text: "FROM scratch\nCOPY content/page /page\nCMD [\"/page\"]\n".into(),
            ignored: Vec::new(),
        }))
    }
}

/// A recipe with a program that runs as its owner.
#[derive(Debug)]
struct SetId(PathBuf);

impl Buildable for SetId {
    fn recipe(&self, context: &BuildContext) -> Result<ImageRecipe, BuildError> {
        let mut recipe = Everything(self.0.clone()).recipe(context)?;
        recipe.user = User::ROOT;
        recipe.layers[2].files[0].mode = 0o4755;
        Ok(recipe)
    }
}
