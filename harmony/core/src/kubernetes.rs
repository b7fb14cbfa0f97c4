//! Objects of a Kubernetes cluster, as the core sees them: a name and a JSON body.
//!
//! The typed structs of the API stay with the Scores that build them and the adapter that reads them.

use std::collections::BTreeMap;
use std::fmt;

use harmony_types::{NameError, Namespace, ObjectName, ResourceName};
use serde::Serialize;
use serde_json::Value;

use crate::codes;
use crate::diagnostic::{Diagnostic, FailureKind, Origin};

/// Names one object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// `v1`, `apps/v1`, ...
    pub api_version: String,
    /// `Deployment`, ...
    pub kind: String,
    /// None for objects of the whole cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// `metadata.name`.
    pub name: ObjectName,
}

impl ObjectRef {
    /// Checks the name by the rule of the kind, where Kubernetes itself has one; see [`has_free_names`].
    ///
    /// A narrower rule of one kind, such as that of a Service, is left to the API server.
    fn check_name(&self) -> Result<(), ObjectError> {
        let name = self.name.as_str();
        let checked = if self.api_version == "v1" && self.kind == "Namespace" {
            Namespace::parse(name).map(drop)
        } else if has_free_names(&self.api_version, &self.kind) {
            Ok(())
        } else {
            ResourceName::parse(name).map(drop)
        };
        checked.map_err(|source| ObjectError::InvalidName {
            field: "metadata.name",
            kind: self.kind.clone(),
            source,
        })
    }
}

/// Whether any segment of a path is a name for objects of this kind.
///
/// So it is for RBAC, certificate requests, API services, IP addresses and storage versions (`ValidateObjectMeta` with
/// `ValidatePathSegmentName` in `k8s.io/kubernetes/pkg/apis`). Groups that are not of Kubernetes may have rules of
/// their own.
fn has_free_names(api_version: &str, kind: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    match group {
        "" | "apps" | "batch" | "autoscaling" | "policy" => false,
        "rbac.authorization.k8s.io"
        | "certificates.k8s.io"
        | "apiregistration.k8s.io"
        | "internal.apiserver.k8s.io" => true,
        "networking.k8s.io" => kind == "IPAddress",
        group => !group.ends_with(".k8s.io"),
    }
}

/// `Deployment fleet/harmony-fleet-operator`
impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// What a cluster is, as far as a chart may ask: `.Capabilities` of Helm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterCapabilities {
    /// Its version, such as `v1.34.2`.
    pub version: String,
    /// Every kind that it knows.
    pub kinds: Vec<KnownKind>,
}

/// A kind that a cluster knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnownKind {
    /// `v1`, `apps/v1`, ...
    pub api_version: String,
    /// `Deployment`, ...
    pub kind: String,
    /// Whether its objects live in a namespace.
    pub is_namespaced: bool,
}

/// Which objects: those of one kind that bear all of these labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectQuery {
    /// `v1`, `apps/v1`, ...
    pub api_version: String,
    /// `Deployment`, ...
    pub kind: String,
    /// In which namespace; `None` for all of them, and for objects of the whole cluster.
    pub namespace: Option<Namespace>,
    /// Labels and their values; without any, all objects of the kind.
    pub labels: BTreeMap<String, String>,
}

/// The annotation by which a Score or a chart says that the values of an object may be shown in plans and results:
/// `harmony.dev/values: public`. Without it environment variables, arguments, data and the like are shown as changed only.
pub const PUBLIC_VALUES: &str = "harmony.dev/values";

/// An object as it is wanted: what server-side apply sends.
#[derive(Clone, PartialEq)]
pub struct KubeObject {
    reference: ObjectRef,
    body: Value,
}

impl KubeObject {
    /// From a typed API struct, or anything else that serialises to a whole object.
    ///
    /// What the server owns (`status`, `metadata.managedFields`, `creationTimestamp`) is left out.
    ///
    /// # Errors
    /// The object lacks `apiVersion`, `kind` or `metadata.name`, or has a name that Kubernetes would refuse.
    pub fn new(object: &impl Serialize) -> Result<Self, ObjectError> {
        let body =
            serde_json::to_value(object).map_err(|source| ObjectError::NotJson { source })?;
        Self::from_value(body)
    }

