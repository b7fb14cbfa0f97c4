//! Descriptions of container images, as data.
//!
//! There are two ways to build an [`ImageRecipe`]: the native assembler writes an OCI image, and Docker and BuildKit
//! get a Dockerfile. So a [`Buildable`] works with every builder.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Debug};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use harmony_types::{Digest, ImageRef};

use crate::build_error::BuildError;
use crate::inventory::Platform;

/// The source of an app's image.
#[derive(Debug, Clone)]
pub enum ImageSource {
    /// A Dockerfile, for builders that support it.
    Dockerfile {
        /// The path relative to the project root, which is the build context.
        path: PathBuf,
        /// `--build-arg`s. They are stored in the history of the image, so they must not be secret.
        build_args: BTreeMap<String, String>,
        /// The secrets for `RUN --mount=type=secret,id=...`, for builders that use BuildKit. They do not become part
        /// of the image.
        secrets: BTreeMap<SecretId, SecretSource>,
    },
    /// Anything that provides a recipe, for every builder.
    Buildable(Arc<dyn Buildable>),
}

impl ImageSource {
    /// The Dockerfile at `path`, relative to the project root, without arguments and secrets.
    pub fn dockerfile(path: impl Into<PathBuf>) -> Self {
        Self::Dockerfile {
            path: path.into(),
            build_args: BTreeMap::new(),
            secrets: BTreeMap::new(),
        }
    }
}

/// The id of a secret in a Dockerfile: letters, digits, `_`, `-` and `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretId(String);

impl SecretId {
    /// The maximum length, in bytes.
    pub const MAX_LENGTH: usize = 128;

    /// The text of the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not the id of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not the id of a secret: use letters, digits, `_`, `-` and `.`", .0.escape_debug())]
pub struct InvalidSecretId(String);

impl FromStr for SecretId {
    type Err = InvalidSecretId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !text.chars().all(is_plain) {
            return Err(InvalidSecretId(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The place of a secret. The secret itself is read only by the builder, when a step asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file of this machine. A relative path starts at the project root.
    File(PathBuf),
    /// An environment variable of this process.
    Env(String),
}

/// Something that an image can be built from, such as a Rust binary of this workspace.
pub trait Buildable: Debug + Send + Sync {
    /// Creates the recipe. It may inspect the project but builds nothing; the host steps describe the build.
    ///
    /// # Errors
    /// The project does not contain what should be built.
    fn recipe(&self, context: &BuildContext) -> Result<ImageRecipe, BuildError>;

    /// A Dockerfile that does the whole build, compilers included. Builders that run Dockerfiles prefer it to the
    /// recipe, because it needs no compilers on this machine. `None` if there is only the recipe.
    ///
    /// # Errors
    /// The project does not contain what should be built.
    fn dockerfile(&self, context: &BuildContext) -> Result<Option<DockerfileText>, BuildError> {
        let _ = context;
        Ok(None)
    }
}

/// A Dockerfile that a [`Buildable`] wrote. Its build context is the project root, without the files that the
/// project's `.dockerignore` excludes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileText {
    /// The Dockerfile.
    pub text: String,
    /// The lines of the `.dockerignore`, if the project has none.
    pub ignored: Vec<String>,
}

/// The information for a builder in addition to the source.
#[derive(Debug, Clone)]
pub struct BuildContext {
    /// The root directory of the app's project; the path of a Dockerfile is relative to it.
    pub project_root: PathBuf,
    /// The source of the image.
    pub source: ImageSource,
    /// The platform of the image.
    pub platform: Platform,
    /// The `created` time of the image: the time of the commit, in seconds since 1970. It is never the current time, so
    /// that the same commit gives the same digest.
    pub created: i64,
    /// The annotations defined by the OCI specification: version, revision, source.
    pub labels: BTreeMap<String, String>,
}

/// The parts of an image, in the order of its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRecipe {
    /// The base of the image.
    pub base: Base,
    /// The commands that run on the host first and produce the files.
    pub host_steps: Vec<HostStep>,
    /// The layers, those that change least often first: certificates and assets, libraries, binary.
    pub layers: Vec<Layer>,
    /// The program and its fixed arguments; not a shell command.
    pub entrypoint: Vec<String>,
    /// Arguments that a pod can replace.
    pub cmd: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// The user that runs the program.
    pub user: User,
    /// The working directory in the image.
    pub working_dir: String,
    /// The labels of this recipe, in addition to those of the [`BuildContext`].
    pub labels: BTreeMap<String, String>,
}

/// The base of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// An empty image.
    Scratch,
    /// Another image. Builders refuse it if it has no digest.
    Image(ImageRef),
}

/// A command that runs on the host, with the host's caches, before the layers are assembled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStep {
    /// The text to show while it runs.
    pub label: String,
    /// The program; looked up on `PATH`.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment variables set for it.
    pub env: BTreeMap<String, String>,
    /// The environment variables that it inherits, in addition to those that every program gets (see
    /// [`crate::process`]). A `*` in a name matches any text. Their values can affect the result.
    pub inherited_env: BTreeSet<String>,
    /// Other things that affect the result: the versions of compilers, and configuration outside of the project. The
    /// texts are the same on every machine with the same tools.
    pub tools: Vec<String>,
    /// What the arguments and variables mean, in words that are the same on every machine: without the paths of this
    /// one, caches and settings that do not affect the result. `None` if arguments and variables are already so.
    pub portable: Option<Vec<String>>,
    /// The directory in which it runs.
    pub working_dir: PathBuf,
    /// What it reads in addition to its arguments and variables.
    pub inputs: StepInputs,
    /// The files that it creates. If one is missing afterwards, the step has failed. Their directories exist when it
    /// starts.
    pub outputs: Vec<PathBuf>,
}

