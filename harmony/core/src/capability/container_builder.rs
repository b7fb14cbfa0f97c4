//! Building container images.

use ambassador::delegatable_trait;
use async_trait::async_trait;
use harmony_types::ImageRef;

pub use crate::build_error::BuildError;
use crate::image::{BuildContext, Built};

/// Can build container images. Providers: the native assembler, a docker daemon, BuildKit.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` cannot build container images",
    label = "this topology lacks the capability `ContainerBuilder`",
    note = "give `{Self}` a builder, for example `harmony_containers::NativeBuilder`, and delegate `ContainerBuilder` to it"
)]
pub trait ContainerBuilder: Send + Sync {
    /// Builds the image that `context` describes; `image` is the name it will have.
    ///
    /// The same inputs give the same digest, whoever builds where and when. Planning builds nothing.
    ///
    /// # Errors
    /// See [`BuildError`].
    async fn build(&self, context: &BuildContext, image: &ImageRef) -> Result<Built, BuildError>;
}
