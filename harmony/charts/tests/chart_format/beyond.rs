//! Charts that only `helm` renders.

use std::collections::BTreeMap;
use std::path::Path;

use harmony_charts::helm::{Helm, HelmChart, Lookups, inflate};
use harmony_charts::{Chart, ChartContext, ChartSource, RenderError};
use harmony_core::Context;
use harmony_core::chart::PackagedChart;
use harmony_core::diagnostic::Diagnostic;
use harmony_types::{Digest, ImageRef, ReleaseUnit, Version};
use serde_json::json;

use crate::charts::packaged;
use crate::{by_helm, comparable, helm, namespace, run};

const HELPERS: &str = r#"{{- define "web.labels" -}}
app: {{ .Chart.Name | quote }}
{{- end -}}
"#;

const BEYOND: &str = r#"
{{- if .Values.enabled }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-config
  labels: {{- include "web.labels" . | nindent 4 }}
data:
  mode: {{ .Values.mode | quote }}
  numbers: {{ toYaml .Values.numbers | quote }}
  on: "key"
defaultMode: 0644
{{- end }}
---
apiVersion: v1
kind: Pod
metadata: { name: hook, annotations: { "helm.sh/hook": pre-install } }
---
apiVersion: v1
kind: Pod
metadata: { name: test, annotations: { "helm.sh/hook": test } }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: reader }
"#;

fn beyond() -> PackagedChart {
    packaged(
        "web",
        "1.0.0",
        &[
            ("values.yaml", "enabled: true\nmode: plain\nnumbers: [1]\n"),
            ("templates/_helpers.tpl", HELPERS),
            ("templates/all.yaml", BEYOND),
        ],
    )
}

#[test]
fn a_chart_beyond_the_format_is_rendered_by_helm() {
    helm();
    let values = BTreeMap::from([
        ("mode".to_owned(), json!("yes")),
        ("numbers".to_owned(), json!(["1", 2])),
    ]);
    let rendered = run(harmony_charts::objects(
        &Context::new(),
        &beyond(),
        &values,
        &namespace(),
        None,
    ))
    .unwrap();
    let hooks = rendered.hooks.iter();
    let hooks: Vec<String> = hooks
        .map(|hook| hook.object.reference().to_string())
        .collect();
    assert_eq!(hooks.len(), 2, "{hooks:?}");
    assert!(hooks.contains(&"Pod shop/hook".into()) && hooks.contains(&"Pod shop/test".into()));
    let objects = comparable(rendered.objects);
    assert_eq!(
        objects.keys().collect::<Vec<_>>(),
        ["ClusterRole reader", "ConfigMap shop/web-config"]
    );
    let config = &objects["ConfigMap shop/web-config"];
    assert_eq!(config["metadata"]["labels"], json!({ "app": "web" }));
    assert_eq!(
        config["data"],
        json!({ "mode": "yes", "numbers": "- \"1\"\n- 2", "true": "key" })
    );
    assert_eq!(config["defaultMode"], 420);
}

#[test]
fn what_helm_complains_of_is_told() {
    let values = json!({ "numbers": { "a": "b" } });
    let broken = packaged(
        "web",
        "1.0.0",
        &[
            ("templates/_a.tpl", ""),
            ("templates/a.yaml", "a: {{ fail \"no way\" }}"),
        ],
    );
    let RenderError::Helm {
        problem, output, ..
    } = by_helm(&broken.archive, &values).unwrap_err()
    else {
        panic!("helm took it")
    };
    assert!(problem.contains("exit status: 1"), "{problem}");
    assert!(
        output.iter().any(|line| line.contains("no way")),
        "{output:?}"
    );

    let missing = Helm::at("/nonexistent/helm");
    let chart = HelmChart {
        release: "a".into(),
        archive: b"nothing".to_vec().into(),
        lookups: Lookups::Empty,
        values,
        namespace: namespace(),
    };
    let error = run(missing.template(&Context::new(), &chart, None)).unwrap_err();
    assert!(error.to_string().contains("could not be run"), "{error}");
    let error = run(helm().template(&Context::new(), &chart, None)).unwrap_err();
    assert!(
        error
            .evidence()
            .iter()
            .any(|line| line.contains("chart.tgz")),
        "{error:?}"
    );
}

