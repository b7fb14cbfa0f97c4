//! How errors show invalid input: control characters are escaped and long text is shortened.

/// The maximum number of characters of an invalid value in an error.
const MAX_CHARS: usize = 80;

/// Formats a value for an error: one line, no control characters, at most [`MAX_CHARS`] characters and `…`.
///
/// Errors end up on terminals and in CI logs, where a malicious tag name must not be able to control the cursor.
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
