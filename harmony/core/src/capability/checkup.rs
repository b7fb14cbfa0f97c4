//! Finding out what of a topology answers.

use ambassador::delegatable_trait;
use async_trait::async_trait;

use crate::chart::DeployTarget;
pub use crate::checkup::Finding;

/// Says what answers and what does not, and why. Providers: every adapter, for what it talks to.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` cannot be examined",
    label = "this topology lacks the capability `Checkup`",
    note = "implement `Checkup` for `{Self}`: join the findings of its adapters"
)]
pub trait Checkup: Send + Sync {
    /// Examines everything at once, each check with its own deadline, so that one that does not answer hides no other.
    /// Reads only. `targets` are what a deploy goes to.
    async fn examine(&self, targets: &[DeployTarget]) -> Vec<Finding>;
}
