//! What can be released: the units of an app.

use std::fmt;

use crate::name_rule::{Grammar, NameError, NameRule};
use crate::names::{AppName, ComponentName, LabelValue, ResourceName};
use crate::repository::Repository;
use crate::version::Version;

/// A part of an app that is released under its own tag, such as the component `operator` of the app `harmony-fleet`.
///
/// Its name is `<app>-<component>`. The name is a DNS-1123 label, because it is also used for images, charts and
/// Kubernetes workloads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseUnit {
    name: String,
    app: AppName,
    component: ComponentName,
}

/// The units that a release command can release, sorted by name. All names are unique.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleaseUnits(Vec<ReleaseUnit>);

/// The reason why units cannot be registered together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseUnitsError {
    /// The same unit appears twice.
    #[error("release unit `{unit}` is registered twice")]
    Duplicate {
        /// The unit.
        unit: ReleaseUnit,
    },
    /// Two units of different apps have the same name, so a tag could refer to either of them.
    #[error(
        "two release units have the name `{first}`: `{}` of app `{}`, and `{}` of app `{}`",
        first.component, first.app, second.component, second.app
    )]
    Ambiguous {
        /// The unit with the shorter app name.
        first: Box<ReleaseUnit>,
        /// The other unit.
        second: Box<ReleaseUnit>,
    },
}

impl ReleaseUnitsError {
    /// Suggests a correction.
    pub fn hint(&self) -> String {
        match self {
            Self::Duplicate { unit } => format!("remove one of the two AppSpecs named `{unit}`"),
            Self::Ambiguous { second, .. } => {
                format!(
                    "rename component `{}` of app `{}`, so that each tag refers to one unit",
                    second.component, second.app
                )
            }
        }
    }
}

impl ReleaseUnit {
    /// The maximum length of the name `<app>-<component>`, in bytes.
    pub const MAX_LENGTH: usize = 63;

    /// The rule for the name.
    pub const RULE: &'static NameRule =
        &NameRule::new("release unit", Self::MAX_LENGTH, Grammar::DnsLabel);

    /// Creates a unit. Fails only if the name exceeds [`ReleaseUnit::MAX_LENGTH`].
    pub fn new(app: AppName, component: ComponentName) -> Result<Self, NameError> {
        let name = format!("{app}-{component}");
        Self::RULE.check(&name)?;
        Ok(Self {
            name,
            app,
            component,
        })
    }

    /// `<app>-<component>`.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The app of the component.
    pub fn app(&self) -> &AppName {
        &self.app
    }

    /// The component that is released.
    pub fn component(&self) -> &ComponentName {
        &self.component
    }

    /// The form of the tags that release this unit, for display: `<app>-<component>-v<semver>`.
    pub fn tag_pattern(&self) -> String {
        format!("{}-v<semver>", self.name)
    }

    /// The git tag that releases this version of the unit.
    pub fn tag(&self, version: &Version) -> String {
        format!("{}-v{version}", self.name)
    }
}

impl fmt::Display for ReleaseUnit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.name)
    }
}

impl AsRef<str> for ReleaseUnit {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl From<&ReleaseUnit> for ResourceName {
    fn from(unit: &ReleaseUnit) -> Self {
        Self::from_label(&unit.name)
    }
}

impl From<&ReleaseUnit> for LabelValue {
    fn from(unit: &ReleaseUnit) -> Self {
        Self::from_label(&unit.name)
    }
}

/// The name of a unit is a DNS label, and every DNS label is a valid path component.
impl From<&ReleaseUnit> for Repository {
    fn from(unit: &ReleaseUnit) -> Self {
        Self::of_component(unit.as_str())
    }
}

impl ReleaseUnits {
    /// Registers `units`. An empty list is allowed; then no tag resolves.
    pub fn new(units: impl IntoIterator<Item = ReleaseUnit>) -> Result<Self, ReleaseUnitsError> {
        let mut units: Vec<_> = units.into_iter().collect();
        // among units with the same name, the one with the shorter app name comes first
        units.sort();
        for pair in units.windows(2) {
            let (first, second) = (&pair[0], &pair[1]);
            if first == second {
                return Err(ReleaseUnitsError::Duplicate {
                    unit: first.clone(),
                });
            }
            if first.name == second.name {
                return Err(ReleaseUnitsError::Ambiguous {
                    first: Box::new(first.clone()),
                    second: Box::new(second.clone()),
                });
            }
        }
        Ok(Self(units))
    }

    /// The unit with this name, `<app>-<component>`.
    pub fn get(&self, name: &str) -> Option<&ReleaseUnit> {
        let index = self
            .0
            .binary_search_by(|unit| unit.as_str().cmp(name))
            .ok()?;
        self.0.get(index)
    }

    /// All units, sorted by name.
    pub fn iter(&self) -> std::slice::Iter<'_, ReleaseUnit> {
        self.0.iter()
    }

    /// Returns true if no unit is registered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of units.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> IntoIterator for &'a ReleaseUnits {
    type Item = &'a ReleaseUnit;
    type IntoIter = std::slice::Iter<'a, ReleaseUnit>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
