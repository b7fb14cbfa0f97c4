//! A pipeline to production: publish a release from its tag, verify it in staging, then deploy it to production.

use harmony::prelude::*;

fn main() -> ExitCode {
    harmony::main(|| {
        let manifest = env!("CARGO_MANIFEST_DIR");
        let mut server = HttpServer::on(8080);
        // A Secret in both namespaces, if the registry is private.
        server.pull_secret = std::env::var("PULL_SECRET")
            .ok()
            .map(|name| name.parse())
            .transpose()?;
        let app = AppSpec::rust(manifest, "hello-web")?.serving(server);
        Ok(App::of(app)
            .to(DeployTarget::staging("hello-staging".parse()?))
            .to(DeployTarget::production("hello-production".parse()?)))
    })
}
