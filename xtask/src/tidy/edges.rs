//! The allowed dependencies between our crates. A new one is an architecture change: add it here and write an ADR.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata};

use super::members;

const CORE: &[&str] = &["harmony_core", "harmony_types"];
const RUNTIME: &[&str] = &[
    "harmony-fleet-domain",
    "harmony-reconciler-contracts",
    "harmony-fleet-adapters-nats",
    "harmony-fleet-adapters-kube",
];
const APP: &[&str] = &["harmony", "harmony_release", "harmony_cli"];

/// The allowed dependencies of each crate (except for development dependencies).
const ALLOWED: &[(&str, &[&[&str]])] = &[
    ("harmony_types", &[]),
    ("harmony_core", &[&["harmony_types"]]),
    ("harmony_oci", &[&["harmony_types"]]),
    ("harmony_containers", &[CORE, &["harmony_oci"]]),
    ("harmony_registry", &[CORE, &["harmony_oci"]]),
    ("harmony_charts", &[CORE]),
    ("harmony_kubernetes", &[CORE, &["harmony_charts"]]),
    ("harmony_local", &[CORE, &["harmony_oci"]]),
    (
        "harmony",
        &[
            CORE,
            &[
                "harmony_charts",
                "harmony_cli",
                "harmony_containers",
                "harmony_oci",
                "harmony_registry",
                "harmony_release",
                "harmony_kubernetes",
                "harmony_local",
            ],
        ],
    ),
    ("harmony_release", &[CORE, &["harmony_charts"]]),
    ("harmony_cli", &[CORE]),
    ("harmony-node", &[&["harmony", "harmony_cli"]]),
    ("harmony-reconciler-contracts", &[]),
    (
        "harmony-fleet-domain",
        &[&["harmony-reconciler-contracts", "harmony_types"]],
    ),
    (
        "harmony-fleet-adapters-nats",
        &[&["harmony-fleet-domain", "harmony-reconciler-contracts"]],
    ),
    (
        "harmony-fleet-adapters-kube",
        &[&["harmony-fleet-domain", "harmony-reconciler-contracts"]],
    ),
    (
        "harmony-fleet-adapters-podman",
        &[&["harmony-fleet-domain", "harmony-reconciler-contracts"]],
    ),
    (
        "harmony-fleet-daemon",
        &[&[
            "harmony_types",
            "harmony-fleet-domain",
            "harmony-reconciler-contracts",
            "harmony-fleet-adapters-nats",
        ]],
    ),
    (
        "harmony-fleet-operator",
        &[RUNTIME, &["harmony-fleet-daemon"]],
    ),
    (
        "harmony-fleet-agent",
        &[&[
            "harmony-fleet-domain",
            "harmony-reconciler-contracts",
            "harmony-fleet-adapters-nats",
            "harmony-fleet-adapters-podman",
            "harmony-fleet-daemon",
        ]],
    ),
    ("harmony-fleet-deploy", &[APP, RUNTIME]),
    (
        "harmony-fleet",
        &[RUNTIME, &["harmony-fleet-deploy", "harmony_types"]],
    ),
    (
        "harmony-fleet-e2e",
        &[
            APP,
            RUNTIME,
            &[
                "harmony-fleet-adapters-podman",
                "harmony-fleet-deploy",
                "harmony_registry",
            ],
        ],
    ),
    (
        "harmony-fleet-simulator",
        &[&[
            "harmony-fleet-domain",
            "harmony-reconciler-contracts",
            "harmony-fleet-adapters-nats",
            "harmony-fleet-agent",
            "harmony-fleet-daemon",
            "harmony-fleet-operator",
        ]],
    ),
    ("xtask", &[]),
];

/// Every example is an app, and may use the same crates.
const EXAMPLES: &[&[&str]] = &[APP];

/// Crates with a limited list of external dependencies. Indirect dependencies are only limited by [`FORBIDDEN`].
const EXTERNAL: &[(&str, &[&str])] = &[
    ("harmony-reconciler-contracts", &["serde", "serde_json"]),
    (
        "harmony-fleet-domain",
        &["async-trait", "thiserror", "jiff", "serde_json", "sha2"],
    ),
    ("harmony_types", &["serde", "thiserror", "semver", "strsim"]),
];

const FRAMEWORK: &[&str] = &[
    "harmony",
    "harmony_core",
    "harmony_release",
    "harmony_charts",
    "harmony_cli",
    "harmony_kubernetes",
];
const KUBERNETES: &[&str] = &[
    "kube",
    "kube-client",
    "kube-core",
    "kube-runtime",
    "k8s-openapi",
];
const HTTP: &[&str] = &[
    "reqwest",
    "hyper",
    "hyper-util",
    "h2",
    "ureq",
    "curl",
    "isahc",
    "axum",
];
const PEERS: &[&str] = &["bollard", "oci-client", "async-nats", "podman-api"];
const IO: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "mio",
    "socket2",
    "rustls",
    "walkdir",
    "tempfile",
];

