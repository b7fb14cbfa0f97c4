use super::*;
use serde_json::json;

const CHART: &str = "apiVersion: v2\nname: web\nversion: 1.0.0\ntype: application\n";

fn files(files: &[(&str, &str)]) -> Chart {
    let mut all = BTreeMap::from([("Chart.yaml".to_owned(), CHART.as_bytes().to_vec())]);
    for (path, text) in files {
        all.insert((*path).to_owned(), text.as_bytes().to_vec());
    }
    Chart::from_files("web", all)
}

fn rendered(chart: &[(&str, &str)]) -> Result<Vec<KubeObject>, RenderError> {
    render(&files(chart), &BTreeMap::new(), &"shop".parse().unwrap())
}

fn names(objects: &[KubeObject]) -> Vec<String> {
    objects
        .iter()
        .map(|object| object.reference().to_string())
        .collect()
}

#[test]
fn definitions_come_first_and_templates_by_file_name() {
    let objects = rendered(&[
        ("values.yaml", "name: b\n"),
        (
            "templates/20-all.yml",
            "# two\n---\napiVersion: v1\nkind: Service\nmetadata: {name: {{ .Values.name | toJson }}}\n---\n---\napiVersion: v1\nkind: Service\nmetadata: {name: c, namespace: other}\n",
        ),
        ("templates/10/a.yaml", "apiVersion: example.com/v1\nkind: Fleet\nmetadata: {name: a}\n"),
        (
            "crds/fleet.yaml",
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: fleets.example.com, annotations: {a: \"{{ not a hole }}\"}}\nspec: {group: example.com, scope: Cluster, names: {kind: Fleet}}\n",
        ),
        ("templates/empty.yaml", "# nothing\n"),
        ("templates/NOTES.txt", "{{ include \"anything\" . }}"),
        ("README.md", "{{ x }}"),
        ("values.schema.json", "{}"),
        (".helmignore", ""),
    ])
    .unwrap();
    assert_eq!(
        names(&objects),
        [
            "CustomResourceDefinition fleets.example.com",
            "Fleet a",
            "Service shop/b",
            "Service other/c"
        ]
    );
    assert_eq!(
        objects[0].body()["metadata"]["annotations"]["a"],
        "{{ not a hole }}"
    );
    assert_eq!(objects[2].body()["metadata"]["namespace"], "shop");
}

#[test]
fn a_list_is_its_items() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: a}}\n- {apiVersion: v1, kind: Secret, metadata: {name: b}}\n";
    assert_eq!(
        names(&rendered(&[("templates/a.yaml", list)]).unwrap()),
        ["Secret shop/a", "Secret shop/b"]
    );
}

#[test]
fn a_target_replaces_values() {
    let chart = files(&[
        ("values.yaml", "nats: {url: nats://nats}\n"),
        (
            "templates/a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {url: {{ .Values.nats.url | toJson }}}\n",
        ),
    ]);
    let url = |values: &[(&str, Value)]| {
        let values = values
            .iter()
            .map(|(path, value)| ((*path).to_owned(), value.clone()))
            .collect();
        render(&chart, &values, &"shop".parse().unwrap())
            .map(|objects| objects[0].body()["data"]["url"].clone())
    };
    assert_eq!(url(&[]).unwrap(), "nats://nats");
    assert_eq!(
        url(&[("nats.url", json!("x: \"y\"\n# {{ z }}"))]).unwrap(),
        "x: \"y\"\n# {{ z }}"
    );
    assert_eq!(url(&[("nats.url", json!(null))]).unwrap(), json!(null));
    assert!(url(&[("nats.port", json!(1))]).is_err());
}

#[test]
fn an_object_of_the_cluster_loses_its_namespace() {
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a, namespace: b}\n";
    assert_eq!(
        names(&rendered(&[("templates/a.yaml", role)]).unwrap()),
        ["ClusterRole a"]
    );
}

#[test]
fn what_only_helm_renders_is_told_by_place() {
    let hook = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {helm.sh/hook: pre-install}}\n";
    let cases: [(&[(&str, &str)], &str); 9] = [
        (
            &[("charts/nats/Chart.yaml", "")],
            "charts/nats/Chart.yaml: this file",
        ),
        (
            &[("templates/_helpers.tpl", "")],
            "templates/_helpers.tpl: this file",
        ),
        (&[("templates/_a.yaml", "")], "templates/_a.yaml: this file"),
        (&[("templates/a.json", "{}")], "templates/a.json: this file"),
        (&[("crds/a.json", "{}")], "crds/a.json: this file"),
        (
            &[("templates/a.yaml", hook)],
            "templates/a.yaml:2: an object with the annotation `helm.sh/hook`",
        ),
        (
            &[("templates/a.yaml", "\nname: {{ .Release.Name }}\n")],
            "templates/a.yaml:2: `{{ .Release.Name }}`",
        ),
        (
            &[(
                "Chart.yaml",
                "apiVersion: v2\nname: web\ndependencies: [{name: nats}]\n",
            )],
            "Chart.yaml: a list of `dependencies`",
        ),
        (
            &[("Chart.yaml", "apiVersion: v1\nname: web\n")],
            "Chart.yaml: an `apiVersion` other than `v2`",
        ),
    ];
    for (chart, expected) in cases {
        let error = rendered(chart).unwrap_err();
        assert!(matches!(error, RenderError::Beyond { .. }), "{error:?}");
        let (place, what) = expected.split_once(": ").unwrap();
        assert_eq!(
            error.to_string(),
            format!("{place}: Harmony cannot render {what} without helm")
        );
        assert!(
            error
                .help()
                .contains("go install helm.sh/helm/v4/cmd/helm@v4.3.1"),
            "{}",
            error.help()
        );
    }
}

