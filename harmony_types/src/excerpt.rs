//! How a refused input is shown in an error: control characters escaped, long text cut.

/// Characters of a refused value that an error shows at most.
const MAX_CHARS: usize = 80;

/// The value as an error shows it: one line, no control characters, at most [`MAX_CHARS`] characters and `…`.
///
/// An error may end in a terminal or in a CI log; a hostile tag name must not be able to move the cursor there.
pub(crate) fn excerpt(value: &str) -> String {
    let mut shown: String = value
        .chars()
        .take(MAX_CHARS)
        .flat_map(char::escape_debug)
        .collect();
    if value.chars().nth(MAX_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_long_text_is_cut() {
        assert_eq!(excerpt("plain-1"), "plain-1");
        assert_eq!(excerpt("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        let long = excerpt(&"é".repeat(5_000));
        assert_eq!(long.chars().count(), MAX_CHARS + 1);
        assert!(long.ends_with('…'));
        assert_eq!(excerpt(&"x".repeat(MAX_CHARS)), "x".repeat(MAX_CHARS));
    }
}