#[test]
fn a_cancelled_run_does_not_wait_for_helm() {
    let context = Context::new();
    context.cancellation().cancel();
    let chart = HelmChart {
        release: "a".into(),
        archive: beyond().archive,
        lookups: Lookups::Refused,
        values: json!({}),
        namespace: namespace(),
    };
    assert!(matches!(
        run(helm().template(&context, &chart, None)),
        Err(RenderError::Cancelled(_))
    ));
}

#[test]
fn a_directory_is_rendered_as_its_archive_is() {
    let folder = tempfile::tempdir().unwrap();
    tar::Archive::new(flate2::read::GzDecoder::new(&*beyond().archive))
        .unpack(folder.path())
        .unwrap();
    // The name of the directory does not matter.
    let elsewhere = folder.path().join("elsewhere");
    std::fs::rename(folder.path().join("web"), &elsewhere).unwrap();
    let archive = Chart::from_directory(&elsewhere)
        .unwrap()
        .to_archive(0)
        .unwrap();
    let chart = HelmChart {
        release: "other".into(),
        archive: archive.into(),
        values: json!({ "enabled": false }),
        namespace: namespace(),
        lookups: Lookups::Refused,
    };
    let rendered = run(inflate(&Context::new(), &chart, None)).unwrap();
    let objects = comparable(rendered.objects);
    assert_eq!(
        objects.into_keys().collect::<Vec<_>>(),
        ["ClusterRole reader"]
    );
    let missing = Chart::from_directory(folder.path()).unwrap_err();
    assert!(missing.to_string().contains("Chart.yaml"), "{missing}");
}

/// A chart with one template.
fn trial(template: &str) -> HelmChart {
    with_files(&[("templates/one.yaml", template)])
}

fn with_files(files: &[(&str, &str)]) -> HelmChart {
    HelmChart {
        release: "trial".into(),
        archive: packaged("trial", "0.1.0", files).archive,
        values: json!({}),
        namespace: namespace(),
        lookups: Lookups::Refused,
    }
}

#[test]
fn a_chart_that_makes_up_a_password_is_refused_with_its_place() {
    for made_up in [
        "{{ randAlphaNum 24 | b64enc }}",
        "{{ now | date \"150405.000000\" | b64enc }}",
    ] {
        let chart = trial(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: login\ndata:\n  password: {made_up}\n"
        ));
        let mut unstable = false;
        // the time may stand still between two renderings
        for _ in 0..5 {
            let rendered = run(helm().template(&Context::new(), &chart, None));
            if let Err(RenderError::Unstable { object, field }) = rendered {
                assert_eq!(
                    (object.as_str(), field.as_str()),
                    ("Secret shop/login", "data.password")
                );
                unstable = true;
            }
        }
        assert!(unstable, "{made_up}");
    }
}

