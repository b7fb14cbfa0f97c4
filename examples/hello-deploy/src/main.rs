//! The deploy crate of an app: what it is and where to deploy it.

use harmony::prelude::*;

fn main() -> ExitCode {
    harmony::main(|| {
        let manifest = env!("CARGO_MANIFEST_DIR");
        let app = AppSpec::rust(manifest, "hello-web")?.serving(HttpServer::on(8080));
        Ok(App::of(app).to(DeployTarget::namespace("hello".parse()?)))
    })
}
