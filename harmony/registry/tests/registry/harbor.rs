//! Harbor's projects. Harbor consists of a dozen containers and cannot be started by a test, so a small server imitates
//! its API (`api/v2.0/swagger.yaml`). Images and charts are tested against a real registry elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harmony_core::Context;
use harmony_core::capability::PullAccounts;
use harmony_core::capability::oci_registry::{RegistryError, RegistryLocation};
use harmony_core::capability::pull_accounts::{Issued, RegistryLogin};
use harmony_core::outcome::{Action, Change};
use harmony_registry::harbor::{Harbor, HarborSettings, ProjectName, Visibility};
use harmony_registry::{Credentials, Environment, RegistrySettings};
use harmony_types::{RegistryHost, Repository};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::scripted::{Scripted, challenge, refuse};

const ADMIN: &str = "robot$admin";
const READER: &str = "robot$fleet+reader";
const PASSWORD: &str = "s3cret";

struct HarborApi {
    host: RegistryHost,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    projects: Mutex<BTreeMap<String, String>>,
    quotas: Mutex<BTreeMap<String, u64>>,
    rules: Mutex<Vec<Value>>,
    robots: Mutex<Vec<Value>>,
    requests: Mutex<Vec<Method>>,
    /// Somebody else creates the project between our check and our request.
    overtaken: Mutex<bool>,
}

impl HarborApi {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let host = RegistryHost::parse(listener.local_addr().expect("an address").to_string())
            .expect("a host");
        let shared = Arc::new(Shared::default());
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        Self {
            host,
            shared,
            task: tokio::spawn(async move {
                axum::serve(listener, router).await.expect("a server");
            }),
        }
    }

    fn harbor(&self, context: Context, user: &str) -> Harbor {
        let project = Repository::parse("fleet/images").expect("a repository");
        let location = RegistryLocation::new(self.host.clone(), Some(project)).expect("a location");
        let settings = RegistrySettings::new(Environment::default())
            .with_credentials(Credentials::new(user, PASSWORD));
        Harbor::new(context, location, settings).expect("an adapter")
    }

    fn projects(&self) -> BTreeMap<String, String> {
        self.shared.projects.lock().expect("the projects").clone()
    }
}

