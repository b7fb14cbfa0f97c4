//! Blocking work that is cancelled with its run.

use harmony_core::capability::container_builder::BuildError;
use harmony_core::context::{Cancelled, Context};
use tokio_util::sync::CancellationToken;

/// Runs `work` on a separate thread. Its token is cancelled with the run, and when the future is dropped.
pub(crate) async fn blocking<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce(&CancellationToken) -> Result<T, BuildError> + Send + 'static,
) -> Result<T, BuildError> {
    context.check_cancelled()?;
    let token = context.cancellation().child_token();
    let _cancel_on_drop = token.clone().drop_guard();
    match tokio::task::spawn_blocking(move || work(&token)).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // A blocking task is only cancelled when the runtime shuts down.
            Err(_) => Err(Cancelled.into()),
        },
    }
}
