//! Writes the generated reference pages to a folder: `cargo xtask codegen`.

use std::path::PathBuf;

use harmony::configuration::reference;

fn main() -> std::io::Result<()> {
    let folder: PathBuf = std::env::args_os()
        .nth(1)
        .expect("the folder of the pages")
        .into();
    for (name, content) in reference::files() {
        std::fs::write(folder.join(name), content)?;
    }
    Ok(())
}
