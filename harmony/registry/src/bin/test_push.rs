//! Pushes one image from an OCI layout, in a separate process that tests can kill, measure and give an environment.
//!
//! `test-push <layout> <digest> <reference>`, with the login and certificate authority of the environment. Prints the
//! digest, then its peak memory in kB.

#![expect(clippy::print_stdout, reason = "a program's output")]

use std::error::Error;
use std::path::PathBuf;

use harmony_core::Context;
use harmony_core::capability::OciRegistry;
use harmony_core::capability::oci_registry::RegistryLocation;
use harmony_core::diagnostic::Report;
use harmony_core::image::{Built, BuiltImage, ImageLocation};
use harmony_registry::{OciRegistryClient, RegistrySettings};
use harmony_types::{Digest, ImageRef};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [layout, digest, reference] = arguments.as_slice() else {
        return Err("usage: <layout> <digest> <reference>".into());
    };
    let to = ImageRef::parse(reference)?;
    let image = Built::Image(BuiltImage {
        digest: Digest::parse(digest)?,
        location: ImageLocation::OciLayout(PathBuf::from(layout)),
        size: 0,
    });
    let location = RegistryLocation::new(to.registry().clone(), None)?;
    let client = OciRegistryClient::new(Context::new(), location, RegistrySettings::from_env())?;
    match client.push_image(&image, &to).await {
        Ok(published) => println!("{}", published.change),
        Err(error) => {
            println!("{}", serde_json::to_string(&Report::of(&error))?);
            return Err(error.into());
        }
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("{}", peak.unwrap_or("?").trim());
    Ok(())
}
