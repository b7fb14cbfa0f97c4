use std::io::Read;
use std::sync::Arc;

use harmony_types::{Digest, Namespace};
use serde_json::{Value, json};

use super::*;

/// Texts that a YAML parser of version 1.1 takes for something else, and some that break a careless writer.
const TREACHEROUS: &[&str] = &[
    "yes",
    "no",
    "on",
    "off",
    "y",
    "n",
    "Y",
    "N",
    "NO",
    "Yes",
    "true",
    "false",
    "null",
    "~",
    "",
    " ",
    "1_000",
    "12:30",
    "12:30:45",
    "2026-01-01",
    "0x1f",
    "0o17",
    "014",
    "1e3",
    ".5",
    "1.",
    "+1",
    "-1",
    "<<",
    "=",
    "-",
    "- a",
    "? a",
    "a: b",
    ": a",
    "a #b",
    "# a",
    "&a",
    "*a",
    "!a",
    "|",
    ">",
    "%a",
    "@a",
    "`a`",
    "'",
    "\"",
    "a'b\"c",
    "[a]",
    "{a}",
    "{{ .Values.x }}",
    "}}",
    "{{{",
    "a\nb",
    "a\n",
    "\na",
    "  a",
    "a  ",
    "a\tb",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "ä€😀",
    ".inf",
    ".nan",
    "---",
    "...",
    "a\\b",
    "\\n",
    "nats://nats.fleet.svc:4222",
];

fn image() -> ImageRef {
    let name: ImageRef = "registry.example.com/team/shop-web".parse().unwrap();
    name.with_digest(Digest::sha256_from_bytes([7; 32]))
}

/// A source of charts with the project that it belongs to.
struct App {
    unit: ReleaseUnit,
    project_root: PathBuf,
    chart: ChartSource,
}

fn app(chart: ChartSource) -> App {
    App {
        unit: ReleaseUnit::new("shop".parse().unwrap(), "web".parse().unwrap()).unwrap(),
        project_root: "/nonexistent".into(),
        chart,
    }
}

impl App {
    fn chart(&self) -> Result<Option<Chart>, ChartError> {
        let (version, image) = (Version::new(1, 2, 3), image());
        make(
            &self.chart,
            &self.project_root,
            &self.context(&version, &image),
        )
    }

    fn package(&self, created: i64) -> Result<Option<PackagedChart>, ChartError> {
        let (version, image) = (Version::new(1, 2, 3), image());
        package(
            &self.chart,
            &self.project_root,
            &self.context(&version, &image),
            created,
        )
    }

    fn context<'a>(&'a self, version: &'a Version, image: &'a ImageRef) -> ChartContext<'a> {
        ChartContext {
            unit: &self.unit,
            version,
            image,
        }
    }
}

/// A model from a function of values and image.
struct Model<F>(ChartValues, F);

impl<F> ChartModel for Model<F>
where
    F: Fn(&ChartValues, &ImageRef) -> Result<Value, ChartError> + Send + Sync,
{
    fn description(&self) -> String {
        "A shop".into()
    }

    fn values(&self) -> Result<ChartValues, ChartError> {
        Ok(self.0.clone())
    }

    fn objects(
        &self,
        values: &ChartValues,
        image: &ImageRef,
    ) -> Result<Vec<KubeObject>, ChartError> {
        let body = (self.1)(values, image)?;
        let objects = match body {
            Value::Array(objects) => objects,
            object => vec![object],
        };
        Ok(objects
            .into_iter()
            .map(KubeObject::from_value)
            .collect::<Result<_, _>>()?)
    }
}

fn values() -> ChartValues {
    ChartValues::new(Namespace::parse("default").unwrap())
}

fn derived<F>(values: ChartValues, objects: F) -> Result<Chart, ChartError>
where
    F: Fn(&ChartValues, &ImageRef) -> Result<Value, ChartError> + Send + Sync + 'static,
{
    let app = app(ChartSource::from_score(Model(values, objects)));
    Ok(app.chart()?.expect("it has a chart"))
}

fn text<'a>(chart: &'a Chart, path: &str) -> &'a str {
    let content = chart
        .file(path)
        .unwrap_or_else(|| panic!("{path} in {:?}", chart.files));
    std::str::from_utf8(content).unwrap()
}

fn config(values: &ChartValues, data: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "web", "namespace": values.namespace().as_str() },
        "data": data,
    })
}

