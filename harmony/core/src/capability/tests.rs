//! The text of every error of the capabilities, as users read it.

use std::io;

use super::continuous_delivery::DeliveryError;
use super::kubernetes_cluster::{ClusterError, FieldFault};
use super::oci_registry::RegistryError;
use crate::approval::{NotApproved, Takeover};
use crate::diagnostic::{AnyDiagnostic, Diagnostic, Report};
use crate::kubernetes::ObjectRef;
use crate::outcome::Subject;

fn object(kind: &str, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: kind.into(),
        namespace: Some("shop".parse().unwrap()),
        name: name.parse().unwrap(),
    }
}

fn refused() -> crate::diagnostic::BoxError {
    io::Error::from(io::ErrorKind::ConnectionRefused).into()
}

fn shown<const N: usize>(errors: [Box<dyn Diagnostic>; N]) -> String {
    errors
        .map(|error| Report::of(&*error).to_string())
        .join("\n")
}

#[test]
fn errors_of_registries() {
    let registry: harmony_types::RegistryHost = "hub.example.com".parse().unwrap();
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64)).parse().unwrap();
    insta::assert_snapshot!(shown([
        Box::new(RegistryError::Unreachable {
            registry: registry.clone(),
            source: refused(),
        }),
        Box::new(RegistryError::UntrustedCertificate {
            registry: registry.clone(),
            source: refused(),
        }),
        Box::new(RegistryError::Denied {
            registry: registry.clone(),
            operation: "pushing to `team/web`".into(),
            credentials: "none (HARMONY_REGISTRY_USER is not set)".into(),
            answer: Some("403 Forbidden: DENIED".into()),
        }),
        Box::new(RegistryError::TagTaken {
            reference: "hub.example.com/team/web:1.0.0".into(),
            published: digest("a"),
            ours: digest("b"),
        }),
        Box::new(RegistryError::Answer {
            registry: registry.clone(),
            operation: "reading `team/web:1.0.0`".into(),
            answer: "500 Internal Server Error: out of order".into(),
        }),
        Box::new(RegistryError::NoSpace {
            registry,
            what: "the image for `web`".into(),
            answer: "507 Insufficient Storage".into(),
        }),
        Box::new(RegistryError::Local {
            what: "the image for `web`".into(),
            source: refused(),
        }),
        Box::new(RegistryError::NotFound {
            reference: "hub.example.com/team/web:1.0.0".into(),
        }),
    ]));
}

#[test]
fn errors_of_clusters() {
    let fields = || {
        vec![FieldFault {
            path: "spec.replicas".into(),
            problem: "is a string, but must be a number".into(),
            fix: "remove the quotes around the value".into(),
        }]
    };
    insta::assert_snapshot!(shown([
        Box::new(ClusterError::Unreachable {
            endpoint: "https://192.0.2.1:6443".into(),
            source: refused(),
        }),
        Box::new(ClusterError::Kubeconfig {
            path: "/home/me/cluster.yaml".into(),
            context: Some("prod".into()),
            contexts: vec!["staging".into()],
            source: refused(),
        }),
        Box::new(ClusterError::OtherOwner {
            takeovers: vec![Takeover {
                object: object("ConfigMap", "settings"),
                owner: "chart:web@shop".into(),
            }],
        }),
        Box::new(ClusterError::Invalid {
            object: object("Deployment", "web"),
            fields: fields(),
        }),
        Box::new(ClusterError::Dropped {
            object: object("Deployment", "web"),
            fields: vec![FieldFault {
                fix: String::new(),
                ..fields().remove(0)
            }],
        }),
        Box::new(ClusterError::Refused {
            object: object("Pod", "web"),
            reason: "exceeded quota".into(),
            fields: vec!["spec.containers: too many".into()],
        }),
        Box::new(ClusterError::Conflict {
            object: object("Deployment", "web"),
            owners: vec!["kubectl-edit: .spec.replicas".into()],
        }),
        Box::new(ClusterError::UnknownKind {
            object: object("Tenant", "a"),
        }),
        Box::new(ClusterError::Forbidden {
            verb: "delete",
            object: object("Secret", "password"),
            reason: "secrets is forbidden: User \"ci\" cannot delete resource \"secrets\"".into(),
        }),
        Box::new(ClusterError::Request {
            verb: "apply",
            object: object("Deployment", "web"),
            source: refused(),
        }),
    ]));
}

#[test]
fn errors_of_deliveries() {
    let chart: harmony_types::ChartRef = "oci://hub.example.com/team/web:1.0.0".parse().unwrap();
    let inventory = object("ConfigMap", "harmony-delivery-web");
    insta::assert_snapshot!(shown([
        Box::new(DeliveryError::Chart {
            chart: chart.clone(),
            source: RegistryError::NotFound {
                reference: chart.to_string(),
            },
        }),
        Box::new(DeliveryError::Render {
            chart: chart.clone(),
            source: AnyDiagnostic::new(RegistryError::NotFound {
                reference: "what the chart needs".into(),
            }),
        }),
        Box::new(DeliveryError::UnfitName { chart }),
        Box::new(DeliveryError::DamagedInventory {
            inventory: inventory.clone(),
            problem: "has no `state`".into(),
            label: "harmony.dev/delivery=web".into(),
        }),
        Box::new(DeliveryError::ForeignEntry {
            inventory,
            object: object("Secret", "theirs"),
        }),
    ]));
}

#[test]
fn errors_of_approvals() {
    let deletions = vec![Subject::Object(object("ConfigMap", "old"))];
    insta::assert_snapshot!(shown([
        Box::new(NotApproved::Declined {
            deletions: deletions.clone(),
        }),
        Box::new(NotApproved::NobodyToAsk { deletions }),
    ]));
}
