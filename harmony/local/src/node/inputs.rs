//! The input for the arguments and files of the components.

use super::config::LocalNodeConfig;
use super::machine::Machine;
use super::packages::HostPrograms;
use super::program::Program;

/// Everything that the arguments and files depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) config: &'a LocalNodeConfig,
    pub(super) machine: &'a Machine,
    pub(super) host: &'a HostPrograms,
    pub(super) program: &'a Program,
    /// The name of the pause image in containerd.
    pub(super) pause_image: &'a str,
}
