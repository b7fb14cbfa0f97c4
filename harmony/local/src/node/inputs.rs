//! What the components' arguments and files are made from.

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
    /// The image that holds a pod's namespaces, as containerd knows it.
    pub(super) pause_image: &'a str,
}