#[test]
fn treacherous_text_is_quoted_and_comes_back() {
    for word in TREACHEROUS {
        let value = json!({ "key": word, "list": [word], (*word): 1 });
        let yaml = to_yaml_for_go(&value).unwrap();
        let back: Value =
            serde_yaml::from_str(&yaml).unwrap_or_else(|e| panic!("{word:?}: {e}\n{yaml}"));
        assert_eq!(back, value, "{word:?} in\n{yaml}");
    }
    for word in [
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "NO",
        "1_000",
        "12:30",
        "014",
        "null",
        "~",
        "2026-01-01",
        "<<",
        "=",
    ] {
        let yaml = to_yaml_for_go(&json!({ "key": word })).unwrap();
        assert!(
            yaml.contains(['"', '\'']),
            "Go reads {yaml} as something else"
        );
    }
}

#[test]
fn keys_are_in_one_order() {
    let value = json!({ "spec": { "b": 1, "a": 2 }, "metadata": { "name": "x" }, "kind": "K", "apiVersion": "v1" });
    let yaml = to_yaml_for_go(&value).unwrap();
    assert_eq!(
        yaml,
        "apiVersion: v1\nkind: K\nmetadata:\n  name: x\nspec:\n  a: 2\n  b: 1\n"
    );
}

#[test]
fn a_value_becomes_a_hole_where_it_comes_out() {
    let values = values()
        .with("nats.url", "nats://nats:4222")
        .unwrap()
        .with("replicas", 3)
        .unwrap()
        .with("debug", false)
        .unwrap();
    let chart = derived(values, |values, image| {
        Ok(json!([
            { "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": values.namespace().as_str() } },
            {
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": { "name": "web", "namespace": values.namespace().as_str() },
                "spec": {
                    "replicas": values.number("replicas")?,
                    "template": { "spec": { "hostNetwork": values.flag("debug")?, "containers": [{
                        "image": image.to_string(),
                        "args": ["--url", values.text("nats.url")?, format!("--peer=web.{}.svc \"100%\"", values.namespace())],
                        "note": "{{ not a hole }}",
                    }] } },
                },
            },
        ]))
    }).unwrap();
    assert_eq!(
        text(&chart, "templates/00-deployment-web.yaml"),
        format!(
            r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: {{{{ .Release.Namespace | toJson }}}}
spec:
  replicas: {{{{ .Values.replicas | toJson }}}}
  template:
    spec:
      containers:
      - args:
        - --url
        - {{{{ .Values.nats.url | toJson }}}}
        - {{{{ printf "--peer=web.%s.svc \"100%%\"" .Release.Namespace | toJson }}}}
        image: registry.example.com/team/shop-web@{}
        note: "{{{{ "{{{{" }}}} not a hole }}}}"
      hostNetwork: {{{{ .Values.debug | toJson }}}}
"#,
            image().digest().unwrap()
        )
    );
    assert_eq!(
        text(&chart, "values.yaml"),
        "debug: false\nnats:\n  url: nats://nats:4222\nreplicas: 3\n"
    );
    assert_eq!(
        text(&chart, "Chart.yaml"),
        "apiVersion: v2\nappVersion: \"1.2.3\"\ndescription: A shop\nname: shop-web\ntype: application\nversion: \"1.2.3\"\n"
    );
    assert_eq!(
        chart.files().count(),
        3,
        "the target namespace is not an object of the chart"
    );
}

#[test]
fn a_model_that_computes_with_its_values_is_refused_by_field() {
    type Objects = fn(&ChartValues, &ImageRef) -> Result<Value, ChartError>;
    let cases: [(&str, Objects); 6] = [
        ("data.upper", |v, _| {
            Ok(config(v, json!({ "upper": v.text("url")?.to_uppercase() })))
        }),
        ("data.length", |v, _| {
            Ok(config(v, json!({ "length": v.text("url")?.len() })))
        }),
        ("data.port", |v, _| {
            Ok(config(v, json!({ "port": v.number("port")?.to_string() })))
        }),
        ("data.not", |v, _| {
            Ok(config(v, json!({ "not": !v.flag("debug")? })))
        }),
        ("data.level", |v, _| {
            Ok(config(
                v,
                json!({ "level": if v.flag("debug")? { "debug" } else { "info" } }),
            ))
        }),
        ("data.optional", |v, _| {
            let url = v.text("url")?;
            Ok(config(
                v,
                if url.starts_with("nats") {
                    json!({ "optional": url })
                } else {
                    json!({})
                },
            ))
        }),
    ];
    for (field, objects) in cases {
        let values = values()
            .with("url", "nats://nats")
            .unwrap()
            .with("port", 4222)
            .unwrap()
            .with("debug", true)
            .unwrap();
        let error = derived(values, objects).expect_err(field);
        let ChartError::NotDerivable {
            field: found,
            object,
            ..
        } = &error
        else {
            panic!("{field}: {error:?}");
        };
        assert_eq!(
            (found.as_str(), object.contains("ConfigMap")),
            (field, true),
            "{error}"
        );
    }
}

#[test]
fn objects_may_not_come_and_go() {
    let values = values().with("extra", true).unwrap();
    let error = derived(values, |v, _| {
        let one = config(v, json!({}));
        Ok(if v.flag("extra")? {
            json!([one, { "apiVersion": "v1", "kind": "Service", "metadata": { "name": "x" } }])
        } else {
            one
        })
    })
    .unwrap_err();
    assert_eq!(error.code().to_string(), "H0510");
    assert!(error.to_string().contains("`extra`"), "{error}");
}

#[test]
fn a_secret_never_enters_a_chart() {
    let error = derived(values(), |_, _| Ok(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "password" }, "stringData": { "password": "hunter2" },
    }))).unwrap_err();
    assert_eq!(error.code().to_string(), "H0512");
    assert!(!format!("{error} {error:?} {:?}", error.hints()).contains("hunter2"));
}

