//! Short text from a device, made safe to store and to show.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A line of free text that a device reports, such as its host name.
///
/// Whatever a device sends, at most [`ShortText::MAX_BYTES`] of it are kept and control characters are
/// dropped: one odd device can neither swell the list of all devices nor send escape sequences to
/// somebody's terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct ShortText(String);

impl ShortText {
    /// Longest text kept, in bytes: what Linux allows for a host name.
    pub const MAX_BYTES: usize = 64;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ShortText {
    fn from(text: &str) -> Self {
        let mut kept = String::new();
        for c in text.chars().filter(|c| !c.is_control()) {
            if kept.len() + c.len_utf8() > Self::MAX_BYTES {
                break;
            }
            kept.push(c);
        }
        Self(kept)
    }
}

impl From<String> for ShortText {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<ShortText> for String {
    fn from(text: ShortText) -> Self {
        text.0
    }
}

impl fmt::Display for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn drops_escapes_and_cuts_between_characters() {
        assert_eq!(ShortText::from("a\u{1b}[31mb\n").as_str(), "a[31mb");
        let cut = ShortText::from("é".repeat(40).as_str());
        assert_eq!(cut.as_str(), "é".repeat(32));
    }

    proptest! {
        #[test]
        fn is_always_short_and_stable(text in any::<String>()) {
            let short = ShortText::from(text.as_str());
            prop_assert!(short.as_str().len() <= ShortText::MAX_BYTES);
            prop_assert_eq!(ShortText::from(short.as_str()), short);
        }
    }
}
