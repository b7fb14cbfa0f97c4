//! The faults: each is a chart that cannot be deployed, and the code of the error that says why.

use harmony::core::kubernetes::{KubeObject, ObjectError};
use harmony::core::verify::{Checks, ServicePort, SmokeCheck};
use harmony::types::{ImageRef, Namespace};
use harmony_fleet_e2e::peer_app::{PORT, SERVE, deployment, in_namespace};
use harmony_fleet_e2e::released::PULL_SECRET;
use serde_json::{Value, json};

/// Something that is wrong with an app or with the place that it is deployed to.
pub(crate) struct Fault {
    /// The component of the app's name.
    pub(crate) name: &'static str,
    /// One line for the table.
    pub(crate) title: &'static str,
    /// The code of its error.
    pub(crate) code: &'static str,
    objects: fn(&str) -> Vec<Value>,
    /// What is in the namespace before, applied by somebody else.
    before: fn() -> Vec<Value>,
    /// The path of the smoke check.
    path: Option<&'static str>,
}

impl Fault {
    const fn new(
        name: &'static str,
        title: &'static str,
        code: &'static str,
        objects: fn(&str) -> Vec<Value>,
    ) -> Self {
        Self {
            name,
            title,
            code,
            objects,
            before: Vec::new,
            path: None,
        }
    }

    const fn before(self, before: fn() -> Vec<Value>) -> Self {
        Self { before, ..self }
    }

    const fn checked_at(self, path: &'static str) -> Self {
        Self {
            path: Some(path),
            ..self
        }
    }

    /// The objects of its chart.
    pub(crate) fn objects(
        &self,
        namespace: &Namespace,
        image: &ImageRef,
    ) -> Result<Vec<KubeObject>, ObjectError> {
        in_namespace((self.objects)(&image.to_string()), namespace)
    }

    /// What is in the namespace before.
    pub(crate) fn before_in(&self, namespace: &Namespace) -> Result<Vec<KubeObject>, ObjectError> {
        in_namespace((self.before)(), namespace)
    }

    /// The checks of its app.
    pub(crate) fn checks(&self) -> Checks {
        let Some(path) = self.path else {
            return Checks::readiness_alone();
        };
        Checks::first(SmokeCheck::Http {
            service: ServicePort {
                service: "web".parse().expect("a valid name"),
                port: 80,
            },
            path: path.into(),
            status: 200,
            contains: None,
        })
    }
}

