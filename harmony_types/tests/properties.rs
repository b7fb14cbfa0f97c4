//! What holds for every value and for every text, seen through the public interface only.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use harmony_types::{
    AppName, ChartName, ChartRef, ComponentName, ContainerName, Digest, ImageRef, LabelKey,
    LabelValue, Namespace, PortName, RegistryHost, ReleaseTag, ReleaseUnit, ReleaseUnits,
    Repository, ResourceName, Tag, Version,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

const LABEL: &str = "[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?";
const SUBDOMAIN: &str =
    "[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?){0,4}";
const PORT_NAME: &str = "[a-z]([a-z0-9]{0,4}-[a-z0-9]{1,4})?";
const LABEL_KEY: &str =
    "([a-z0-9]{1,9}(\\.[a-z0-9]{1,9}){0,3}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?";
const LABEL_VALUE: &str = "([A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?)?";
const COMPONENT: &str = "[a-z0-9]{1,6}((\\.|_|__|-{1,3})[a-z0-9]{1,6}){0,3}";
const REPOSITORY: &str = "[a-z0-9]{1,6}((\\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}(/[a-z0-9]{1,6}((\\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}){0,3}";
const HOST: &str = "(localhost|[a-z0-9]{1,8}(-[a-z0-9]{1,8})?\\.[a-z]{2,8}|127\\.0\\.0\\.[1-9]|\\[::[1-9a-f]{1,4}\\])(:[1-9][0-9]{0,3})?";
const TAG: &str = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,40}";
const DIGEST: &str = "sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}";
const VERSION: &str = "(0|[1-9][0-9]{0,5})\\.(0|[1-9][0-9]{0,5})\\.(0|[1-9][0-9]{0,5})(-(0|[1-9][0-9]{0,3}|[0-9]{0,3}[a-zA-Z-][0-9a-zA-Z-]{0,8})(\\.(0|[1-9][0-9]{0,3}|[0-9]{0,3}[a-zA-Z-][0-9a-zA-Z-]{0,8})){0,3})?";

/// Text that is near to legal: the characters of all grammars, and a few that none has.
const NEARLY: &str = "[a-cA-C0-2v._/:@+\\[\\]é \\n-]{0,24}";

/// `text` is legal, stays as it is, and survives serde.
fn legal<T>(text: &str) -> Result<(), TestCaseError>
where
    T: FromStr<Err: Debug> + Display + Debug + Eq + Serialize + DeserializeOwned,
{
    let value: T = text
        .parse()
        .map_err(|error| TestCaseError::fail(format!("{text:?}: {error:?}")))?;
    prop_assert_eq!(value.to_string(), text);
    round_trip(&value)
}

/// If `text` is taken at all, the value is the same after a round trip.
fn taken_or_refused<T>(text: &str) -> Result<(), TestCaseError>
where
    T: FromStr<Err: Display> + Display + Debug + Eq + Serialize + DeserializeOwned,
{
    match text.parse::<T>() {
        Ok(value) => round_trip(&value),
        Err(error) => {
            let message = error.to_string();
            prop_assert!(
                !message.is_empty() && !message.chars().any(char::is_control),
                "{:?}",
                message
            );
            let refused = serde_json::from_value::<T>(serde_json::Value::from(text));
            prop_assert!(refused.is_err(), "serde takes {:?}", text);
            Ok(())
        }
    }
}

fn round_trip<T>(value: &T) -> Result<(), TestCaseError>
where
    T: FromStr + Display + Debug + Eq + Serialize + DeserializeOwned,
{
    let text = value.to_string();
    let parsed = text.parse::<T>().ok();
    prop_assert_eq!(parsed.as_ref(), Some(value));
    let json =
        serde_json::to_value(value).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(json.as_str(), Some(text.as_str()));
    let read = serde_json::from_value::<T>(json).ok();
    prop_assert_eq!(read.as_ref(), Some(value));
    Ok(())
}

fn all(text: &str) -> Result<(), TestCaseError> {
    taken_or_refused::<Namespace>(text)?;
    taken_or_refused::<AppName>(text)?;
    taken_or_refused::<ComponentName>(text)?;
    taken_or_refused::<ContainerName>(text)?;
    taken_or_refused::<ResourceName>(text)?;
    taken_or_refused::<PortName>(text)?;
    taken_or_refused::<LabelKey>(text)?;
    taken_or_refused::<LabelValue>(text)?;
    taken_or_refused::<ChartName>(text)?;
    taken_or_refused::<Version>(text)?;
    taken_or_refused::<Digest>(text)?;
    taken_or_refused::<RegistryHost>(text)?;
    taken_or_refused::<Repository>(text)?;
    taken_or_refused::<Tag>(text)?;
    taken_or_refused::<ImageRef>(text)?;
    taken_or_refused::<ChartRef>(text)?;
    taken_or_refused::<ReleaseTag>(text)
}