#[test]
fn bad_values_are_refused() {
    for path in [
        "", ".", "a.", ".a", "a..b", "a-b", "1a", "a b", "a.b-c", "ä", "a.{{",
    ] {
        assert!(values().with(path, "x").is_err(), "{path:?}");
    }
    assert!(values().with("a.b", "x").unwrap().with("a", "x").is_err());
    assert!(values().with("a", "x").unwrap().with("a.b", "x").is_err());
    assert!(values().with("a", "x").unwrap().with("ab", "x").is_ok());
    assert!(values().with("a", i64::MAX).is_err());
    assert!(values().with("a", 1).unwrap().text("a").is_err());
    assert!(values().text("a").is_err());
}

#[test]
fn the_same_chart_has_the_same_bytes() {
    let source = || {
        ChartSource::from_score(Model(values(), |v: &ChartValues, i: &ImageRef| {
            Ok(config(v, json!({ "image": i.to_string() })))
        }))
    };
    let pack = |created| app(source()).package(created).unwrap().unwrap();
    let (one, two, later) = (
        pack(1_700_000_000),
        pack(1_700_000_000),
        pack(1_700_000_001),
    );
    assert_eq!(
        (one.archive_digest.clone(), &one.archive),
        (two.archive_digest, &two.archive)
    );
    assert_ne!(
        one.archive_digest, later.archive_digest,
        "files are dated by the commit"
    );

    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&*one.archive));
    let mut names = Vec::new();
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        assert_eq!(
            (
                header.mtime().unwrap(),
                header.mode().unwrap(),
                header.uid().unwrap(),
                header.gid().unwrap()
            ),
            (1_700_000_000, 0o644, 0, 0)
        );
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        names.push(entry.path().unwrap().display().to_string());
    }
    assert_eq!(
        names,
        [
            "shop-web/Chart.yaml",
            "shop-web/templates/00-configmap-web.yaml",
            "shop-web/values.yaml"
        ]
    );
    assert_eq!(&one.archive[4..8], [0; 4], "the gzip header holds no time");
    assert_eq!(one.metadata["version"], "1.2.3");
}

#[test]
fn a_chart_that_does_not_name_its_image_by_digest_is_refused() {
    let by_tag = ChartSource::builder(|context: &ChartContext<'_>| {
        let text = format!(
            "image: registry.example.com/team/{}:{}\n",
            context.unit, context.version
        );
        let template = Template {
            path: "a.yaml".into(),
            text,
        };
        Chart::new(
            context,
            &ChartMetadata::default(),
            &values(),
            vec![template],
        )
    });
    let error = app(by_tag).package(0).unwrap_err();
    assert_eq!(error.code().to_string(), "H0514");

    let by_digest = ChartSource::Builder(Arc::new(|context: &ChartContext<'_>| {
        let values = values().with("image", context.image.to_string())?;
        Chart::new(context, &ChartMetadata::default(), &values, Vec::new())
    }));
    assert!(app(by_digest).package(0).unwrap().is_some());
    assert!(app(ChartSource::None).package(0).unwrap().is_none());
}

