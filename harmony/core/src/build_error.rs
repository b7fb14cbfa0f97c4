//! Errors of building an image, for recipes ([`crate::image`]) and builders ([`crate::capability::container_builder`]).

use std::path::PathBuf;

use crate::cache_dir::CacheDirError;
use crate::codes;
use crate::context::Cancelled;
use crate::diagnostic::{BoxError, Diagnostic, FailureKind, Origin};

/// An error of building an image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The source is a Dockerfile, and the builder does not support Dockerfiles.
    #[error("the builder `{builder}` cannot build the Dockerfile `{}`", path.display())]
    DockerfileUnsupported {
        /// The name of the builder.
        builder: &'static str,
        /// The path of the Dockerfile.
        path: PathBuf,
        /// The builders that support Dockerfiles.
        able: Vec<&'static str>,
    },
    /// A host step failed.
    #[error("`{program}` failed while building {image}: {status}")]
    HostStep {
        /// The image that was being built.
        image: String,
        /// The program.
        program: String,
        /// How it exited, for example `exit status 101`.
        status: String,
        /// The end of its output.
        output: Vec<String>,
    },
    /// A program that the host step needs is not installed.
    #[error("the program `{program}` is not on PATH")]
    ProgramMissing {
        /// The name of the program.
        program: String,
        /// How to install it.
        help: String,
    },
    /// A file of the recipe does not exist or cannot be read.
    #[error("cannot read `{}` for the image", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The underlying error.
        #[source]
        source: std::io::Error,
    },
    /// The image cannot be written.
    #[error("cannot write the image to `{}`", path.display())]
    Write {
        /// The path.
        path: PathBuf,
        /// The underlying error.
        #[source]
        source: std::io::Error,
    },
    /// The recipe is not valid.
    #[error("the recipe of {image} is not valid: {reason}")]
    Recipe {
        /// The image.
        image: String,
        /// What is wrong.
        reason: String,
        /// How to fix it.
        help: String,
    },
    /// A builder outside of this process failed.
    #[error("the builder at `{endpoint}` failed while {doing}")]
    Daemon {
        /// The address of the builder.
        endpoint: String,
        /// What it was doing, as a gerund: `building web`.
        doing: String,
        /// The end of its output.
        output: Vec<String>,
        /// How to fix it.
        help: String,
        /// The underlying error, if known.
        #[source]
        source: Option<BoxError>,
    },
    /// A builder outside of this process does not answer, or does not let us in.
    #[error("cannot connect to the builder at `{endpoint}`")]
    Unreachable {
        /// The address of the builder.
        endpoint: String,
        /// What its client reported.
        output: Vec<String>,
        /// How to fix it.
        help: String,
    },
    /// The source needs BuildKit, and the daemon can be used only with its classic builder.
    #[error("{image} has {feature}, which Docker's classic builder does not support")]
    NeedsBuildKit {
        /// The image.
        image: String,
        /// What needs BuildKit, for example `secrets`.
        feature: &'static str,
        /// Why BuildKit was not used.
        reason: String,
    },
    /// The compiler of this machine has no standard library for the target.
    #[error("the Rust compiler of this machine cannot compile for the target `{target}`")]
    TargetMissing {
        /// The target.
        target: &'static str,
        /// The builders that compile with their own compiler.
        able: Vec<&'static str>,
    },
    /// A Go module whose `go.mod` works only in its own repository.
    #[error(
        "`go install` cannot install `{module}` by version: its go.mod contains `{directive}` directives"
    )]
    GoModDirectives {
        /// The package and its version.
        module: String,
        /// `replace` or `exclude`.
        directive: &'static str,
    },
    /// The program cannot start in the image.
    #[error("`{program}` cannot start in the image {image}: {reason}")]
    CannotStart {
        /// The path of the program in the image.
        program: String,
        /// The image.
        image: String,
        /// The reason, such as a missing loader.
        reason: String,
        /// How to fix it.
        help: String,
    },
    /// The cache directory cannot be used.
    #[error(transparent)]
    CacheDir(#[from] CacheDirError),
    /// The run was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl Diagnostic for BuildError {
    fn origin(&self) -> Origin<'_> {
        match self {
            Self::DockerfileUnsupported { .. } => Origin::Own(codes::DOCKERFILE_UNSUPPORTED),
            Self::HostStep { .. } => Origin::Own(codes::HOST_STEP_FAILED),
            Self::ProgramMissing { .. } => Origin::Own(codes::PROGRAM_MISSING),
            Self::File { .. } => Origin::Own(codes::IMAGE_FILE_UNREADABLE),
            Self::Write { .. } => Origin::Own(codes::IMAGE_NOT_WRITTEN),
            Self::Recipe { .. } => Origin::Own(codes::RECIPE_INVALID),
            Self::Daemon { .. } => Origin::Own(codes::BUILD_DAEMON_FAILED),
            Self::Unreachable { .. } => Origin::Own(codes::BUILDER_UNREACHABLE),
            Self::NeedsBuildKit { .. } => Origin::Own(codes::NEEDS_BUILDKIT),
            Self::TargetMissing { .. } => Origin::Own(codes::TARGET_MISSING),
            Self::GoModDirectives { .. } => Origin::Own(codes::GO_MOD_DIRECTIVES),
            Self::CannotStart { .. } => Origin::Own(codes::PROGRAM_CANNOT_START),
            Self::CacheDir(error) => Origin::Inner(error),
            Self::Cancelled(cancelled) => Origin::Inner(cancelled),
        }
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::DockerfileUnsupported { .. }
            | Self::ProgramMissing { .. }
            | Self::Recipe { .. }
            | Self::NeedsBuildKit { .. }
            | Self::TargetMissing { .. }
            | Self::GoModDirectives { .. }
            | Self::CannotStart { .. } => FailureKind::Refused,
            _ => self.inner().map_or(FailureKind::Failed, Diagnostic::kind),
        }
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::HostStep { output, .. }
            | Self::Daemon { output, .. }
            | Self::Unreachable { output, .. } => output.clone(),
            Self::NeedsBuildKit { reason, .. } => vec![reason.clone()],
            _ => Vec::new(),
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::DockerfileUnsupported { able, .. } => vec![
                format!("build it with one of: {}", able.join(", ")),
                "or describe the image as a `Buildable`, which every builder can make".into(),
            ],
            Self::HostStep { output, .. } if output.iter().any(|line| is_disk_full(line)) => {
                vec!["free some space on that disk, then run the same command again".into()]
            }
            Self::HostStep { .. } => {
                vec!["fix what the program reports above, then run the same command again".into()]
            }
            Self::ProgramMissing { help, .. }
            | Self::Recipe { help, .. }
            | Self::CannotStart { help, .. }
            | Self::Unreachable { help, .. }
            | Self::Daemon { help, .. } => vec![help.clone()],
            Self::Write { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                vec!["free some space on that disk, then run the same command again; incomplete images are never used".into()]
            }
            Self::Write { .. } => {
                vec!["check that the directory exists and that you can write to it".into()]
            }
            Self::TargetMissing { target, able } => vec![
                format!("install it: `rustup target add {target}`"),
                format!("or build with one of: {}", able.join(", ")),
            ],
            Self::NeedsBuildKit { .. } => vec![
                "install the docker client with its plugin buildx (Debian: `docker.io`, Docker's packages: \
                 `docker-buildx-plugin`)"
                    .into(),
                "or build with the `BuildKitBuilder`".into(),
            ],
            Self::File { .. } => vec!["check the path in the recipe of the app".into()],
            Self::GoModDirectives { module, .. } => vec![
                format!(
                    "build it in a module of your own: `go mod init tools && go get {module}`, then `go build` \
                     with CGO_ENABLED=0, and pass the program to `Prebuilt`"
                ),
                "or use a version without these directives, or a binary that the project publishes"
                    .into(),
            ],
            Self::CacheDir(error) => error.hints(),
            Self::Cancelled(_) => Vec::new(),
        }
    }
}

