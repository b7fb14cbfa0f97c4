//! Names in subjects: devices, tenants, boots.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! dns_label {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        ///
        /// A DNS label (RFC 1123): 1 to [`Self::MAX_LENGTH`] lower-case letters, digits and hyphens, starting and
        /// ending with a letter or digit. It is therefore a valid token of a NATS subject, a valid part of a registry
        /// key, and a valid Kubernetes name.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The maximum length, in bytes (RFC 1123).
            pub const MAX_LENGTH: usize = 63;

            /// The name as a string.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                check_label(text, Self::MAX_LENGTH, |c| {
                    c.is_ascii_lowercase() || c.is_ascii_digit()
                })
                .map_err(|problem| InvalidName { kind: $kind, value: crate::text::excerpt(text), problem })?;
                Ok(Self(text.to_owned()))
            }
        }

        name_conversions!($name);
    };
}

macro_rules! name_conversions {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

dns_label! {
    /// The id of a device, unique within its tenant and constant for the lifetime of the device.
    DeviceId, "device id"
}

dns_label! {
    /// The id of a tenant, the owner of devices. Tenants share nothing.
    TenantId, "tenant id"
}

dns_label! {
    /// The name of a deployment, unique within its tenant.
    DeploymentName, "deployment name"
}

dns_label! {
    /// The name of a container, unique within its deployment.
    ContainerName, "container name"
}

/// Identifies one run of a program: new at each start and never reused.
///
/// 1 to [`Self::MAX_LENGTH`] lower-case letters, digits and hyphens. Agents use 16 hexadecimal digits; other
/// implementations may use a UUID. It distinguishes two running agents with the same [`DeviceId`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BootId(String);

impl BootId {
    /// The maximum length, in bytes: enough for a UUID.
    pub const MAX_LENGTH: usize = 36;

    /// Creates a boot id from 64 random bits. The caller provides them, because this crate does no I/O.
    pub fn from_random(bits: u64) -> Self {
        Self(format!("{bits:016x}"))
    }

    /// The id as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BootId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        check_label(text, Self::MAX_LENGTH, |c| {
            c.is_ascii_lowercase() || c.is_ascii_digit()
        })
        .map_err(|problem| InvalidName {
            kind: "boot id",
            value: crate::text::excerpt(text),
            problem,
        })?;
        Ok(Self(text.to_owned()))
    }
}

name_conversions!(BootId);

/// An invalid name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidName {
    /// The kind of name, for example `device id`.
    pub kind: &'static str,
    /// The string, shortened if it is long.
    pub value: String,
    /// Why not.
    pub problem: NameProblem,
}

/// The reason why a string is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameProblem {
    /// The string is empty.
    Empty,
    /// The string is too long.
    TooLong {
        /// The length, in bytes.
        length: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A character that is not allowed, or not at this position.
    Character {
        /// The character.
        found: char,
        /// Its position, in characters from 1.
        position: usize,
    },
    /// The first or last character is a hyphen.
    HyphenAtEdge,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a {}: ", self.value, self.kind)?;
        match &self.problem {
            NameProblem::Empty => f.write_str("it is empty"),
            NameProblem::TooLong { length, limit } => {
                write!(
                    f,
                    "it has {length} characters, but at most {limit} are allowed"
                )
            }
            NameProblem::Character { found, position } => write!(
                f,
                "`{found}` at position {position} is not a lower-case letter, a digit or a hyphen"
            ),
            NameProblem::HyphenAtEdge => f.write_str("it may not start or end with a hyphen"),
        }
    }
}

impl std::error::Error for InvalidName {}

/// Checks the rules that all names share. `allowed` decides about characters other than the hyphen.
fn check_label(
    text: &str,
    limit: usize,
    allowed: impl Fn(char) -> bool,
) -> Result<(), NameProblem> {
    if text.is_empty() {
        return Err(NameProblem::Empty);
    }
    if let Some((index, found)) = text
        .chars()
        .enumerate()
        .find(|&(_, c)| c != '-' && !allowed(c))
    {
        return Err(NameProblem::Character {
            found,
            position: index + 1,
        });
    }
    if text.len() > limit {
        return Err(NameProblem::TooLong {
            length: text.len(),
            limit,
        });
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err(NameProblem::HyphenAtEdge);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_a_label_and_says_why() {
        let long = "a".repeat(64);
        for (text, reason) in [
            ("", "it is empty"),
            ("Pump", "`P` at position 1"),
            ("pump_1", "`_` at position 5"),
            ("pump.1", "`.` at position 5"),
            ("pump 1", "` ` at position 5"),
            ("pumpe-ü", "`ü` at position 7"),
            ("*", "`*` at position 1"),
            (">", "`>` at position 1"),
            ("-pump", "start or end with a hyphen"),
            ("pump-", "start or end with a hyphen"),
            (long.as_str(), "64 characters, but at most 63"),
        ] {
            let error = text.parse::<DeviceId>().unwrap_err();
            let message = error.to_string();
            assert!(message.contains(reason), "{text:?}: {message}");
            assert!(message.contains("device id"), "{message}");
        }
    }

    #[test]
    fn random_boot_ids_are_valid_and_have_a_fixed_width() {
        for bits in [0, 1, u64::MAX] {
            let boot = BootId::from_random(bits);
            assert_eq!(boot.as_str().len(), 16);
            assert_eq!(boot.as_str().parse(), Ok(boot));
        }
    }

    proptest! {
        #[test]
        fn every_label_round_trips(text in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?") {
            let id: DeviceId = text.parse().unwrap();
            prop_assert_eq!(id.to_string(), text.clone());
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<DeviceId>(&json).unwrap(), id);
            let tenant: TenantId = text.parse().unwrap();
            prop_assert_eq!(tenant.as_str(), text);
        }

        #[test]
        fn an_accepted_name_is_one_safe_subject_token(text in any::<String>()) {
            if let Ok(id) = text.parse::<DeviceId>() {
                prop_assert!(!id.as_str().is_empty() && id.as_str().len() <= DeviceId::MAX_LENGTH);
                prop_assert!(!id.as_str().contains(['.', '*', '>', ' ', '_', '\r', '\n']));
            }
        }
    }
}
