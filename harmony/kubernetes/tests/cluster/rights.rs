//! A user who may do little: `doctor` names what is missing, and what it asks for is enough to deploy.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use harmony_core::capability::kubernetes_cluster::ClusterError;
use harmony_core::capability::{Checkup, KubernetesCluster, Prober};
use harmony_core::chart::DeployTarget;
use harmony_core::checkup::{Finding, Standing};
use harmony_core::diagnostic::Report;
use harmony_core::verify::{ServicePort, SmokeCheck};
use harmony_core::{Context, codes};
use harmony_kubernetes::Cluster;
use harmony_types::Namespace;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::stage::{Stage, config_map, deployment, in_namespace, kubeconfig, object, service};

const USER: &str = "deployer";
const RBAC: &str = "rbac.authorization.k8s.io";

/// The kubeconfig of a new ServiceAccount, which may do nothing yet.
async fn restricted(stage: &Stage, folder: &tempfile::TempDir) -> PathBuf {
    let account =
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": USER } });
    stage.apply([account]).await;
    let mut config = Kubeconfig::read_from(kubeconfig().await).unwrap();
    let options = KubeConfigOptions::default();
    let admin = Config::from_custom_kubeconfig(config.clone(), &options);
    let client = Client::try_from(admin.await.unwrap()).unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client, stage.namespace.as_str());
    let (parameters, asked) = (PostParams::default(), TokenRequest::default());
    let answer = accounts.create_token_request(USER, &parameters, &asked);
    let token = answer.await.unwrap().status.unwrap().token;
    let user = json!({ "token": token });
    config.auth_infos[0].auth_info = serde_json::from_value(user).unwrap();
    let path = folder.path().join("kubeconfig");
    std::fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
    path
}

/// Lets the user do this, instead of what was allowed before. Each line has the form of the evidence: `get, list: pods`.
async fn allow(stage: &Stage, lines: &[String]) {
    let rules = lines.iter().map(|line| {
        let (verbs, resource) = line.split_once(": ").unwrap();
        let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
        let verbs: Vec<_> = verbs.split(", ").collect();
        json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs })
    });
    let role = json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "Role", "metadata": { "name": USER },
        "rules": rules.collect::<Vec<Value>>(),
    });
    stage.apply([role, binding("Role", USER)]).await;
}

fn binding(kind: &str, role: &str) -> Value {
    let name = format!("{kind}-{role}").to_lowercase();
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "RoleBinding", "metadata": { "name": name },
        "roleRef": { "apiGroup": RBAC, "kind": kind, "name": role },
        "subjects": [{ "kind": "ServiceAccount", "name": USER }],
    })
}

/// What `doctor` finds out about the permissions in a namespace.
async fn examine(kubeconfig: &Path, namespace: &Namespace) -> Finding {
    let planning = Context::new().planning();
    let cluster = Cluster::connect(&planning, kubeconfig, None).await.unwrap();
    let target = DeployTarget::namespace(namespace.clone());
    let found = cluster.examine(&[target]).await;
    let [answers, permissions] = &found[..] else {
        panic!("{found:?}");
    };
    assert!(!answers.is_failed(), "{answers:?}");
    permissions.clone()
}

fn error(finding: &Finding) -> &Report {
    match &finding.standing {
        Standing::Failed { error } => error,
        other => panic!("{other:?}"),
    }
}

/// Applies what every app has, waits for it, and looks at it.
async fn deploy(cluster: &Cluster, stage: &Stage) -> Result<(), ClusterError> {
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "login" } });
    let mut objects = stage.objects([
        config_map("settings", "one"),
        secret,
        service("web", json!("main")),
        deployment("web", &["http", "8080"]).await,
    ]);
    objects.push(object(&json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": stage.namespace },
    })));
    cluster.apply(&stage.owner(), &objects).await?;
    let references: Vec<_> = objects.iter().map(|it| it.reference().clone()).collect();
    cluster
        .wait_ready(&references, Duration::from_secs(60))
        .await?;
    let check = SmokeCheck::Http {
        service: ServicePort {
            service: "web".parse().unwrap(),
            port: 80,
        },
        path: "/ok".into(),
        status: 200,
        contains: None,
    };
    let seen = cluster.probe(&stage.namespace, &check).await;
    seen.unwrap_or_else(|failure| panic!("{failure:?}"));
    for object in &references[..4] {
        cluster.delete(object).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_doctor_asks_for_is_what_a_deploy_needs() {
    in_namespace(|stage: Arc<Stage>| async move {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = restricted(&stage, &folder).await;

        let nothing = examine(&kubeconfig, &stage.namespace).await;
        let report = error(&nothing);
        assert_eq!(report.code, codes::PERMISSIONS_MISSING);
        let user = format!("system:serviceaccount:{}:{USER}", stage.namespace);
        assert!(report.message.contains(&user), "{report:#?}");
        let needed = report.evidence.clone();
        let mut all = String::new();
        for line in &needed {
            let _ = writeln!(all, "{line}");
        }
        assert!(all.contains("patch, delete: deployments.apps"), "{all}");

        // One right less: both name it.
        let without = |line: &String| match line.ends_with(": deployments.apps") {
            true => line.replace("patch, ", ""),
            false => line.clone(),
        };
        allow(&stage, &needed.iter().map(without).collect::<Vec<_>>()).await;
        let almost = examine(&kubeconfig, &stage.namespace).await;
        assert_eq!(error(&almost).evidence, ["patch: deployments.apps"]);
        let user = Cluster::connect(&Context::new(), &kubeconfig, None)
            .await
            .unwrap();
        let refused = deploy(&user, &stage).await.unwrap_err();
        assert_eq!(
            Report::of(&refused).code,
            codes::CLUSTER_FORBIDS,
            "{refused:?}"
        );
        assert!(refused.to_string().contains("Deployment"), "{refused}");

        allow(&stage, &needed).await;
        let enough = examine(&kubeconfig, &stage.namespace).await;
        assert!(!enough.is_failed(), "{enough:#?}");
        deploy(&user, &stage).await.unwrap();

        // A namespace that does not exist has to be created, which a Role cannot allow.
        let missing = format!("{}-x", stage.namespace).parse().unwrap();
        let missing = examine(&kubeconfig, &missing).await;
        // Whether it exists is as secret as what is in it.
        assert!(
            error(&missing)
                .evidence
                .contains(&"get: namespaces".to_owned())
        );

        // The role that the hint names.
        allow(&stage, &[]).await;
        stage.apply([binding("ClusterRole", "edit")]).await;
        let edit = examine(&kubeconfig, &stage.namespace).await;
        assert!(!edit.is_failed(), "{edit:#?}");
    })
    .await;
}