    /// From JSON; as [`KubeObject::new`].
    ///
    /// # Errors
    /// As [`KubeObject::new`].
    pub fn from_value(body: Value) -> Result<Self, ObjectError> {
        let mut object = Self::observed(body)?;
        object.reference.check_name()?;
        if let Some(body) = object.body.as_object_mut() {
            body.remove("status");
        }
        if let Some(metadata) = object
            .body
            .pointer_mut("/metadata")
            .and_then(Value::as_object_mut)
        {
            metadata.remove("managedFields");
            metadata.remove("creationTimestamp");
        }
        Ok(object)
    }

    /// An object as a cluster has it, with everything that the server owns.
    ///
    /// # Errors
    /// As [`KubeObject::new`].
    pub fn observed(body: Value) -> Result<Self, ObjectError> {
        let text = |pointer: &'static str| {
            let found = body
                .pointer(pointer)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty());
            found.map(str::to_owned)
        };
        let kind = text("/kind").ok_or(ObjectError::Missing {
            field: "kind",
            kind: None,
        })?;
        let missing = |field| ObjectError::Missing {
            field,
            kind: Some(kind.clone()),
        };
        let api_version = text("/apiVersion").ok_or_else(|| missing("apiVersion"))?;
        let name = text("/metadata/name").ok_or_else(|| missing("metadata.name"))?;
        let invalid = |field| {
            let kind = kind.clone();
            move |source| ObjectError::InvalidName {
                field,
                kind,
                source,
            }
        };
        let name = ObjectName::parse(name).map_err(invalid("metadata.name"))?;
        let namespace = text("/metadata/namespace")
            .map(Namespace::parse)
            .transpose()
            .map_err(invalid("metadata.namespace"))?;
        let reference = ObjectRef {
            api_version,
            kind,
            namespace,
            name,
        };
        Ok(Self { reference, body })
    }

    /// The same object, whose values may be shown in plans and results; see [`PUBLIC_VALUES`]. Those of a Secret never are.
    #[must_use]
    pub fn with_public_values(mut self) -> Self {
        let annotations = &mut self.body["metadata"]["annotations"];
        if !annotations.is_object() {
            *annotations = Value::Object(serde_json::Map::new());
        }
        annotations[PUBLIC_VALUES] = "public".into();
        self
    }

    /// Its name.
    pub fn reference(&self) -> &ObjectRef {
        &self.reference
    }

    /// Its JSON.
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// Its JSON, taken.
    pub fn into_body(self) -> Value {
        self.body
    }
}

/// Secrets show their name only.
impl fmt::Debug for KubeObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reference.kind == "Secret" {
            write!(f, "KubeObject({}, redacted)", self.reference)
        } else {
            write!(f, "KubeObject({}, {})", self.reference, self.body)
        }
    }
}

/// An object that is not one.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// A field that names the object is missing.
    #[error("a {} has no `{field}`", kind.as_deref().unwrap_or("Kubernetes object"))]
    Missing {
        /// Which field.
        field: &'static str,
        /// Of what kind of object, as far as known.
        kind: Option<String>,
    },
    /// A name that Kubernetes would refuse.
    #[error("a {kind} cannot have this `{field}`")]
    InvalidName {
        /// Which field.
        field: &'static str,
        /// Of what kind of object.
        kind: String,
        /// The name, and which rule it breaks.
        #[source]
        source: NameError,
    },
    /// It does not serialise.
    #[error("a Kubernetes object does not serialise to JSON")]
    NotJson {
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Diagnostic for ObjectError {
    fn origin(&self) -> Origin<'_> {
        Origin::Own(codes::OBJECT_INCOMPLETE)
    }

    fn kind(&self) -> FailureKind {
        FailureKind::Refused
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::InvalidName { source, .. } => vec![source.hint()],
            Self::Missing { .. } | Self::NotJson { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
