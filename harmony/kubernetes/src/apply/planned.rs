//! What one apply creates that other objects of the same apply may need.

use std::collections::BTreeSet;

use harmony_core::kubernetes::{KubeObject, ObjectRef};
use serde_json::Value;

use super::order::{Rank, rank};

/// The kinds, namespaces and names of the objects of one apply.
pub(super) struct Planned {
    kinds: BTreeSet<(String, String)>,
    names: BTreeSet<String>,
    namespaces: BTreeSet<String>,
}

impl Planned {
    pub(super) fn of(objects: &[KubeObject]) -> Self {
        let references = objects.iter().map(KubeObject::reference);
        let definitions = objects
            .iter()
            .filter(|object| rank(object.reference()) == Rank::Definition);
        let kinds = definitions.flat_map(|object| defined_kinds(object.body()));
        Self {
            kinds: kinds.map(|kind| (kind.api_version, kind.kind)).collect(),
            names: references
                .clone()
                .map(|object| object.name.to_string())
                .collect(),
            namespaces: references
                .filter(|object| rank(object) == Rank::Namespace)
                .map(|object| object.name.to_string())
                .collect(),
        }
    }

    /// Whether one of the objects defines the kind of this one.
    pub(super) fn defines(&self, object: &ObjectRef) -> bool {
        self.kinds
            .contains(&(object.api_version.clone(), object.kind.clone()))
    }

    pub(super) fn creates_namespace(&self, name: &str) -> bool {
        self.namespaces.contains(name)
    }

    /// Whether a message of the server names another object than this one.
    pub(super) fn names_another(&self, object: &ObjectRef, message: &str) -> bool {
        let is_part = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':'));
        let mut words = message.split(is_part);
        words.any(|word| word != object.name.as_str() && self.names.contains(word))
    }
}

/// The kinds that a definition would serve, as references to any object of them.
pub(super) fn defined_kinds(definition: &Value) -> Vec<ObjectRef> {
    let spec = &definition["spec"];
    let group = spec["group"].as_str().unwrap_or_default();
    let kind = spec["names"]["kind"].as_str().unwrap_or_default();
    let name = definition["metadata"]["name"].as_str().unwrap_or_default();
    let versions = spec["versions"].as_array().into_iter().flatten();
    versions
        .filter(|version| version["served"] != Value::Bool(false))
        .filter_map(|version| {
            Some(ObjectRef {
                api_version: format!("{group}/{}", version["name"].as_str()?),
                kind: kind.to_owned(),
                namespace: None,
                name: name.parse().ok()?,
            })
        })
        .collect()
}
