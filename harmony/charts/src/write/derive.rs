//! A chart derived from the objects that a Score deploys.
//!
//! The model is a function from values to objects. It is called with *marked* values: texts and numbers that occur
//! nowhere else. Wherever a mark comes out, the template has a hole. A flag has only two values, so each is flipped in
//! a call of its own, and what flips with it is its hole. At last the template is filled with the defaults and compared
//! with what the model gives for them: a model that computes with its values (compares, shortens, hashes) is refused
//! with the field that shows it, instead of becoming a chart that says something else than the Score.

use std::collections::BTreeMap;

use harmony_core::kubernetes::KubeObject;
use harmony_types::Namespace;
use serde_json::Value;

use super::hole::{Hole, Reference, mark_of};
use super::values::{ChartValue, ChartValues};
use super::{Chart, ChartContext, ChartError, ChartMetadata, ChartModel, Template, to_yaml_for_go};

const NAMESPACE_MARK: &str = "harmony-hole-namespace-end";

/// The chart of a model.
///
/// # Errors
/// [`ChartError::NotDerivable`] when a field depends on a value in a way that no hole expresses, [`ChartError::Secret`]
/// for an object that must not be stored in a registry, and what the model itself returns.
pub fn derive(model: &dyn ChartModel, context: &ChartContext<'_>) -> Result<Chart, ChartError> {
    let defaults = model.values()?;
    let objects = chart_objects(model, &defaults, context)?;
    let with_holes = objects_with_holes(model, &defaults, context)?;
    compare(&objects, &with_holes, &defaults, context)?;
    let templates = objects
        .iter()
        .zip(with_holes)
        .enumerate()
        .map(|(index, (object, tree))| {
            let reference = object.reference();
            let name = reference
                .name
                .as_str()
                .replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
            Ok(Template {
                path: format!("{index:02}-{}-{name}.yaml", reference.kind.to_lowercase()),
                text: write(&tree)?,
            })
        })
        .collect::<Result<_, ChartError>>()?;
    let metadata = ChartMetadata {
        description: model.description(),
    };
    Chart::new(context, &metadata, &defaults, templates)
}

/// A JSON value in which some scalars are holes.
#[derive(Debug, Clone, PartialEq)]
enum Tree {
    Hole(Hole),
    Scalar(Value),
    List(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
}

impl Tree {
    fn fill(&self, values: &ChartValues) -> Option<Value> {
        Some(match self {
            Self::Hole(hole) => hole.fill(values)?,
            Self::Scalar(value) => value.clone(),
            Self::List(items) => items
                .iter()
                .map(|item| item.fill(values))
                .collect::<Option<Vec<_>>>()?
                .into(),
            Self::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, item)| Some((key.clone(), item.fill(values)?)))
                    .collect::<Option<_>>()?,
            ),
        })
    }
}

/// The objects of the chart: all of the model's but the target namespace itself, which the delivery creates.
fn chart_objects(
    model: &dyn ChartModel,
    values: &ChartValues,
    context: &ChartContext<'_>,
) -> Result<Vec<KubeObject>, ChartError> {
    let mut objects = model.objects(values, context.image)?;
    objects.retain(|object| {
        let reference = object.reference();
        reference.kind != "Namespace" || reference.name.as_str() != values.namespace().as_str()
    });
    if let Some(secret) = objects
        .iter()
        .find(|object| object.reference().kind == "Secret")
    {
        return Err(ChartError::Secret {
            unit: Box::new(context.unit.clone()),
            object: secret.reference().to_string(),
        });
    }
    Ok(objects)
}

