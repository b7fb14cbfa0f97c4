//! Robot accounts that can only pull from the project.

use async_trait::async_trait;
use harmony_core::capability::PullAccounts;
use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::capability::pull_accounts::{Issued, RegistryLogin};
use harmony_core::outcome::{Action, Change, Subject};
use harmony_types::ResourceName;
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Harbor, IS_NAME, PROJECT_LIMIT, ProjectName, api, json_body};
use crate::auth::Identity;
use crate::error::ClientError;
use crate::settings::Credentials;
use crate::transport::{Call, retrying};
use crate::wire::Failure;

const ROBOTS_LIMIT: u64 = 4 * 1024 * 1024;
/// The largest page that Harbor returns.
const PAGE_SIZE: usize = 100;
/// The `duration` of an account that does not expire.
const NEVER: i64 = -1;

#[async_trait]
impl PullAccounts for Harbor {
    /// Asks Harbor's API with this login. The accounts of a project are refused only if the password is wrong, or if they are
    /// disabled or expired.
    async fn accepts(&self, login: &RegistryLogin) -> Result<bool, RegistryError> {
        let name = self.project()?;
        let tried = retrying(|| self.try_login(&name, login));
        self.client.context().unless_cancelled(tried).await?
    }

    async fn issue(
        &self,
        account: &ResourceName,
        description: &str,
    ) -> Result<Issued, RegistryError> {
        let project = self.project()?;
        let issued = self.issue_in(&project, account, description);
        self.client.context().unless_cancelled(issued).await?
    }
}

impl Harbor {
    async fn try_login(
        &self,
        project: &ProjectName,
        login: &RegistryLogin,
    ) -> Result<bool, Failure> {
        let credentials = Credentials::new(&login.user, login.password.clone());
        let Some(identity) = Identity::given(&credentials) else {
            return Ok(false);
        };
        let transport = self.client.transport();
        let call = Call {
            identity,
            ..api(
                Method::HEAD,
                format!("projects?project_name={project}"),
                "trying the login of the cluster",
            )
        };
        let response = transport.send(&call).await?;
        match response.status() {
            StatusCode::OK | StatusCode::NOT_FOUND => Ok(true),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(false),
            _ => Err(transport.rejection(&call, response).await),
        }
    }

    async fn issue_in(
        &self,
        project: &ProjectName,
        account: &ResourceName,
        description: &str,
    ) -> Result<Issued, RegistryError> {
        let subject = Subject::RegistryAccount(format!("{project}+{account}"));
        let id = retrying(|| self.project_id(project)).await?;
        let found = match id {
            Some(id) => self.find_robot(project, id, account).await?,
            // The plan of a first release: the project will be created.
            None => None,
        };
        if let Some(robot) = &found {
            robot.check(Timestamp::now().as_second())?;
        }
        let change = match &found {
            Some(_) => Change::new(Action::Update, subject).with_note("new password"),
            None => Change::new(Action::Create, subject).with_note("may pull"),
        };
        if self.client.context().is_planning() {
            let nobody = RegistryLogin {
                user: account.to_string(),
                password: String::new().into(),
            };
            return Ok(Issued::Login(nobody, change));
        }
        let step = self
            .client
            .context()
            .step(format!("get a login for {project}+{account}"));
        let login = match found {
            Some(robot) => retrying(|| self.renew(&robot)).await?,
            None => retrying(|| self.create_robot(project, account, description)).await?,
        };
        step.done("may pull");
        Ok(Issued::Login(login, change))
    }