/// A chart directory with the given files, and the app that it belongs to.
fn directory(files: &[(&str, &str)]) -> (tempfile::TempDir, App) {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = root.path().join("chart").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    let app = App {
        project_root: root.path().to_owned(),
        ..app(ChartSource::Path("chart".into()))
    };
    (root, app)
}

const CHART_YAML: &str = "apiVersion: v2\nname: shop-web # ours\nversion: 0.0.0 # set by the release\nappVersion: \"\"\n";

#[test]
fn a_directory_gets_version_and_image_and_keeps_its_comments() {
    let (_root, app) = directory(&[
        ("Chart.yaml", CHART_YAML),
        (
            "values.yaml",
            "# the image\nimage: \"\"\nreplicas: 1 # few\n",
        ),
        (
            "templates/web.yaml",
            "image: {{ .Values.image | toJson }}\n",
        ),
    ]);
    let chart = app.chart().unwrap().unwrap();
    assert_eq!(
        text(&chart, "Chart.yaml"),
        "apiVersion: v2\nname: shop-web # ours\nversion: \"1.2.3\"\nappVersion: \"1.2.3\"\n"
    );
    assert_eq!(
        text(&chart, "values.yaml"),
        format!("# the image\nimage: \"{}\"\nreplicas: 1 # few\n", image())
    );
    assert!(app.package(0).unwrap().is_some());
}

#[test]
fn a_directory_that_is_no_chart_is_refused_by_file() {
    let values = ("values.yaml", "image: \"\"\n");
    let chart = ("Chart.yaml", CHART_YAML);
    for (files, file) in [
        (vec![], "chart"),
        (vec![values], "Chart.yaml"),
        (vec![chart], "values.yaml"),
        (vec![chart, ("values.yaml", "replicas: 1\n")], "values.yaml"),
        (
            vec![chart, ("values.yaml", "image:\n  name: x\n")],
            "values.yaml",
        ),
        (
            vec![chart, ("values.yaml", "image: a\nimage: b\n")],
            "values.yaml",
        ),
        (vec![chart, ("values.yaml", "\timage: a\n")], "values.yaml"),
        (
            vec![
                ("Chart.yaml", "name: other\nversion: 1\nappVersion: 1\n"),
                values,
            ],
            "Chart.yaml",
        ),
    ] {
        let (_root, app) = directory(&files);
        let error = app.package(0).unwrap_err();
        assert_eq!(error.code().to_string(), "H0513", "{files:?}: {error}");
        assert!(error.place().unwrap().ends_with(file), "{files:?}: {error}");
        assert!(!error.hints().is_empty());
    }
}

fn paths(app: &App) -> Vec<String> {
    let chart = app.chart().unwrap().unwrap();
    chart.files().map(|(path, _)| path.to_owned()).collect()
}

#[test]
fn a_directory_is_published_without_what_helmignore_names() {
    let (_root, app) = directory(&[
        ("Chart.yaml", CHART_YAML),
        ("values.yaml", "image: \"\"\n"),
        ("templates/web.yaml", "a: 1\n"),
        (
            ".helmignore",
            "# for people only\nsecrets/\nvalues-*.yaml\n*.bak\n",
        ),
        ("secrets/login.yaml", "password: not-for-the-registry\n"),
        ("values-production.yaml", "replicas: 9\n"),
        ("notes.bak", "old"),
    ]);
    assert_eq!(
        paths(&app),
        ["Chart.yaml", "templates/web.yaml", "values.yaml"]
    );
}

#[test]
fn a_directory_is_published_without_what_git_does_not_track() {
    let (root, app) = directory(&[
        ("Chart.yaml", CHART_YAML),
        ("values.yaml", "image: \"\"\n"),
        ("templates/web.yaml", "a: 1\n"),
        ("secrets.yaml", "ignored by git\n"),
        ("templates/new.yaml", "untracked\n"),
    ]);
    std::fs::write(root.path().join(".gitignore"), "secrets.yaml\n").unwrap();
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        let status = command.arg("-C").arg(root.path()).args(arguments).status();
        assert!(status.unwrap().success(), "git {arguments:?}");
    };
    git(&["init", "--quiet"]);
    assert!(app.package(0).is_err());
    git(&[
        "add",
        "chart/Chart.yaml",
        "chart/values.yaml",
        "chart/templates/web.yaml",
    ]);
    assert_eq!(
        paths(&app),
        ["Chart.yaml", "templates/web.yaml", "values.yaml"]
    );
}
