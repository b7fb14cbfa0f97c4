//! Why an image could not be built. Recipes ([`crate::image`]) and builders
//! ([`crate::capability::container_builder`]) both return it.

use std::path::PathBuf;

use crate::cache_dir::CacheDirError;
use crate::codes;
use crate::context::Cancelled;
use crate::diagnostic::{BoxError, Diagnostic, FailureKind, Origin};

/// An image that could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The source needs a builder that can run a Dockerfile.
    #[error("the builder `{builder}` cannot run the Dockerfile `{}`", path.display())]
    DockerfileUnsupported {
        /// Which builder.
        builder: &'static str,
        /// Which Dockerfile.
        path: PathBuf,
        /// The topologies or builders that can.
        able: Vec<&'static str>,
    },
    /// A host step failed.
    #[error("`{program}` failed while building {image}: {status}")]
    HostStep {
        /// What was being built.
        image: String,
        /// The program.
        program: String,
        /// How it ended, such as `exit status 101`.
        status: String,
        /// The end of what it printed.
        output: Vec<String>,
    },
    /// A program that the host step needs is not installed.
    #[error("the program `{program}` is not on PATH")]
    ProgramMissing {
        /// Which one.
        program: String,
        /// How to get it.
        help: String,
    },
    /// A file of the recipe is missing or cannot be read.
    #[error("cannot read `{}` for the image", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The image could not be written.
    #[error("cannot write the image to `{}`", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The recipe asks for what cannot be.
    #[error("the recipe of {image} is not valid: {reason}")]
    Recipe {
        /// Which image.
        image: String,
        /// What is wrong.
        reason: String,
        /// The way out.
        help: String,
    },
    /// A builder outside this process did not do its work.
    #[error("the builder at `{endpoint}` failed: {doing}")]
    Daemon {
        /// Where it is.
        endpoint: String,
        /// What it was doing.
        doing: String,
        /// The end of what it printed.
        output: Vec<String>,
        /// The way out.
        help: String,
        /// Why, as far as known.
        #[source]
        source: Option<BoxError>,
    },
    /// A Go module whose `go.mod` is only meant for its own repository.
    #[error(
        "Go does not install `{module}` by its version: its go.mod has `{directive}` directives"
    )]
    GoModDirectives {
        /// The package with its version.
        module: String,
        /// `replace` or `exclude`.
        directive: &'static str,
    },
    /// The program of an image could not start in it.
    #[error("`{program}` cannot start in the image of {image}: {reason}")]
    CannotStart {
        /// The path in the image.
        program: String,
        /// Which image.
        image: String,
        /// What is missing.
        reason: String,
        /// The way out.
        help: String,
    },
    /// The folder for cached files cannot be used.
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
            | Self::GoModDirectives { .. }
            | Self::CannotStart { .. } => FailureKind::Refused,
            _ => self.inner().map_or(FailureKind::Failed, Diagnostic::kind),
        }
    }

    fn evidence(&self) -> Vec<String> {
        match self {
            Self::HostStep { output, .. } | Self::Daemon { output, .. } => output.clone(),
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
            | Self::Daemon { help, .. } => vec![help.clone()],
            Self::Write { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                vec!["free some space on that disk, then run the same command again: nothing half-written is used".into()]
            }
            Self::Write { .. } => {
                vec!["check that the directory exists and is yours to write".into()]
            }
            Self::File { .. } => vec!["check the path in the recipe of the app".into()],
            Self::GoModDirectives { module, .. } => vec![
                format!(
                    "compile it in a module of your own that requires it: `go mod init tools && go get {module}`, then \
                     `go build` with CGO_ENABLED=0, and give the program to `Prebuilt`"
                ),
                "or use a version whose go.mod has none, or what its project releases as a program"
                    .into(),
            ],
            Self::CacheDir(error) => error.hints(),
            Self::Cancelled(_) => Vec::new(),
        }
    }
}

/// Every compiler hands on what the system says.
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
        let shown = errors.map(|error| {
            let report = Report::of(&error);
            let mut lines = vec![format!(
                "{} ({:?}): {}",
                report.code, report.kind, report.message
            )];
            let parts = [
                ("cause", report.causes),
                ("seen", report.evidence),
                ("help", report.hints),
            ];
            for (name, texts) in parts {
                lines.extend(texts.into_iter().map(|text| format!("  {name}: {text}")));
            }
            lines.join("\n")
        });
        insta::assert_snapshot!(shown.join("\n"));
    }
}