#[test]
fn a_chart_is_told_what_the_cluster_is() {
    use harmony_core::kubernetes::{ClusterCapabilities, KnownKind};
    let chart = trial(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: seen\ndata:\n  version: {{ .Capabilities.KubeVersion.Version }}\n  \
         knows: {{ .Capabilities.APIVersions.Has \"mon.example.com/v1/Watch\" | quote }}\n---\n\
         apiVersion: mon.example.com/v1\nkind: Watch\nmetadata:\n  name: web\n",
    );
    let cluster = ClusterCapabilities {
        version: "v1.31.4".into(),
        kinds: vec![KnownKind {
            api_version: "mon.example.com/v1".into(),
            kind: "Watch".into(),
            is_namespaced: true,
        }],
    };
    let objects = comparable(
        run(helm().template(&Context::new(), &chart, Some(&cluster)))
            .unwrap()
            .objects,
    );
    let seen = &objects["ConfigMap shop/seen"]["data"];
    assert_eq!(
        (&seen["version"], &seen["knows"]),
        (&json!("v1.31.4"), &json!("true"))
    );
    assert!(
        objects.contains_key("Watch shop/web"),
        "{:?}",
        objects.keys()
    );
}

#[test]
fn a_lookup_is_refused_where_it_is_called_and_only_then() {
    let keeps = "{{- $old := lookup \"v1\" \"Secret\" .Release.Namespace \"login\" }}\n\
                 {{- if .Values.keep }}{{ fail \"kept\" }}{{ end }}";
    let secret = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: login\ndata:\n  user: {{ include \"user\" . }}\n";
    let helper = format!(
        "{{{{- define \"user\" }}}}{{{{- if .Values.old }}}}\n{keeps}{{{{ end }}}}admin{{{{ end }}}}"
    );
    let files = [
        ("values.yaml", "old: false\n"),
        ("templates/_helpers.tpl", &helper),
        ("templates/login.yaml", secret),
        (
            "templates/NOTES.txt",
            "{{ lookup \"v1\" \"Secret\" .Release.Namespace \"login\" }}",
        ),
    ];
    let mut chart = with_files(&files);
    let render = |chart: &HelmChart| run(helm().template(&Context::new(), chart, None));
    assert_eq!(render(&chart).unwrap().objects.len(), 1);
    chart.values = json!({ "old": true });
    let Err(error @ RenderError::Lookup { .. }) = render(&chart) else {
        panic!("it was rendered")
    };
    assert_eq!(
        error.place().as_deref(),
        Some("trial/templates/_helpers.tpl:2")
    );
    chart.lookups = Lookups::Empty;
    assert_eq!(render(&chart).unwrap().objects.len(), 1);

    // In a subchart that is packaged by itself.
    let inner = packaged(
        "inner",
        "0.1.0",
        &[("templates/a.yaml", &format!("{keeps}\n"))],
    );
    let metadata = "{apiVersion: v2, name: trial, version: 0.1.0, dependencies: [{name: inner, version: 0.1.0}]}";
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("charts")).unwrap();
    std::fs::write(folder.path().join("charts/inner-0.1.0.tgz"), &inner.archive).unwrap();
    std::fs::write(folder.path().join("Chart.yaml"), metadata).unwrap();
    let outer = Chart::from_directory(folder.path()).unwrap();
    chart.archive = outer.to_archive(0).unwrap().into();
    assert!(render(&chart).unwrap().objects.is_empty());
    chart.lookups = Lookups::Refused;
    let error = render(&chart).unwrap_err();
    let place = error.place().unwrap_or_default();
    assert!(place.ends_with("inner/templates/a.yaml:1"), "{error:?}");

    std::fs::remove_file(folder.path().join("charts/inner-0.1.0.tgz")).unwrap();
    let outer = Chart::from_directory(folder.path()).unwrap();
    chart.archive = outer.to_archive(0).unwrap().into();
    let error = render(&chart).unwrap_err();
    assert!(
        matches!(&error, RenderError::Subcharts { missing } if missing == &["inner"]),
        "{error:?}"
    );
}

#[test]
fn a_chart_for_another_kubernetes_is_refused() {
    let chart = with_files(&[(
        "Chart.yaml",
        "{apiVersion: v2, name: trial, version: 0.1.0, kubeVersion: '>= 1.40.0-0'}",
    )]);
    let cluster = harmony_core::kubernetes::ClusterCapabilities {
        version: "v1.34.4".into(),
        kinds: Vec::new(),
    };
    let error = run(helm().template(&Context::new(), &chart, Some(&cluster))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the chart supports Kubernetes >= 1.40.0-0, but the cluster has v1.34.4"
    );
}

/// The chart that `helm create` makes, released from a directory of a project: its Deployment runs the released image.
#[test]
fn a_chart_of_helm_create_is_released_with_its_image() {
    let root = tempfile::tempdir().unwrap();
    let created = std::process::Command::new(helm().program())
        .args(["create", "shop-web"])
        .current_dir(root.path())
        .output()
        .unwrap();
    assert!(created.status.success());
    let (chart, image) = released(root.path(), "shop-web");
    let objects = comparable(by_helm(&chart.archive, &json!({})).unwrap());
    let deployment = &objects["Deployment shop/release-shop-web"];
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["image"],
        format!("{}:1.2.3@{}", image.name(), image.digest().unwrap())
    );
    assert_eq!(
        deployment["metadata"]["labels"]["app.kubernetes.io/version"],
        "1.2.3"
    );
}

/// `image` as a text and as a mapping, in charts that Harmony renders itself or by `helm`.
#[test]
fn the_image_of_a_directory_is_what_its_templates_write() {
    let config_map = |data: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: settings }}\ndata: {{ image: {data} }}\n"
        )
    };
    let whole = config_map("{{ .Values.image | toJson }}");
    let joined = config_map("\"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"");
    let by_digest = config_map(
        "\"{{ .Values.image.registry }}/{{ .Values.image.repository }}@{{ .Values.image.digest }}\"",
    );
    for (values, template) in [
        ("replicas: 9\nimage: \"\"\n", whole),
        (
            "image:\n  repository: shop/web\n  tag: \"\"\n  pullPolicy: IfNotPresent\n",
            joined,
        ),
        (
            "image:\n  registry: docker.io\n  repository: shop/web\n  tag: 1.0.0\n  digest: ''\n",
            by_digest,
        ),
    ] {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("chart");
        std::fs::create_dir_all(folder.join("templates")).unwrap();
        let metadata = "apiVersion: v2\nname: shop-web\ntype: application\nversion: 0.1.0\nappVersion: 0.1.0\n";
        for (path, text) in [
            ("Chart.yaml", metadata),
            ("values.yaml", values),
            ("templates/a.yaml", &template),
        ] {
            std::fs::write(folder.join(path), text).unwrap();
        }
        let (chart, image) = released(root.path(), "chart");
        let objects = run(harmony_charts::objects(
            &Context::new(),
            &chart,
            &BTreeMap::new(),
            &namespace(),
            None,
        ));
        let found =
            comparable(objects.unwrap().objects)["ConfigMap shop/settings"]["data"]["image"]
                .clone();
        let found: ImageRef = found.as_str().unwrap().parse().unwrap();
        assert_eq!(found.pinned(), image.pinned(), "{values}");
    }
}

