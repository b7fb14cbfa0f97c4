//! Tests monitoring by prometheus-operator. As long as the operator does not run, its resources are stored as we wrote them,
//! and the first check says that Prometheus cannot be asked. Then it runs as a pod: an app is killed, the alert arrives at
//! the receiver, and so does its resolution. What the operator rejects is an error with its reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use harmony::containers::{Prebuilt, Runtime};
use harmony::core::capability::{ContainerBuilder, KubernetesCluster, OciRegistry};
use harmony::core::diagnostic::Report;
use harmony::core::image::{BuildContext, FileEntry, FileSource, ImageSource};
use harmony::core::inventory::Platform as Machine;
use harmony::core::kubernetes::{KubeObject, ObjectRef};
use harmony::core::owner::Owner;
use harmony::prelude::*;
use harmony::release::WorkTree;
use harmony::scores::K8sResourceScore;
use harmony::scores::monitoring::{
    DiscordReceiver, EmailReceiver, NtfyReceiver, ScrapeTarget, SecretKey, SlackReceiver, images,
};
use harmony::types::{ImageRef, Namespace};
use harmony_fleet_e2e::alert_server::AlertServer;
use harmony_fleet_e2e::checkout::Checkout;
use harmony_fleet_e2e::kill::kill_twice;
use harmony_fleet_e2e::monitored::{self, APP};
use harmony_fleet_e2e::stack::{discard, in_order, new_namespace, object, readable, topology};
use serde_json::{Value, json};

const GROUP: &str = "monitoring.coreos.com";
const PATIENCE: Duration = Duration::from_secs(120);

/// The definitions in the operator's Go module.
fn definitions() -> anyhow::Result<Vec<KubeObject>> {
    let module = std::env::var("HARMONY_PROMETHEUS_OPERATOR").context(
        "`cargo xtask test` sets HARMONY_PROMETHEUS_OPERATOR to the operator's Go module",
    )?;
    let folder = PathBuf::from(module).join("jsonnet/prometheus-operator");
    let kinds = [
        "prometheuses",
        "alertmanagers",
        "servicemonitors",
        "prometheusrules",
        "alertmanagerconfigs",
        // The operator watches these, too.
        "podmonitors",
        "probes",
        "scrapeconfigs",
    ];
    let read = |kind: &&str| {
        let text = std::fs::read_to_string(folder.join(format!("{kind}-crd.json")))?;
        Ok(KubeObject::from_value(serde_json::from_str(&text)?)?)
    };
    kinds.iter().map(read).collect()
}

/// Instances that read resources with the label `release: e2e` in these namespaces. They run in the first one.
fn instances(namespaces: [&Namespace; 2], images: &Images) -> anyhow::Result<Vec<KubeObject>> {
    let there = json!({ "matchExpressions": [{
        "key": "kubernetes.io/metadata.name", "operator": "In",
        "values": namespaces.map(Namespace::as_str),
    }] });
    let release = json!({ "matchLabels": { "release": "e2e" } });
    let instance = |kind: &str, spec: Value| {
        KubeObject::from_value(json!({
            "apiVersion": format!("{GROUP}/v1"),
            "kind": kind,
            "metadata": { "name": "main", "namespace": namespaces[0].as_str() },
            "spec": spec,
        }))
    };
    let alertmanager = json!({
        "namespace": namespaces[0].as_str(), "name": "alertmanager-operated", "port": "web",
    });
    Ok(vec![
        instance(
            "Prometheus",
            json!({
                "image": images.prometheus, "version": "v3.10.0", "evaluationInterval": "1s",
                "alerting": { "alertmanagers": [alertmanager] },
                "serviceMonitorNamespaceSelector": there, "serviceMonitorSelector": release,
                "ruleNamespaceSelector": there, "ruleSelector": release,
            }),
        )?,
        instance(
            "Alertmanager",
            json!({
                "image": images.alertmanager, "version": "v0.25.0",
                "alertmanagerConfigNamespaceSelector": there, "alertmanagerConfigSelector": release,
            }),
        )?,
    ])
}

