//! Parses the files of `docker login` and `podman login`: which login is for a repository. Pure.
//!
//! Both programs write empty fields, and name one registry in several ways. Entries may be for a part of a registry
//! (`registry.example.com/team`); the longest matching path wins.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use harmony_types::{RegistryHost, Repository};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::endpoint;
use crate::settings::Credentials;

/// The user name that means "the password is an identity token" (Docker and Podman).
const TOKEN_USER: &str = "<token>";
/// The maximum number of names that a helper is asked for.
const MAX_NAMES: usize = 3;

#[derive(Debug, Clone)]
pub(crate) enum Login {
    Anonymous,
    Password(Credentials),
    /// An identity token, from which the token server issues short-lived ones.
    IdentityToken(SecretString),
}

impl Login {
    /// A stored user and password; `None` if both are empty.
    pub(crate) fn new(user: &str, password: &str) -> Option<Self> {
        match (user, password) {
            ("", _) | (_, "") => None,
            (TOKEN_USER, token) => Some(Self::IdentityToken(token.into())),
            (user, password) => Some(Self::Password(Credentials::new(user, password))),
        }
    }
}

/// The content of one file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoginFile {
    auths: Option<Map<String, Value>>,
    creds_store: Option<String>,
    cred_helpers: Option<Map<String, Value>>,
}

/// Where a file says that the login for a repository is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// The helper to ask first, and the names to ask for.
    pub(crate) helper: Option<(&'a str, Vec<&'a str>)>,
    /// The entry with a login.
    pub(crate) entry: Option<&'a Map<String, Value>>,
}

/// The login in an entry cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Undecodable;

impl LoginFile {
    /// `None` if it is not in the format of Docker and Podman.
    pub(crate) fn parse(content: &[u8]) -> Option<Self> {
        let content = content
            .strip_prefix("\u{feff}".as_bytes())
            .unwrap_or(content);
        serde_json::from_slice(content).ok()
    }

    /// Where the login for a repository of this registry is.
    ///
    /// As in Docker, the helper of the registry takes precedence over the default helper, and an empty name means "no
    /// helper for this registry". A helper takes precedence over the file itself.
    pub(crate) fn place<'a>(
        &'a self,
        registry: &'a RegistryHost,
        repository: Option<&Repository>,
    ) -> Place<'a> {
        let key = endpoint::login_key(registry);
        let fitting = |map: &'a Option<Map<String, Value>>| {
            let mut fitting: Vec<(Key<'a>, &'a Value)> = map
                .iter()
                .flatten()
                .map(|(name, value)| (Key::read(name), value))
                .filter(|(key, _)| key.fits(registry, repository))
                .collect();
            // Longest path first; for equal lengths, the name that Docker uses.
            fitting.sort_by_key(|(found, _)| {
                (std::cmp::Reverse(found.path.len()), found.whole != key)
            });
            fitting
        };
        let entries = fitting(&self.auths);
        let own = fitting(&self.cred_helpers);
        let own = own
            .first()
            .map(|(key, helper)| (key.whole, helper.as_str().unwrap_or_default()));
        let store = self.creds_store.as_deref().unwrap_or_default();
        let (first, helper) = match own {
            Some((name, helper)) => (Some(name), helper),
            None => (None, store),
        };
        let helper = (!helper.is_empty()).then(|| {
            // Entries without a login mean that a helper has it under that name.
            let marks = entries.iter().map(|(key, _)| key.whole);
            let mut names: Vec<&str> = Vec::new();
            for name in first
                .into_iter()
                .chain(marks)
                .chain([key, registry.as_str()])
            {
                if !names.contains(&name) && names.len() < MAX_NAMES {
                    names.push(name);
                }
            }
            (helper, names)
        });
        let entry = entries
            .into_iter()
            .filter_map(|(_, entry)| entry.as_object())
            .find(|entry| holds_login(entry));
        Place { helper, entry }
    }
}

/// The name of an entry: `https://index.docker.io/v1/`, `registry.example.com/team`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key<'a> {
    whole: &'a str,
    host: &'a str,
    /// The part of the registry that it is for; empty for all of it.
    path: &'a str,
}

impl<'a> Key<'a> {
    fn read(whole: &'a str) -> Self {
        let bare = whole
            .strip_prefix("https://")
            .or_else(|| whole.strip_prefix("http://"));
        let has_scheme = bare.is_some();
        let bare = bare.unwrap_or(whole);
        let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
        let path = path.trim_matches('/');
        // With a scheme it is the address of an API; Docker writes `/v1/` also without one.
        let is_address = has_scheme || matches!(path, "v1" | "v2");
        Self {
            whole,
            host,
            path: if is_address { "" } else { path },
        }
    }

