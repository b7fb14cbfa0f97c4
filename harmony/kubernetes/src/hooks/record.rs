//! The progress of the hooks of a release, stored in the cluster.

use harmony_charts::Hook;
use harmony_core::kubernetes::{KubeObject, ObjectError, ObjectRef};
use harmony_core::owner::Owner;
use harmony_types::{Digest, ResourceName};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// The result of the last run of the hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) state: State,
    /// The digest of the whole release.
    digest: String,
}

/// The progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The first version is being installed.
    Installing,
    /// A later version is being installed.
    Upgrading,
    /// All hooks have run.
    Done,
}

impl Record {
    pub(super) fn new(state: State, digest: &str) -> Self {
        Self {
            state,
            digest: digest.to_owned(),
        }
    }

    pub(super) fn reference(owner: &Owner) -> Result<ObjectRef, ObjectError> {
        Ok(Self::new(State::Done, "")
            .stored(owner)?
            .reference()
            .clone())
    }

    /// Whether all hooks of a release with that content have run.
    pub(super) fn is_done_with(&self, digest: &str) -> bool {
        self.state == State::Done && self.digest == digest
    }

    /// `None` if it cannot be read; the hooks then run again.
    pub(super) fn read(stored: &KubeObject) -> Option<Self> {
        let data = &stored.body()["data"];
        let state = match data["state"].as_str()? {
            "installing" => State::Installing,
            "upgrading" => State::Upgrading,
            "done" => State::Done,
            _ => return None,
        };
        Some(Self::new(state, data["digest"].as_str()?))
    }

    pub(super) fn stored(&self, owner: &Owner) -> Result<KubeObject, ObjectError> {
        let state = match self.state {
            State::Installing => "installing",
            State::Upgrading => "upgrading",
            State::Done => "done",
        };
        KubeObject::from_value(json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name(owner),
                "namespace": owner.namespace().as_str(),
                "labels": { "app.kubernetes.io/managed-by": "harmony" },
            },
            "data": { "state": state, "digest": self.digest },
        }))
    }
}

/// `harmony-hooks-<name>`, with a hash if the name is not valid in an object name.
fn name(owner: &Owner) -> String {
    let name = format!("harmony-hooks-{}", owner.name());
    if ResourceName::parse(name.as_str()).is_ok() {
        return name;
    }
    format!("harmony-hooks-{}", &hash(owner.name().as_bytes())[..16])
}

/// The digest of the whole release.
pub(super) fn digest(objects: &[KubeObject], hooks: &[&Hook]) -> String {
    let bodies = objects.iter().map(KubeObject::body);
    let bodies = bodies.chain(hooks.iter().map(|hook| hook.object.body()));
    let bodies: Vec<&serde_json::Value> = bodies.collect();
    hash(json!(bodies).to_string().as_bytes())
}

fn hash(bytes: &[u8]) -> String {
    let hash = Digest::sha256_from_bytes(Sha256::digest(bytes).into());
    hash.hex().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back() {
        let owner = Owner::delivery(&"web".parse().unwrap(), &"shop".parse().unwrap());
        for state in [State::Installing, State::Upgrading, State::Done] {
            let record = Record::new(state, "abc");
            let stored = record.stored(&owner).unwrap();
            assert_eq!(
                stored.reference().to_string(),
                "ConfigMap shop/harmony-hooks-web"
            );
            assert_eq!(Record::read(&stored).unwrap(), record);
        }
        let odd = Owner::score("My App/1", &"shop".parse().unwrap());
        assert!(Record::reference(&odd).is_ok());
    }
}
