//! The `harmony` command, which finds and runs `harmony-*` commands.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> Result<ExitCode, harmony_cli::RunError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    harmony_cli::plugins::main(std::env::args_os().collect(), &path).await
}
