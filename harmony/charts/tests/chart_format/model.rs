//! Models made up at random: what the writer of the format makes of them renders back to their objects.

use std::collections::BTreeMap;

use harmony_charts::{Chart, ChartContext, ChartError, ChartModel, ChartValues, derive, render};
use harmony_core::capability::oci_registry::RegistryLocation;
use harmony_core::chart::PackagedChart;
use harmony_core::kubernetes::KubeObject;
use harmony_types::{Digest, ImageRef, Namespace, ReleaseUnit, Version};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::{by_harmony, by_helm, comparable, namespace};

/// A part of an object that a generated model deploys.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Plain(Value),
    Namespace,
    Text(usize),
    Number(usize),
    Flag(usize),
    Mixed(Vec<Piece>),
    List(Vec<Part>),
    Map(BTreeMap<String, Part>),
}

#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Literal(String),
    Namespace,
    Text(usize),
}

/// A Score's objects as a function of values, made up at random.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) texts: Vec<String>,
    pub(crate) numbers: Vec<i64>,
    pub(crate) flags: Vec<bool>,
    pub(crate) parts: Vec<Part>,
}

impl Model {
    fn values_in(&self, namespace: Namespace) -> Result<ChartValues, ChartError> {
        let mut values = ChartValues::new(namespace);
        for (index, text) in self.texts.iter().enumerate() {
            values = values.with(&format!("texts.t{index}"), text.as_str())?;
        }
        for (index, number) in self.numbers.iter().enumerate() {
            values = values.with(&format!("n{index}"), *number)?;
        }
        for (index, flag) in self.flags.iter().enumerate() {
            values = values.with(&format!("deep.er.f{index}"), *flag)?;
        }
        Ok(values)
    }

    pub(crate) fn build(&self, part: &Part, values: &ChartValues) -> Result<Value, ChartError> {
        let text = |index: usize| values.text(&format!("texts.t{}", index % self.texts.len()));
        Ok(match part {
            Part::Plain(value) => value.clone(),
            Part::Namespace => values.namespace().as_str().into(),
            Part::Text(index) => text(*index)?.into(),
            Part::Number(index) => values
                .number(&format!("n{}", index % self.numbers.len()))?
                .into(),
            Part::Flag(index) => values
                .flag(&format!("deep.er.f{}", index % self.flags.len()))?
                .into(),
            Part::Mixed(pieces) => {
                let mut whole = String::new();
                for piece in pieces {
                    whole.push_str(match piece {
                        Piece::Literal(literal) => literal,
                        Piece::Namespace => values.namespace().as_str(),
                        Piece::Text(index) => text(*index)?,
                    });
                }
                whole.into()
            }
            Part::List(parts) => parts
                .iter()
                .map(|part| self.build(part, values))
                .collect::<Result<Vec<_>, _>>()?
                .into(),
            Part::Map(parts) => {
                let entries = parts
                    .iter()
                    .map(|(key, part)| Ok((key.clone(), self.build(part, values)?)));
                Value::Object(entries.collect::<Result<_, ChartError>>()?)
            }
        })
    }
}

impl ChartModel for Model {
    fn description(&self) -> String {
        "made up".into()
    }

    fn values(&self) -> Result<ChartValues, ChartError> {
        self.values_in("default".parse().unwrap())
    }

    fn objects(
        &self,
        values: &ChartValues,
        image: &ImageRef,
    ) -> Result<Vec<KubeObject>, ChartError> {
        let objects = self.parts.iter().enumerate().map(|(index, part)| {
            let body = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": format!("object-{index}"), "namespace": values.namespace().as_str() },
                "image": image.to_string(),
                "part": self.build(part, values)?,
            });
            Ok(KubeObject::from_value(body)?)
        });
        objects.collect()
    }
}

/// Texts that a YAML parser or a template could take for something else, and any others.
fn any_text() -> BoxedStrategy<String> {
    let treacherous = [
        "yes",
        "NO",
        "on",
        "1_000",
        "12:30",
        "0644",
        "0x1f",
        "null",
        "~",
        "",
        " ",
        "a ",
        " a",
        "a: b",
        "a #b",
        "- a",
        "---",
        "{{ .Values.x }}",
        "{{",
        "}}",
        "{{{",
        "{{- x }}",
        "%s",
        "100%",
        "%",
        "\\",
        "\"",
        "'",
        "a\nb\n",
        "\n",
        "\t",
        "\r\n",
        "<a>&",
        "\u{2028}",
        "2026-01-01",
        "<<",
        "=",
        "&a",
        "*a",
        "!a",
        "|",
        ">",
        "@a",
        "`a`",
        "ä€😀",
        "harmony-hole-0-en",
        "HarmonyHoleStandIn0End",
        "1e3",
        "18446744073709551616",
        "{{ \"{{\" }}",
        " \n ",
        "--url",
        "a:",
    ];
    prop_oneof![
        proptest::sample::select(treacherous.to_vec()).prop_map(str::to_owned),
        "[ -~\u{a0}-\u{17f}\n]{0,20}",
        proptest::collection::vec(proptest::sample::select(treacherous.to_vec()), 1..4)
            .prop_map(|parts| parts.concat()),
    ]
    .boxed()
}

