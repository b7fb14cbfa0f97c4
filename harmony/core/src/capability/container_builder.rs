//! Building container images.

use ambassador::delegatable_trait;
use async_trait::async_trait;
use harmony_types::ImageRef;

pub use crate::build_error::BuildError;
use crate::image::{BuildContext, Built};

/// Builds container images. Providers: the native assembler, a Docker daemon, BuildKit.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` cannot build container images",
    label = "this topology lacks the capability `ContainerBuilder`",
    note = "give `{Self}` a builder, for example `harmony_containers::NativeBuilder`, and delegate `ContainerBuilder` to it"
)]
pub trait ContainerBuilder: Send + Sync {
    /// Builds the image described by `context`, with the name `image`.
    ///
    /// The same inputs give the same digest on every machine and at any time. While planning, nothing is built.
    ///
    /// # Errors
    /// See [`BuildError`].
    async fn build(&self, context: &BuildContext, image: &ImageRef) -> Result<Built, BuildError>;
}
