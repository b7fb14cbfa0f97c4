//! `harmony deploy APP` and `harmony release TAG`: find the program of an app on `PATH` by its name.

use std::ffi::OsStr;
use std::path::PathBuf;

use harmony_types::{ReleaseTag, ReleaseTagError};

use super::find::find_program;

/// The deploy program of an app: `APP-deploy`, or `harmony-APP-deploy`.
pub(super) fn deploy_program(app: &str, path: &OsStr) -> Result<PathBuf, AppError> {
    let looked_for = vec![format!("{app}-deploy"), format!("harmony-{app}-deploy")];
    search(app, looked_for, path)
}

/// The program that can release a tag: the deploy program for the longest prefix of its name that has one, or
/// `harmony-APP`.
pub(super) fn release_program(tag: &str, path: &OsStr) -> Result<PathBuf, AppError> {
    let parsed = ReleaseTag::parse(tag).map_err(|source| AppError::Tag { source })?;
    search(parsed.unit_name(), release_names(parsed.unit_name()), path)
}

/// `hello-web`: `hello-web-deploy`, `harmony-hello-web-deploy`, `harmony-hello-web`, `hello-deploy`, ...
fn release_names(unit: &str) -> Vec<String> {
    let ends = unit.match_indices('-').map(|(at, _)| at);
    let mut ends: Vec<usize> = ends.chain([unit.len()]).collect();
    ends.reverse();
    let mut names = Vec::new();
    for app in ends.into_iter().filter_map(|end| unit.get(..end)) {
        names.push(format!("{app}-deploy"));
        if app.starts_with("harmony-") {
            names.push(app.to_owned());
        } else {
            names.push(format!("harmony-{app}-deploy"));
            names.push(format!("harmony-{app}"));
        }
    }
    names
}

fn search(app: &str, looked_for: Vec<String>, path: &OsStr) -> Result<PathBuf, AppError> {
    let mut programs = looked_for
        .iter()
        .filter_map(|name| find_program(path, name));
    match programs.next() {
        Some(program) => Ok(program),
        None => Err(AppError::NotFound {
            app: app.to_owned(),
            looked_for,
        }),
    }
}

/// The reason why the program of an app was not found.
#[derive(Debug, thiserror::Error)]
pub(super) enum AppError {
    #[error("no deploy program of the app `{app}` is on PATH")]
    NotFound {
        app: String,
        looked_for: Vec<String>,
    },
    /// The tag is not a release tag.
    #[error("the tag is not a release tag")]
    Tag {
        #[source]
        source: ReleaseTagError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_part_of_the_name_comes_first() {
        assert_eq!(
            release_names("hello-web"),
            [
                "hello-web-deploy",
                "harmony-hello-web-deploy",
                "harmony-hello-web",
                "hello-deploy",
                "harmony-hello-deploy",
                "harmony-hello",
            ]
        );
        let fleet = release_names("harmony-fleet-operator");
        let deploy = fleet.iter().position(|name| name == "harmony-fleet-deploy");
        let tool = fleet.iter().position(|name| name == "harmony-fleet");
        assert!(deploy.is_some() && deploy < tool, "{fleet:?}");
    }
}
