//! Consent to deletions: `--yes`, or a person at the terminal.

use std::fmt::Write;
use std::io::ErrorKind;

use async_trait::async_trait;
use harmony_core::approval::{Approver, NotApproved};
use harmony_core::context::Cancelled;
use harmony_core::outcome::Subject;
use inquire::{Confirm, InquireError};

use crate::progress::{CatchUp, Screen};
use crate::select::can_ask;

/// Asks where somebody can answer, and refuses where nobody can: it never waits for an answer that cannot come.
#[derive(Debug)]
pub(crate) struct AskAtTerminal {
    pub(crate) screen: Screen,
    pub(crate) catch_up: CatchUp,
    /// True with `--json`: a program is not asked, although a person may have started it at a terminal.
    pub(crate) never_ask: bool,
}

#[async_trait]
impl Approver for AskAtTerminal {
    async fn approve(&self, deletions: &[Subject]) -> Result<(), NotApproved> {
        let deletions = deletions.to_vec();
        if self.never_ask || !can_ask() {
            return Err(NotApproved::NobodyToAsk { deletions });
        }
        self.catch_up.wait().await;
        let screen = self.screen.clone();
        let question = question(&deletions);
        // The prompt blocks, and so do the bars until it is answered.
        let asked = tokio::task::spawn_blocking(move || {
            screen.suspend(|| {
                crate::output::message(&question);
                Confirm::new("Delete them?").with_default(false).prompt()
            })
        });
        match asked.await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false) | Err(InquireError::OperationCanceled)) => {
                Err(NotApproved::Declined { deletions })
            }
            Ok(Err(InquireError::OperationInterrupted)) => Err(Cancelled.into()),
            Ok(Err(InquireError::IO(error))) if error.kind() == ErrorKind::Interrupted => {
                Err(Cancelled.into())
            }
            // the terminal went away
            Ok(Err(_)) | Err(_) => Err(NotApproved::NobodyToAsk { deletions }),
        }
    }
}

fn question(deletions: &[Subject]) -> String {
    let mut text = String::from("These no longer belong and would be deleted:\n");
    for subject in deletions {
        let _ = writeln!(text, "  - {subject}");
    }
    text
}
