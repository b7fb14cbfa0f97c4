//! The kinds that the cluster knows: queried once, and again only if a kind is missing.

use std::sync::Arc;

use harmony_core::kubernetes::{KnownKind, ObjectRef};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::discovery::{Discovery, Scope};
use kube::{Client, Error};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::sync::RwLock;

/// What discovery returns for a kind.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    pub(crate) resource: ApiResource,
    pub(crate) is_namespaced: bool,
    /// Whether the kind has a status subresource.
    pub(crate) has_status: bool,
}

impl Kind {
    /// The API for the object's kind, in its namespace.
    ///
    /// A namespaced object without a namespace is looked up in `default`, as kubectl does.
    pub(crate) fn api(&self, client: &Client, object: &ObjectRef) -> Api<DynamicObject> {
        if !self.is_namespaced {
            return Api::all_with(client.clone(), &self.resource);
        }
        let namespace = object
            .namespace
            .as_ref()
            .map_or("default", |name| name.as_str());
        Api::namespaced_with(client.clone(), namespace, &self.resource)
    }
}

/// What a name may not contain as it is in the path of a URL; the client puts names there as they are.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The name of an object as one segment of a URL's path.
pub(crate) fn segment(object: &ObjectRef) -> String {
    utf8_percent_encode(object.name.as_str(), RESERVED).to_string()
}

/// The discovery of one cluster, shared by all clones of its client.
#[derive(Clone, Default)]
pub(crate) struct Kinds {
    known: Arc<RwLock<Option<Discovery>>>,
}

impl Kinds {
    /// The kind of the object; `None` if the cluster still does not know it after another query.
    pub(crate) async fn find(
        &self,
        client: &Client,
        object: &ObjectRef,
    ) -> Result<Option<Kind>, Error> {
        let wanted = group_version_kind(object);
        if let Some(kind) = self
            .known
            .read()
            .await
            .as_ref()
            .and_then(|known| resolve(known, &wanted))
        {
            return Ok(Some(kind));
        }
        let mut known = self.known.write().await;
        // Another task may have queried it while this one waited for the lock.
        if let Some(kind) = known.as_ref().and_then(|known| resolve(known, &wanted)) {
            return Ok(Some(kind));
        }
        let fresh = discover(client).await?;
        let kind = resolve(&fresh, &wanted);
        *known = Some(fresh);
        Ok(kind)
    }
}

impl Kinds {
    /// All kinds that the cluster knows, in order.
    pub(crate) async fn all(&self, client: &Client) -> Result<Vec<KnownKind>, Error> {
        let mut known = self.known.write().await;
        let discovery = match &mut *known {
            Some(discovery) => discovery,
            none => none.insert(discover(client).await?),
        };
        let groups = discovery.groups();
        let kinds = groups.flat_map(|group| {
            let versions: Vec<&str> = group.versions().collect();
            let resources = versions
                .into_iter()
                .flat_map(|version| group.versioned_resources(version));
            resources.collect::<Vec<_>>()
        });
        let mut all: Vec<_> = kinds
            .map(|(resource, capabilities)| KnownKind {
                api_version: resource.api_version,
                kind: resource.kind,
                is_namespaced: capabilities.scope == Scope::Namespaced,
            })
            .collect();
        all.sort();
        all.dedup();
        Ok(all)
    }
}

/// Splits `apps/v1` and `Deployment` as discovery needs them.
pub(crate) fn group_version_kind(object: &ObjectRef) -> GroupVersionKind {
    let (group, version) = object
        .api_version
        .split_once('/')
        .unwrap_or(("", &object.api_version));
    GroupVersionKind::gvk(group, version, &object.kind)
}

/// Two requests for any number of kinds. Servers before 1.26 need one per group.
async fn discover(client: &Client) -> Result<Discovery, Error> {
    match Discovery::new(client.clone()).run_aggregated().await {
        Ok(discovery) if discovery.has_group("") => Ok(discovery),
        _ => Discovery::new(client.clone()).run().await,
    }
}

fn resolve(discovery: &Discovery, wanted: &GroupVersionKind) -> Option<Kind> {
    let (resource, capabilities) = discovery.resolve_gvk(wanted)?;
    let has_status = capabilities
        .subresources
        .iter()
        .any(|(subresource, _)| subresource.plural.ends_with("status"));
    Some(Kind {
        resource,
        is_namespaced: capabilities.scope == Scope::Namespaced,
        has_status,
    })
}
