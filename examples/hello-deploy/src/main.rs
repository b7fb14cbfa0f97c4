//! An app's own deploy crate: what it is, where it goes, and nothing else.

use harmony::prelude::*;

fn main() -> ExitCode {
    harmony::main(|| {
        let manifest = env!("CARGO_MANIFEST_DIR");
        let app = AppSpec::rust(manifest, "hello-web")?.serving(HttpServer::on(8080));
        Ok(App::of(app).to(DeployTarget::namespace("hello".parse()?)))
    })
}
