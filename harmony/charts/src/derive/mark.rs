//! Marks: values that occur nowhere else, so that they can be found in the output.

use serde_json::Value;

use crate::hole::{Hole, Piece, Reference};

/// The mark for `value` in call number `index`: a string that is valid wherever a name is, or a number that fits into
/// 32 bits. A flag cannot be marked and stays.
pub(super) fn of(value: &Value, index: usize) -> Value {
    match value {
        Value::String(_) => Value::from(format!("harmony-hole-{index}-end")),
        Value::Number(_) => Value::from(1_900_000_000 + i64::try_from(index).unwrap_or_default()),
        other => other.clone(),
    }
}

/// The placeholder for a string with marks in it; `None` if it has none.
pub(super) fn hole_of(text: &str, marks: &[(String, Reference)]) -> Option<Hole> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((at, mark, reference)) = next_mark(rest, marks) {
        if at > 0 {
            pieces.push(Piece::Literal(rest[..at].to_owned()));
        }
        pieces.push(Piece::Reference(reference.clone()));
        rest = &rest[at + mark.len()..];
    }
    if pieces.is_empty() {
        return None;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    Some(match pieces.as_slice() {
        [Piece::Reference(reference)] => Hole::Whole(reference.clone()),
        _ => Hole::Text(pieces),
    })
}

fn next_mark<'a>(
    text: &str,
    marks: &'a [(String, Reference)],
) -> Option<(usize, &'a str, &'a Reference)> {
    marks
        .iter()
        .filter_map(|(mark, reference)| Some((text.find(mark.as_str())?, mark.as_str(), reference)))
        .min_by_key(|(at, ..)| *at)
}
