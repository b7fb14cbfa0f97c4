//! What YAML means, asked of Go by way of `helm`.

use std::collections::{BTreeMap, BTreeSet};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use harmony_charts::{Chart, ChartModel, render, yaml};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::charts::packaged;
use crate::model::{Model, any_part};
use crate::treacherous;
use crate::{by_harmony, drop_nulls, helm_json, namespace};

/// Every word that a plain scalar can be is read as Go reads it: Helm tells by writing it as JSON.
#[test]
fn plain_words_are_read_as_helm_reads_them() {
    let mut words: BTreeSet<String> = [
        "y Y yes Yes YES yEs n N no No NO on On ON off Off OFF true True TRUE tRue false False FALSE null Null NULL nULL ~",
        "0 -0 +0 1 -1 +1 00 01 07 08 09 010 -010 +010 0644 0o17 0O17 -0o17 0o8 0x1F 0X1f -0x1f 0xg 0b11 0B11 -0b11 +0b11 0b2",
        "1_000 _1 1_ 1__0 0x_1 -_1 +_1 1.5 1.50 1. .5 -.5 +.5 . .. ... -. 1.2.3 1e3 1E3 1e+3 1e-3 1e 1e+ .e1 1.e1 .5e1 e1 1e400",
        "-1e400 1e-400 100m 1Gi 12:30 12:30:45 190:20:30 2026-01-01 2026-1-1 20260101 2026-01-01T10:00:00Z 2026- 2026-x",
        "- -- + ++ -+ = << inf .infinity nan .nan1 0x 0b 0o 0x1p-2 1f 1d 0_1 0.0 -0.0 9007199254740991 9007199254740993",
        "18446744073709551615 18446744073709551616 -9223372036854775808 -9223372036854775809 a a_b a.b /a @a a,b",
    ]
    .iter()
    .flat_map(|line| line.split(' '))
    .map(str::to_owned)
    .collect();
    let mut runner = TestRunner::deterministic();
    for alphabet in [
        "[0-9._eE+-]{1,7}",
        "[0-9xXoObB_+-]{1,6}",
        "[yYeEsSnNoOfF~]{1,3}",
        "[0-9T:Z-]{1,12}",
    ] {
        let strategy = proptest::string::string_regex(alphabet).unwrap();
        words.extend((0..400).map(|_| strategy.new_tree(&mut runner).unwrap().current()));
    }
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: words}\ndata: {{ .Values.words | toJson }}\n";
    let chart_of = |words: &BTreeSet<String>| {
        let lines = words
            .iter()
            .map(|word| format!("  w{}: {word}\n", hex(word)))
            .collect::<Vec<_>>()
            .concat();
        packaged(
            "web",
            "1.0.0",
            &[
                ("values.yaml", &format!("words:\n{lines}")),
                ("templates/words.yaml", template),
            ],
        )
    };
    let read = |words: &BTreeSet<String>| {
        let files = Chart::from_archive(&chart_of(words).archive).unwrap();
        render(&files, &BTreeMap::new(), &namespace())
            .map(|objects| objects[0].body()["data"].clone())
    };
    let all = words.len();
    // What is refused (a list, a number that floating point rounds, `.inf`) is outside of the format.
    words.retain(|word| {
        let alone = BTreeSet::from([word.clone()]);
        read(&alone).is_ok_and(|data| !data[format!("w{}", hex(word))].is_array())
    });
    assert!(
        words.len() > 1200 && words.len() < all,
        "{} of {all} words",
        words.len()
    );
    let ours = read(&words).unwrap();
    let helms = helm_json(&chart_of(&words));
    for word in &words {
        let key = format!("w{}", hex(word));
        assert_eq!(ours[&key], helms[&key], "`{word}`");
    }
}
fn hex(word: &str) -> String {
    let bytes: Vec<_> = word.bytes().map(|byte| format!("{byte:02x}")).collect();
    bytes.concat()
}

/// What Helm takes the `v` of a values.yaml for, written in an alphabet that no parser can misread.
fn read_by_helm(values: &str) -> Value {
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {{ .Values.v | toJson | b64enc }}\n";
    let files = [("values.yaml", values), ("templates/a.yaml", template)];
    let encoded = helm_json(&packaged("web", "1.0.0", &files));
    let json = BASE64_STANDARD.decode(encoded.as_str().unwrap()).unwrap();
    serde_json::from_slice(&json).unwrap()
}