/// Lets the pods of the namespace do everything: the operator and Prometheus use the API server.
fn rights(namespace: &Namespace) -> anyhow::Result<KubeObject> {
    let group = "rbac.authorization.k8s.io";
    Ok(KubeObject::from_value(json!({
        "apiVersion": format!("{group}/v1"),
        "kind": "ClusterRoleBinding",
        "metadata": { "name": namespace.as_str() },
        "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "kind": "ServiceAccount", "name": "default", "namespace": namespace.as_str() }],
    }))?)
}

fn operator(namespaces: [&Namespace; 2], images: &Images) -> anyhow::Result<KubeObject> {
    let labels = json!({ "app": "operator" });
    Ok(KubeObject::from_value(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "operator", "namespace": namespaces[0].as_str() },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{
                    "name": "operator",
                    "image": images.operator,
                    "args": [
                        format!("--namespaces={},{}", namespaces[0], namespaces[1]),
                        format!("--prometheus-config-reloader={}", images.reloader),
                        "--config-reloader-cpu-request=0",
                        "--config-reloader-memory-request=0",
                        "--log-level=warn",
                    ],
                    "readinessProbe": { "httpGet": { "path": "/healthz", "port": 8080 }, "periodSeconds": 1 },
                }] },
            },
        },
    }))?)
}

/// The images of the operator and of the pods that it creates.
struct Images {
    operator: String,
    reloader: String,
    prometheus: String,
    alertmanager: String,
}

impl Images {
    async fn publish(topology: &K8sAnywhereTopology) -> anyhow::Result<Self> {
        let prebuilt = |variable: &str, runtime: Runtime| {
            let program = std::env::var_os(variable);
            let program = program.with_context(|| format!("`cargo xtask test` sets {variable}"))?;
            let image = Prebuilt::new(PathBuf::from(program)).with_runtime(runtime);
            anyhow::Ok(ImageSource::Buildable(Arc::new(image)))
        };
        let operator = prebuilt("HARMONY_PROMETHEUS_OPERATOR_PROGRAM", Runtime::default())?;
        let prometheus = prebuilt("HARMONY_PROMETHEUS_PROGRAM", Runtime::default())?;
        // The operator starts it at this path.
        let link = FileEntry {
            path: "/bin/prometheus-config-reloader".into(),
            source: FileSource::Symlink("/usr/local/bin/prometheus-config-reloader".into()),
            mode: 0o777,
        };
        let runtime = Runtime {
            files: vec![link],
            ..Runtime::default()
        };
        let reloader = prebuilt("HARMONY_PROMETHEUS_CONFIG_RELOADER", runtime)?;
        let alertmanager = images::bundled()
            .into_iter()
            .find(|image| image.name.as_str() == "alertmanager")
            .context("its image is bundled with monitored apps")?;
        Ok(Self {
            operator: publish(topology, "prometheus-operator", operator).await?,
            reloader: publish(topology, "prometheus-config-reloader", reloader).await?,
            prometheus: publish(topology, "prometheus", prometheus).await?,
            alertmanager: publish(topology, "alertmanager", alertmanager.image).await?,
        })
    }
}

async fn publish(
    topology: &K8sAnywhereTopology,
    name: &str,
    source: ImageSource,
) -> anyhow::Result<String> {
    let name: ImageRef = format!("{}/test-{name}:1.0.0", topology.registry_url().host()).parse()?;
    let context = BuildContext {
        project_root: "/".into(),
        source,
        platform: Machine::current(),
        created: 0,
        labels: BTreeMap::new(),
    };
    let built = topology.build(&context, &name).await?;
    topology.push_image(&built, &name).await?;
    let digest = built.digest().context("an image was built")?;
    Ok(name.with_digest(digest.clone()).to_string())
}

