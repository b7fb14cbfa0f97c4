//! Names of Kubernetes objects and of Harmony's apps and components.

use crate::name_rule::{Grammar, NameError, NameRule};
use crate::string_value::string_conversions;

/// Declares name types, which differ only in their rules.
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
            /// The maximum length of a value, in bytes.
            pub const MAX_LENGTH: usize = $max;

            /// The rule for all values of this type.
            pub const RULE: &'static NameRule = &NameRule::new($what, Self::MAX_LENGTH, Grammar::$grammar);

            /// Parses a name according to [`Self::RULE`].
            pub fn parse(value: impl AsRef<str>) -> Result<Self, NameError> {
                let value = value.as_ref();
                Self::RULE.check(value)?;
                Ok(Self(value.to_owned()))
            }

            /// The name as a string.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        string_conversions!($name, NameError, as_str);
    )+};
}

name_types! {
    /// The name of a Kubernetes namespace (a DNS-1123 label).
    Namespace { what: "namespace", grammar: DnsLabel, max: 63 }

    /// The name of an app, shared by its AppSpecs, its `*-deploy` crate and its `harmony-<app>` command.
    ///
    /// A DNS-1123 label, because it becomes part of object names, label values, image paths and git tags.
    AppName { what: "app name", grammar: DnsLabel, max: 63 }

    /// The name of a deployable component of an app, such as `operator` (a DNS-1123 label).
    ComponentName { what: "component name", grammar: DnsLabel, max: 63 }

    /// The name of a Kubernetes object according to the common rule (a DNS-1123 subdomain).
    ///
    /// Some kinds, such as Services and namespaces, have stricter rules, which are checked by the API server.
    ResourceName { what: "resource name", grammar: DnsSubdomain, max: 253 }

    /// The name of any Kubernetes object, whatever the rule of its kind: one segment of a URL path.
    ///
    /// This is the rule that all kinds share (`ValidatePathSegmentName` of the API machinery), and the only rule for RBAC
    /// objects: `system:auth-delegator` is the name of a ClusterRole. Kubernetes has no limit; this one bounds messages.
    ObjectName { what: "object name", grammar: PathSegment, max: 1024 }

    /// Name of a context in a kubeconfig: one line of text, such as `admin@production`. The limit is ours.
    KubeContext { what: "context of a kubeconfig", grammar: Line, max: 1024 }

    /// The name of a container in a pod (a DNS-1123 label).
    ContainerName { what: "container name", grammar: DnsLabel, max: 63 }

    /// The name of a container or service port (`IANA_SVC_NAME` of RFC 6335: at least one letter, no two `-` in a row).
    PortName { what: "port name", grammar: PortName, max: 15 }

    /// The key of a Kubernetes label or annotation: `[<DNS-1123 subdomain>/]<name of at most 63 bytes>`.
    LabelKey { what: "label key", grammar: LabelKey, max: 317 }

    /// The value of a Kubernetes label: empty, or letters, digits, `-`, `_` and `.`, starting and ending with a letter
    /// or digit.
    LabelValue { what: "label value", grammar: LabelValue, max: 63 }
}

/// A DNS label is also a valid DNS subdomain and label value, and all of them are path segments, so these conversions
/// cannot fail.
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
    /// For the types of this crate that are DNS-1123 labels.
    pub(crate) fn from_label(label: &str) -> Self {
        Self(label.to_owned())
    }
}

impl LabelValue {
    /// For the types of this crate that are DNS-1123 labels.
    pub(crate) fn from_label(label: &str) -> Self {
        Self(label.to_owned())
    }
}

#[cfg(test)]
mod tests;
