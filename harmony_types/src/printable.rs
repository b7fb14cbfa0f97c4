//! Makes untrusted text safe for display: the log of a pod, the response of a server, the labels of a device.
//!
//! A terminal executes control sequences. In a log line, they can move the cursor, overwrite earlier output or set the
//! window title, and characters that change the text direction can disguise a name. All text that does not come from
//! this program goes through [`line`] or [`text`] before it becomes part of the output. [`guarded`] is the last check,
//! at the output stream itself.

use std::fmt::Write as _;
use std::io::{self, Write};

/// Longer strings (titles, links) are not treated as control sequences.
const LONGEST_STRING: usize = 4096;

/// Returns true for characters that a terminal executes or that change how other characters are displayed. They have no
/// visible shape.
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'                       // direction of text
                | '\u{200b}'                // no width
                | '\u{200e}'..='\u{200f}'   // direction
                | '\u{2028}'..='\u{202e}'   // separators of lines; direction
                | '\u{2060}'..='\u{206f}'   // no width; direction
                | '\u{feff}'                // byte order mark
                | '\u{fff9}'..='\u{fffb}'   // annotations
                | '\u{e0000}'..='\u{e007f}' // invisible tags
        )
}

/// Formats text as a single line: removes control sequences, replaces line breaks and tabs by spaces, and removes other
/// unsafe characters.
///
/// ```
/// assert_eq!(harmony_types::printable::line("a\u{1b}[31mb\r\nc\u{9b}2Jd"), "ab cd");
/// ```
pub fn line(text: &str) -> String {
    let mut line = self::text(text);
    line.truncate(line.trim_end().len());
    line.replace('\n', " ")
}

/// The beginning of a text as one line, for errors: at most `limit` characters, followed by `…` if there is more.
///
/// ```
/// assert_eq!(harmony_types::printable::excerpt("<h1>\n  502 Bad", 6), "<h1> 5…");
/// ```
pub fn excerpt(text: &str, limit: usize) -> String {
    let line = self::line(text);
    let mut words = line.split_whitespace();
    let mut shown = String::new();
    let mut left = limit;
    while let Some(word) = words.next() {
        let space = usize::from(!shown.is_empty());
        if space > 0 && left > 0 {
            shown.push(' ');
        }
        left = left.saturating_sub(space);
        let cut: String = word.chars().take(left).collect();
        left -= cut.chars().count();
        shown.push_str(&cut);
        if cut.len() < word.len() || (left == 0 && words.next().is_some()) {
            shown.truncate(shown.trim_end().len());
            shown.push('…');
            break;
        }
    }
    shown
}

/// Formats text as one or more lines: like [`line`], but keeps line breaks. A carriage return counts as a line break,
/// so that it cannot overwrite the text before it.
pub fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some(length) = sequence(rest) {
            rest = &rest[length..];
            continue;
        }
        let mut length = character.len_utf8();
        match character {
            '\n' | '\u{85}' | '\u{2028}' | '\u{2029}' => shown.push('\n'),
            '\r' => {
                shown.push('\n');
                length += usize::from(rest[length..].starts_with('\n'));
            }
            '\t' => shown.push(' '),
            unsafe_character if is_unsafe(unsafe_character) => {}
            plain => shown.push(plain),
        }
        rest = &rest[length..];
    }
    shown
}

