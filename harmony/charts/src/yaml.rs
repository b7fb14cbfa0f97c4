//! YAML as Helm, `kubectl` and Argo CD read it.
//!
//! They share one Go parser, which follows YAML 1.1 in what a plain word means: `yes` is true, `0644` is 420, `1_000` is
//! 1000. Rust libraries follow YAML 1.2, where these are strings. So a library provides the events, and `plain` decides
//!       what a word means, by the rules of `go.yaml.in/yaml/v2` (its `resolve.go`) and `sigs.k8s.io/yaml`. The writer
//!       asks the same function which strings need quotes.

mod plain;
mod read;
mod write;

use std::fmt::Write as _;

use serde_json::Value;

pub use read::{Document, YamlError, documents};
pub use write::write;
pub(crate) use write::{Node, rank, scalar, text};

/// JSON that every YAML parser reads as the same value: an unescaped Unicode line break in a string would be folded.
pub(crate) fn json(value: &Value) -> String {
    let json = value.to_string();
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if is_same_everywhere(character) {
            escaped.push(character);
        } else {
            // Such characters can only occur in strings.
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                // writing to a String cannot fail
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}

/// Printable in YAML 1.1, and not a line break in only one of the versions.
pub(crate) fn is_same_everywhere(character: char) -> bool {
    matches!(
        character,
        '\t' | '\n' | '\r' | ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}'
            | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}'
    )
}

#[cfg(test)]
mod tests;
