use super::*;
use serde_json::json;

fn lines(code: u16, message: &str) -> Vec<String> {
    let status = json!({ "code": code, "message": message });
    let found = faults(&serde_json::from_value(status).unwrap());
    found.unwrap().iter().map(ToString::to_string).collect()
}

/// As a server of version 1.34 writes them.
#[test]
fn server_side_apply_speaks_of_typed_patch_objects() {
    let message = "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): errors:\n  \
        .metadata.labels.app.kubernetes.io/version: expected string, got &value.valueUnstructured{Value:1}\n  \
        .metadata.labels.scrape: expected string, got &value.valueUnstructured{Value:true}\n  \
        .spec.replicas: expected numeric (int or float), got string\n  \
        .spec.selectors: field not declared in schema\n  \
        .spec.template.spec.containers: expected list, got &{map[name:a]}\n  \
        .spec.template.spec.containers[name=\"web\"].env: duplicate entries for key [name=\"MODE\"]";
    assert_eq!(
        lines(500, message),
        [
            "metadata.labels.app.kubernetes.io/version: is a number, but must be a string",
            "metadata.labels.scrape: is a boolean, but must be a string",
            "spec.replicas: is a string, but must be a number",
            "spec.selectors: is not a field of this kind",
            "spec.template.spec.containers: is a mapping, but must be a list",
            "spec.template.spec.containers[name=\"web\"].env: has more than one entry with name=\"MODE\"",
        ]
    );
    let message = "failed to create typed patch object (/a; v1, Kind=ConfigMap): .dta: field not declared in schema";
    assert_eq!(lines(500, message), ["dta: is not a field of this kind"]);
}

#[test]
fn decoding_has_words_of_its_own() {
    for (code, message, expected) in [
        (
            400,
            "Service in version \"v1\" cannot be handled as a Service: strict decoding error: unknown field \"spec.selectors\", duplicate field \"spec.type\"",
            &[
                "spec.selectors: is not a field of this kind",
                "spec.type: is set twice",
            ][..],
        ),
        (
            400,
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
            &["metadata.labels: is a boolean, but must be a string"],
        ),
        (
            500,
            "failed to convert new object (/a; /v1, Kind=Secret) to proper version: unable to convert unstructured object to /v1, Kind=Secret: error decoding from json: illegal base64 data at input byte 5",
            &["a value of `data` is not base64"],
        ),
        (
            500,
            "failed to convert new object (/a; /v1, Kind=Pod) to proper version: unable to convert unstructured object to /v1, Kind=Pod: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            &["a quantity cannot be read"],
        ),
    ] {
        assert_eq!(lines(code, message), expected, "{message}");
    }
}

#[test]
fn a_value_that_is_not_allowed_is_named_by_its_path_and_never_shown() {
    let status = json!({ "code": 422, "message": "RoleBinding \"crew\" is invalid", "details": { "causes": [
        { "field": "roleRef", "message": "Invalid value: {\"Name\":\"ed: it\"}: cannot change roleRef" },
        { "field": "data", "message": "Forbidden: field is immutable when `immutable` is set" },
        { "field": "spec.size", "message": "Invalid value: 0: spec.size in body should be greater than or equal to 1" },
        { "field": "spec.word", "message": "Invalid value: \"s3cret: word\"" },
    ]}});
    let found = faults(&serde_json::from_value(status).unwrap()).unwrap();
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "roleRef: cannot change roleRef",
            "data: Forbidden: field is immutable when `immutable` is set",
            "spec.size: spec.size in body should be greater than or equal to 1",
            "spec.word: invalid value",
        ]
    );
    assert!(found[0].fix.contains("delete the object first"));
    assert!(found[1].fix.contains("another name"));
    assert_eq!(found[2].fix, "");
}

#[test]
fn other_answers_are_not_about_the_schema() {
    for (code, message) in [
        (403, "configmaps \"a\" is forbidden: exceeded quota"),
        (404, "namespaces \"a\" not found"),
        (500, "Internal error occurred: failed calling webhook \"a\""),
        (400, "admission webhook \"a\" denied the request: no"),
        (400, "admission webhook \"a\" does not support dry run"),
        (409, "Apply failed with 1 conflict"),
    ] {
        let status = json!({ "code": code, "message": message });
        assert_eq!(
            faults(&serde_json::from_value(status).unwrap()),
            None,
            "{message}"
        );
    }
}
