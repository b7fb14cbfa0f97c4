//! How a container image is made, as data.
//!
//! An [`ImageRecipe`] has two renderings: the native assembler writes an OCI image from it, and docker and BuildKit get
//! a Dockerfile. What is written once as a [`Buildable`] therefore works with every builder.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use harmony_types::{Digest, ImageRef};

use crate::build_error::BuildError;
use crate::inventory::Platform;

/// Where an app's image comes from.
#[derive(Debug, Clone)]
pub enum ImageSource {
    /// A Dockerfile, for builders that run one.
    Dockerfile {
        /// Relative to the project root, which is the build context.
        path: PathBuf,
        /// `--build-arg`s.
        build_args: BTreeMap<String, String>,
    },
    /// Anything that can say its recipe, for every builder.
    Buildable(Arc<dyn Buildable>),
}

/// Something an image can be made of, such as a Rust binary of this workspace.
pub trait Buildable: Debug + Send + Sync {
    /// The recipe. Pure but for reading where things are: nothing is built yet, the host step says how.
    ///
    /// # Errors
    /// The project lacks what is to be built.
    fn recipe(&self, context: &BuildContext) -> Result<ImageRecipe, BuildError>;
}

/// What a builder is told beside the source.
#[derive(Debug, Clone)]
pub struct BuildContext {
    /// The root of the app's project; Dockerfile paths are relative to it.
    pub project_root: PathBuf,
    /// Where the image comes from.
    pub source: ImageSource,
    /// What it shall run on.
    pub platform: Platform,
    /// What the image's `created` says: the time of the commit, in seconds since 1970 (never the wall clock, so that
    /// the same commit gives the same digest).
    pub created: i64,
    /// The annotations of the OCI specification: version, revision, source.
    pub labels: BTreeMap<String, String>,
}

/// The parts of an image, in the order of its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRecipe {
    /// What it stands on.
    pub base: Base,
    /// What runs on the host first and produces the files.
    pub host_steps: Vec<HostStep>,
    /// The layers, the rarely changed first: certificates and assets, libraries, binary.
    pub layers: Vec<Layer>,
    /// The program and its fixed arguments, never a shell string.
    pub entrypoint: Vec<String>,
    /// Arguments that a pod may replace.
    pub cmd: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Who the program runs as.
    pub user: User,
    /// The working directory inside the image.
    pub working_dir: String,
    /// Labels of this recipe; those of the [`BuildContext`] are added.
    pub labels: BTreeMap<String, String>,
}

/// What an image stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// Another image; builders refuse one that is not pinned by digest.
    Image(ImageRef),
}

/// A program that runs on the host, with the host's caches, before the layers are put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStep {
    /// What a person reads while it runs.
    pub label: String,
    /// The program, found on `PATH`.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment variables set for it.
    pub env: BTreeMap<String, String>,
    /// Which of our environment variables it inherits, beside those that every program may know (see
    /// [`crate::process`]): names, in which one `*` stands for any text. Their values may change what it makes.
    pub inherited_env: BTreeSet<String>,
    /// What else decides what it makes: versions of compilers, configuration outside the project.
    pub tools: Vec<String>,
    /// Where it runs.
    pub working_dir: PathBuf,
    /// What it reads beside its arguments and variables.
    pub inputs: StepInputs,
    /// The files that exist after it; a step whose outputs are missing afterwards has failed. The folders that they
    /// are in exist when it starts.
    pub outputs: Vec<PathBuf>,
}

/// What a [`HostStep`] reads beside its arguments and variables: how far its outcome can be known before it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepInputs {
    /// Nothing that changes, as with a module at a version: outputs that exist already are used as long as they are
    /// what the step made, so their paths must tell versions apart.
    Pinned,
    /// The files of this directory that its git repository knows or would add.
    Tree(PathBuf),
    /// Nobody can say; plans cannot predict a digest.
    Unknown,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What it is for; shown in the image's history.
    pub kind: LayerKind,
    /// Its files. Order does not matter: builders sort by path.
    pub files: Vec<FileEntry>,
}

/// What a layer is for, from rarely to often changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LayerKind {
    /// Certificates, time zones, users, static assets.
    Assets,
    /// Libraries.
    Libraries,
    /// The program itself.
    Binary,
}

/// One file of a layer; owned by root. Its date says nothing, so that a layer stays the same from commit to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Absolute path inside the image, such as `/etc/ssl/certs/ca-certificates.crt`.
    pub path: String,
    /// Where the content comes from.
    pub source: FileSource,
    /// Permission bits, such as `0o755`.
    pub mode: u32,
}

/// Where a file's content comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSource {
    /// A file on the host, absolute; read after the host steps ran.
    Host(PathBuf),
    /// The content itself.
    Bytes(Arc<[u8]>),
    /// An empty directory.
    Directory,
    /// A symbolic link to this target.
    Symlink(String),
}

/// A numeric user and group: an image from scratch has no names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl User {
    /// Root; needed by very few programs.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
    /// The customary unprivileged user of images without a user database.
    pub const NONROOT: Self = Self {
        uid: 65532,
        gid: 65532,
    };
}

/// What a builder returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Built {
    /// The image is there.
    Image(BuiltImage),
    /// Planning: nothing was built. The digest is known when the inputs are those of an earlier build.
    Predicted(Option<Digest>),
}

impl Built {
    /// The digest of the manifest as far as it is known.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Image(image) => Some(&image.digest),
            Self::Predicted(digest) => digest.as_ref(),
        }
    }
}

/// An image that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// The digest of its manifest.
    pub digest: Digest,
    /// Where it is.
    pub location: ImageLocation,
    /// The compressed size of all layers, in bytes.
    pub size: u64,
}

/// Where a built image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageLocation {
    /// In a directory of the OCI image layout, as its only manifest.
    OciLayout(PathBuf),
    /// In a docker daemon, under this name.
    DockerDaemon(ImageRef),
    /// Already in its registry.
    Registry(ImageRef),
}
