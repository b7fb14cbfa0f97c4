use super::*;
use harmony_core::diagnostic::Diagnostic as _;
use harmony_types::{Digest, ImageRef, ReleaseUnit, Version};
use serde_json::json;

fn image() -> ImageRef {
    let name: ImageRef = "registry.example.com/team/shop-web".parse().unwrap();
    name.with_digest(Digest::sha256_from_bytes([7; 32]))
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
    let unit = ReleaseUnit::new("shop".parse().unwrap(), "web".parse().unwrap()).unwrap();
    let context = ChartContext {
        unit: &unit,
        version: &Version::new(1, 2, 3),
        image: &image(),
    };
    derive(&Model(values, objects), &context)
}

fn text<'a>(chart: &'a Chart, path: &str) -> &'a str {
    let content = chart
        .file(path)
        .unwrap_or_else(|| panic!("{path} in {chart:?}"));
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
        - "--url"
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
