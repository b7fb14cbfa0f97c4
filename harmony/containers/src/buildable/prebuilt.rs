//! Building images from existing programs.

use std::path::PathBuf;

use harmony_core::capability::container_builder::BuildError;
use harmony_core::image::{BuildContext, Buildable, ImageRecipe};

use crate::buildable::Runtime;

/// An image with a statically linked program of this host.
///
/// A program that could not start without other files is refused when the image is built.
#[derive(Debug, Clone)]
pub struct Prebuilt {
    program: PathBuf,
    runtime: Runtime,
}

impl Prebuilt {
    /// The program at this path, with the same file name in `/usr/local/bin`. A relative path starts at the root of the
    /// project.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            runtime: Runtime::default(),
        }
    }

    /// Sets how the program runs, and adds files.
    #[must_use]
    pub fn with_runtime(self, runtime: Runtime) -> Self {
        Self { runtime, ..self }
    }
}

impl Buildable for Prebuilt {
    fn recipe(&self, context: &BuildContext) -> Result<ImageRecipe, BuildError> {
        let host = context.project_root.join(&self.program);
        let Some(name) = host.file_name().and_then(|name| name.to_str()) else {
            return Err(BuildError::Recipe {
                image: self.program.display().to_string(),
                reason: format!("`{}` does not name a program", self.program.display()),
                help: "use a path whose file name is UTF-8".to_owned(),
            });
        };
        Ok(self.runtime.recipe(name, host.clone(), Vec::new()))
    }
}