proptest! {
    #[test]
    fn legal_names_round_trip(
        label in LABEL, subdomain in SUBDOMAIN, port in PORT_NAME, key in LABEL_KEY, value in LABEL_VALUE, chart in COMPONENT,
    ) {
        legal::<Namespace>(&label)?;
        legal::<AppName>(&label)?;
        legal::<ComponentName>(&label)?;
        legal::<ContainerName>(&label)?;
        legal::<ResourceName>(&subdomain)?;
        legal::<PortName>(&port)?;
        legal::<LabelKey>(&key)?;
        legal::<LabelValue>(&value)?;
        legal::<ChartName>(&chart)?;
    }

    #[test]
    fn legal_references_round_trip(
        host in HOST, repository in REPOSITORY, tag in TAG, digest in DIGEST, version in VERSION,
    ) {
        legal::<RegistryHost>(&host)?;
        legal::<Repository>(&repository)?;
        legal::<Tag>(&tag)?;
        legal::<Digest>(&digest)?;
        legal::<Version>(&version)?;
        for suffix in [String::new(), format!(":{tag}"), format!("@{digest}"), format!(":{tag}@{digest}")] {
            legal::<ImageRef>(&format!("{host}/{repository}{suffix}"))?;
        }
        legal::<ChartRef>(&format!("oci://{host}/{repository}:{version}"))?;
        legal::<ChartRef>(&format!("oci://{host}/{repository}:{version}@{digest}"))?;
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any_text()) {
        all(&text)?;
    }

    #[test]
    fn a_tag_is_what_a_version_renders(version in VERSION) {
        let version: Version = version.parse().map_err(|error| TestCaseError::fail(format!("{error}")))?;
        let tag = Tag::from(&version);
        prop_assert_eq!(tag.as_str(), version.to_string());
        prop_assert!(Tag::parse(tag.as_str()).is_ok());
    }

    #[test]
    fn a_resolved_tag_is_that_of_the_longest_name(units in some_units(), tag in some_tag()) {
        prop_assert_eq!(resolved(&units, &tag), longest_prefix(&units, &tag));
    }

    #[test]
    fn every_registered_unit_is_released_by_its_tag(units in some_units(), version in VERSION) {
        let version: Version = version.parse().map_err(|error| TestCaseError::fail(format!("{error}")))?;
        for unit in &units {
            let release = units.resolve(unit.tag(&version));
            prop_assert_eq!(release.map(|release| (release.unit, release.version)), Ok((unit.clone(), version.clone())));
        }
    }
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => NEARLY,
        1 => any::<String>(),
        1 => (HOST, NEARLY).prop_map(|(host, rest)| format!("{host}/{rest}")),
        1 => (HOST, REPOSITORY, NEARLY).prop_map(|(host, path, rest)| format!("oci://{host}/{path}{rest}")),
        1 => (LABEL, NEARLY).prop_map(|(name, rest)| format!("{name}-v{rest}")),
        1 => ("sha(256|512):[0-9a-fA-F]{60,68}").prop_map(|text| text),
        1 => (NEARLY, 0..600_usize).prop_map(|(text, times)| text.repeat(times)),
    ]
}

/// Names over a small alphabet, so that many are prefixes of one another and hold `-v1`.
fn some_name() -> impl Strategy<Value = String> {
    "(a|b|v1)(-(a|b|v|v1|v2)){0,3}"
}

fn some_units() -> impl Strategy<Value = ReleaseUnits> {
    prop::collection::vec((some_name(), some_name()), 0..12).prop_map(|names| {
        let mut taken = BTreeSet::new();
        let units = names.into_iter().filter_map(|(app, component)| {
            let unit = ReleaseUnit::new(app.parse().ok()?, component.parse().ok()?).ok()?;
            taken.insert(unit.to_string()).then_some(unit)
        });
        ReleaseUnits::new(units).expect("each name is taken once")
    })
}

fn some_tag() -> impl Strategy<Value = String> {
    prop_oneof![
        (some_name(), some_name(), VERSION)
            .prop_map(|(app, component, version)| format!("{app}-{component}-v{version}")),
        (
            some_name(),
            "(-?v?[0-2]{1,2}(\\.[0-2]{1,2}){0,3}(-v?[0-2a.-]{0,6})?){1,2}"
        )
            .prop_map(|(name, rest)| name + &rest),
    ]
}

fn resolved(units: &ReleaseUnits, tag: &str) -> Option<(String, String)> {
    let release = units.resolve(tag).ok()?;
    Some((release.unit.to_string(), release.version.to_string()))
}

/// The rule as the release architecture words it, done by trying every name.
fn longest_prefix(units: &ReleaseUnits, tag: &str) -> Option<(String, String)> {
    units
        .iter()
        .filter_map(|unit| {
            let version = tag.strip_prefix(unit.as_str())?.strip_prefix("-v")?;
            Version::parse(version).ok()?;
            Some((unit.to_string(), version.to_owned()))
        })
        .max_by_key(|(unit, _)| unit.len())
}