fn objects_with_holes(
    model: &dyn ChartModel,
    defaults: &ChartValues,
    context: &ChartContext<'_>,
) -> Result<Vec<Tree>, ChartError> {
    let namespace = Namespace::parse(NAMESPACE_MARK).expect("the mark is a legal name");
    let mut marked = defaults.clone().in_namespace(namespace);
    let mut texts = vec![(NAMESPACE_MARK.to_owned(), Reference::Namespace)];
    let mut numbers = Vec::new();
    let mut flags = Vec::new();
    for (index, (path, value)) in defaults.iter().enumerate() {
        let mark = mark_of(value, index);
        match &mark {
            ChartValue::Text(text) => texts.push((text.clone(), Reference::Value(path.clone()))),
            ChartValue::Number(number) => numbers.push((*number, Reference::Value(path.clone()))),
            ChartValue::Flag(flag) => flags.push((path.clone(), *flag)),
        }
        marked.replace(path, mark);
    }
    let objects = chart_objects(model, &marked, context)?;
    let reader = Reader { texts, numbers };
    let mut trees = objects
        .iter()
        .map(|object| {
            let place = Place::new(object, context);
            reader.read(object.body(), &place)
        })
        .collect::<Result<Vec<_>, _>>()?;
    for (path, flag) in flags {
        let mut flipped = marked.clone();
        flipped.replace(&path, ChartValue::Flag(!flag));
        let others = chart_objects(model, &flipped, context)?;
        same_objects(&objects, &others, context, path.as_str())?;
        let hole = Hole::Whole(Reference::Value(path.clone()));
        for ((tree, object), other) in trees.iter_mut().zip(&objects).zip(&others) {
            let place = Place::new(object, context);
            let flip = Flip { flag, hole: &hole };
            flip.apply(tree, object.body(), other.body(), &place)?;
        }
    }
    Ok(trees)
}

/// A flag may not make objects come and go.
fn same_objects(
    objects: &[KubeObject],
    others: &[KubeObject],
    context: &ChartContext<'_>,
    path: &str,
) -> Result<(), ChartError> {
    let names = |list: &[KubeObject]| {
        list.iter()
            .map(|object| object.reference().clone())
            .collect::<Vec<_>>()
    };
    let (left, right) = (names(objects), names(others));
    if left == right {
        return Ok(());
    }
    let odd = left
        .iter()
        .find(|name| !right.contains(name))
        .or_else(|| right.iter().find(|name| !left.contains(name)))
        .or(left.first());
    Err(ChartError::NotDerivable {
        unit: Box::new(context.unit.clone()),
        object: odd.map(ToString::to_string).unwrap_or_default(),
        field: "metadata.name".to_owned(),
        problem: format!("is there or not depending on `{path}`"),
    })
}

/// Where in which object, for errors.
struct Place<'a> {
    context: &'a ChartContext<'a>,
    object: String,
    field: String,
}

impl<'a> Place<'a> {
    fn new(object: &KubeObject, context: &'a ChartContext<'a>) -> Self {
        Self {
            context,
            object: object.reference().to_string(),
            field: String::new(),
        }
    }

    fn key(&self, key: &str) -> Self {
        let dot = if self.field.is_empty() { "" } else { "." };
        self.at(format!("{}{dot}{key}", self.field))
    }

    fn item(&self, index: usize) -> Self {
        self.at(format!("{}[{index}]", self.field))
    }

    fn at(&self, field: String) -> Self {
        Self {
            context: self.context,
            object: self.object.clone(),
            field,
        }
    }

    fn refuse(&self, problem: impl Into<String>) -> ChartError {
        ChartError::NotDerivable {
            unit: Box::new(self.context.unit.clone()),
            object: self.object.clone(),
            field: self.field.clone(),
            problem: problem.into(),
        }
    }
}

/// Reads marks back.
struct Reader {
    texts: Vec<(String, Reference)>,
    numbers: Vec<(i64, Reference)>,
}

impl Reader {
    fn read(&self, value: &Value, place: &Place<'_>) -> Result<Tree, ChartError> {
        Ok(match value {
            Value::Object(map) => {
                let mut entries = BTreeMap::new();
                for (key, item) in map {
                    let place = place.key(key);
                    if Hole::read(key, &self.texts).is_some() {
                        return Err(
                            place.refuse("has a value in its key, and a hole cannot be there")
                        );
                    }
                    entries.insert(key.clone(), self.read(item, &place)?);
                }
                Tree::Map(entries)
            }
            Value::Array(items) => Tree::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.read(item, &place.item(index)))
                    .collect::<Result<_, _>>()?,
            ),
            Value::String(text) => {
                if let Some((_, reference)) = self
                    .numbers
                    .iter()
                    .find(|(mark, _)| text.contains(&mark.to_string()))
                {
                    let Reference::Value(path) = reference else {
                        return Err(place.refuse("holds a marked number"));
                    };
                    return Err(place.refuse(format!(
                        "has the number `{path}` within a text; make that value a text"
                    )));
                }
                Hole::read(text, &self.texts)
                    .map_or_else(|| Tree::Scalar(value.clone()), Tree::Hole)
            }
            Value::Number(number) => self
                .numbers
                .iter()
                .find(|(mark, _)| number.as_i64() == Some(*mark))
                .map_or_else(
                    || Tree::Scalar(value.clone()),
                    |(_, reference)| Tree::Hole(Hole::Whole(reference.clone())),
                ),
            Value::Null | Value::Bool(_) => Tree::Scalar(value.clone()),
        })
    }
}

