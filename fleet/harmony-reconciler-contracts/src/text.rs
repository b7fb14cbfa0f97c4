//! Text from a peer, made safe for storage and display.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A line of text from a peer, at most `MAX` bytes long.
///
/// At most `MAX` bytes are kept, and control characters are removed. So a peer can neither fill memory and logs nor
/// send escape sequences to a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Text<const MAX: usize>(String);

/// A value that a device reports about itself, such as its host name. The limit is that of a Linux host name.
pub type ShortText = Text<64>;

/// A reason, for users.
pub type Reason = Text<512>;

impl<const MAX: usize> Text<MAX> {
    /// The maximum length, in bytes.
    pub const MAX_BYTES: usize = MAX;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> From<&str> for Text<MAX> {
    fn from(text: &str) -> Self {
        let mut line = String::new();
        for c in text.chars().filter(|c| !c.is_control() && !turns_text(*c)) {
            if line.len() + c.len_utf8() > MAX {
                break;
            }
            line.push(c);
        }
        Self(line)
    }
}

impl<const MAX: usize> From<String> for Text<MAX> {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl<const MAX: usize> From<Text<MAX>> for String {
    fn from(text: Text<MAX>) -> Self {
        text.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The start of a text, for error messages and logs: at most 128 bytes, without control characters.
pub(crate) fn excerpt(text: &str) -> String {
    let line = Text::<128>::from(text);
    if text.len() > Text::<128>::MAX_BYTES {
        format!("{line}... ({} bytes)", text.len())
    } else {
        line.0
    }
}

/// Invisible characters that change the text direction or are otherwise hidden, with which a name could look like
/// another one.
fn turns_text(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn drops_escapes_and_cuts_between_characters() {
        assert_eq!(ShortText::from("a\u{1b}[31mb\n").as_str(), "a[31mb");
        assert_eq!(
            ShortText::from("a\u{9b}2J\u{202e}b\u{feff}").as_str(),
            "a2Jb"
        );
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
