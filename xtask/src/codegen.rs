//! Writes what is generated from the code. Tests of the crates compare it with what is in the repository.

use crate::command;

pub(crate) fn run() -> anyhow::Result<()> {
    let folder = command::root().join("docs/reference");
    let mut generate =
        command::cargo(&["run", "--quiet", "-p", "harmony", "--example", "reference"]);
    command::run(generate.arg("--").arg(folder))
}
