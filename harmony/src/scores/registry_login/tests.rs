use std::sync::Mutex;
use std::time::Duration;

use harmony_core::Context;
use harmony_core::capability::oci_registry::{Published, RegistryError, RegistryLocation};
use harmony_core::image::Built;
use harmony_core::kubernetes::{KubeObject, ObjectQuery};
use harmony_core::outcome::{Action, Change, Subject};
use harmony_types::{Digest, ImageRef};

use super::*;

/// A cluster with one Secret and a registry with one account, in memory.
struct Memory {
    context: Context,
    location: RegistryLocation,
    secret: Mutex<Option<KubeObject>>,
    /// How many logins have been issued; only the last one is valid.
    issued: Mutex<usize>,
    is_import: bool,
}

impl Memory {
    fn new(is_import: bool) -> Self {
        let host = "registry.example.com".parse().unwrap();
        Self {
            context: Context::new(),
            location: RegistryLocation::new(host, None).unwrap(),
            secret: Mutex::default(),
            issued: Mutex::default(),
            is_import,
        }
    }

    fn stored(&self) -> String {
        let secret = self.secret.lock().unwrap().clone().unwrap();
        let secret: Secret = serde_json::from_value(secret.into_body()).unwrap();
        let data = secret.data.unwrap().remove(".dockerconfigjson").unwrap();
        String::from_utf8(data.0).unwrap()
    }

    async fn run(&self) -> Vec<Action> {
        let score = RegistryLoginScore {
            namespace: "fleet".parse().unwrap(),
            name: "pull".parse().unwrap(),
            account: "fleet-pull".parse().unwrap(),
        };
        let outcome = score.execute(&Inventory::autoload(), self).await.unwrap();
        outcome.changes.iter().map(|it| it.action).collect()
    }
}

#[async_trait]
impl Topology for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn context(&self) -> &Context {
        &self.context
    }

    fn into_planning(self) -> Self {
        self
    }

    async fn ensure_ready(&self) -> Result<Outcome, InterpretError> {
        Ok(Outcome::unchanged())
    }
}

#[async_trait]
impl OciRegistry for Memory {
    async fn push_image(&self, _: &Built, _: &ImageRef) -> Result<Published, RegistryError> {
        unreachable!("nothing is pushed")
    }

    async fn resolve_image(&self, _: &ImageRef) -> Result<Option<Digest>, RegistryError> {
        Ok(None)
    }

    fn registry_url(&self) -> &RegistryLocation {
        &self.location
    }
}

#[async_trait]
impl PullAccounts for Memory {
    async fn accepts(&self, login: &RegistryLogin) -> Result<bool, RegistryError> {
        Ok(login.user == format!("robot-{}", self.issued.lock().unwrap()))
    }

    async fn issue(&self, account: &ResourceName, _: &str) -> Result<Issued, RegistryError> {
        if self.is_import {
            return Ok(Issued::NotNeeded);
        }
        let mut issued = self.issued.lock().unwrap();
        *issued += 1;
        let login = RegistryLogin {
            user: format!("robot-{issued}"),
            password: "s3cret".to_owned().into(),
        };
        let subject = Subject::RegistryAccount(account.to_string());
        Ok(Issued::Login(login, Change::new(Action::Update, subject)))
    }
}

#[async_trait]
impl KubernetesCluster for Memory {
    async fn apply(&self, _: &Owner, objects: &[KubeObject]) -> Result<Vec<Change>, ClusterError> {
        let mut stored = self.secret.lock().unwrap();
        let is_same = stored.as_ref().map(KubeObject::body) == Some(objects[1].body());
        *stored = Some(objects[1].clone());
        let action = if is_same {
            Action::Unchanged
        } else {
            Action::Update
        };
        Ok(vec![Change::new(action, objects[1].reference().clone())])
    }

    async fn preview(&self, _: &Owner, _: &[KubeObject]) -> Result<Vec<Change>, ClusterError> {
        Ok(Vec::new())
    }

    async fn get_or_create(
        &self,
        _: &Owner,
        _: &KubeObject,
    ) -> Result<(KubeObject, Change), ClusterError> {
        unreachable!("a login is replaced when it is not valid")
    }

    async fn wait_ready(&self, _: &[ObjectRef], _: Duration) -> Result<(), ClusterError> {
        Ok(())
    }

    async fn get(&self, object: &ObjectRef) -> Result<Option<KubeObject>, ClusterError> {
        let stored = self.secret.lock().unwrap().clone();
        Ok(stored.filter(|stored| stored.reference() == object))
    }

    async fn delete(&self, object: &ObjectRef) -> Result<Change, ClusterError> {
        Ok(Change::new(Action::Unchanged, object.clone()))
    }

    async fn delete_observed(&self, object: &KubeObject) -> Result<Change, ClusterError> {
        Ok(Change::new(Action::Unchanged, object.reference().clone()))
    }

    async fn list(&self, _: &ObjectQuery) -> Result<Vec<ObjectRef>, ClusterError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_login_is_kept_while_the_registry_accepts_it() {
    let memory = Memory::new(false);
    assert_eq!(memory.run().await, [Action::Update, Action::Update]);
    assert!(memory.stored().contains("robot-1"), "{}", memory.stored());
    assert_eq!(memory.run().await, [Action::Unchanged]);

    // Somebody else got a login of this account.
    *memory.issued.lock().unwrap() = 5;
    assert_eq!(memory.run().await, [Action::Update, Action::Update]);
    assert!(memory.stored().contains("robot-6"), "{}", memory.stored());

    // A Secret that somebody emptied.
    let empty = pull_secret::objects(&"fleet".parse().unwrap(), &"pull".parse().unwrap(), None);
    let [_, secret] = empty.unwrap();
    *memory.secret.lock().unwrap() = Some(secret);
    assert_eq!(memory.run().await, [Action::Update, Action::Update]);
    assert!(memory.stored().contains("robot-7"), "{}", memory.stored());
}

#[tokio::test]
async fn a_cluster_with_imported_images_gets_an_empty_secret() {
    let memory = Memory::new(true);
    assert_eq!(memory.run().await, [Action::Update]);
    assert_eq!(memory.stored(), r#"{"auths":{}}"#);
    assert_eq!(memory.run().await, [Action::Unchanged]);
}