/// Escapes the unsafe characters in a JSON document without changing its meaning. JSON requires this only for the first
/// 32 characters.
pub fn json(document: &str) -> String {
    let mut shown = String::with_capacity(document.len());
    for character in document.chars() {
        if !character.is_ascii() && is_unsafe(character) || character == '\u{7f}' {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Writes log events to a stream. Each write is one event and becomes one printable line, so that text from elsewhere in a
/// field can neither start a new line nor change colours.
#[derive(Debug)]
pub struct Events<W> {
    out: W,
    safe: fn(&str) -> String,
}

impl<W: Write> Events<W> {
    /// Events as lines of text, without colours.
    pub fn lines(out: W) -> Self {
        Self {
            out,
            safe: |event| self::line(event) + "\n",
        }
    }

    /// Events as JSON, which escapes line breaks itself.
    pub fn json(out: W) -> Self {
        Self { out, safe: json }
    }
}

impl<W: Write> Write for Events<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let shown = (self.safe)(&String::from_utf8_lossy(event));
        self.out.write_all(shown.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Filters the complete output of this program: keeps lines, tabs and the program's own colors, and removes all other
/// unsafe characters.
pub fn guarded(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    guard(text, &mut shown);
    shown
}

fn guard(text: &str, shown: &mut String) {
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let colours = colour(rest);
        let length = colours.unwrap_or(character.len_utf8());
        if colours.is_some() || matches!(character, '\n' | '\t') || !is_unsafe(character) {
            shown.push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
}

/// The length of the sequence at the start of `text` that only sets colors, if there is one.
fn colour(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\u{1b}[")?;
    let parameters = rest
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'))
        .count();
    (rest.as_bytes().get(parameters) == Some(&b'm')).then_some(2 + parameters + 1)
}

/// The length of the control sequence at the start of `text`, if there is a complete one.
fn sequence(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    let (introducer, length) = match first {
        '\u{1b}' => {
            let second = text[1..].chars().next()?;
            (second, 1 + second.len_utf8())
        }
        // the same introducers as a single character
        '\u{90}' | '\u{98}' | '\u{9b}' | '\u{9d}'..='\u{9f}' => {
            let letter = char::from_u32(u32::from(first) - 0x40)?;
            (letter, first.len_utf8())
        }
        _ => return None,
    };
    let rest = &text[length..];
    match introducer {
        '[' => {
            let body = rest
                .bytes()
                .take_while(|byte| (0x20..=0x3f).contains(byte))
                .count();
            let end = rest.as_bytes().get(body)?;
            (0x40..=0x7e).contains(end).then_some(length + body + 1)
        }
        'P' | 'X' | ']' | '^' | '_' => {
            let body = end_of_string(rest)?;
            Some(length + body)
        }
        // followed by a letter that selects a character set
        '(' | ')' | '*' | '+' | '-' | '.' | '/' | '#' | '%' | ' ' => {
            let chosen = rest.chars().next().filter(char::is_ascii_graphic)?;
            Some(length + chosen.len_utf8())
        }
        short if short.is_ascii_graphic() => Some(length),
        _ => None,
    }
}

/// The end of a control string. A string that does not end on its line does not count, so that it cannot hide the text
/// after it.
fn end_of_string(text: &str) -> Option<usize> {
    for (at, character) in text.char_indices().take(LONGEST_STRING) {
        match character {
            '\u{7}' | '\u{9c}' => return Some(at + character.len_utf8()),
            '\u{1b}' if text[at + 1..].starts_with('\\') => return Some(at + 2),
            '\n' | '\r' | '\u{1b}' => return None,
            _ => {}
        }
    }
    None
}

/// A number of bytes in binary units, as progress bars show it: `999 B`, `1.00 KiB`, `34.20 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    for (shift, unit) in UNITS {
        let whole = bytes >> shift;
        if whole > 0 {
            let rest = bytes & ((1 << shift) - 1);
            return format!("{whole}.{:02} {unit}", (rest * 100) >> shift);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        let shown = [0, 1023, 1024, 1_300_000, 5 << 30, u64::MAX].map(size);
        let expected = [
            "0 B",
            "1023 B",
            "1.00 KiB",
            "1.23 MiB",
            "5.00 GiB",
            "17179869183.99 GiB",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_a_terminal_obeys_is_left_out() {
        for (remote, shown) in [
            ("plain text, ünïcode ✓ 👩‍🔧", "plain text, ünïcode ✓ 👩‍🔧"),
            ("\rall good", "\nall good"),
            ("one\r\ntwo\n", "one\ntwo\n"),
            ("10%\r20%\r", "10%\n20%\n"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{9b}31mred\u{9b}0m", "red"),
            ("\u{1b}]0;title\u{7}log", "log"),
            ("\u{1b}]8;;https://evil.example\u{1b}\\link", "link"),
            ("\u{9d}0;title\u{9c}log", "log"),
            ("\u{90}q sixel\u{9c}log", "log"),
            ("\u{1b}(0lqk", "lqk"),
            ("\u{1b}cgone?", "gone?"),
            (
                "bell\u{7}, back\u{8}\u{8}space, del\u{7f}",
                "bell, backspace, del",
            ),
            ("user\u{202e}nimda", "usernimda"),
            ("a\u{2066}b\u{2069}c\u{200e}d\u{61c}e", "abcde"),
            ("zero\u{200b}width\u{feff}", "zerowidth"),
            ("tab\tstop", "tab stop"),
            (
                "next\u{85}line\u{2028}and\u{2029}paragraph",
                "next\nline\nand\nparagraph",
            ),
            // an unterminated string hides nothing
            ("\u{1b}]0;never ended\nnext", "]0;never ended\nnext"),
            ("\u{9d}0;never ended", "0;never ended"),
            ("\u{1b}[31", "[31"),
            ("\u{1b}", ""),
        ] {
            assert_eq!(text(remote), shown, "{remote:?}");
        }
        assert_eq!(line("one\r\ntwo\tthree\u{9b}2J\n"), "one two three");
    }

    #[test]
    fn a_guarded_output_keeps_lines_and_colours_only() {
        let text = "\u{1b}[1;31merror\u{1b}[0m: a\tb\n\u{1b}[2J\r\u{9b}c\u{202e}é\u{1b}]0;t\u{7}";
        assert_eq!(guarded(text), "\u{1b}[1;31merror\u{1b}[0m: a\tb\n[2Jcé]0;t");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = "\u{9b}2J \u{202e} \u{7f} \u{e0041} \u{1b} é";
        let document = serde_json::to_string(value).unwrap();
        let shown = json(&document);
        assert!(!shown.chars().any(is_unsafe), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), value);
    }

    #[test]
    fn an_event_of_a_log_is_one_line_whatever_its_fields_hold() {
        let event = "INFO trouble reason=\u{1b}[30mno\r\n12:00 INFO all good\u{9b}2J\u{202e}x\n";
        let mut lines = Vec::new();
        Events::lines(&mut lines)
            .write_all(event.as_bytes())
            .unwrap();
        assert_eq!(
            String::from_utf8(lines).unwrap(),
            "INFO trouble reason=no 12:00 INFO all goodx\n"
        );
        let mut json = Vec::new();
        Events::json(&mut json)
            .write_all("{\"reason\":\"\u{9b}2J\\r\u{202e}\"}\n".as_bytes())
            .unwrap();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            "{\"reason\":\"\\u009b2J\\r\\u202e\"}\n"
        );
    }

    proptest! {
        #[test]
        fn no_text_is_shown_unsafely(remote in "(\\PC|[\u{0}-\u{9f}]|[\u{2020}-\u{2070}]|\u{1b}[\\[\\]PX^_(]){0,40}") {
            let shown = text(&remote);
            prop_assert!(shown.chars().all(|c| c == '\n' || !is_unsafe(c)), "{shown:?}");
            prop_assert_eq!(&text(&shown), &shown);
            prop_assert!(!line(&remote).chars().any(is_unsafe));
        }
    }
}
