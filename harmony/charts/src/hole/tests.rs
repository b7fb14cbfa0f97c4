use super::*;
use crate::treacherous;
use proptest::prelude::*;
use proptest::{collection, sample};

fn any_reference() -> impl Strategy<Value = Reference> {
    prop_oneof![
        Just(Reference::Namespace),
        "[A-Za-z_][A-Za-z0-9_]{0,4}(\\.[A-Za-z_][A-Za-z0-9_]{0,4}){0,3}"
            .prop_map(|path| Reference::Value(ValuePath::parse(&path).unwrap())),
    ]
}

/// As they are read: no empty literal, no two adjacent literals, at least one reference.
fn any_pieces() -> impl Strategy<Value = Vec<Piece>> {
    let literal = prop_oneof![
        sample::select(treacherous::TEXTS).prop_map(str::to_owned),
        any::<String>(),
    ];
    collection::vec((literal.clone(), any_reference()), 1..4)
        .prop_flat_map(move |pairs| (Just(pairs), literal.clone()))
        .prop_map(|(pairs, last)| {
            let mut pieces = Vec::new();
            for (literal, reference) in pairs {
                pieces.push(Piece::Literal(literal));
                pieces.push(Piece::Reference(reference));
            }
            pieces.push(Piece::Literal(last));
            pieces.retain(|piece| *piece != Piece::Literal(String::new()));
            pieces
        })
}

fn any_hole() -> impl Strategy<Value = Hole> {
    prop_oneof![
        Just(Hole::Namespace),
        Just(Hole::Braces),
        any_reference().prop_map(Hole::Whole),
        any_pieces().prop_map(Hole::Text),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_equal(hole in any_hole(), rest in any::<String>()) {
        let text = format!("{hole}{rest}");
        prop_assert_eq!(Hole::read(&text), Ok((hole, rest.as_str())), "{}", text);
    }
}
