//! Generates a chart from the objects that a Score deploys.
//!
//! The model is a function from values to objects. It is called with *marked* values: strings and numbers that occur
//! nowhere else. Wherever a mark appears in the output, the template gets a placeholder. A flag has only two values, so
//! each flag is flipped in a separate call, and what changes with it is its placeholder. Finally the template is read
//! back, as for a deploy, and compared with the output of the model for the default values. A model that computes with
//! its values (compares, shortens, hashes) is refused, with the field that shows it. Otherwise the chart would differ
//! from the Score.

mod mark;

use std::collections::BTreeMap;

use harmony_core::kubernetes::KubeObject;
use harmony_types::Namespace;
use serde_json::{Number, Value};

use crate::chart::{Chart, ChartContext, ChartMetadata, Template};
use crate::error::ChartError;
use crate::hole::{Hole, Piece, Problem, Reference};
use crate::model::ChartModel;
use crate::template::{self, Tree};
use crate::values::{ChartValues, unwritable};
use crate::yaml;

const NAMESPACE_MARK: &str = "harmony-hole-namespace-end";

/// The chart of a model.
///
/// # Errors
/// [`ChartError::NotDerivable`] if a field depends on a value in a way that no placeholder can express,
/// [`ChartError::Secret`] for an object that must not be stored in a registry, and the errors of the model itself.
pub fn derive(model: &dyn ChartModel, context: &ChartContext<'_>) -> Result<Chart, ChartError> {
    let defaults = model.values()?;
    let objects = chart_objects(model, &defaults, context)?;
    let with_holes = objects_with_holes(model, &defaults, context)?;
    if objects.len() != with_holes.len() {
        return Err(ChartError::NotDerivable {
            unit: Box::new(context.unit.clone()),
            object: format!("the list of {} objects", objects.len()),
            field: "length".to_owned(),
            problem: "depends on a value".to_owned(),
        });
    }
    let templates = objects
        .iter()
        .zip(with_holes)
        .enumerate()
        .map(|(index, (object, tree))| {
            let text = tree.write();
            compare(object, &text, &defaults, context)?;
            let reference = object.reference();
            let name = reference
                .name
                .as_str()
                .replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
            Ok(Template {
                path: format!("{index:02}-{}-{name}.yaml", reference.kind.to_lowercase()),
                text,
            })
        })
        .collect::<Result<_, ChartError>>()?;
    let metadata = ChartMetadata {
        description: model.description(),
    };
    Ok(Chart::new(context, &metadata, &defaults, templates))
}

/// The objects of the chart: all objects of the model except for the target namespace, which the delivery creates.
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
        let mark = mark::of(value, index);
        match &mark {
            Value::String(text) => texts.push((text.clone(), Reference::Value(path.clone()))),
            Value::Bool(flag) => flags.push((path.clone(), *flag)),
            number => {
                let number = number.as_i64().unwrap_or_default();
                numbers.push((number, Reference::Value(path.clone())));
            }
        }
        marked.replace(&path, mark);
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
        flipped.replace(&path, Value::Bool(!flag));
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

/// A boolean must not determine which objects exist.
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
        problem: format!("exists only for some values of `{path}`"),
    })
}

/// A position in an object, for errors.
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

/// Finds the markers.
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
                    if mark::hole_of(key, &self.texts).is_some() {
                        return Err(place
                            .refuse("has a value in a key, where a placeholder is not possible"));
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
                        return Err(place.refuse("contains a marked number"));
                    };
                    return Err(place.refuse(format!(
                        "has the number `{path}` inside a string; make this value a string"
                    )));
                }
                let Some(hole) = mark::hole_of(text, &self.texts) else {
                    return Ok(Tree::Scalar(value.clone()));
                };
                if let Some(odd) = literals(&hole).find_map(unwritable) {
                    let code = u32::from(odd);
                    return Err(place.refuse(format!(
                        "has the character U+{code:04X} beside a value, which a template cannot write"
                    )));
                }
                Tree::Hole(hole)
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

/// Finds what changes with a boolean.
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
                        return Err(place.refuse("exists only for some values of a boolean"));
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
            _ => Err(place.refuse("depends on a boolean, but is not the boolean itself")),
        }
    }
}

fn literals(hole: &Hole) -> impl Iterator<Item = &str> {
    let pieces: &[Piece] = match hole {
        Hole::Text(pieces) => pieces,
        Hole::Namespace | Hole::Braces | Hole::Whole(_) => &[],
    };
    pieces.iter().filter_map(|piece| match piece {
        Piece::Literal(literal) => Some(literal.as_str()),
        Piece::Reference(_) => None,
    })
}

/// The template, read as for a deploy with the defaults, must equal what the Score deploys by default.
fn compare(
    object: &KubeObject,
    template: &str,
    defaults: &ChartValues,
    context: &ChartContext<'_>,
) -> Result<(), ChartError> {
    let place = Place::new(object, context);
    let unreadable = |line: usize, problem: String| {
        place
            .at(format!("line {line} of the template"))
            .refuse(problem)
    };
    let filled =
        template::fill(template, defaults.values(), defaults.namespace()).map_err(|error| {
            let problem = match error.problem {
                Problem::Beyond => "is outside of the chart format".to_owned(),
                Problem::Wrong(problem) => problem,
            };
            unreadable(error.line, problem)
        })?;
    let mut documents =
        yaml::documents(&filled).map_err(|error| unreadable(error.line, error.problem))?;
    let read = match (documents.pop(), documents.is_empty()) {
        (Some(document), true) => document.value,
        _ => return Err(unreadable(1, "is not one object".to_owned())),
    };
    match first_difference(object.body(), &read, Place::new(object, context)) {
        Some(place) => Err(place.refuse("is computed from a value")),
        None => Ok(()),
    }
}

fn first_difference<'a>(left: &Value, right: &Value, place: Place<'a>) -> Option<Place<'a>> {
    match (left, right) {
        (left, right) if left == right => None,
        (Value::Number(left), Value::Number(right)) if is_same_number(left, right) => None,
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

/// Go's JSON has only one kind of number: `2.0` comes back as `2`.
fn is_same_number(left: &Number, right: &Number) -> bool {
    (left.is_f64() || right.is_f64()) && left.as_f64() == right.as_f64()
}

#[cfg(test)]
mod tests;