/// A chart without an `appVersion`, with an unpacked and a packed subchart whose images are their own.
#[test]
fn a_chart_with_subcharts_is_released_with_its_image_only() {
    let template = |name: &str, image: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\ndata:\n  image: {image}\n  app: {{{{ .Chart.AppVersion | quote }}}}\n"
        )
    };
    let joined = "\"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"";
    let metadata = "apiVersion: v2\nname: shop-web\nversion: 0.1.0\ndependencies:\n- {name: cache, version: 0.1.0}\n- {name: tools, version: 0.2.0}\n";
    let values = "image:\n  repository: shop/web\n  tag: \"\"\ncache:\n  image: { repository: cache, tag: 8.0.0 }\n";
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("chart");
    for (path, text) in [
        ("Chart.yaml", metadata.to_owned()),
        ("values.yaml", values.to_owned()),
        ("templates/a.yaml", template("web", joined)),
        (
            "charts/cache/Chart.yaml",
            "apiVersion: v2\nname: cache\nversion: 0.1.0\nappVersion: 8.0.0\n".to_owned(),
        ),
        (
            "charts/cache/values.yaml",
            "image: { repository: other, tag: other }\n".to_owned(),
        ),
        ("charts/cache/templates/a.yaml", template("cache", joined)),
    ] {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let tools = template("tools", "tools:2");
    let tools = packaged("tools", "0.2.0", &[("templates/a.yaml", &tools)]);
    std::fs::write(folder.join("charts/tools-0.2.0.tgz"), &tools.archive).unwrap();

    let (chart, image) = released(root.path(), "chart");
    let objects = run(harmony_charts::objects(
        &Context::new(),
        &chart,
        &BTreeMap::new(),
        &namespace(),
        None,
    ));
    let objects = comparable(objects.unwrap().objects);
    let data = |name: &str| objects[&format!("ConfigMap shop/{name}")]["data"].clone();
    let found: ImageRef = data("web")["image"].as_str().unwrap().parse().unwrap();
    assert_eq!(found.pinned(), image.pinned());
    assert_eq!(data("web")["app"], "1.2.3");
    assert_eq!(
        data("cache"),
        json!({ "image": "cache:8.0.0", "app": "8.0.0" })
    );
    assert_eq!(data("tools")["image"], "tools:2");
}

/// The chart in `directory` of a project under git, released as `shop-web` 1.2.3.
fn released(root: &Path, directory: &str) -> (PackagedChart, ImageRef) {
    for arguments in [["init", "--quiet"], ["add", "."]] {
        let mut git = std::process::Command::new("git");
        let status = git.arg("-C").arg(root).args(arguments).status();
        assert!(status.unwrap().success());
    }
    let image: ImageRef = "registry.example.com/team/shop-web".parse().unwrap();
    let image = image.with_digest(Digest::sha256_from_bytes([7; 32]));
    let context = ChartContext {
        unit: &ReleaseUnit::new("shop".parse().unwrap(), "web".parse().unwrap()).unwrap(),
        version: &Version::new(1, 2, 3),
        image: &image,
    };
    let source = ChartSource::Path(directory.into());
    let chart = harmony_charts::package(&source, root, &context, 0).unwrap();
    (chart.unwrap(), image)
}
