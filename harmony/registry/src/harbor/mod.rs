//! Harbor: an OCI registry whose projects must exist before something is pushed, and which has robot accounts.

mod immutability;
mod project_name;
mod robots;

use std::fmt;
use std::sync::Arc;

use ambassador::Delegate;
use harmony_core::Context;
use harmony_core::capability::helm_registry::{HelmRegistry, ambassador_impl_HelmRegistry};
use harmony_core::capability::oci_registry::{
    OciRegistry, Published, RegistryError, RegistryLocation, ambassador_impl_OciRegistry,
};
use harmony_core::chart::{PackagedChart, PackagedObjects, PublishedObjects};
use harmony_core::image::Built;
use harmony_core::outcome::{Action, Change, Subject};
use harmony_types::{ChartRef, Digest, ImageRef};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

pub use project_name::ProjectName;

use crate::auth::Identity;
use crate::client::OciRegistryClient;
use crate::settings::RegistrySettings;
use crate::transport::{Call, Payload, Target, retrying};
use crate::wire::Failure;

const PROJECT_LIMIT: u64 = 1024 * 1024;

/// Harbor, accessed by its REST API version 2.0 in addition to the OCI API.
///
/// The login may be a robot account (`robot$fleet+ci`). It needs permission to create projects only if one is missing.
#[derive(Debug, Delegate)]
#[expect(
    clippy::duplicated_attributes,
    reason = "two delegations name the same field"
)]
#[delegate(OciRegistry, target = "client")]
#[delegate(HelmRegistry, target = "client")]
pub struct Harbor {
    client: Arc<OciRegistryClient>,
}

/// How a project should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HarborSettings {
    /// Who may pull from a new project.
    pub visibility: Visibility,
    /// The storage quota of a new project, in bytes; `None` for the default of Harbor.
    pub storage_limit: Option<u64>,
    /// Whether the project needs a rule that no tag can be overwritten or deleted.
    pub immutable_tags: bool,
}

/// Who may pull from a project.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody, without a login.
    Public,
    /// Its members.
    #[default]
    Private,
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Private => "private",
        })
    }
}

impl Harbor {
    /// Like [`OciRegistryClient::new`].
    ///
    /// # Errors
    /// Like [`OciRegistryClient::new`].
    pub fn new(
        context: Context,
        location: RegistryLocation,
        settings: RegistrySettings,
    ) -> Result<Self, RegistryError> {
        let client = OciRegistryClient::new(context, location, settings)?;
        Ok(Self::of(Arc::new(client)))
    }

    /// The Harbor that `client` pushes to and pulls from.
    pub fn of(client: Arc<OciRegistryClient>) -> Self {
        Self { client }
    }

    /// Ensures that the project of this registry's location exists and is as `settings` say, as far as they do not change
    /// what others have set: an existing project keeps its visibility and its quota.
    ///
    /// A login that may not see the rules of the project is no error, because it may still push; this is mentioned in the
    /// note of the change.
    ///
    /// # Errors
    /// As [`ensure_project`](Self::ensure_project).
    pub async fn ensure(&self, settings: &HarborSettings) -> Result<Vec<Change>, RegistryError> {
        let name = self.project()?;
        let ensured = async {
            let project = self.ensure_with(&name, settings).await?;
            let is_new = project.action == Action::Create;
            let mut changes = vec![project];
            if settings.immutable_tags {
                changes.push(self.ensure_immutable_tags(&name, is_new).await?);
            }
            Ok(changes)
        };
        self.client.context().unless_cancelled(ensured).await?
    }

    /// The project of this registry's location: the first part of its path.
    ///
    /// # Errors
    /// The location has no path: Harbor stores nothing outside of projects.
    pub fn project(&self) -> Result<ProjectName, RegistryError> {
        let location = self.client.registry_url();
        let first = location
            .project()
            .and_then(|project| project.components().next())
            .unwrap_or_default();
        Ok(ProjectName::parse(first)?)
    }