/// Finds what flips with a flag.
struct Flip<'a> {
    flag: bool,
    hole: &'a Hole,
}

impl Flip<'_> {
    fn apply(
        &self,
        tree: &mut Tree,
        before: &Value,
        after: &Value,
        place: &Place<'_>,
    ) -> Result<(), ChartError> {
        match (tree, before, after) {
            (_, before, after) if before == after => Ok(()),
            (Tree::Map(entries), Value::Object(before), Value::Object(after))
                if before.len() == after.len() =>
            {
                for (key, tree) in entries {
                    let place = place.key(key);
                    let (Some(before), Some(after)) = (before.get(key), after.get(key)) else {
                        return Err(place.refuse("is there or not depending on a flag"));
                    };
                    self.apply(tree, before, after, &place)?;
                }
                Ok(())
            }
            (Tree::List(items), Value::Array(before), Value::Array(after))
                if before.len() == after.len() =>
            {
                for (index, ((tree, before), after)) in
                    items.iter_mut().zip(before).zip(after).enumerate()
                {
                    self.apply(tree, before, after, &place.item(index))?;
                }
                Ok(())
            }
            (tree @ Tree::Scalar(_), Value::Bool(before), Value::Bool(_))
                if *before == self.flag =>
            {
                *tree = Tree::Hole(self.hole.clone());
                Ok(())
            }
            _ => Err(place.refuse("changes with a flag in another way than being that flag")),
        }
    }
}

/// The template, filled with the defaults, must be what the Score deploys by default.
fn compare(
    objects: &[KubeObject],
    with_holes: &[Tree],
    defaults: &ChartValues,
    context: &ChartContext<'_>,
) -> Result<(), ChartError> {
    for (index, object) in objects.iter().enumerate() {
        let place = Place::new(object, context);
        let filled = with_holes.get(index).and_then(|tree| tree.fill(defaults));
        let filled = filled.unwrap_or(Value::Null);
        if let Some(place) = first_difference(object.body(), &filled, place) {
            return Err(place.refuse("is computed from a value"));
        }
    }
    if objects.len() != with_holes.len() {
        return Err(ChartError::NotDerivable {
            unit: Box::new(context.unit.clone()),
            object: format!("the list of {} objects", objects.len()),
            field: "length".to_owned(),
            problem: "depends on a value".to_owned(),
        });
    }
    Ok(())
}

fn first_difference<'a>(left: &Value, right: &Value, place: Place<'a>) -> Option<Place<'a>> {
    match (left, right) {
        (left, right) if left == right => None,
        (Value::Object(left), Value::Object(right)) => {
            left.keys().chain(right.keys()).find_map(|key| {
                let at = place.key(key);
                match (left.get(key), right.get(key)) {
                    (Some(left), Some(right)) => first_difference(left, right, at),
                    _ => Some(at),
                }
            })
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => left
            .iter()
            .zip(right)
            .enumerate()
            .find_map(|(index, (left, right))| first_difference(left, right, place.item(index))),
        _ => Some(place),
    }
}

/// The text of a template: YAML with the holes of the chart format.
fn write(tree: &Tree) -> Result<String, ChartError> {
    let mut holes = Vec::new();
    let text = to_yaml_for_go(&stand_ins(tree, &mut holes))?;
    // `{{` that is meant as text, before the holes bring theirs
    let mut text = text.replace("{{", "{{ \"{{\" }}");
    for (index, hole) in holes.iter().enumerate().rev() {
        text = text.replacen(&stand_in(index), &hole.template(), 1);
    }
    Ok(text)
}

/// The tree with a plain word for each hole.
fn stand_ins(tree: &Tree, holes: &mut Vec<Hole>) -> Value {
    match tree {
        Tree::Hole(hole) => {
            holes.push(hole.clone());
            Value::from(stand_in(holes.len() - 1))
        }
        Tree::Scalar(value) => value.clone(),
        Tree::List(items) => items.iter().map(|item| stand_ins(item, holes)).collect(),
        Tree::Map(entries) => Value::Object(
            entries
                .iter()
                .map(|(key, item)| (key.clone(), stand_ins(item, holes)))
                .collect(),
        ),
    }
}

/// A word that YAML writes without quotes, and that the model cannot have produced: it came from no value.
fn stand_in(index: usize) -> String {
    format!("HarmonyHoleStandIn{index}End")
}
