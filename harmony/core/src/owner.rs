//! The owner on whose behalf objects are applied to a cluster.

use std::fmt;

use harmony_types::{ChartName, Digest, Namespace, ResourceName};
use sha2::{Digest as _, Sha256};

/// The owner of applied objects: a Score or a delivery, for one namespace.
///
/// The cluster records the owner of each applied field. So two owners cannot overwrite each other's fields unnoticed,
/// and an owner that no longer sets a field releases only this field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    kind: OwnerKind,
    name: String,
    namespace: Namespace,
}

/// The kind of an [`Owner`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OwnerKind {
    /// A Score that applies objects directly.
    Score,
    /// A third-party chart that a Score installs. Like a delivery, it also deletes objects.
    Release,
    /// A delivered chart. It also deletes objects, so it does not take over objects that it did not create without
    /// approval.
    Delivery,
    /// A controller in the cluster that applies a delivered chart by its own name, and takes over any field. Used to
    /// learn beforehand what it would change.
    Controller,
    /// A controller that takes the place of another one in a delivery. What the other one applied becomes its own, and
    /// what only the other one had is removed.
    Successor,
}

/// The prefix of every [`Owner::manager`].
const PREFIX: &str = "harmony/";

/// The maximum length of a field manager name in Kubernetes.
const MAX_MANAGER: usize = 128;

impl OwnerKind {
    /// The kind in the name that the cluster records: `chart` in `harmony/chart:web@shop`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Release => "release",
            Self::Delivery => "chart",
            Self::Controller | Self::Successor => "controller",
        }
    }
}

impl Owner {
    /// The owner for a Score that applies to this namespace.
    pub fn score(name: impl Into<String>, namespace: &Namespace) -> Self {
        Self {
            kind: OwnerKind::Score,
            name: name.into(),
            namespace: namespace.clone(),
        }
    }

    /// The owner for a third-party chart that is installed in this namespace.
    pub fn release(name: &ResourceName, namespace: &Namespace) -> Self {
        Self {
            kind: OwnerKind::Release,
            name: name.to_string(),
            namespace: namespace.clone(),
        }
    }

    /// The owner for a chart that is delivered to this namespace.
    pub fn delivery(chart: &ChartName, namespace: &Namespace) -> Self {
        Self {
            kind: OwnerKind::Delivery,
            name: chart.to_string(),
            namespace: namespace.clone(),
        }
    }

    /// A controller, by the name with which it applies, on behalf of a delivery to this namespace.
    pub fn controller(manager: impl Into<String>, namespace: &Namespace) -> Self {
        Self {
            kind: OwnerKind::Controller,
            name: manager.into(),
            namespace: namespace.clone(),
        }
    }

    /// A controller, by the name with which it applies, that takes the place of another one in a delivery to this
    /// namespace. Apply only objects of this delivery: they are taken over from any other controller.
    pub fn successor(manager: impl Into<String>, namespace: &Namespace) -> Self {
        Self {
            kind: OwnerKind::Successor,
            name: manager.into(),
            namespace: namespace.clone(),
        }
    }

    /// A Score, a release, a delivery or a controller.
    pub fn kind(&self) -> OwnerKind {
        self.kind
    }

    /// Whether it deletes objects that it no longer has. It must not silently take over objects of others.
    pub fn prunes(&self) -> bool {
        matches!(self.kind, OwnerKind::Release | OwnerKind::Delivery)
    }

    /// The name of the Score, the release or the chart.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace that it applies to.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The name that the cluster records: `harmony/chart:web@shop`. A name that is too long is shortened and ends with
    /// a hash.
    pub fn manager(&self) -> String {
        if matches!(self.kind, OwnerKind::Controller | OwnerKind::Successor) {
            return self.name.clone();
        }
        let kind = self.kind.word();
        let printable = |c: char| if c.is_ascii_graphic() { c } else { '_' };
        let name: String = self.name.chars().map(printable).collect();
        let whole = format!("{PREFIX}{kind}:{name}@{}", self.namespace);
        if whole.len() <= MAX_MANAGER && name == self.name {
            return whole;
        }
        let hash = Sha256::digest(format!("{}@{}", self.name, self.namespace));
        let hash = Digest::sha256_from_bytes(hash.into());
        let hash = hash.hex().get(..12).unwrap_or_default();
        let kept: String = whole.chars().take(MAX_MANAGER - 1 - hash.len()).collect();
        format!("{kept}~{hash}")
    }

    /// Returns true if the recorded name is an [`Owner::manager`].
    pub fn is_manager(recorded: &str) -> bool {
        recorded.starts_with(PREFIX)
    }
}

/// `chart:web@shop`
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.manager().trim_start_matches(PREFIX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_names_kind_name_and_namespace() {
        let namespace: Namespace = "shop".parse().unwrap();
        let chart = Owner::delivery(&"web".parse().unwrap(), &namespace);
        assert_eq!(chart.manager(), "harmony/chart:web@shop");
        assert_eq!(chart.to_string(), "chart:web@shop");
        let score = Owner::score("web", &namespace);
        assert_eq!(score.manager(), "harmony/score:web@shop");
        let release = Owner::release(&"web".parse().unwrap(), &namespace);
        assert_eq!(release.manager(), "harmony/release:web@shop");
        assert!(release.prunes() && chart.prunes() && !score.prunes());
        assert!(Owner::is_manager(&score.manager()));
        assert!(!Owner::is_manager("harmony"));
    }

    #[test]
    fn names_that_are_cut_or_replaced_stay_apart() {
        let namespace: Namespace = "n".repeat(63).parse().unwrap();
        let manager = |name: String| Owner::score(name, &namespace).manager();
        let long = manager(format!("{}a", "x".repeat(80)));
        assert_eq!(long.len(), MAX_MANAGER);
        assert_ne!(long, manager(format!("{}b", "x".repeat(80))));
        assert_ne!(manager("a b".into()), manager("a_b".into()));
        assert!(manager("ä\n".into()).chars().all(|c| c.is_ascii_graphic()));
    }
}