#[test]
fn what_is_wrong_is_told_by_place() {
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let twice = format!("{object}---\n{object}");
    let cases: [(&[(&str, &str)], &str); 11] = [
        (
            &[("templates/a.yaml", "a: {{ .Values.b | toJson }}")],
            "templates/a.yaml:1: `{{ .Values.b | toJson }}` refers to `b`, which is not in values.yaml",
        ),
        (
            &[("templates/a.yaml", "a: 1\nb: [\n")],
            "templates/a.yaml:2: is not YAML: ",
        ),
        (
            &[("templates/a.yaml", "---\nkind: ConfigMap\n")],
            "templates/a.yaml:2: a ConfigMap has no `apiVersion`",
        ),
        (
            &[("templates/a.yaml", "- a\n")],
            "templates/a.yaml:1: is not a Kubernetes object: it is not a mapping",
        ),
        (
            &[("templates/a.yaml", "kind: List\n")],
            "templates/a.yaml:1: is a List without `items`",
        ),
        (
            &[("templates/a.yaml", &twice)],
            "templates/a.yaml:5: ConfigMap shop/a occurs twice",
        ),
        (
            &[(
                "templates/a.yaml",
                "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: 1}\n",
            )],
            "templates/a.yaml:1: `metadata.namespace` is `1`, which is not a string: quote it",
        ),
        (&[("values.yaml", "a: [\n")], "values.yaml:1: is not YAML: "),
        (
            &[("Chart.yaml", "apiVersion: v2\nname: other\n")],
            "Chart.yaml: has the chart name `other`, but its directory is `web`",
        ),
        (
            &[("Chart.yaml", "apiVersion: v2\n")],
            "Chart.yaml: has no `name`",
        ),
        (&[("Chart.yaml", "")], "Chart.yaml: is not a mapping"),
    ];
    for (chart, expected) in cases {
        let error = rendered(chart).unwrap_err();
        assert!(!matches!(error, RenderError::Beyond { .. }), "{error:?}");
        assert!(
            error.to_string().starts_with(expected),
            "{error}\n{expected}"
        );
    }
}

proptest::proptest! {
    /// Whatever a chart contains, the result is objects or an error.
    #[test]
    fn nothing_in_a_chart_makes_the_reader_panic(
        values in "([ab]: ?[-&*!|>'\"{}\\[\\],~yn0-9 .]{0,6}\n| {0,3}- ?|---\n|\\PC{0,3}){0,12}",
        template in "(\\{\\{ ?|\\}\\}|printf |\"|%s|%|\\\\u?|\\.Values\\.a|\\.Release\\.Namespace| \\| toJson| |\n|---|kind: A|\\PC){0,16}",
    ) {
        let _ = rendered(&[("values.yaml", &values), ("templates/a.yaml", &template)]);
        let _ = rendered(&[("templates/a.yaml", &values)]);
    }

    #[test]
    fn no_bytes_make_the_archive_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
        use std::io::Write;
        let _ = Chart::from_archive(&bytes);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&bytes).unwrap();
        let _ = Chart::from_archive(&packed.finish().unwrap());
    }
}

#[test]
fn hooks_are_told_apart_from_the_objects_of_helms_output() {
    let object = |name: &str, hook: &str| {
        format!(
            "---\n# Source: a.yaml\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, annotations: {{helm.sh/hook: {hook}}}}}\n"
        )
    };
    let output = [
        object("a", "'pre-install,post-upgrade'"),
        object("b", "test"),
        object("c", "post-delete"),
        object("d", "crd-install"),
        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n".to_owned(),
    ]
    .concat();
    let rendered = objects_of_output(&output, &"shop".parse().unwrap(), None).unwrap();
    assert_eq!(names(&rendered.objects), ["Pod shop/a", "Pod shop/d"]);
    let hooks: Vec<KubeObject> = rendered.hooks.into_iter().map(|hook| hook.object).collect();
    assert_eq!(names(&hooks), ["Pod shop/a", "Pod shop/b", "Pod shop/c"]);

    for hook in ["pre-instal", "3", "\"\"", "\"pre-install,\""] {
        let wrong = objects_of_output(&object("a", hook), &"shop".parse().unwrap(), None);
        assert!(matches!(wrong, Err(RenderError::File { .. })), "{hook}");
    }
    let twice = [object("a", "test"), object("a", "pre-install")].concat();
    let error = objects_of_output(&twice, &"shop".parse().unwrap(), None).unwrap_err();
    assert!(error.to_string().contains("occurs twice"), "{error}");
}