    fn fits(self, registry: &RegistryHost, repository: Option<&Repository>) -> bool {
        let ours = repository.map(Repository::as_str).unwrap_or_default();
        let is_above = self.path.is_empty()
            || ours
                .strip_prefix(self.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        is_above && same_registry(self.host, registry.as_str())
    }
}

/// Docker Hub has many names, and 443 is the default port.
fn same_registry(one: &str, other: &str) -> bool {
    const HUB: [&str; 4] = [
        "docker.io",
        "index.docker.io",
        "registry-1.docker.io",
        "registry.hub.docker.com",
    ];
    let plain = |host: &str| {
        host.strip_suffix(":443")
            .unwrap_or(host)
            .to_ascii_lowercase()
    };
    let (one, other) = (plain(one), plain(other));
    one == other || HUB.contains(&one.as_str()) && HUB.contains(&other.as_str())
}

fn text<'a>(entry: &'a Map<String, Value>, field: &str) -> &'a str {
    entry.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn holds_login(entry: &Map<String, Value>) -> bool {
    ["identitytoken", "auth", "password"]
        .iter()
        .any(|field| !text(entry, field).is_empty())
}

/// The login in an entry; `None` if it is empty.
pub(crate) fn login(entry: &Map<String, Value>) -> Result<Option<Login>, Undecodable> {
    let identity_token = text(entry, "identitytoken");
    if !identity_token.is_empty() {
        return Ok(Some(Login::IdentityToken(identity_token.into())));
    }
    let auth = text(entry, "auth").trim();
    if auth.is_empty() {
        return Ok(Login::new(text(entry, "username"), text(entry, "password")));
    }
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decoded = GeneralPurpose::new(&STANDARD, lenient)
        .decode(auth)
        .map_err(|_| Undecodable)?;
    let decoded = String::from_utf8(decoded).map_err(|_| Undecodable)?;
    let (user, password) = decoded.split_once(':').ok_or(Undecodable)?;
    // Docker pads what it writes.
    Ok(Login::new(user, password.trim_end_matches('\0')))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use serde_json::json;

    use super::*;

    fn host(text: &str) -> RegistryHost {
        text.parse().expect("a host")
    }

    fn file(content: &Value) -> LoginFile {
        LoginFile::parse(content.to_string().as_bytes()).expect("a file")
    }

    /// `user:password` in the file, for a repository.
    fn found(content: &Value, registry: &str, repository: &str) -> Option<String> {
        let repository = repository.parse().expect("a repository");
        let (file, registry) = (file(content), host(registry));
        let entry = file.place(&registry, Some(&repository)).entry?;
        shown(login(entry).expect("readable")?)
    }

    fn shown(login: Login) -> Option<String> {
        match login {
            Login::Anonymous => None,
            Login::Password(Credentials { user, password }) => {
                Some(format!("{user}:{}", password.expose_secret()))
            }
            Login::IdentityToken(token) => Some(format!("token {}", token.expose_secret())),
        }
    }

    fn entry(user: &str) -> Value {
        let engine = base64::engine::general_purpose::STANDARD;
        json!({ "auth": engine.encode(format!("{user}:pw")) })
    }

    #[test]
    fn the_longest_path_that_fits_counts() {
        let content = json!({ "auths": {
            "r.example.com": entry("all"),
            "r.example.com/team/": entry("team"),
            "r.example.com/team/apps": entry("apps"),
            "r.example.com/other": entry("other"),
            "r.example.com:5000/team": entry("port"),
        }});
        let of = |registry, repository| found(&content, registry, repository);
        assert_eq!(of("r.example.com", "web").as_deref(), Some("all:pw"));
        assert_eq!(of("r.example.com", "team/web").as_deref(), Some("team:pw"));
        assert_eq!(
            of("r.example.com", "team/apps/web").as_deref(),
            Some("apps:pw")
        );
        assert_eq!(of("r.example.com", "team/apps").as_deref(), Some("apps:pw"));
        assert_eq!(of("r.example.com", "teams").as_deref(), Some("all:pw"));
        assert_eq!(
            of("r.example.com:5000", "team/web").as_deref(),
            Some("port:pw")
        );
        assert_eq!(of("r.example.com:5000", "web"), None);
        assert_eq!(of("q.example.com", "team/web"), None);
        let only = json!({ "auths": { "r.example.com/team/apps": entry("apps") } });
        assert_eq!(found(&only, "r.example.com", "team/web"), None);
    }

    #[test]
    fn one_registry_has_several_names() {
        for name in [
            "R.example.com",
            "https://r.example.com",
            "http://r.example.com/v2/",
            "r.example.com:443",
            "r.example.com/",
        ] {
            let content = json!({ "auths": { name: entry("it") } });
            let found = found(&content, "r.example.com", "a");
            assert_eq!(found.as_deref(), Some("it:pw"), "{name}");
        }
        for name in [
            "https://index.docker.io/v1/",
            "https://index.docker.io/v1",
            "https://registry-1.docker.io/v2/",
            "index.docker.io/v1/",
            "index.docker.io",
            "docker.io",
            "Docker.io",
            "registry-1.docker.io",
            "docker.io/library",
        ] {
            let content = json!({ "auths": { name: entry("hub") } });
            for registry in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
                let found = found(&content, registry, "library/debian");
                assert_eq!(found.as_deref(), Some("hub:pw"), "{name} for {registry}");
            }
        }
    }

    #[test]
    fn empty_fields_are_none() {
        let full = entry("it")["auth"].clone();
        for (content, expected) in [
            (json!({ "auth": "" }), None),
            (json!({ "auth": null, "identitytoken": "" }), None),
            (json!({ "username": "it", "password": "" }), None),
            (json!({ "username": "", "password": "pw" }), None),
            (json!({ "auth": "Og==" }), None),
            (json!({}), None),
            (json!("a text"), None),
            (json!({ "auth": full, "identitytoken": "" }), Some("it:pw")),
            (
                json!({ "auth": full, "username": "", "password": "" }),
                Some("it:pw"),
            ),
            (
                json!({ "auth": "", "username": "it", "password": "pw" }),
                Some("it:pw"),
            ),
            (
                json!({ "auth": full, "identitytoken": "t" }),
                Some("token t"),
            ),
            (json!({ "auth": "aXQ6cHc" }), Some("it:pw")),
            (json!({ "auth": "aXQ6cDp3AAA=" }), Some("it:p:w")),
            (json!({ "auth": "PHRva2VuPjp0" }), Some("token t")),
        ] {
            let whole = json!({ "auths": { "r.example.com": content } });
            assert_eq!(
                found(&whole, "r.example.com", "a").as_deref(),
                expected,
                "{whole}"
            );
        }
        for auth in ["!!!", "bm8gY29sb24=", "gICA"] {
            let content = json!({ "auth": auth });
            let entry = content.as_object().expect("an object");
            assert!(login(entry).is_err(), "{auth}");
        }
        assert!(LoginFile::parse(b"\xef\xbb\xbf{}").is_some());
        assert!(
            LoginFile::parse(br#"{"auths":null,"credHelpers":null,"credsStore":null}"#).is_some()
        );
    }

    #[test]
    fn the_helper_of_a_registry_comes_before_that_for_all() {
        let helper = |content: Value, registry: &str| {
            let (file, registry) = (file(&content), host(registry));
            let repository = "team/app".parse().expect("a repository");
            let place = file.place(&registry, Some(&repository));
            place
                .helper
                .map(|(helper, names)| format!("{helper}: {}", names.join(" ")))
        };
        let both = json!({
            "auths": { "r.example.com/team": {} },
            "credHelpers": { "r.example.com": "own", "q.example.com": "", "s.example.com/team": "part" },
            "credsStore": "all",
        });
        let of = |registry| helper(both.clone(), registry);
        assert_eq!(
            of("r.example.com").as_deref(),
            Some("own: r.example.com r.example.com/team")
        );
        assert_eq!(of("q.example.com"), None);
        assert_eq!(
            of("s.example.com").as_deref(),
            Some("part: s.example.com/team s.example.com")
        );
        assert_eq!(of("t.example.com").as_deref(), Some("all: t.example.com"));
        assert_eq!(
            of("docker.io").as_deref(),
            Some("all: https://index.docker.io/v1/ docker.io")
        );
        let podman = json!({ "credHelpers": { "docker.io": "desktop" } });
        assert_eq!(
            helper(podman, "docker.io").as_deref(),
            Some("desktop: docker.io https://index.docker.io/v1/")
        );
        assert_eq!(helper(json!({ "credsStore": "" }), "r.example.com"), None);
    }
}
