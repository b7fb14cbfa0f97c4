//! Tests the resources for prometheus-operator with the definitions of its release and a real API server. The operator
//! itself does not run here, because its Prometheus needs a service discovery that Debian's lacks. So the first check
//! fails, and says that Prometheus cannot be asked.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use harmony::core::capability::KubernetesCluster;
use harmony::core::kubernetes::{KubeObject, ObjectRef};
use harmony::prelude::*;
use harmony::scores::K8sResourceScore;
use harmony::scores::monitoring::{
    DiscordReceiver, EmailReceiver, NtfyReceiver, ScrapeTarget, SecretKey, SlackReceiver,
};
use harmony::types::Namespace;
use harmony_fleet_e2e::stack::{namespace_object, new_namespace, readable, topology};
use serde_json::{Value, json};

const GROUP: &str = "monitoring.coreos.com";

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
    ];
    let read = |kind: &&str| {
        let text = std::fs::read_to_string(folder.join(format!("{kind}-crd.json")))?;
        Ok(KubeObject::from_value(serde_json::from_str(&text)?)?)
    };
    kinds.iter().map(read).collect()
}

/// Instances that read resources with the label `release: e2e` in one namespace.
fn instances(namespace: &Namespace) -> anyhow::Result<Vec<KubeObject>> {
    let here = json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace.as_str() } });
    let release = json!({ "matchLabels": { "release": "e2e" } });
    let instance = |kind: &str, spec: Value| {
        KubeObject::from_value(json!({
            "apiVersion": format!("{GROUP}/v1"),
            "kind": kind,
            "metadata": { "name": "main", "namespace": namespace.as_str() },
            "spec": spec,
        }))
    };
    Ok(vec![
        instance(
            "Prometheus",
            json!({
                "serviceMonitorNamespaceSelector": here, "serviceMonitorSelector": release,
                "ruleNamespaceSelector": here, "ruleSelector": release,
            }),
        )?,
        instance(
            "Alertmanager",
            json!({ "alertmanagerConfigNamespaceSelector": here, "alertmanagerConfigSelector": release }),
        )?,
    ])
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

async fn apply(
    topology: &K8sAnywhereTopology,
    name: &str,
    namespace: &Namespace,
    objects: Vec<KubeObject>,
) -> anyhow::Result<()> {
    let score = K8sResourceScore::new(name, namespace.clone(), objects, Checks::readiness_alone());
    // Without an operator, an instance never becomes ready.
    let changes = topology
        .apply(
            &harmony::core::owner::Owner::score(name, namespace),
            &score.objects,
        )
        .await?;
    anyhow::ensure!(!changes.is_empty(), "nothing was applied");
    Ok(())
}

#[tokio::test]
async fn the_api_server_accepts_the_resources_and_keeps_every_field() -> anyhow::Result<()> {
    let topology = topology().await?;
    let namespace = new_namespace()?;
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
    objects.push(secret(&namespace)?);
    objects.extend(instances(&namespace)?);
    apply(&topology, "instances", &namespace, objects).await?;

    let deployed = monitoring(&namespace)?
        .interpret(&Inventory::autoload(), &topology)
        .await;
    let report = deployed.expect_err("no operator runs").report();
    assert_eq!(report.code.to_string(), "H0704", "{report}");
    assert!(
        report.evidence[0].contains("prometheus-operated"),
        "{report}"
    );

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

    topology.delete(&namespace_object(&namespace)?).await?;
    for name in names {
        topology.delete(&name).await?;
    }
    Ok(())
}
