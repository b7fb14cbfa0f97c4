//! Kubernetes objects as the core sees them: a name and a JSON body.
//!
//! The typed structs of the Kubernetes API are used only by the Scores that create objects and the adapter that reads
//! them.

use std::collections::BTreeMap;
use std::fmt;

use harmony_types::{NameError, Namespace, ObjectName, ResourceName};
use serde::Serialize;
use serde_json::Value;

use crate::codes;
use crate::diagnostic::{Diagnostic, FailureKind, Origin};

/// Identifies an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// `v1`, `apps/v1`, ...
    pub api_version: String,
    /// `Deployment`, ...
    pub kind: String,
    /// None for cluster-scoped objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// `metadata.name`.
    pub name: ObjectName,
}

impl ObjectRef {
    /// Checks the name against the rule of the kind; see [`has_free_names`].
    ///
    /// Stricter rules of single kinds, such as Services, are checked by the API server.
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

/// Whether any path segment is a valid name for objects of this kind.
///
/// This is the case for RBAC, certificate requests, API services, IP addresses and storage versions
/// (`ValidateObjectMeta` with `ValidatePathSegmentName` in `k8s.io/kubernetes/pkg/apis`). Groups outside of Kubernetes
/// may have their own rules.
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

/// The properties of a cluster that a chart can query: `.Capabilities` in Helm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterCapabilities {
    /// The version of the cluster, for example `v1.34.2`.
    pub version: String,
    /// The kinds that it supports.
    pub kinds: Vec<KnownKind>,
}

/// A kind that a cluster supports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KnownKind {
    /// `v1`, `apps/v1`, ...
    pub api_version: String,
    /// `Deployment`, ...
    pub kind: String,
    /// Whether the kind is namespaced.
    pub is_namespaced: bool,
}

/// A query for the objects of one kind with all of these labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectQuery {
    /// `v1`, `apps/v1`, ...
    pub api_version: String,
    /// `Deployment`, ...
    pub kind: String,
    /// The namespace; `None` for all namespaces and for cluster-scoped kinds.
    pub namespace: Option<Namespace>,
    /// The labels; if empty, all objects of the kind match.
    pub labels: BTreeMap<String, String>,
}

/// The annotation with which a Score or chart allows the values of an object to be shown in plans and results:
/// `harmony.dev/values: public`. Without it, changes to environment variables, arguments, data and similar fields are
/// shown without their values.
pub const PUBLIC_VALUES: &str = "harmony.dev/values";

/// The desired state of an object, as sent by server-side apply.
#[derive(Clone, PartialEq)]
pub struct KubeObject {
    reference: ObjectRef,
    body: Value,
}

impl KubeObject {
    /// Creates an object from a typed API struct or anything else that serializes to a complete object.
    ///
    /// Fields that the server manages (`status`, `metadata.managedFields`, `creationTimestamp`) are removed.
    ///
    /// # Errors
    /// The object lacks `apiVersion`, `kind` or `metadata.name`, or has a name that Kubernetes does not allow.
    pub fn new(object: &impl Serialize) -> Result<Self, ObjectError> {
        let body =
            serde_json::to_value(object).map_err(|source| ObjectError::NotJson { source })?;
        Self::from_value(body)
    }

    /// Creates an object from JSON, like [`KubeObject::new`].
    ///
    /// # Errors
    /// See [`KubeObject::new`].
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

    /// An object as read from a cluster, including the fields that the server manages.
    ///
    /// # Errors
    /// See [`KubeObject::new`].
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

    /// The same object, with values that can be shown in plans and results; see [`PUBLIC_VALUES`]. The values of a
    /// Secret are never shown.
    #[must_use]
    pub fn with_public_values(mut self) -> Self {
        let annotations = &mut self.body["metadata"]["annotations"];
        if !annotations.is_object() {
            *annotations = Value::Object(serde_json::Map::new());
        }
        annotations[PUBLIC_VALUES] = "public".into();
        self
    }

    /// The name of the Score.
    pub fn reference(&self) -> &ObjectRef {
        &self.reference
    }

    /// The object as JSON.
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// Converts the object to JSON.
    pub fn into_body(self) -> Value {
        self.body
    }
}

/// For a Secret, shows only the name.
impl fmt::Debug for KubeObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reference.kind == "Secret" {
            write!(f, "KubeObject({}, redacted)", self.reference)
        } else {
            write!(f, "KubeObject({}, {})", self.reference, self.body)
        }
    }
}

/// The reason why a value is not a valid object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// A field that identifies the object is missing.
    #[error("a {} has no `{field}`", kind.as_deref().unwrap_or("Kubernetes object"))]
    Missing {
        /// The name of the field.
        field: &'static str,
        /// The kind of the object, if known.
        kind: Option<String>,
    },
    /// A name that Kubernetes does not allow.
    #[error("a {kind} cannot have this `{field}`")]
    InvalidName {
        /// The name of the field.
        field: &'static str,
        /// The kind of the object.
        kind: String,
        /// The name and the violated rule.
        #[source]
        source: NameError,
    },
    /// The value cannot be serialized.
    #[error("a Kubernetes object does not serialise to JSON")]
    NotJson {
        /// The underlying error.
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