/// What must not be in the complete dependency tree of a package.
const FORBIDDEN: &[(&str, &[&[&str]])] = &[
    ("harmony_types", &[IO, HTTP, KUBERNETES, PEERS]),
    ("harmony_core", &[HTTP, KUBERNETES, PEERS]),
    ("harmony_oci", &[HTTP, KUBERNETES, PEERS]),
    ("harmony_charts", &[HTTP, KUBERNETES, PEERS]),
    (
        "harmony_release",
        &[HTTP, PEERS, &["kube", "kube-client", "kube-runtime"]],
    ),
    ("harmony_cli", &[HTTP, KUBERNETES, PEERS]),
    (
        "harmony-reconciler-contracts",
        &[FRAMEWORK, IO, HTTP, KUBERNETES, PEERS],
    ),
    (
        "harmony-fleet-domain",
        &[FRAMEWORK, IO, HTTP, KUBERNETES, PEERS],
    ),
    ("harmony-fleet-agent", &[FRAMEWORK, KUBERNETES]),
    ("harmony-fleet-operator", &[FRAMEWORK]),
];

pub(super) fn check(metadata: &Metadata) -> Vec<String> {
    let ours: BTreeSet<&str> = members(metadata)
        .map(|package| package.name.as_str())
        .collect();
    let mut complaints = Vec::new();
    for package in members(metadata) {
        let name = package.name.as_str();
        let is_example = package
            .manifest_path
            .components()
            .any(|part| part.as_str() == "examples");
        let allowed: BTreeSet<&str> = match ALLOWED.iter().find(|(known, _)| *known == name) {
            Some((_, groups)) => groups
                .iter()
                .flat_map(|group| group.iter().copied())
                .collect(),
            None if is_example => EXAMPLES
                .iter()
                .flat_map(|group| group.iter().copied())
                .collect(),
            None => {
                complaints.push(format!(
                    "the package `{name}` is not listed: add it to xtask/src/tidy/edges.rs"
                ));
                continue;
            }
        };
        let external = EXTERNAL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, crates)| *crates);
        for dependency in package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development)
        {
            let to = dependency.name.as_str();
            if ours.contains(to) {
                if !allowed.contains(to) {
                    complaints.push(format!(
                        "`{name}` depends on `{to}`, which is not allowed ({})",
                        if allowed.is_empty() {
                            "it must not depend on our own crates".to_owned()
                        } else {
                            format!("allowed: {allowed:?}")
                        }
                    ));
                }
            } else if let Some(crates) = external
                && !crates.contains(&to)
            {
                complaints.push(format!(
                    "`{name}` depends on `{to}`, but is limited to: {}",
                    crates.join(", ")
                ));
            }
        }
    }
    complaints
}

/// Checks the dependencies that are linked, as resolved by cargo.
pub(super) fn check_trees(metadata: &Metadata) -> Vec<String> {
    let Some(resolve) = &metadata.resolve else {
        return vec!["cargo metadata gave no dependency graph".into()];
    };
    let names: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|package| (&package.id, package.name.as_str()))
        .collect();
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut complaints = Vec::new();
    for (package, groups) in FORBIDDEN {
        let forbidden: BTreeSet<&str> = groups.iter().copied().flatten().copied().collect();
        let Some(start) = names
            .iter()
            .find(|(_, name)| *name == package)
            .map(|(id, _)| *id)
        else {
            complaints.push(format!(
                "xtask/src/tidy/edges.rs names the package `{package}`, which is not in the workspace"
            ));
            continue;
        };
        let mut queue = vec![(start, vec![*package])];
        let mut seen = BTreeSet::from([start]);
        while let Some((id, path)) = queue.pop() {
            for dependency in nodes.get(id).into_iter().flat_map(|node| &node.deps) {
                let linked = dependency
                    .dep_kinds
                    .iter()
                    .any(|kind| kind.kind == DependencyKind::Normal);
                if !linked || !seen.insert(&dependency.pkg) {
                    continue;
                }
                let Some(name) = names.get(&dependency.pkg) else {
                    continue;
                };
                let mut path = path.clone();
                path.push(name);
                if forbidden.contains(name) {
                    complaints.push(format!(
                        "`{package}` links `{name}`, which it must not: {}",
                        path.join(" -> ")
                    ));
                }
                queue.push((&dependency.pkg, path));
            }
        }
    }
    complaints
}
