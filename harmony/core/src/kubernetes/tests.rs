use serde_json::json;

use super::*;

fn named(api_version: &str, kind: &str, name: &str) -> Result<KubeObject, ObjectError> {
    KubeObject::from_value(json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": { "name": name },
    }))
}

#[test]
fn each_kind_has_its_own_rule_for_names() {
    const RBAC: &str = "rbac.authorization.k8s.io/v1";
    for (api_version, kind, name) in [
        (
            RBAC,
            "ClusterRoleBinding",
            "trial-metrics:system:auth-delegator",
        ),
        (RBAC, "Role", "Trial_Metrics:Reader"),
        (RBAC, "RoleBinding", "with space"),
        (
            "certificates.k8s.io/v1",
            "CertificateSigningRequest",
            "node:One",
        ),
        ("apiregistration.k8s.io/v1", "APIService", "v1."),
        ("networking.k8s.io/v1", "IPAddress", "2001:db8::1"),
        ("metrics.example.com/v1", "Reading", "Über_all"),
        ("apps/v1", "Deployment", "web.v2"),
    ] {
        let object = named(api_version, kind, name).unwrap();
        assert_eq!(object.reference().name.as_str(), name);
    }
    for (api_version, kind, name) in [
        (RBAC, "Role", "a/b"),
        (RBAC, "Role", ".."),
        (RBAC, "Role", "a%20b"),
        ("v1", "Namespace", "web.v2"),
        ("v1", "ServiceAccount", "system:web"),
        ("networking.k8s.io/v1", "Ingress", "Web"),
        ("apps/v1", "Deployment", "web_v2"),
    ] {
        let error = named(api_version, kind, name).unwrap_err();
        assert!(
            matches!(&error, ObjectError::InvalidName { .. }),
            "{kind} {name}: {error:?}"
        );
        assert_eq!(error.hints().len(), 1, "{kind} {name}");
    }
}

#[test]
fn an_observed_object_keeps_whatever_name_it_has() {
    let observed = KubeObject::observed(json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": { "name": "Odd:Name" },
    }));
    assert_eq!(observed.unwrap().reference().name.as_str(), "Odd:Name");
}
