//! Approval of deletions (with `--yes` or on a terminal), of takeovers (on a terminal) and of new third-party charts (with
//! `--lock-charts` or on a terminal).

use std::fmt::Write;
use std::io::ErrorKind;

use async_trait::async_trait;
use harmony_core::approval::{Approver, NotApproved, Pin, Takeover};
use harmony_core::context::Cancelled;
use harmony_core::outcome::Subject;
use harmony_types::printable;
use inquire::{Confirm, InquireError};

use crate::progress::{CatchUp, Screen};
use crate::select::can_ask;

/// Asks on a terminal, and refuses without one, so that it never waits for an answer that nobody can give.
#[derive(Debug)]
pub(crate) struct AskAtTerminal {
    pub(crate) screen: Screen,
    pub(crate) catch_up: CatchUp,
    /// True with `--json`: scripts are not asked, even if they run on a terminal.
    pub(crate) never_ask: bool,
}

#[async_trait]
impl Approver for AskAtTerminal {
    async fn approve(&self, deletions: &[Subject]) -> Result<(), NotApproved> {
        let deletions = deletions.to_vec();
        if self.never_ask || !can_ask() {
            return Err(NotApproved::NobodyToAsk { deletions });
        }
        match self.confirm(question(&deletions), "Delete them?").await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false) | Err(InquireError::OperationCanceled)) => {
                Err(NotApproved::Declined { deletions })
            }
            Ok(Err(InquireError::OperationInterrupted)) => Err(Cancelled.into()),
            Ok(Err(InquireError::IO(error))) if error.kind() == ErrorKind::Interrupted => {
                Err(Cancelled.into())
            }
            // the terminal is gone
            Ok(Err(_)) | Err(_) => Err(NotApproved::NobodyToAsk { deletions }),
        }
    }

    async fn approve_takeovers(&self, takeovers: &[Takeover]) -> Result<bool, Cancelled> {
        if self.never_ask || !can_ask() {
            return Ok(false);
        }
        let mut question =
            String::from("The following objects belong to other owners and would be taken over:\n");
        for takeover in takeovers {
            let _ = writeln!(question, "  - {}", printable::line(&takeover.to_string()));
        }
        self.yes_or_no(question, "Take them over?").await
    }

    async fn approve_pin(&self, pin: &Pin) -> Result<bool, Cancelled> {
        if self.never_ask || !can_ask() {
            return Ok(false);
        }
        let question = format!(
            "This content is used for the first time:\n  - {}\n    {}\n",
            printable::line(&pin.what),
            pin.digest
        );
        self.yes_or_no(question, "Record its digest and use it?")
            .await
    }
}

impl AskAtTerminal {
    /// Asks a question whose answer is no if nobody answers it.
    async fn yes_or_no(&self, text: String, prompt: &'static str) -> Result<bool, Cancelled> {
        match self.confirm(text, prompt).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(InquireError::OperationInterrupted)) => Err(Cancelled),
            Ok(Err(InquireError::IO(error))) if error.kind() == ErrorKind::Interrupted => {
                Err(Cancelled)
            }
            Ok(Err(_)) | Err(_) => Ok(false),
        }
    }

    /// Shows `text` and asks. The prompt blocks, and so do the progress bars until it is answered.
    async fn confirm(
        &self,
        text: String,
        prompt: &'static str,
    ) -> Result<Result<bool, InquireError>, tokio::task::JoinError> {
        self.catch_up.wait().await;
        let screen = self.screen.clone();
        let asked = tokio::task::spawn_blocking(move || {
            screen.suspend(|| {
                crate::output::message(&text);
                Confirm::new(prompt).with_default(false).prompt()
            })
        });
        asked.await
    }
}

fn question(deletions: &[Subject]) -> String {
    let mut text =
        String::from("The following are no longer part of a Score and will be deleted:\n");
    for subject in deletions {
        let _ = writeln!(text, "  - {}", printable::line(&subject.to_string()));
    }
    text
}
