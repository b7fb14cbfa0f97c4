//! The rule of a project that tags are immutable.

use harmony_core::capability::oci_registry::RegistryError;
use harmony_core::outcome::{Action, Change, Subject};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{Harbor, IS_NAME, ProjectName, api, json_body};
use crate::transport::retrying;
use crate::wire::Failure;

const RULES_LIMIT: u64 = 1024 * 1024;
/// Matches every repository and every tag.
const ALL: &str = "**";

/// What is known about the rules of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A rule covers all tags.
    Covered,
    /// No rule covers all tags.
    Missing,
    /// This login may not see the rules.
    Hidden,
}

impl Harbor {
    /// Ensures that a rule makes all tags of the project immutable. A new project has none.
    pub(super) async fn ensure_immutable_tags(
        &self,
        name: &ProjectName,
        is_new: bool,
    ) -> Result<Change, RegistryError> {
        let change = |action| Change::new(action, Subject::RegistryProject(name.to_string()));
        let found = if is_new {
            Found::Missing
        } else {
            retrying(|| self.find_rule(name)).await?
        };
        match found {
            Found::Covered => return Ok(change(Action::Unchanged)),
            Found::Hidden => {
                return Ok(change(Action::Unchanged)
                    .with_note("this login may not see whether tags are immutable"));
            }
            Found::Missing => {}
        }
        let change = change(Action::Update).with_note("tags become immutable");
        if self.client.context().is_planning() {
            return Ok(change);
        }
        let step = self
            .client
            .context()
            .step(format!("make the tags of project {name} immutable"));
        retrying(|| self.create_rule(name)).await?;
        step.done("");
        Ok(change)
    }

    async fn find_rule(&self, name: &ProjectName) -> Result<Found, Failure> {
        let transport = self.client.transport();
        let operation = format!("reading the tag rules of the project `{name}`");
        let call = api(Method::GET, rules(name), &operation).with_header(IS_NAME, "true");
        let response = transport.send(&call).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(Found::Hidden),
            _ => return Err(transport.rejection(&call, response).await),
        }
        let body = transport
            .wire()
            .body(response, "the tag rules", RULES_LIMIT)
            .await?;
        Ok(if covers_all_tags(&body) {
            Found::Covered
        } else {
            Found::Missing
        })
    }

    async fn create_rule(&self, name: &ProjectName) -> Result<(), Failure> {
        let transport = self.client.transport();
        let operation = format!("making the tags of the project `{name}` immutable");
        let body = json!({
            "disabled": false,
            "action": "immutable",
            "template": "immutable_template",
            "tag_selectors": [{"kind": "doublestar", "decoration": "matches", "pattern": ALL}],
            "scope_selectors": {
                "repository": [{"kind": "doublestar", "decoration": "repoMatches", "pattern": ALL}],
            },
        });
        let call = api(Method::POST, rules(name), &operation)
            .with_header(IS_NAME, "true")
            .with_payload(json_body(&body));
        let response = transport.send(&call).await?;
        match response.status() {
            // The same rule, created by somebody else in the meantime.
            StatusCode::CREATED | StatusCode::OK | StatusCode::CONFLICT => Ok(()),
            _ => Err(transport.rejection(&call, response).await),
        }
    }
}

fn rules(name: &ProjectName) -> String {
    format!("projects/{name}/immutabletagrules")
}

#[derive(Deserialize)]
struct Rule {
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    tag_selectors: Vec<Selector>,
    #[serde(default)]
    scope_selectors: Scopes,
}

#[derive(Default, Deserialize)]
struct Scopes {
    #[serde(default)]
    repository: Vec<Selector>,
}

#[derive(Deserialize)]
struct Selector {
    #[serde(default)]
    decoration: String,
    #[serde(default)]
    pattern: String,
}

fn covers_all_tags(rules: &[u8]) -> bool {
    let rules: Vec<Rule> = serde_json::from_slice(rules).unwrap_or_default();
    let all = |selectors: &[Selector], decoration: &str| {
        selectors
            .iter()
            .any(|selector| selector.decoration == decoration && selector.pattern == ALL)
    };
    rules.iter().any(|rule| {
        !rule.disabled
            && all(&rule.tag_selectors, "matches")
            && all(&rule.scope_selectors.repository, "repoMatches")
    })
}

#[cfg(test)]
mod tests {
    use super::covers_all_tags;

    fn rule(tags: &str, repositories: &str, disabled: bool) -> String {
        format!(
            r#"[{{"id":3,"priority":0,"disabled":{disabled},"action":"immutable","template":"immutable_template",
            "tag_selectors":[{{"kind":"doublestar","decoration":"matches","pattern":"{tags}","extras":""}}],
            "scope_selectors":{{"repository":[{{"kind":"doublestar","decoration":"repoMatches","pattern":"{repositories}","extras":""}}]}}}}]"#
        )
    }

    #[test]
    fn only_a_rule_for_everything_counts() {
        assert!(covers_all_tags(rule("**", "**", false).as_bytes()));
        assert!(!covers_all_tags(rule("v*", "**", false).as_bytes()));
        assert!(!covers_all_tags(rule("**", "web/**", false).as_bytes()));
        assert!(!covers_all_tags(rule("**", "**", true).as_bytes()));
        assert!(!covers_all_tags(b"[]"));
        assert!(!covers_all_tags(b"{}"));
    }
}