/// All of them, from those that are found before anything is written to those that only a running app shows.
pub(crate) const FAULTS: &[Fault] = &[
    Fault::new(
        "unknown-kind",
        "a kind that the cluster does not have",
        "H0314",
        |image| {
            let gadget = json!({
                "apiVersion": "example.com/v1", "kind": "Gadget", "metadata": { "name": "web" }, "spec": {},
            });
            vec![gadget, deployment(image, &SERVE)]
        },
    ),
    Fault::new(
        "unknown-field",
        "a field that does not exist",
        "H0355",
        |image| vec![with(deployment(image, &SERVE), "/spec/replica", json!(2))],
    ),
    Fault::new("invalid-field", "a port above 65535", "H0355", |image| {
        vec![in_container(
            deployment(image, &SERVE),
            "ports",
            json!([{ "containerPort": 70000 }]),
        )]
    }),
    Fault::new(
        "other-owner",
        "an object that somebody else applied",
        "H0350",
        |image| vec![settings("ours"), deployment(image, &SERVE)],
    )
    .before(|| vec![settings("theirs")]),
    Fault::new(
        "no-image",
        "an image that does not exist",
        "H0301",
        |image| {
            let missing = format!("{}@sha256:{}", name_of(image), "07".repeat(32));
            let sidecar = json!([{ "name": "sidecar", "image": missing }]);
            vec![in_pod(deployment(image, &SERVE), "initContainers", sidecar)]
        },
    ),
    Fault::new(
        "no-login",
        "an image that needs a login",
        "H0302",
        |image| {
            vec![in_pod(
                deployment(image, &SERVE),
                "imagePullSecrets",
                json!([]),
            )]
        },
    ),
    Fault::new(
        "no-config-map",
        "variables of a missing ConfigMap",
        "H0305",
        |image| {
            let from = json!([{ "configMapRef": { "name": "missing" } }]);
            vec![in_container(deployment(image, &SERVE), "envFrom", from)]
        },
    ),
    Fault::new(
        "no-secret",
        "a volume of a missing Secret",
        "H0305",
        |image| {
            let volumes = json!([{ "name": "keys", "secret": { "secretName": "missing" } }]);
            let mounts = json!([{ "name": "keys", "mountPath": "/keys" }]);
            vec![in_pod(
                in_container(deployment(image, &SERVE), "volumeMounts", mounts),
                "volumes",
                volumes,
            )]
        },
    ),
    Fault::new("no-account", "a missing ServiceAccount", "H0307", |image| {
        vec![in_pod(
            deployment(image, &SERVE),
            "serviceAccountName",
            json!("missing"),
        )]
    }),
    Fault::new("quota", "a quota that allows no pods", "H0307", |image| {
        vec![deployment(image, &SERVE)]
    })
    .before(|| {
        vec![json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "none" },
            "spec": { "hard": { "pods": "0" } },
        })]
    }),
    Fault::new(
        "privileged",
        "a pod that the security standard forbids",
        "H0307",
        |image| {
            vec![in_container(
                deployment(image, &SERVE),
                "securityContext",
                json!({ "privileged": true }),
            )]
        },
    )
    .before(|| {
        vec![json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "baseline" } },
        })]
    }),
    Fault::new(
        "too-big",
        "more processors than any node has",
        "H0306",
        |image| {
            vec![in_container(
                deployment(image, &SERVE),
                "resources",
                json!({ "requests": { "cpu": "1000" } }),
            )]
        },
    ),
    Fault::new(
        "no-volume",
        "a volume of a missing storage class",
        "H0305",
        |image| {
            let claim = json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "data" },
                "spec": {
                    "accessModes": ["ReadWriteOnce"], "storageClassName": "missing",
                    "resources": { "requests": { "storage": "1Mi" } },
                },
            });
            let volumes =
                json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }]);
            vec![claim, in_pod(deployment(image, &SERVE), "volumes", volumes)]
        },
    ),
    Fault::new(
        "no-program",
        "a command that is not in the image",
        "H0304",
        |image| {
            vec![in_container(
                deployment(image, &SERVE),
                "command",
                json!(["/no/such/program"]),
            )]
        },
    ),
    Fault::new("crash", "a program that ends at once", "H0303", |image| {
        vec![deployment(image, &["crash", "3"])]
    }),
    Fault::new(
        "init-crash",
        "an init container that fails",
        "H0303",
        |image| {
            let init = json!([{ "name": "migrate", "image": image, "args": ["crash", "4"] }]);
            vec![in_pod(deployment(image, &SERVE), "initContainers", init)]
        },
    ),
    Fault::new("memory", "more memory than the limit", "H0317", |image| {
        let limits = json!({ "limits": { "memory": "24Mi" } });
        vec![in_container(
            deployment(image, &["eat"]),
            "resources",
            limits,
        )]
    }),
    Fault::new("job", "a Job that fails", "H0318", |image| {
        let container = json!({ "name": "migrate", "image": image, "args": ["crash", "5"] });
        vec![json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "migrate" },
            "spec": { "backoffLimit": 0, "template": { "spec": {
                "restartPolicy": "Never", "containers": [container], "imagePullSecrets": [{ "name": PULL_SECRET }],
            } } },
        })]
    }),
    Fault::new(
        "not-ready",
        "a readiness probe that is never passed",
        "H0308",
        |image| {
            vec![with(
                deployment(image, &SERVE),
                READINESS_PATH,
                json!("/never"),
            )]
        },
    ),
    Fault::new(
        "wrong-answer",
        "a smoke check that fails",
        "H0309",
        |image| vec![deployment(image, &SERVE), service()],
    )
    .checked_at("/wrong"),
];

const READINESS_PATH: &str = "/spec/template/spec/containers/0/readinessProbe/httpGet/path";

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": PORT }] },
    })
}

fn settings(value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "settings" }, "data": { "value": value },
    })
}

/// The image without its digest.
fn name_of(image: &str) -> &str {
    let (name, _) = image.split_once('@').unwrap_or((image, ""));
    name
}

fn in_container(deployment: Value, field: &str, value: Value) -> Value {
    with(
        deployment,
        &format!("/spec/template/spec/containers/0/{field}"),
        value,
    )
}

fn in_pod(deployment: Value, field: &str, value: Value) -> Value {
    with(deployment, &format!("/spec/template/spec/{field}"), value)
}

/// The object with another value at this JSON pointer, whose parent exists.
fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').expect("a JSON pointer");
    let parent = object.pointer_mut(parent).expect("its parent exists");
    parent[field] = value;
    object
}