pub(crate) fn any_part() -> impl Strategy<Value = Part> {
    let piece = prop_oneof![
        any_text().prop_map(Piece::Literal),
        Just(Piece::Namespace),
        any::<usize>().prop_map(Piece::Text),
    ];
    let leaf = prop_oneof![
        any_text().prop_map(|text| Part::Plain(text.into())),
        // not for values: what `toJson` gives for these is read in different ways
        proptest::sample::select(vec!["\u{feff}a", "\u{7f}", "a\u{85}b", "\0"])
            .prop_map(|text| Part::Plain(text.into())),
        any::<i64>().prop_map(|number| Part::Plain(number.into())),
        (-1000i32..1000).prop_map(|number| Part::Plain((f64::from(number) / 4.0 + 0.125).into())),
        any::<bool>().prop_map(|flag| Part::Plain(flag.into())),
        Just(Part::Plain(Value::Null)),
        Just(Part::Namespace),
        any::<usize>().prop_map(Part::Text),
        any::<usize>().prop_map(Part::Number),
        any::<usize>().prop_map(Part::Flag),
        proptest::collection::vec(piece, 1..5).prop_map(Part::Mixed),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Part::List),
            proptest::collection::btree_map(any_text(), inner, 0..5).prop_map(Part::Map),
        ]
    })
}

fn any_model() -> impl Strategy<Value = Model> {
    let number = -9_007_199_254_740_991i64..=9_007_199_254_740_991;
    (
        proptest::collection::vec(any_text(), 1..4),
        proptest::collection::vec(prop_oneof![number, -10i64..10], 1..3),
        proptest::collection::vec(any::<bool>(), 1..3),
        proptest::collection::vec(any_part(), 1..6),
    )
        .prop_map(|(texts, numbers, flags, parts)| Model {
            texts,
            numbers,
            flags,
            parts,
        })
}

/// The packaged chart of a model, as a release writes it.
fn written(model: &Model) -> (PackagedChart, ImageRef) {
    let unit = ReleaseUnit::new("shop".parse().unwrap(), "web".parse().unwrap()).unwrap();
    let version = Version::new(1, 2, 3);
    let registry = RegistryLocation::new("registry.example.com".parse().unwrap(), None).unwrap();
    let image = registry
        .image(&unit, &version)
        .with_digest(Digest::sha256_from_bytes([7; 32]));
    let context = ChartContext {
        unit: &unit,
        version: &version,
        image: &image,
    };
    let chart = derive(model, &context).unwrap_or_else(|error| panic!("{error}: {model:?}"));
    let packed = chart.pack(&version, 0).unwrap();
    assert_eq!(Chart::from_archive(&packed.archive).unwrap(), chart);
    (packed, image)
}

fn deployed(model: &Model, image: &ImageRef) -> BTreeMap<String, Value> {
    let values = model.values_in(namespace()).unwrap();
    comparable(model.objects(&values, image).unwrap())
}

/// The values of `other` by path, as a target gives them.
fn target_of(other: &Model) -> BTreeMap<String, Value> {
    let values = other.values().unwrap();
    values
        .iter()
        .map(|(path, value)| (path.to_string(), value.clone()))
        .collect()
}

fn check(cases: u32, check: impl Fn(Model, Model) -> Result<(), TestCaseError>) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&(any_model(), any_model()), |(model, other)| {
        let count = |many: usize, few: usize| few.min(many);
        let other = Model {
            texts: other.texts[..count(other.texts.len(), model.texts.len())].to_vec(),
            numbers: other.numbers[..count(other.numbers.len(), model.numbers.len())].to_vec(),
            flags: other.flags[..count(other.flags.len(), model.flags.len())].to_vec(),
            parts: Vec::new(),
        };
        check(model, other)
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// `model` with the values of `other` where it has them.
fn replaced(model: &Model, other: &Model) -> Model {
    let mut model = model.clone();
    model
        .texts
        .splice(..other.texts.len(), other.texts.iter().cloned());
    model
        .numbers
        .splice(..other.numbers.len(), other.numbers.iter().copied());
    model
        .flags
        .splice(..other.flags.len(), other.flags.iter().copied());
    model
}

#[test]
fn what_a_release_writes_renders_back_to_the_objects_of_the_model() {
    check(200, |model, other| {
        let (chart, image) = written(&model);
        prop_assert_eq!(comparable(by_harmony(&chart)), deployed(&model, &image));
        let files = Chart::from_archive(&chart.archive).unwrap();
        let rendered = render(&files, &target_of(&other), &namespace());
        prop_assert_eq!(
            comparable(rendered.unwrap()),
            deployed(&replaced(&model, &other), &image)
        );
        Ok(())
    });
}

#[test]
fn what_a_release_writes_is_rendered_the_same_by_helm() {
    check(24, |model, _| {
        let (chart, image) = written(&model);
        let rendered = by_helm(&chart.archive, &json!({})).unwrap();
        prop_assert_eq!(comparable(rendered), deployed(&model, &image));
        Ok(())
    });
}