/// What a [`HostStep`] reads in addition to its arguments and variables, which determines whether its result is known
/// before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepInputs {
    /// Nothing that changes, such as a module at a fixed version. Existing outputs are reused if they are unchanged, so
    /// their paths must contain the version.
    Pinned,
    /// The files in this directory that git tracks or would add.
    Tree(PathBuf),
    /// Unknown. Plans cannot predict a digest.
    Unknown,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The purpose of the layer, shown in the history of the image.
    pub kind: LayerKind,
    /// The files. Their order does not matter, because builders sort them by path.
    pub files: Vec<FileEntry>,
}

/// The purpose of a layer. Layers that change less often come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LayerKind {
    /// Certificates, time zones, users, static assets.
    Assets,
    /// Libraries.
    Libraries,
    /// The program itself.
    Binary,
}

/// A file in a layer, owned by root. Its modification time is constant, so that an unchanged layer is the same for
/// every commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// The absolute path in the image, for example `/etc/ssl/certs/ca-certificates.crt`.
    pub path: String,
    /// The source of the content.
    pub source: FileSource,
    /// The permission bits, for example `0o755`.
    pub mode: u32,
}

/// The source of the content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileSource {
    /// An absolute path on the host; read after the host steps have run.
    Host(PathBuf),
    /// The content itself.
    Bytes(Arc<[u8]>),
    /// An empty directory.
    Directory,
    /// A symbolic link with this target.
    Symlink(String),
}

/// A numeric user and group id, because an image from scratch has no user names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl User {
    /// Root; very few programs need it.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
    /// The usual unprivileged user in images without a user database.
    pub const NONROOT: Self = Self {
        uid: 65532,
        gid: 65532,
    };
}

/// The result of a builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Built {
    /// The image was built.
    Image(BuiltImage),
    /// While planning, nothing is built. The digest is known if the inputs have not changed since an earlier build.
    Predicted(Option<Digest>),
}

impl Built {
    /// The digest of the manifest, if known.
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
    /// Its location.
    pub location: ImageLocation,
    /// The compressed size of all layers, in bytes.
    pub size: u64,
}

/// The location of an image that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageLocation {
    /// In an OCI image layout directory, as its only manifest.
    OciLayout(PathBuf),
    /// In a Docker daemon, under this name.
    DockerDaemon(ImageRef),
    /// Already in its registry.
    Registry(ImageRef),
}