#[test]
fn treacherous_texts_are_written_so_that_helm_reads_them() {
    let keys = treacherous::TEXTS
        .iter()
        .map(|text| ((*text).to_owned(), json!(1)));
    let keys: serde_json::Map<_, _> = keys.collect();
    let all = json!({ "texts": treacherous::TEXTS, "keys": keys });
    let values = yaml::write(&json!({ "v": all }));
    assert_eq!(read_by_helm(&values), all, "{values}");
}

/// How people write YAML by hand, read by us and by Go.
#[test]
fn yaml_of_every_style_is_read_as_helm_reads_it() {
    let styles = [
        "a: |\n  one\n   two\n\n  three\n\n",
        "a: |-\n  one\n\n",
        "a: |+\n  one\n\n",
        "a: >\n  one\n  two\n\n  three\n   four\n  five\n",
        "a: >-\n  one\n  two\n",
        "a: |2\n    one\n   two\n",
        "a: one\n  two\n\n  three\n",
        "a: \"one\n  two\n\n  three \\\n  four\\n\\x41\\u00e4\\U0001F600\\_\\e\"\n",
        "a: 'one\n  it''s\n\n  two'\n",
        "a: [one, 'two', \"three\", {b: c}, [], {}, yes, 0644, ]\n",
        "a: {b: c, \"d\": [e], 'f': , g}\n",
        "a:\n- b\n- - c\n  - d\n- e: f\n  g: h\n-\n  i: j\n-\n",
        "a: # a comment\n  b: c # another\n  # a third\n  d: e#f\n",
        "? a\n: b\n",
        "a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n",
        "a: &x b\n*x : c\n",
        "\"quoted key\": 1\n'other': 2\nspaced key: 3\n",
        "a:   b   \nc:\td\n",
        "a: b:c\nd: http://e:1/f?g#h\ni: -j\nk: ?l\nm: :n\n",
        "a: !!str 1\nb: !!str yes\n",
        "a:\r\n  b: |\r\n    c\r\n    d\r\n",
        "a: \"\"\nb: ''\nc:\nd: ~\n",
        "a: 'x: y'\nb: \"#c\"\nd: \"\\\"\"\n",
        "- a\n",
        "a: <b>&amp;\n",
        "a: 1\n---\n",
        "---\na: 1\n",
    ];
    let template =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {{ .Values.v | toJson }}\n";
    for style in styles {
        let indented = style
            .split_inclusive('\n')
            .map(|line| format!("  {line}"))
            .collect::<Vec<_>>()
            .concat();
        let is_stream = style.contains("---");
        let values = if is_stream {
            style.replacen("a: 1", "v: {a: 1}", 1)
        } else {
            format!("v:\n{indented}")
        };
        let chart = packaged(
            "web",
            "1.0.0",
            &[("values.yaml", &values), ("templates/a.yaml", template)],
        );
        let (mut ours, mut helms) = (by_harmony(&chart).remove(0).into_body(), helm_json(&chart));
        drop_nulls(&mut ours);
        drop_nulls(&mut helms);
        assert_eq!(ours["data"], helms, "{values}");
    }
}

#[test]
fn what_the_writer_of_yaml_writes_is_read_as_helm_reads_it() {
    let config = Config {
        cases: 40,
        failure_persistence: None,
        ..Config::default()
    };
    let parts = proptest::collection::vec(any_part(), 3..12);
    let result = TestRunner::new(config).run(&parts, |parts| {
        let model = Model {
            texts: vec!["yes".into()],
            numbers: vec![-1],
            flags: vec![false],
            parts,
        };
        let values = model.values().unwrap();
        let data: Vec<_> = model
            .parts
            .iter()
            .map(|part| model.build(part, &values).unwrap())
            .collect();
        let data = exact(json!({ "all": data }));
        let yaml = yaml::write(&json!({ "v": data }));
        let ours = yaml::documents(&yaml).unwrap().remove(0).value;
        prop_assert_eq!(&ours["v"], &data, "{}", &yaml);
        let (mut helms, mut data) = (read_by_helm(&yaml), data);
        drop_nulls(&mut helms);
        drop_nulls(&mut data);
        prop_assert_eq!(&helms, &data, "{}", &yaml);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// Without numbers that floating point rounds, which are refused in values.
fn exact(value: Value) -> Value {
    match value {
        Value::Number(number)
            if number
                .as_i64()
                .is_some_and(|number| number.unsigned_abs() >= 1 << 53) =>
        {
            json!(0)
        }
        Value::Array(items) => items.into_iter().map(exact).collect(),
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, item)| (key, exact(item)))
                .collect(),
        ),
        other => other,
    }
}