/// The program of `examples/rust_webapp` with short intervals and one receiver.
fn monitored_app(
    checkout: &Path,
    namespace: &Namespace,
    receiver: &AlertServer,
    check_deadline: Duration,
) -> anyhow::Result<App> {
    let server = monitored::server("/metrics");
    let webhook = monitored::webhook(receiver)?;
    let app = App::of(monitored::webapp(checkout)?.serving(server.clone()));
    let target = DeployTarget::namespace(namespace.clone());
    Ok(app.to(target).monitored(move |app, target| {
        let rule = AlertRule::target_down().lasting(Duration::from_secs(1));
        let score = monitored::monitoring(app, target, &server, rule, webhook.clone());
        MonitoringScore {
            check_deadline,
            ..score
        }
    }))
}

/// The monitoring of Prometheus itself, with a Secret that the operator rejects.
fn rejected(namespace: &Namespace, check_deadline: Duration) -> anyhow::Result<MonitoringScore> {
    let target = ScrapeTarget::new("prometheus".parse()?, namespace.clone(), 9090);
    let score = MonitoringScore::new("rejected".parse()?, namespace.clone())
        .scrape(target)
        .notify(SlackReceiver::new(SecretKey::new(
            "receivers".parse()?,
            "value",
        )));
    Ok(MonitoringScore {
        check_deadline,
        ..score
    })
}

async fn deploy(program: &App, topology: &K8sAnywhereTopology) -> Result<Outcome, Report> {
    in_order(
        program.scores(Site::ThisMachine, &WorkTree::new()),
        topology,
    )
    .await
}

/// Nothing answers as long as the operator does not run. The resources are stored nevertheless.
fn unanswered(report: &Report) {
    assert_eq!(report.code.to_string(), "H0704", "{report}");
    assert!(
        report.evidence[0].contains("prometheus-operated"),
        "{report}"
    );
}

/// The Secret of all receivers.
fn secret(namespace: &Namespace) -> anyhow::Result<KubeObject> {
    Ok(KubeObject::from_value(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": "receivers", "namespace": namespace.as_str() },
        // s3cret-word, https://hooks.example.com/x
        "data": { "value": "czNjcmV0LXdvcmQ=", "url": "aHR0cHM6Ly9ob29rcy5leGFtcGxlLmNvbS94" },
    }))?)
}

fn monitoring(namespace: &Namespace) -> anyhow::Result<MonitoringScore> {
    let key = SecretKey::new("receivers".parse()?, "value");
    // The operator rejects all receivers if the value is not a URL.
    let url = SecretKey::new("receivers".parse()?, "url");
    let webhook = WebhookReceiver::new("http://10.0.0.1/x".parse()?).with_token(key.clone());
    let email = EmailReceiver::new("mail.example.com:587", "a@example.com", "b@example.com");
    let target = ScrapeTarget::new("web".parse()?, namespace.clone(), 80);
    let score = MonitoringScore::new("web".parse()?, namespace.clone())
        .scrape(target)
        .alert(AlertRule::target_down())
        .alert(AlertRule::error_rate(0.05))
        .notify(webhook)
        .notify(NtfyReceiver::new(&"https://ntfy.sh".parse()?, "topic")?)
        .notify(email.with_login("a", key))
        .notify(SlackReceiver::new(url.clone()))
        .notify(DiscordReceiver::new(url));
    Ok(MonitoringScore {
        check_deadline: Duration::from_secs(1),
        ..score
    })
}

/// Applies objects without waiting for them: without an operator, an instance never becomes ready.
async fn apply(
    topology: &K8sAnywhereTopology,
    name: &str,
    namespace: &Namespace,
    objects: &[KubeObject],
) -> anyhow::Result<()> {
    let owner = Owner::score(name, namespace);
    let changes = topology.apply(&owner, objects).await?;
    anyhow::ensure!(!changes.is_empty(), "nothing was applied");
    Ok(())
}

