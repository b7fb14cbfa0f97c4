//! The documentation of the error codes, from `docs/reference/codes.md`, which is compiled into the binary.

use std::fmt::Write;

const PAGES: &str = include_str!("../../docs/reference/codes.md");

/// The documentation of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    body: &'static str,
}

impl Page {
    /// The formatted page.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}: {}\n\n", self.code, self.title);
        let _ = writeln!(text, "{}", self.body.trim());
        text
    }
}

/// The page of a code, which can be written as `H0301`, `h301` or `301`.
pub(crate) fn page(asked: &str) -> Option<Page> {
    let digits = asked.trim().trim_start_matches(['H', 'h']);
    let number: u16 = digits.parse().ok()?;
    let code = format!("H{number:04}");
    pages().find(|page| page.code == code)
}

/// All pages, in the order of the file.
pub(crate) fn pages() -> impl Iterator<Item = Page> {
    PAGES.split("\n## ").skip(1).filter_map(|section| {
        let (heading, body) = section.split_once('\n')?;
        let (code, title) = heading.split_once(": ")?;
        // a new area starts with its own heading, which is not part of the previous page
        let body = body.split("\n# ").next().unwrap_or(body);
        Some(Page { code, title, body })
    })
}

#[cfg(test)]
mod tests;