    /// Ensures that the project exists. An existing project keeps its visibility, since a release must not publish or
    /// hide what others put there; a difference is mentioned in the note of the change.
    ///
    /// While planning, reports whether it would be created.
    ///
    /// # Errors
    /// See [`RegistryError`]; also [`RegistryError::Denied`] if the login may not create projects.
    pub async fn ensure_project(
        &self,
        name: &ProjectName,
        visibility: Visibility,
    ) -> Result<Change, RegistryError> {
        let settings = HarborSettings {
            visibility,
            ..HarborSettings::default()
        };
        self.client
            .context()
            .unless_cancelled(self.ensure_with(name, &settings))
            .await?
    }

    async fn ensure_with(
        &self,
        name: &ProjectName,
        settings: &HarborSettings,
    ) -> Result<Change, RegistryError> {
        let visibility = settings.visibility;
        let subject = Subject::RegistryProject(name.to_string());
        if let Some(found) = retrying(|| self.find(name)).await? {
            let change = Change::new(Action::Unchanged, subject);
            return Ok(match found {
                Some(found) if found != visibility => {
                    change.with_note(format!("is {found}, which is left as it is"))
                }
                _ => change,
            });
        }
        let change = Change::new(Action::Create, subject).with_note(visibility.to_string());
        if self.client.context().is_planning() {
            return Ok(change);
        }
        let step = self.client.context().step(format!("create project {name}"));
        // Created by somebody else in the meantime, or by an attempt whose answer was lost: it exists, as wanted.
        retrying(|| self.create(name, settings)).await?;
        step.done(visibility.to_string());
        Ok(change)
    }

    /// Whether the project exists, and its visibility if this login may see it.
    async fn find(&self, name: &ProjectName) -> Result<Option<Option<Visibility>>, Failure> {
        let transport = self.client.transport();
        let operation = format!("looking for the project `{name}`");
        let call = api(
            Method::HEAD,
            format!("projects?project_name={name}"),
            &operation,
        );
        let response = transport.send(&call).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(transport.rejection(&call, response).await),
        }
        let call =
            api(Method::GET, format!("projects/{name}"), &operation).with_header(IS_NAME, "true");
        let response = transport.send(&call).await?;
        if response.status() != StatusCode::OK {
            // Not every login that may use a project may read it.
            return Ok(Some(None));
        }
        let body = transport
            .wire()
            .body(response, "the project", PROJECT_LIMIT)
            .await?;
        Ok(Some(read_visibility(&body)))
    }

    async fn create(&self, name: &ProjectName, settings: &HarborSettings) -> Result<(), Failure> {
        let transport = self.client.transport();
        let operation = format!("creating the project `{name}`");
        // Harbor keeps the metadata of projects as strings.
        let public = (settings.visibility == Visibility::Public).to_string();
        let mut body = json!({"project_name": name.as_str(), "metadata": {"public": public}});
        if let Some(limit) = settings.storage_limit {
            body["storage_limit"] = limit.into();
        }
        let call = api(Method::POST, "projects".into(), &operation).with_payload(json_body(&body));
        let response = transport.send(&call).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::CONFLICT => Ok(()),
            _ => Err(transport.rejection(&call, response).await),
        }
    }
}

/// Tells Harbor that a number in the path is also a name.
const IS_NAME: reqwest::header::HeaderName =
    reqwest::header::HeaderName::from_static("x-is-resource-name");

fn api(method: Method, rest: String, operation: &str) -> Call {
    Call {
        method,
        target: Target::Path(format!("/api/v2.0/{rest}")),
        identity: Identity::Password,
        headers: Vec::new(),
        payload: Payload::Empty,
        operation: operation.to_owned(),
    }
}

fn json_body(body: &Value) -> Payload {
    Payload::Bytes {
        content_type: "application/json".into(),
        bytes: body.to_string().into(),
    }
}

fn read_visibility(project: &[u8]) -> Option<Visibility> {
    #[derive(Deserialize)]
    struct Project {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        public: String,
    }
    let project: Project = serde_json::from_slice(project).ok()?;
    match project.metadata.public.as_str() {
        "true" => Some(Visibility::Public),
        "false" => Some(Visibility::Private),
        _ => None,
    }
}