#[tokio::test]
async fn an_alert_arrives_through_the_operator_and_what_it_rejects_is_told() -> anyhow::Result<()> {
    let topology = topology().await?;
    let (namespace, apps) = (new_namespace()?, new_namespace()?);
    let definitions = definitions()?;
    let names: Vec<_> = definitions
        .iter()
        .map(|object| object.reference().clone())
        .collect();
    let defined = K8sResourceScore::new(
        "definitions",
        namespace.clone(),
        definitions,
        Checks::readiness_alone(),
    );
    defined
        .interpret(&Inventory::autoload(), &topology)
        .await
        .map_err(readable)?;

    let mut objects = vec![KubeObject::from_value(json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace.as_str() },
    }))?];
    let images = Images::publish(&topology).await?;
    objects.push(secret(&namespace)?);
    objects.extend(instances([&namespace, &apps], &images)?);
    objects.push(rights(&namespace)?);
    apply(&topology, "instances", &namespace, &objects).await?;

    let deployed = monitoring(&namespace)?
        .interpret(&Inventory::autoload(), &topology)
        .await;
    unanswered(&deployed.expect_err("no operator runs").report());

    let stored = async |version: &str, kind: &str, name: &str| {
        let reference = ObjectRef {
            api_version: format!("{GROUP}/{version}"),
            kind: kind.into(),
            namespace: Some(namespace.clone()),
            name: name.parse()?,
        };
        let found = topology.get(&reference).await?;
        anyhow::Ok(
            found
                .with_context(|| format!("{reference} exists"))?
                .into_body(),
        )
    };
    let receivers = stored("v1alpha1", "AlertmanagerConfig", "web").await?;
    assert_eq!(receivers["metadata"]["labels"]["release"], "e2e");
    assert_eq!(
        receivers["spec"]["receivers"].as_array().map(Vec::len),
        Some(6)
    );
    assert!(!receivers.to_string().contains("s3cret"));
    let monitor = stored("v1", "ServiceMonitor", "web-web").await?;
    assert_eq!(monitor["spec"]["endpoints"][0]["port"], "metrics");
    let rules = stored("v1", "PrometheusRule", "web").await?;
    assert_eq!(
        rules["spec"]["groups"][0]["rules"].as_array().map(Vec::len),
        Some(2)
    );

    // Before the operator runs, so that its pods start with all resources. The kubelet passes on a change only after up to
    // a minute.
    let receiver = AlertServer::start().await?;
    let checkout = Checkout::take_for_examples().await?;
    let app = |deadline| monitored_app(checkout.root(), &apps, &receiver, deadline);
    let early = deploy(&app(Duration::from_secs(1))?, &topology).await;
    unanswered(&early.expect_err("no operator runs"));
    let early = rejected(&namespace, Duration::from_secs(1))?;
    let early = early.interpret(&Inventory::autoload(), &topology).await;
    unanswered(&early.expect_err("no operator runs").report());

    let operator = operator([&namespace, &apps], &images)?;
    let operator = K8sResourceScore::new(
        "operator",
        namespace.clone(),
        vec![operator],
        Checks::readiness_alone(),
    );
    let running = operator.interpret(&Inventory::autoload(), &topology).await;
    running.map_err(readable)?;
    let deployed = deploy(&app(PATIENCE)?, &topology).await;
    let deployed = deployed.map_err(|report| anyhow!("{report:#?}"))?;
    assert_eq!(deployed.checks.len(), 5, "{:?}", deployed.checks);
    receiver.told("HarmonyTest", "resolved", PATIENCE).await?;

    let told = rejected(&namespace, Duration::from_secs(15))?;
    let told = told.interpret(&Inventory::autoload(), &topology).await;
    let told = told.expect_err("the value is not a URL").report();
    assert_eq!(told.code.to_string(), "H0708", "{told}");
    let seen = told.evidence.join("\n");
    assert!(
        seen.contains("AlertmanagerConfig") && seen.contains("scheme"),
        "{told}"
    );
    assert!(!format!("{told:?}").contains("s3cret"), "{told}");

    kill_twice(&topology, &apps, APP).await?;
    receiver.told("TargetDown", "firing", PATIENCE).await?;
    receiver.told("TargetDown", "resolved", PATIENCE).await?;

    discard(&apps)?;
    discard(&namespace)?;
    let group = "rbac.authorization.k8s.io/v1";
    let binding = object(group, "ClusterRoleBinding", None, namespace.as_str())?;
    topology.delete(&binding).await?;
    for name in names {
        topology.delete(&name).await?;
    }
    Ok(())
}
