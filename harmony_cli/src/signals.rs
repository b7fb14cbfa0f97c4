//! Ctrl-C and SIGTERM: the first one asks the run to stop cleanly, the second one ends the process.

use harmony_core::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::exit_status::ExitStatus;
use crate::output::RunError;
use crate::progress::Screen;

/// Handles signals until it is dropped.
pub(crate) struct Listening(JoinHandle<()>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Cancels `context` on the first signal and exits on the second.
pub(crate) fn listen(context: &Context, screen: Screen) -> Result<Listening, RunError> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let cancellation = context.cancellation().clone();
    let task = tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        cancellation.cancel();
        screen.message("stopping; press Ctrl-C again to exit immediately\n");
        either(&mut interrupt, &mut terminate).await;
        screen.clear();
        exit_now();
    });
    Ok(Listening(task))
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[expect(
    clippy::exit,
    reason = "whoever presses Ctrl-C twice does not want to wait for anything"
)]
fn exit_now() -> ! {
    std::process::exit(ExitStatus::Cancelled.code().into())
}
