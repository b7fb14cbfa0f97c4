//! Whether the templates of a chart call `lookup`, which reads objects of the cluster.
//!
//! Many charts mention it in a branch that is not used. So the calls are not searched but tried: each `lookup` is replaced
//! by a function that takes another number of arguments, and helm fails where one is evaluated. Notes for the user are
//! left alone, because they do not affect the objects.

use std::collections::BTreeMap;
use std::io;

use crate::chart::Chart;
use crate::error::{Place, RenderError};

const LOOKUP: &str = "lookup";

/// The function that takes the place of `lookup`: it takes one argument, `lookup` takes four.
const TRAP: &str = "fail";

/// What helm says when it evaluates a trap.
const COMPLAINT: &str = "wrong number of args for fail: want 1 got 4";

/// The archive with traps; `None` for a chart without `lookup`.
pub(crate) fn trapped(archive: &[u8]) -> Result<Option<Vec<u8>>, RenderError> {
    let chart = Chart::from_archive(archive)?;
    let mut found = false;
    let mut files = BTreeMap::new();
    for (path, content) in chart.files() {
        let changed = match path.rsplit_once('.') {
            Some((_, "tgz")) if path.starts_with("charts/") => trapped(content)?,
            _ if is_template(path) => std::str::from_utf8(content)
                .ok()
                .and_then(with_traps)
                .map(String::into_bytes),
            _ => None,
        };
        found |= changed.is_some();
        files.insert(path.to_owned(), changed.unwrap_or_else(|| content.to_vec()));
    }
    if !found {
        return Ok(None);
    }
    let packed = Chart::from_files(chart.name(), files).to_archive(0);
    packed
        .map(Some)
        .map_err(|error: io::Error| RenderError::Archive {
            problem: format!("cannot be packaged again: {error}"),
        })
}

/// The place of the call in helm's output; `None` if it failed for another reason.
pub(crate) fn place(output: &[String]) -> Option<Place> {
    let text = output.join("\n");
    let (before, _) = text.split_once(COMPLAINT)?;
    // The innermost template is named last: `site/templates/login.yaml:3:12`.
    let places =
        before.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"' | '<' | '>'));
    let mut place = places.filter_map(|word| {
        let mut parts = word.trim_end_matches(':').split(':');
        let file = parts.next().filter(|file| file.contains("templates/"))?;
        let line = parts.next()?.parse().ok()?;
        Some(Place::line(file, line))
    });
    Some(
        place
            .next_back()
            .unwrap_or_else(|| Place::file("templates")),
    )
}

fn is_template(path: &str) -> bool {
    let in_templates = path.starts_with("templates/") || path.contains("/templates/");
    in_templates && !path.ends_with("NOTES.txt")
}

/// The template with traps; `None` if it does not call `lookup`.
fn with_traps(template: &str) -> Option<String> {
    if !template.contains(LOOKUP) {
        return None;
    }
    let mut trapped = String::with_capacity(template.len());
    let mut rest = template;
    let mut found = false;
    while let Some(at) = rest.find("{{") {
        let (text, action) = rest.split_at(at);
        trapped.push_str(text);
        let end = end_of_action(action);
        found |= trap(&action[..end], &mut trapped);
        rest = &action[end..];
    }
    trapped.push_str(rest);
    found.then_some(trapped)
}

/// The length of the action at the start of `text`, up to its `}}` or, for a comment, the end of the comment.
fn end_of_action(text: &str) -> usize {
    let inner = text[2..].trim_start_matches('-').trim_start();
    if inner.starts_with("/*") {
        return text.find("*/").map_or(text.len(), |at| at + 2);
    }
    let mut at = 2;
    while at < text.len() {
        if text[at..].starts_with("}}") {
            return at + 2;
        }
        at += token(&text[at..]).len();
    }
    text.len()
}

/// Copies an action, with each call of `lookup` replaced.
fn trap(action: &str, to: &mut String) -> bool {
    if action[2..]
        .trim_start_matches('-')
        .trim_start()
        .starts_with("/*")
    {
        to.push_str(action);
        return false;
    }
    let mut found = false;
    let mut rest = action;
    let mut before = ' ';
    while !rest.is_empty() {
        let token = token(rest);
        let is_call = token == LOOKUP && !matches!(before, '.' | '$');
        found |= is_call;
        to.push_str(if is_call { TRAP } else { token });
        before = token.chars().next_back().unwrap_or(' ');
        rest = &rest[token.len()..];
    }
    found
}

/// The first token: a string, a word, or a single character.
fn token(text: &str) -> &str {
    let first = text.chars().next().unwrap_or(' ');
    let end = match first {
        '`' => text[1..].find('`').map_or(text.len(), |at| at + 2),
        '"' => {
            let mut escaped = false;
            let end = text[1..].find(|c: char| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.map_or(text.len(), |at| at + 2)
        }
        c if is_word(c) => text.find(|c: char| !is_word(c)).unwrap_or(text.len()),
        c => c.len_utf8(),
    };
    &text[..end]
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_in_actions_are_replaced() {
        for (template, expected) in [
            ("{{ lookup \"v1\" }}", Some("{{ fail \"v1\" }}")),
            (
                "{{- $a := (lookup \"v1\" \"Secret\" .x .y).data -}}",
                Some("{{- $a := (fail \"v1\" \"Secret\" .x .y).data -}}"),
            ),
            (
                "{{if lookup \"}}\" \"a\\\"lookup\"}}lookup{{end}}",
                Some("{{if fail \"}}\" \"a\\\"lookup\"}}lookup{{end}}"),
            ),
            ("lookup: {{ .Values.lookup }}", None),
            ("{{ $lookup }} {{ `lookup` }} {{ lookups }}", None),
            ("{{/* lookup }} lookup */}} {{- /* lookup */ -}}", None),
            ("{{ \"lookup", None),
        ] {
            assert_eq!(with_traps(template).as_deref(), expected, "{template}");
        }
    }

    #[test]
    fn the_place_is_that_of_the_innermost_template() {
        let output = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let nested = output(
            "Error: template: site/templates/a.yaml:4:5: executing \"site/templates/a.yaml\" at <include \"x\" .>: error calling \
             include: template: site/templates/_helpers.tpl:7:12: executing \"x\" at <fail \"v1\">: wrong number of args for \
             fail: want 1 got 4",
        );
        assert_eq!(
            place(&nested).unwrap().to_string(),
            "site/templates/_helpers.tpl:7"
        );
        assert_eq!(
            place(&output(
                "Error: execution error at (site/templates/a.yaml:4:5): no"
            )),
            None
        );
    }
}
