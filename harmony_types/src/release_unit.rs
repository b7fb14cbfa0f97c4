//! What can be released: the units that an app registers.

use std::fmt;

use crate::name_rule::{Grammar, NameError, NameRule};
use crate::names::{AppName, ComponentName, LabelValue, ResourceName};
use crate::repository::Repository;
use crate::version::Version;

/// One thing that is released under its own tag: a component of an app, such as `harmony-fleet` + `operator`.
///
/// Its name is `<app>-<component>`. It is a DNS-1123 label, because the name becomes those of an image, a chart and a
/// Kubernetes workload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseUnit {
    name: String,
    app: AppName,
    component: ComponentName,
}

/// The units that a release command knows, ordered by name; no two of them render the same name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleaseUnits(Vec<ReleaseUnit>);

/// Why a list of units cannot be registered together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseUnitsError {
    /// The same unit appears twice.
    #[error("release unit `{unit}` is registered twice")]
    Duplicate {
        /// The unit.
        unit: ReleaseUnit,
    },
    /// Two units of different apps have one name, so that a tag could mean either.
    #[error(
        "two release units are called `{first}`: `{}` of app `{}`, and `{}` of app `{}`",
        first.component, first.app, second.component, second.app
    )]
    Ambiguous {
        /// The one with the shorter app name.
        first: Box<ReleaseUnit>,
        /// The other one.
        second: Box<ReleaseUnit>,
    },
}

impl ReleaseUnitsError {
    /// What to change.
    pub fn hint(&self) -> String {
        match self {
            Self::Duplicate { unit } => format!("remove one of the two AppSpecs named `{unit}`"),
            Self::Ambiguous { second, .. } => {
                format!(
                    "rename component `{}` of app `{}`, so that each tag names one unit",
                    second.component, second.app
                )
            }
        }
    }
}

impl ReleaseUnit {
    /// The longest name `<app>-<component>`, in bytes.
    pub const MAX_LENGTH: usize = 63;

    /// The rule that the name satisfies.
    pub const RULE: &'static NameRule =
        &NameRule::new("release unit", Self::MAX_LENGTH, Grammar::DnsLabel);

    /// The unit of this component; fails only where the name exceeds [`ReleaseUnit::MAX_LENGTH`].
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

    /// The app that the component belongs to.
    pub fn app(&self) -> &AppName {
        &self.app
    }

    /// The component that is released.
    pub fn component(&self) -> &ComponentName {
        &self.component
    }

    /// The tags that release this unit, for people to read: `<app>-<component>-v<semver>`.
    pub fn tag_pattern(&self) -> String {
        format!("{}-v<semver>", self.name)
    }

    /// The text of the git tag that releases this unit in this version.
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

/// The name of a unit is a DNS label, and so a path component.
impl From<&ReleaseUnit> for Repository {
    fn from(unit: &ReleaseUnit) -> Self {
        Self::of_component(unit.as_str())
    }
}

impl ReleaseUnits {
    /// Registers `units`; an empty list is legal, and then no tag resolves.
    pub fn new(units: impl IntoIterator<Item = ReleaseUnit>) -> Result<Self, ReleaseUnitsError> {
        let mut units: Vec<_> = units.into_iter().collect();
        // within one name, the shorter app name sorts first
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

    /// The unit of this name, `<app>-<component>`.
    pub fn get(&self, name: &str) -> Option<&ReleaseUnit> {
        let index = self
            .0
            .binary_search_by(|unit| unit.as_str().cmp(name))
            .ok()?;
        self.0.get(index)
    }

    /// Every unit, by name.
    pub fn iter(&self) -> std::slice::Iter<'_, ReleaseUnit> {
        self.0.iter()
    }

    /// Whether nothing is registered.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many units there are.
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