impl Drop for HarborApi {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shared
        .requests
        .lock()
        .expect("the list")
        .push(method.clone());
    if uri.path() == "/v2/" {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let user = |name: &str| {
        let basic = format!("Basic {}", STANDARD.encode(format!("{name}:{PASSWORD}")));
        headers
            .get("authorization")
            .is_some_and(|value| *value == basic)
    };
    let is_robot = |robot: &Value| {
        let text = |key: &str| robot[key].as_str().expect("a text").to_owned();
        let basic = STANDARD.encode(format!("{}:{}", text("name"), text("secret")));
        let sent = headers.get("authorization").and_then(|it| it.to_str().ok());
        robot["disable"] == false && sent == Some(&format!("Basic {basic}"))
    };
    let mut robots = shared.robots.lock().expect("the robots");
    if !user(ADMIN) && !user(READER) && !robots.iter().any(is_robot) {
        return error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "unauthorized");
    }
    let mut projects = shared.projects.lock().expect("the projects");
    if let Some(rest) = uri.path().strip_prefix("/api/v2.0/robots") {
        if !user(ADMIN) {
            return error(StatusCode::FORBIDDEN, "FORBIDDEN", "forbidden");
        }
        return answer_robots(&mut robots, &method, rest, uri.query(), &body);
    }
    let rest = uri
        .path()
        .strip_prefix("/api/v2.0/projects")
        .expect("the API");
    match (method, rest) {
        (Method::HEAD, "") => {
            let query = uri.query().expect("a query");
            let name = query.strip_prefix("project_name=").expect("a name");
            if projects.contains_key(name) {
                StatusCode::OK.into_response()
            } else {
                StatusCode::NOT_FOUND.into_response()
            }
        }
        (method, path) if path.ends_with("/immutabletagrules") => {
            assert_eq!(headers["x-is-resource-name"], "true");
            if !user(ADMIN) {
                return error(StatusCode::FORBIDDEN, "FORBIDDEN", "forbidden");
            }
            let mut rules = shared.rules.lock().expect("the rules");
            if method == Method::POST {
                let mut rule: Value = serde_json::from_slice(&body).expect("JSON");
                rule["id"] = 3.into();
                rules.push(rule);
                return StatusCode::CREATED.into_response();
            }
            Value::from(rules.clone()).to_string().into_response()
        }
        (Method::GET, path) => {
            assert_eq!(headers["x-is-resource-name"], "true");
            match projects.get(&path[1..]) {
                Some(public) => {
                    json!({"name": &path[1..], "project_id": 7, "metadata": {"public": public}})
                        .to_string()
                        .into_response()
                }
                None => error(StatusCode::NOT_FOUND, "NOT_FOUND", "project not found"),
            }
        }
        (Method::POST, "") => {
            let wanted: Value = serde_json::from_slice(&body).expect("JSON");
            let name = wanted["project_name"].as_str().expect("a name").to_owned();
            let public = wanted["metadata"]["public"]
                .as_str()
                .expect("a string")
                .to_owned();
            if *shared.overtaken.lock().expect("the flag") {
                projects.insert(name.clone(), "false".into());
            }
            if !user(ADMIN) {
                return error(
                    StatusCode::FORBIDDEN,
                    "FORBIDDEN",
                    "Only system admin can create project",
                );
            }
            if projects.contains_key(&name) {
                return error(
                    StatusCode::CONFLICT,
                    "CONFLICT",
                    "The project exists already",
                );
            }
            if let Some(limit) = wanted["storage_limit"].as_u64() {
                let mut quotas = shared.quotas.lock().expect("the quotas");
                quotas.insert(name.clone(), limit);
            }
            projects.insert(name, public);
            StatusCode::CREATED.into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

/// Only the first hundred accounts are on the first page; passwords are in no list.
fn answer_robots(
    robots: &mut Vec<Value>,
    method: &Method,
    rest: &str,
    query: Option<&str>,
    body: &[u8],
) -> Response {
    match *method {
        Method::GET => {
            let query = query.expect("a query");
            let page = query.strip_prefix("q=Level=project,ProjectID=7&page=");
            let page = page.and_then(|rest| rest.strip_suffix("&page_size=100"));
            let page: usize = page.expect("the query").parse().expect("a page");
            let listed = robots.iter().skip((page - 1) * 100).take(100).cloned();
            let mut listed: Vec<_> = listed.collect();
            for robot in &mut listed {
                robot["secret"] = "".into();
            }
            Value::from(listed).to_string().into_response()
        }
        Method::POST => {
            let mut robot: Value = serde_json::from_slice(body).expect("JSON");
            let permissions = &robot["permissions"];
            assert_eq!(
                *permissions,
                json!([{
                    "kind": "project",
                    "namespace": "fleet",
                    "access": [{"resource": "repository", "action": "pull"}],
                }])
            );
            let name = robot["name"].as_str().expect("a name");
            robot["name"] = format!("robot$fleet+{name}").into();
            robot["id"] = robots.len().into();
            robot["secret"] = format!("first-{}", robots.len()).into();
            robot["expires_at"] = (-1).into();
            robots.push(robot.clone());
            (StatusCode::CREATED, robot.to_string()).into_response()
        }
        Method::PATCH => {
            let id: usize = rest[1..].parse().expect("an id");
            assert_eq!(body, br#"{"secret":""}"#);
            robots[id]["secret"] = format!("renewed-{id}").into();
            json!({"secret": robots[id]["secret"]})
                .to_string()
                .into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({"errors": [{"code": code, "message": message}]});
    (status, body.to_string()).into_response()
}

#[tokio::test]
async fn a_missing_project_is_planned_then_created_then_there() {
    let api = HarborApi::start().await;
    let context = Context::new();
    let planner = api.harbor(context.planning(), ADMIN);
    let name = planner.project().expect("a project");
    assert_eq!(name, ProjectName::parse("fleet").expect("a name"));
    let would = planner
        .ensure_project(&name, Visibility::Public)
        .await
        .expect("a plan");
    assert_eq!(would.action, Action::Create);
    assert!(api.projects().is_empty());
    assert!(
        !api.shared
            .requests
            .lock()
            .expect("the list")
            .contains(&Method::POST)
    );

    let harbor = api.harbor(context, ADMIN);
    let done = harbor
        .ensure_project(&name, Visibility::Public)
        .await
        .expect("a project");
    assert_eq!(done, would);
    assert_eq!(
        api.projects(),
        BTreeMap::from([("fleet".into(), "true".into())])
    );
    let again = harbor
        .ensure_project(&name, Visibility::Public)
        .await
        .expect("a project");
    assert_eq!((again.action, again.note), (Action::Unchanged, None));
    // An existing project keeps its visibility, also for a login that may not create projects.
    let reader = api.harbor(Context::new(), READER);
    let other = reader
        .ensure_project(&name, Visibility::Private)
        .await
        .expect("a project");
    assert_eq!(other.action, Action::Unchanged);
    assert_eq!(
        other.note.as_deref(),
        Some("is public, which is left as it is")
    );
}

#[tokio::test]
async fn a_project_that_somebody_else_creates_meanwhile_is_fine() {
    let api = HarborApi::start().await;
    *api.shared.overtaken.lock().expect("the flag") = true;
    let harbor = api.harbor(Context::new(), ADMIN);
    let name = ProjectName::parse("fleet").expect("a name");
    harbor
        .ensure_project(&name, Visibility::Public)
        .await
        .expect("a project");
    assert_eq!(api.projects().len(), 1);
}

#[tokio::test]
async fn a_login_that_may_not_create_is_denied() {
    let api = HarborApi::start().await;
    let name = ProjectName::parse("fleet").expect("a name");
    for user in [READER, "nobody"] {
        let harbor = api.harbor(Context::new(), user);
        let error = harbor
            .ensure_project(&name, Visibility::Private)
            .await
            .expect_err("denied");
        let RegistryError::Denied { operation, .. } = &error else {
            panic!("denied, not {error:?}");
        };
        assert!(operation.contains("the project `fleet`"), "{operation}");
    }
    assert!(api.projects().is_empty());
}

#[tokio::test]
async fn a_project_is_made_as_it_is_configured_and_then_left_alone() {
    let api = HarborApi::start().await;
    let settings = HarborSettings {
        visibility: Visibility::Private,
        storage_limit: Some(50 << 30),
        immutable_tags: true,
    };
    let actions = |changes: &[Change]| {
        let actions = changes.iter().map(|change| change.action);
        actions.collect::<Vec<_>>()
    };
    let context = Context::new();
    let would = api
        .harbor(context.planning(), ADMIN)
        .ensure(&settings)
        .await;
    let would = would.expect("a plan");
    assert_eq!(actions(&would), [Action::Create, Action::Update]);
    assert!(api.projects().is_empty());

    let harbor = api.harbor(context, ADMIN);
    assert_eq!(harbor.ensure(&settings).await.expect("a project"), would);
    let quotas = api.shared.quotas.lock().expect("the quotas").clone();
    assert_eq!(quotas, BTreeMap::from([("fleet".into(), 50 << 30)]));
    let again = harbor.ensure(&settings).await.expect("a project");
    assert_eq!(actions(&again), [Action::Unchanged, Action::Unchanged]);
    assert_eq!(api.shared.rules.lock().expect("the rules").len(), 1);

    // A robot account that may only push cannot see the rules, and that is enough.
    let robot = api.harbor(Context::new(), READER);
    let seen = robot.ensure(&settings).await.expect("a project");
    assert_eq!(actions(&seen), [Action::Unchanged, Action::Unchanged]);
    assert!(
        seen[1]
            .note
            .as_deref()
            .expect("a note")
            .contains("may not see")
    );
}

#[expect(clippy::panic, reason = "a test fails by panicking")]
async fn issue(harbor: &Harbor, account: &str) -> Result<(RegistryLogin, Action), RegistryError> {
    let account = account.parse().expect("a name");
    match harbor.issue(&account, "pulls for fleet").await? {
        Issued::Login(login, change) => Ok((login, change.action)),
        Issued::NotNeeded => panic!("Harbor always needs a login"),
    }
}

#[tokio::test]
async fn a_pull_account_is_created_once_and_then_gets_new_passwords() {
    let api = HarborApi::start().await;
    let harbor = api.harbor(Context::new(), ADMIN);
    let name = harbor.project().expect("a project");
    // A plan for a project that does not exist yet.
    let planner = api.harbor(Context::new().planning(), ADMIN);
    let (_, would) = issue(&planner, "pull").await.expect("a plan");
    assert_eq!(would, Action::Create);
    assert_eq!(api.shared.robots.lock().expect("the robots").len(), 0);

    let ensured = harbor.ensure_project(&name, Visibility::Private).await;
    ensured.expect("a project");
    // More accounts than fit on a page.
    for other in 0..120 {
        issue(&harbor, &format!("other-{other}"))
            .await
            .expect("an account");
    }
    let (first, action) = issue(&harbor, "pull").await.expect("an account");
    assert_eq!(
        (first.user.as_str(), action),
        ("robot$fleet+pull", Action::Create)
    );
    assert!(harbor.accepts(&first).await.expect("an answer"));

    let (second, action) = issue(&harbor, "pull").await.expect("an account");
    assert_eq!(
        (second.user.as_str(), action),
        ("robot$fleet+pull", Action::Update)
    );
    assert!(!harbor.accepts(&first).await.expect("an answer"));
    assert!(harbor.accepts(&second).await.expect("an answer"));
    assert_eq!(api.shared.robots.lock().expect("the robots").len(), 121);
    let shown = format!("{second:?}");
    assert!(!shown.contains("renewed"), "{shown}");
}

#[tokio::test]
async fn a_disabled_account_stays_disabled() {
    let api = HarborApi::start().await;
    let harbor = api.harbor(Context::new(), ADMIN);
    let name = harbor.project().expect("a project");
    let ensured = harbor.ensure_project(&name, Visibility::Private).await;
    ensured.expect("a project");
    let (login, _) = issue(&harbor, "pull").await.expect("an account");
    api.shared.robots.lock().expect("the robots")[0]["disable"] = true.into();
    assert!(!harbor.accepts(&login).await.expect("an answer"));
    let error = issue(&harbor, "pull").await.expect_err("disabled");
    assert!(
        error.to_string().contains("`robot$fleet+pull` is disabled"),
        "{error}"
    );
}

#[tokio::test]
async fn a_login_that_may_not_create_accounts_is_denied() {
    let api = HarborApi::start().await;
    let admin = api.harbor(Context::new(), ADMIN);
    let name = admin.project().expect("a project");
    let ensured = admin.ensure_project(&name, Visibility::Private).await;
    ensured.expect("a project");
    let error = issue(&api.harbor(Context::new(), READER), "pull").await;
    let RegistryError::Denied { operation, .. } = error.expect_err("denied") else {
        panic!("denied");
    };
    assert!(
        operation.contains("robot accounts of the project `fleet`"),
        "{operation}"
    );
}

/// The answers of Harbor 2.14, of ECR and of Artifactory to a tag that is protected.
#[tokio::test]
async fn a_protected_tag_is_named() {
    for (status, code, message) in [
        (
            412,
            "PRECONDITION",
            "Failed to process request due to 'app:1.0.0' configured as immutable.",
        ),
        (
            400,
            "TAG_INVALID",
            "The image tag '1.0.0' already exists in the 'team/app' repository and cannot be overwritten because the tag is immutable.",
        ),
        (409, "MANIFEST_INVALID", "tag 1.0.0 is immutable"),
    ] {
        // The login may push but not pull: it does not see the tag.
        let registry = Scripted::start(move |asked| {
            if asked.is(Method::PUT, "/manifests/1.0.0") {
                return Some(refuse(status, code, message));
            }
            None
        })
        .await;
        let error = registry.push(&registry.anonymous()).await;
        let rendered = registry.rendered(&error.expect_err("protected"));
        assert!(rendered.starts_with("error[H0246]"), "{rendered}");
        assert!(rendered.contains(message), "{rendered}");
        assert!(rendered.contains("increase the version"), "{rendered}");
    }
}

#[tokio::test]
async fn a_robot_account_that_a_shell_has_cut_is_recognised() {
    let registry =
        Scripted::start(|asked| (!asked.has_password()).then(|| challenge("Basic"))).await;
    for (user, is_cut) in [
        ("robot+ci", true),
        ("robot", true),
        ("robot$team+ci", false),
    ] {
        let environment = Environment::from_lookup(|name| match name {
            "HARMONY_REGISTRY_USER" => Some(user.into()),
            "HARMONY_REGISTRY_PASSWORD" => Some(PASSWORD.into()),
            _ => None,
        });
        let client = registry.client(RegistrySettings::new(environment));
        let error = registry.push(&client).await.expect_err("denied");
        let rendered = registry.rendered(&error);
        assert!(rendered.starts_with("error[H0203]"), "{rendered}");
        assert_eq!(rendered.contains("single quotes"), is_cut, "{rendered}");
    }
}
