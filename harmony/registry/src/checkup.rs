//! What of a registry answers: it, its TLS, our login, and whether this login may push. Nothing is pushed.

use async_trait::async_trait;
use harmony_core::capability::Checkup;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::chart::DeployTarget;
use harmony_core::checkup::{self, Finding, NoAnswer};
use harmony_types::Repository;
use reqwest::{Method, StatusCode};

use crate::answer::Unwanted;
use crate::client::OciRegistryClient;
use crate::scope::Scope;
use crate::transport::{API_ROOT, Call};
use crate::wire::Failure;

/// The folder of a repository that a release pushes to; a token server says what we may do in it.
const SAMPLE: &str = "releases";

#[async_trait]
impl Checkup for OciRegistryClient {
    async fn examine(&self, _: &[DeployTarget]) -> Vec<Finding> {
        let part = format!("registry {}", self.location());
        let skipped = |check: &str, failed: &Finding| {
            Finding::skipped(&part, check, format!("`{}` failed", failed.check))
        };
        let answers = checkup::check(&part, "answers", self.greet()).await;
        if answers.is_failed() {
            let later = ["login", "push"].map(|check| skipped(check, &answers));
            return [answers].into_iter().chain(later).collect();
        }
        let login = checkup::check(&part, "login", self.try_login()).await;
        let push = if login.is_failed() {
            skipped("push", &login)
        } else {
            self.may_push(&part).await
        };
        vec![answers, login, push]
    }
}

impl OciRegistryClient {
    /// Sends nothing that identifies us.
    async fn greet(&self) -> Result<String, RegistryError> {
        let transport = self.transport();
        let greeted = async {
            let base = transport.base().await?;
            let url = base.join(API_ROOT).unwrap_or_else(|_| base.clone());
            let request = transport.wire().request(Method::GET, url)?;
            let response = transport.wire().exchange(request).await?;
            let scheme = base.scheme().to_owned();
            match response.status() {
                StatusCode::UNAUTHORIZED => {
                    transport.auth().learn(response.headers()).await;
                    Ok(format!("{scheme}, requires a login"))
                }
                StatusCode::OK => Ok(format!("{scheme}, requires no login")),
                _ => {
                    let unwanted = Unwanted::read(transport.wire(), response).await;
                    Err(unwanted.failure(transport.registry(), "saying hello"))
                }
            }
        };
        greeted.await.map_err(|failure: Failure| failure.error)
    }

    async fn try_login(&self) -> Result<String, RegistryError> {
        let transport = self.transport();
        let call = Call::new(Method::GET, API_ROOT, self.sample(), "logging in");
        let logged_in = async {
            let response = transport.send(&call).await?;
            if response.status() == StatusCode::OK {
                return Ok(transport.auth().origin(&call.identity).await);
            }
            Err(transport.rejection(&call, response).await)
        };
        logged_in.await.map_err(|failure: Failure| failure.error)
    }

    /// Known if the registry has a token server whose tokens can be read.
    async fn may_push(&self, part: &str) -> Finding {
        const CHECK: &str = "push";
        let scope = self.sample();
        let repository = scope.repository.clone();
        let transport = self.transport();
        let asked = tokio::time::timeout(checkup::DEADLINE, transport.auth().is_granted(&scope));
        match asked.await {
            Ok(Some(true)) => Finding::ok(part, CHECK, format!("may push to `{repository}`")),
            Ok(Some(false)) => {
                let operation = format!("pushing to `{repository}`");
                let call = Call::new(Method::GET, API_ROOT, scope, operation);
                Finding::failed(part, CHECK, &transport.denied(&call, None).await)
            }
            Ok(None) => {
                let reason = "this registry tells only during a push whether the login may push";
                Finding::skipped(part, CHECK, reason)
            }
            Err(_) => Finding::failed(part, CHECK, &NoAnswer::of(part)),
        }
    }

    fn sample(&self) -> Scope {
        let sample: Repository = SAMPLE.parse().expect("a valid path");
        Scope::push(match self.location().project() {
            Some(project) => project.join(SAMPLE).unwrap_or_else(|_| project.clone()),
            None => sample,
        })
    }
}
