//! Accounts of a registry that can only pull.

use ambassador::delegatable_trait;
use async_trait::async_trait;
use harmony_types::ResourceName;
use secrecy::SecretString;

use super::oci_registry::RegistryError;
use crate::outcome::Change;

/// Creates accounts that can only pull, so that a cluster does not need the login of a release. Providers: the robot
/// accounts of Harbor, the deploy tokens of other registries.
#[async_trait]
#[delegatable_trait]
#[diagnostic::on_unimplemented(
    message = "the topology `{Self}` cannot create accounts in a registry",
    label = "this topology lacks the capability `PullAccounts`",
    note = "use `PullSecretScore` with a login of your own, or give `{Self}` a registry with accounts, for example `harmony_registry::harbor::Harbor`"
)]
pub trait PullAccounts: Send + Sync {
    /// Whether the registry accepts this login.
    ///
    /// # Errors
    /// See [`RegistryError`]. A login that is refused is not an error.
    async fn accepts(&self, login: &RegistryLogin) -> Result<bool, RegistryError>;

    /// A new login of the account, which is created if it does not exist. Earlier logins of this account stop working.
    /// `description` tells readers of the registry's pages who uses the account.
    ///
    /// While planning, nothing is written, and the login cannot be used.
    ///
    /// # Errors
    /// See [`RegistryError`]; also [`RegistryError::Denied`] if our login may not create accounts.
    async fn issue(
        &self,
        account: &ResourceName,
        description: &str,
    ) -> Result<Issued, RegistryError>;
}

/// The result of [`PullAccounts::issue`].
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one of them at a time")]
pub enum Issued {
    /// The login, and the change to the account.
    Login(RegistryLogin, Change),
    /// The cluster pulls nothing: its images are imported.
    NotNeeded,
}

/// A user of a registry and the password.
#[derive(Debug, Clone)]
pub struct RegistryLogin {
    /// The user.
    pub user: String,
    /// The password or token; never printed.
    pub password: SecretString,
}
