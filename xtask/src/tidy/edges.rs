//! Which crate may depend on which. A new edge is a change of architecture: it is made here, with an ADR.

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

/// The allowed edges: a crate, and what of ours it may depend on (development dependencies aside).
const ALLOWED: &[(&str, &[&[&str]])] = &[
    ("harmony_types", &[]),
    ("harmony_core", &[&["harmony_types"]]),
    ("harmony_oci", &[&["harmony_types"]]),
    ("harmony_containers", &[CORE, &["harmony_oci"]]),
    ("harmony_registry", &[CORE, &["harmony_oci"]]),
    ("harmony_kubernetes", &[CORE, &["harmony_oci"]]),
    (
        "harmony",
        &[
            CORE,
            &[
                "harmony_containers",
                "harmony_registry",
                "harmony_kubernetes",
            ],
        ],
    ),
    ("harmony_release", &[CORE]),
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
    ("harmony-fleet-operator", &[RUNTIME]),
    (
        "harmony-fleet-agent",
        &[&[
            "harmony-fleet-domain",
            "harmony-reconciler-contracts",
            "harmony-fleet-adapters-nats",
        ]],
    ),
    ("harmony-fleet-deploy", &[APP, RUNTIME]),
    ("harmony-fleet", &[RUNTIME, &["harmony-fleet-deploy"]]),
    (
        "harmony-fleet-e2e",
        &[APP, RUNTIME, &["harmony-fleet-deploy", "harmony_registry"]],
    ),
    ("xtask", &[]),
];

/// Every example is an app: it sees what an app sees.
const EXAMPLES: &[&[&str]] = &[APP];

/// External crates that a package is limited to, where the map says so.
const EXTERNAL: &[(&str, &[&str])] = &[("harmony-reconciler-contracts", &["serde"])];

/// What the whole dependency tree of a runtime binary must not hold.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "harmony-fleet-agent",
        &[
            "harmony",
            "harmony_core",
            "harmony_release",
            "harmony_cli",
            "kube",
            "kube-client",
            "k8s-openapi",
        ],
    ),
    (
        "harmony-fleet-operator",
        &[
            "harmony",
            "harmony_core",
            "harmony_release",
            "harmony_cli",
            "harmony_kubernetes",
        ],
    ),
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
                    "the package `{name}` is not on the map: add it to xtask/src/tidy/edges.rs"
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
                        "`{name}` depends on `{to}`, which the map does not allow ({})",
                        if allowed.is_empty() {
                            "it may depend on none of ours".to_owned()
                        } else {
                            format!("allowed: {allowed:?}")
                        }
                    ));
                }
            } else if external.is_some_and(|crates| !crates.contains(&to)) {
                complaints.push(format!(
                    "`{name}` depends on `{to}`, but is limited to {external:?}"
                ));
            }
        }
    }
    complaints
}

pub(super) fn check_runtime_trees(metadata: &Metadata) -> Vec<String> {
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
    for (binary, forbidden) in FORBIDDEN {
        let Some(start) = names
            .iter()
            .find(|(_, name)| *name == binary)
            .map(|(id, _)| *id)
        else {
            complaints.push(format!(
                "the runtime binary `{binary}` is not in the workspace"
            ));
            continue;
        };
        let mut queue = vec![(start, vec![*binary])];
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
                        "`{binary}` links `{name}`, which it must not: {}",
                        path.join(" -> ")
                    ));
                }
                queue.push((&dependency.pkg, path));
            }
        }
    }
    complaints
}
