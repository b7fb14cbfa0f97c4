//! Converts answers of the API server to errors of the port.

use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::kubernetes::ObjectRef;
use kube::core::response::Status;

/// What was attempted, on which object, at which server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) verb: &'static str,
    pub(crate) object: &'a ObjectRef,
    pub(crate) endpoint: &'a str,
}

impl Attempt<'_> {
    /// The error of the port that describes the failure best.
    pub(crate) fn failed(self, error: kube::Error) -> ClusterError {
        match error {
            kube::Error::Api(status) => self.refused(*status),
            kube::Error::HyperError(_) | kube::Error::Service(_) if !is_refused_write(&error) => {
                ClusterError::Unreachable {
                    endpoint: self.endpoint.to_owned(),
                    source: error.into(),
                }
            }
            other => self.request(other),
        }
    }

    /// The error for a request that timed out.
    pub(crate) fn timed_out(self, elapsed: tokio::time::error::Elapsed) -> ClusterError {
        ClusterError::Unreachable {
            endpoint: self.endpoint.to_owned(),
            source: elapsed.into(),
        }
    }

    fn request(self, source: impl Into<harmony_core::diagnostic::BoxError>) -> ClusterError {
        ClusterError::Request {
            verb: self.verb,
            object: self.object.clone(),
            source: source.into(),
        }
    }

    fn refused(self, status: Status) -> ClusterError {
        let object = self.object.clone();
        let causes = || {
            let details = status.details.iter();
            details.flat_map(|details| details.causes.iter())
        };
        let is_terminating = causes().any(|cause| cause.reason == "NamespaceTerminating");
        match status.code {
            409 if causes().any(|cause| cause.reason == "FieldManagerConflict") => {
                let owners = causes().map(owner).collect();
                ClusterError::Conflict { object, owners }
            }
            401 => ClusterError::Forbidden {
                verb: self.verb,
                object,
                reason: "the credentials of the kubeconfig are not accepted".into(),
            },
            // Admission (quota, policy, a webhook) also answers 403; only RBAC mentions the user.
            403 if !is_terminating && status.message.contains(" cannot ") => {
                ClusterError::Forbidden {
                    verb: self.verb,
                    object,
                    reason: status.message,
                }
            }
            404 if is_unknown_kind(&status) => ClusterError::UnknownKind { object },
            code => match crate::schema::faults(&status) {
                // Objects are validated before they are written, so only those that could not be validated get here.
                Some(faults) => ClusterError::Refused {
                    object,
                    reason: "it is not valid".into(),
                    fields: faults.iter().map(ToString::to_string).collect(),
                },
                None if matches!(code, 403 | 404 | 409 | 413) => ClusterError::Refused {
                    object,
                    reason: status.message,
                    fields: Vec::new(),
                },
                None if status.message.contains("failed calling webhook")
                    || status.message.contains("admission webhook") =>
                {
                    ClusterError::Refused {
                        object,
                        reason: status.message,
                        fields: Vec::new(),
                    }
                }
                // The client's own message is a dump of the whole answer.
                None => self.request(status.message),
            },
        }
    }
}

/// `kubectl: .spec.replicas`. The server writes `conflict with "kubectl" using apps/v1`, with the field next to it.
fn owner(cause: &kube::core::response::StatusCause) -> String {
    let manager = cause.message.split('"').nth(1).unwrap_or("another manager");
    format!("{manager}: {}", cause.field)
}

/// A 404 that names no object means that the path, and therefore the kind, is unknown.
fn is_unknown_kind(status: &Status) -> bool {
    status
        .details
        .as_ref()
        .is_none_or(|details| details.name.is_empty())
}

fn is_refused_write(error: &kube::Error) -> bool {
    match error {
        kube::Error::Service(source) => source.is::<crate::read_only::WriteRefused>(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answered(status: serde_json::Value) -> ClusterError {
        let object = ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some("web".parse().unwrap()),
            name: "site".parse().unwrap(),
        };
        let status: Status = serde_json::from_value(status).unwrap();
        let attempt = Attempt {
            verb: "apply",
            object: &object,
            endpoint: "https://127.0.0.1:6443/",
        };
        attempt.failed(kube::Error::Api(status.boxed()))
    }

    #[test]
    fn a_conflict_names_manager_and_field() {
        let error = answered(json!({
            "code": 409, "reason": "Conflict", "message": "Apply failed with 1 conflict",
            "details": { "causes": [{
                "reason": "FieldManagerConflict",
                "message": "conflict with \"kubectl-edit\" using apps/v1",
                "field": ".spec.replicas",
            }]}
        }));
        let ClusterError::Conflict { owners, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(owners, ["kubectl-edit: .spec.replicas"]);
    }

    #[test]
    fn an_invalid_object_names_its_fields() {
        let error = answered(json!({
            "code": 422, "reason": "Invalid", "message": "Deployment.apps \"site\" is invalid",
            "details": { "name": "site", "causes": [{
                "reason": "FieldValueRequired", "message": "Required value", "field": "spec.selector",
            }]}
        }));
        let ClusterError::Refused { fields, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(fields, ["spec.selector: Required value"]);
    }

    #[test]
    fn forbidden_by_rbac_and_denied_by_admission_are_two_things() {
        let rbac = answered(json!({
            "code": 403, "reason": "Forbidden",
            "message": "deployments.apps is forbidden: User \"a\" cannot patch resource \"deployments\"",
        }));
        assert!(matches!(
            rbac,
            ClusterError::Forbidden { verb: "apply", .. }
        ));
        let webhook = answered(json!({
            "code": 403, "message": "admission webhook \"policy.example.com\" denied the request: no latest tag",
        }));
        assert!(
            matches!(webhook, ClusterError::Refused { reason, .. } if reason.contains("no latest tag"))
        );
        let terminating = answered(json!({
            "code": 403, "reason": "Forbidden",
            "message": "unable to create new content in namespace web because it is being terminated",
            "details": { "name": "site", "causes": [{ "reason": "NamespaceTerminating" }] }
        }));
        assert!(matches!(terminating, ClusterError::Refused { .. }));
    }

    #[test]
    fn a_missing_path_is_an_unknown_kind_and_a_missing_namespace_is_not() {
        let path = answered(json!({ "code": 404, "reason": "NotFound",
            "message": "the server could not find the requested resource", "details": {} }));
        assert!(matches!(path, ClusterError::UnknownKind { .. }));
        let namespace = answered(json!({ "code": 404, "reason": "NotFound",
            "message": "namespaces \"web\" not found", "details": { "name": "web", "kind": "namespaces" } }));
        assert!(matches!(namespace, ClusterError::Refused { .. }));
    }
}
