use super::*;
use serde_json::json;

fn values(json: Value) -> Values {
    Values::read(&yaml::json(&json)).unwrap()
}

fn filled(template: &str) -> Result<String, HoleError> {
    let values = values(json!({
        "text": "a \"b\"\n<c> & \u{2028}ä😀",
        "number": 3, "float": 1.5, "flag": true, "nothing": null,
        "list": [1, "two"], "map": { "key": { "deep": "v" } },
        "nats": { "url": "nats://nats:4222" }, "_x1": "under",
    }));
    fill(template, &values, &"shop".parse().unwrap())
}

#[test]
fn every_form_of_a_hole_is_filled() {
    let cases = [
        ("no hole } }} {", "no hole } }} {"),
        ("{{ .Release.Namespace | toJson }}", "\"shop\""),
        (
            "http://web.{{ .Release.Namespace }}.svc",
            "http://web.shop.svc",
        ),
        ("{{   .Release.Namespace   }}", "shop"),
        ("{{   .Values.number   |   toJson   }}", "3"),
        ("a: {{ .Values.float | toJson }}\n", "a: 1.5\n"),
        (
            "{{ .Values.flag | toJson }}{{ .Values.nothing | toJson }}",
            "truenull",
        ),
        ("{{ .Values.list | toJson }}", r#"[1,"two"]"#),
        ("{{ .Values.map | toJson }}", r#"{"key":{"deep":"v"}}"#),
        ("{{ .Values.map.key.deep | toJson }}", r#""v""#),
        ("{{ .Values._x1 | toJson }}", r#""under""#),
        (
            "{{ .Values.text | toJson }}",
            "\"a \\\"b\\\"\\n\\u003cc\\u003e \\u0026 \\u2028ä😀\"",
        ),
        (
            r#"{{ printf "x-%s" .Release.Namespace | toJson }}"#,
            r#""x-shop""#,
        ),
        (
            r#"{{ printf "%s/%s%%" .Values.nats.url .Release.Namespace | toJson }}"#,
            r#""nats://nats:4222/shop%""#,
        ),
        (
            r#"{{ printf "\"\\\n\r\t\u00e4 }} %s" .Release.Namespace | toJson }}"#,
            "\"\\\"\\\\\\n\\r\\tä }} shop\"",
        ),
        (r#"{{ "{{" }} .Values.x }}"#, "{{ .Values.x }}"),
        (r#"{{  "{{"  }}{{ "{{" }}"#, "{{{{"),
    ];
    for (template, expected) in cases {
        assert_eq!(filled(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn what_is_beyond_the_format_is_told_with_its_line() {
    let holes = [
        r#"{{ include "web.labels" . }}"#,
        "{{- .Release.Namespace }}",
        "{{ .Release.Namespace -}}",
        "{{.Release.Namespace}}",
        "{{ .Release.Namespace}}",
        "{{ .Release.Name }}",
        "{{ .Release.NamespaceX }}",
        "{{ .Release.Namespace.x | toJson }}",
        "{{ .Values.number }}",
        "{{ .Values | toJson }}",
        "{{ .Values. | toJson }}",
        "{{ .Values.a-b | toJson }}",
        "{{ .Values.1a | toJson }}",
        "{{ .Values.a..b | toJson }}",
        "{{ .Values.ä | toJson }}",
        "{{ $.Values.number | toJson }}",
        "{{ .Values.number | toJson | quote }}",
        "{{ .Values.number | toYaml }}",
        "{{ .Values.number | quote }}",
        "{{ .Values.number |toJson }}",
        "{{ .Values.number| toJson }}",
        "{{ .Values.number | toJsonX }}",
        "{{ .Values.number\n| toJson }}",
        "{{ .Values.number\t| toJson }}",
        "{{ toJson .Values.number }}",
        "{{ default 1 .Values.number | toJson }}",
        "{{ if .Values.flag }}",
        "{{ /* a comment */ }}",
        "{{/* a comment */}}",
        r#"{{ "}}" }}"#,
        r#"{{ "{{" | toJson }}"#,
        "{{ `{{` }}",
        r#"{{ printf "a" | toJson }}"#,
        r#"{{ printf "%s" .Release.Namespace }}"#,
        r#"{{ printf "%s" "x" | toJson }}"#,
        r#"{{ printf "%s".Release.Namespace | toJson }}"#,
        r#"{{ printf "\x41%s" .Release.Namespace | toJson }}"#,
        r#"{{ printf "\ud800%s" .Release.Namespace | toJson }}"#,
        r#"{{ printf "\u12%s" .Release.Namespace | toJson }}"#,
        "{{ printf \"\n%s\" .Release.Namespace | toJson }}",
        "{{ printf `%s` .Release.Namespace | toJson }}",
        r#"{{ printf "%s" (.Release.Namespace) | toJson }}"#,
        "{{ .Release.Namespace",
        "{{",
    ];
    for hole in holes {
        let template = format!("kind: A\n# {{ {{\nname: {hole}");
        let error = filled(&template).unwrap_err();
        assert_eq!((error.line, error.problem), (3, Problem::Beyond), "{hole}");
        assert!(
            hole.starts_with(&error.hole) && !error.hole.is_empty(),
            "{hole}: {}",
            error.hole
        );
    }
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let cases = [
        (
            "{{ .Values.other | toJson }}",
            "refers to `other`, which is not in values.yaml",
        ),
        (
            "{{ .Values.text.deeper | toJson }}",
            "refers to `text.deeper`",
        ),
        (
            "{{ .Values.nothing.deeper | toJson }}",
            "refers to `nothing.deeper`",
        ),
        ("{{ .Values.list.0x | toJson }}", ""),
        (
            r#"{{ printf "%s" .Values.number | toJson }}"#,
            "`number` into a string, but its value is a number",
        ),
        (
            r#"{{ printf "%s" .Values.flag | toJson }}"#,
            "inserts `flag` into a string, but its value is a boolean",
        ),
        (
            r#"{{ printf "%s" .Values.list | toJson }}"#,
            "but its value is a list",
        ),
        (
            r#"{{ printf "%s" .Values.map | toJson }}"#,
            "but its value is a mapping",
        ),
        (
            r#"{{ printf "%s" .Values.nothing | toJson }}"#,
            "but its value is null",
        ),
        (
            r#"{{ printf "a" .Release.Namespace | toJson }}"#,
            "has 0 `%s`, but 1 references",
        ),
        (
            r#"{{ printf "%s %s" .Release.Namespace | toJson }}"#,
            "has 2 `%s`, but 1 references",
        ),
        (
            r#"{{ printf "%d %s" .Release.Namespace | toJson }}"#,
            "contains `%d`, but only `%s`",
        ),
        (
            r#"{{ printf "%s %" .Release.Namespace | toJson }}"#,
            "ends with `%`",
        ),
    ];
    for (hole, expected) in cases {
        let error = filled(&format!("\n\n\n- {hole}")).unwrap_err();
        match error.problem {
            Problem::Wrong(problem) => assert!(problem.contains(expected), "{hole}: {problem}"),
            Problem::Beyond => assert_eq!(expected, "", "{hole} is not beyond"),
        }
        assert_eq!((error.line, error.hole.as_str()), (4, hole));
    }
}

#[test]
fn a_long_hole_is_shortened() {
    let error = filled(&format!("{{{{ {} }}}}", "ä".repeat(200))).unwrap_err();
    assert_eq!(error.hole.chars().count(), 103);
    assert!(error.hole.ends_with("ä..."));
}

#[test]
fn values_that_blow_a_template_up_are_refused() {
    let values = values(json!({ "big": "x".repeat(MAX_FILLED / 2) }));
    let error = fill(
        &"{{ .Values.big | toJson }}".repeat(3),
        &values,
        &"a".parse().unwrap(),
    )
    .unwrap_err();
    assert!(matches!(error.problem, Problem::Wrong(problem) if problem.contains("larger than")));
}