/// Every compiler passes on the message of the operating system.
fn is_disk_full(line: &str) -> bool {
    line.to_lowercase().contains("no space left on device")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Report;

    #[test]
    fn what_people_read() {
        let output = vec!["error: no space left on device".to_owned()];
        let errors = [
            BuildError::DockerfileUnsupported {
                builder: "native",
                path: "Dockerfile".into(),
                able: vec!["DockerBuilder"],
            },
            BuildError::HostStep {
                image: "app:1".into(),
                program: "cargo".into(),
                status: "exit status 101".into(),
                output,
            },
            BuildError::File {
                path: "/srv/app".into(),
                source: std::io::ErrorKind::NotFound.into(),
            },
            BuildError::Unreachable {
                endpoint: "tcp://buildkit.test:1234".into(),
                output: vec!["dial tcp: connection refused".into()],
                help: "start buildkitd".into(),
            },
            BuildError::NeedsBuildKit {
                image: "app:1".into(),
                feature: "secrets",
                reason: "there is no docker client on PATH".into(),
            },
            BuildError::TargetMissing {
                target: "wasm32-unknown-unknown",
                able: vec!["DockerBuilder"],
            },
            BuildError::GoModDirectives {
                module: "example.com/tool@v1.0.0".into(),
                directive: "replace",
            },
            BuildError::CannotStart {
                program: "/usr/local/bin/app".into(),
                image: "app:1".into(),
                reason: "it is linked dynamically".into(),
                help: "link it statically".into(),
            },
            CacheDirError::NoHome.into(),
            CacheDirError::Foreign {
                cache: "/c/harmony".into(),
                path: "/c".into(),
                owner: 1001,
                user: 1000,
            }
            .into(),
            CacheDirError::Shared {
                cache: "/c/harmony".into(),
                path: "/c/harmony".into(),
                mode: 0o777,
            }
            .into(),
            Cancelled.into(),
        ];
        let shown = errors.map(|error| Report::of(&error).to_string());
        insta::assert_snapshot!(shown.join("\n"));
    }
}