    async fn project_id(&self, name: &ProjectName) -> Result<Option<u64>, Failure> {
        #[derive(Deserialize)]
        struct Project {
            project_id: u64,
        }
        let operation = format!("reading the project `{name}`");
        let call =
            api(Method::GET, format!("projects/{name}"), &operation).with_header(IS_NAME, "true");
        let transport = self.client.transport();
        let response = transport.send(&call).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND if self.client.context().is_planning() => return Ok(None),
            _ => return Err(transport.rejection(&call, response).await),
        }
        let wire = transport.wire();
        let body = wire.body(response, "the project", PROJECT_LIMIT).await?;
        let project: Project = serde_json::from_slice(&body)
            .map_err(|error| transport.nonsense(&operation, error.to_string()))?;
        Ok(Some(project.project_id))
    }

    /// The account with this name among those of the project.
    async fn find_robot(
        &self,
        project: &ProjectName,
        id: u64,
        account: &ResourceName,
    ) -> Result<Option<Robot>, RegistryError> {
        let mut page = 1;
        loop {
            let robots = retrying(|| self.robots(project, id, page)).await?;
            let is_last = robots.len() < PAGE_SIZE;
            let mut robots = robots.into_iter();
            if let Some(robot) = robots.find(|robot| robot.is(project, account)) {
                return Ok(Some(robot));
            }
            if is_last {
                return Ok(None);
            }
            page += 1;
        }
    }

    async fn robots(
        &self,
        project: &ProjectName,
        id: u64,
        page: usize,
    ) -> Result<Vec<Robot>, Failure> {
        let operation = format!("reading the robot accounts of the project `{project}`");
        let query = format!("q=Level=project,ProjectID={id}&page={page}&page_size={PAGE_SIZE}");
        let call = api(Method::GET, format!("robots?{query}"), &operation);
        let body = self.answer(&call, StatusCode::OK).await?;
        serde_json::from_slice(&body).map_err(|error| {
            let transport = self.client.transport();
            transport.nonsense(&operation, error.to_string()).into()
        })
    }

    async fn create_robot(
        &self,
        project: &ProjectName,
        account: &ResourceName,
        description: &str,
    ) -> Result<RegistryLogin, Failure> {
        #[derive(Deserialize)]
        struct Created {
            name: String,
            secret: String,
        }
        let operation = format!("creating the robot account `{project}+{account}`");
        let body = creation(project, account, description);
        let call = api(Method::POST, "robots".into(), &operation).with_payload(json_body(&body));
        let body = self.answer(&call, StatusCode::CREATED).await?;
        let created: Created = self.secret_in(&body, &operation)?;
        Ok(RegistryLogin {
            user: created.name,
            password: created.secret.into(),
        })
    }

    /// A new password for an existing account: Harbor shows a password only once.
    async fn renew(&self, robot: &Robot) -> Result<RegistryLogin, Failure> {
        #[derive(Deserialize)]
        struct Renewed {
            secret: String,
        }
        let operation = format!(
            "renewing the password of the robot account `{}`",
            robot.name
        );
        // An empty secret: Harbor generates one.
        let call = api(Method::PATCH, format!("robots/{}", robot.id), &operation)
            .with_payload(json_body(&json!({"secret": ""})));
        let body = self.answer(&call, StatusCode::OK).await?;
        let renewed: Renewed = self.secret_in(&body, &operation)?;
        Ok(RegistryLogin {
            user: robot.name.clone(),
            password: renewed.secret.into(),
        })
    }

    async fn answer(&self, call: &Call, wanted: StatusCode) -> Result<Vec<u8>, Failure> {
        let transport = self.client.transport();
        let response = transport.send(call).await?;
        if response.status() != wanted {
            return Err(transport.rejection(call, response).await);
        }
        let wire = transport.wire();
        Ok(wire
            .body(response, "the robot accounts", ROBOTS_LIMIT)
            .await?
            .into())
    }

    /// Reads an answer with a password, and does not quote it in the error.
    fn secret_in<T: for<'a> Deserialize<'a>>(
        &self,
        body: &[u8],
        operation: &str,
    ) -> Result<T, Failure> {
        serde_json::from_slice(body).map_err(|_| {
            let transport = self.client.transport();
            let answer = "the answer contains no password".to_owned();
            transport.nonsense(operation, answer).into()
        })
    }
}

/// What creates an account (`RobotCreate` in Harbor's `api/v2.0/swagger.yaml`).
fn creation(project: &ProjectName, account: &ResourceName, description: &str) -> Value {
    json!({
        "name": account.as_str(),
        "description": description,
        "level": "project",
        "duration": NEVER,
        "disable": false,
        "permissions": [{
            "kind": "project",
            "namespace": project.as_str(),
            "access": [{"resource": "repository", "action": "pull"}],
        }],
    })
}

/// An account in Harbor's list.
#[derive(Debug, Deserialize)]
struct Robot {
    id: u64,
    /// With the prefix of this Harbor (usually `robot$`) and the project.
    name: String,
    #[serde(default)]
    disable: bool,
    /// Seconds since 1970; negative if it never expires.
    #[serde(default = "never")]
    expires_at: i64,
}

fn never() -> i64 {
    NEVER
}

impl Robot {
    fn is(&self, project: &ProjectName, account: &ResourceName) -> bool {
        // Administrators choose the prefix, which contains no `+`.
        let prefix = self.name.strip_suffix(&format!("{project}+{account}"));
        prefix.is_some_and(|prefix| !prefix.ends_with(|last: char| last.is_ascii_alphanumeric()))
    }

    /// Somebody disabled the account on purpose, or let it expire: a new password would not change that.
    fn check(&self, now: i64) -> Result<(), ClientError> {
        let state = if self.disable {
            "disabled"
        } else if (0..now).contains(&self.expires_at) {
            "expired"
        } else {
            return Ok(());
        };
        Err(ClientError::RobotUnusable {
            name: self.name.clone(),
            state,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn robot(name: &str, disable: bool, expires_at: i64) -> Robot {
        Robot {
            id: 1,
            name: name.into(),
            disable,
            expires_at,
        }
    }

    #[test]
    fn an_account_is_found_under_any_prefix_and_only_in_its_project() {
        let project = ProjectName::parse("fleet").expect("a name");
        let account: ResourceName = "pull".parse().expect("a name");
        for name in ["robot$fleet+pull", "bot-fleet+pull", "fleet+pull"] {
            assert!(robot(name, false, -1).is(&project, &account), "{name}");
        }
        for name in ["robot$fleet+pull2", "robot$myfleet+pull", "robot$pull"] {
            assert!(!robot(name, false, -1).is(&project, &account), "{name}");
        }
    }

    #[test]
    fn a_disabled_or_expired_account_is_refused() {
        let state = |disable, expires_at| robot("r", disable, expires_at).check(1_000).is_ok();
        assert!(state(false, -1));
        assert!(state(false, 1_001));
        assert!(!state(false, 999));
        assert!(!state(true, -1));
    }
}
