//! Names of Kubernetes objects and of Harmony's apps and components.

use crate::name_rule::{Grammar, NameError, NameRule};
use crate::string_value::string_conversions;

/// Declares checked name types: a table of leaf types that differ in their rule only.
///
/// ```
/// use harmony_types::{NameError, Namespace};
///
/// let namespace = Namespace::parse("harmony-fleet")?;
/// assert_eq!(namespace.as_str(), "harmony-fleet");
/// let error = Namespace::parse("Harmony_Fleet").unwrap_err();
/// assert_eq!(error.to_string(), "namespace `Harmony_Fleet` has `H` at position 1, which is not allowed");
/// assert!(error.hint().contains("`harmony-fleet`"));
/// # Ok::<(), NameError>(())
/// ```
macro_rules! name_types {
    ($($(#[$doc:meta])* $name:ident { what: $what:literal, grammar: $grammar:ident, max: $max:literal })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The longest legal value, in bytes.
            pub const MAX_LENGTH: usize = $max;

            /// The rule that every value satisfies.
            pub const RULE: &'static NameRule = &NameRule::new($what, Self::MAX_LENGTH, Grammar::$grammar);

            /// Checks `value` against [`Self::RULE`].
            pub fn parse(value: impl AsRef<str>) -> Result<Self, NameError> {
                let value = value.as_ref();
                Self::RULE.check(value)?;
                Ok(Self(value.to_owned()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        string_conversions!($name, NameError, as_str);
    )+};
}

name_types! {
    /// Name of a Kubernetes namespace (DNS-1123 label).
    Namespace { what: "namespace", grammar: DnsLabel, max: 63 }

    /// Name of an app: what one AppSpec family, one `*-deploy` crate and one `harmony-<app>` command are called.
    ///
    /// A DNS-1123 label, because it becomes part of object names, label values, image paths and git tags.
    AppName { what: "app name", grammar: DnsLabel, max: 63 }

    /// Name of one deployable component of an app, such as `operator` (DNS-1123 label).
    ComponentName { what: "component name", grammar: DnsLabel, max: 63 }

    /// Name of a Kubernetes object that follows the common rule (DNS-1123 subdomain).
    ///
    /// Kinds with a narrower rule (a Service, a namespace) refuse some of these names; the API server says so.
    ResourceName { what: "resource name", grammar: DnsSubdomain, max: 253 }

    /// Name of any Kubernetes object, whatever the rule of its kind: one segment of a URL path.
    ///
    /// The rule that all kinds share (`ValidatePathSegmentName` of the API machinery), and the only one that RBAC has:
    /// `system:auth-delegator` is the name of a ClusterRole. Kubernetes sets no limit; ours bounds what is shown.
    ObjectName { what: "object name", grammar: PathSegment, max: 1024 }

    /// Name of a container within a pod (DNS-1123 label).
    ContainerName { what: "container name", grammar: DnsLabel, max: 63 }

    /// Name of a container or service port (`IANA_SVC_NAME` of RFC 6335: at least one letter, no two `-` in a row).
    PortName { what: "port name", grammar: PortName, max: 15 }

    /// Key of a Kubernetes label or annotation: `[<DNS-1123 subdomain>/]<name of at most 63>`.
    LabelKey { what: "label key", grammar: LabelKey, max: 317 }

    /// Value of a Kubernetes label: empty, or letters, digits, `-`, `_` and `.` between two letters or digits.
    LabelValue { what: "label value", grammar: LabelValue, max: 63 }
}

/// A DNS label is a DNS subdomain and a label value, and each of them is a path segment: these conversions cannot fail.
macro_rules! widen {
    ($($from:ident => $($to:ident),+;)+) => {$($(
        impl From<$from> for $to {
            fn from(name: $from) -> Self {
                Self(name.0)
            }
        }

        impl From<&$from> for $to {
            fn from(name: &$from) -> Self {
                Self(name.0.clone())
            }
        }
    )+)+};
}

widen! {
    AppName => ResourceName, ObjectName, LabelValue, ContainerName;
    ComponentName => ResourceName, ObjectName, LabelValue, ContainerName;
    ContainerName => ResourceName, ObjectName, LabelValue;
    Namespace => ResourceName, ObjectName, LabelValue;
    ResourceName => ObjectName;
}

impl ResourceName {
    /// For the types of this crate whose grammar is a DNS-1123 label.
    pub(crate) fn from_label(label: &str) -> Self {
        Self(label.to_owned())
    }
}

impl LabelValue {
    /// For the types of this crate whose grammar is a DNS-1123 label.
    pub(crate) fn from_label(label: &str) -> Self {
        Self(label.to_owned())
    }
}

#[cfg(test)]
mod tests;
