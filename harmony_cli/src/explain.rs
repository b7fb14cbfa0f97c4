//! The page of each error code. All pages stand in one file, `docs/reference/codes.md`, which is the documentation and
//! is compiled in.

use std::fmt::Write;

const PAGES: &str = include_str!("../../docs/reference/codes.md");

/// What there is to say about one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// Such as `H0301`.
    pub(crate) code: &'static str,
    /// A few words.
    pub(crate) title: &'static str,
    body: &'static str,
}

impl Page {
    /// The page as it is printed.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}: {}\n\n", self.code, self.title);
        let _ = writeln!(text, "{}", self.body.trim());
        text
    }
}

/// The page of a code, written as `H0301`, `h301` or `301`.
pub(crate) fn page(asked: &str) -> Option<Page> {
    let digits = asked.trim().trim_start_matches(['H', 'h']);
    let number: u16 = digits.parse().ok()?;
    let code = format!("H{number:04}");
    pages().find(|page| page.code == code)
}

/// Every page, in the order of the file.
pub(crate) fn pages() -> impl Iterator<Item = Page> {
    PAGES.split("\n## ").skip(1).filter_map(|section| {
        let (heading, body) = section.split_once('\n')?;
        let (code, title) = heading.split_once(": ")?;
        // a new area begins with a heading of its own, which is not part of the page before it
        let body = body.split("\n# ").next().unwrap_or(body);
        Some(Page { code, title, body })
    })
}

#[cfg(test)]
mod tests;
