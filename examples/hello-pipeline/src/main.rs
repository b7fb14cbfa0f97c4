//! A release on its way to production: published from its tag, verified in staging, then deployed to production.

use harmony::prelude::*;

fn main() -> ExitCode {
    harmony::main(|| {
        let manifest = env!("CARGO_MANIFEST_DIR");
        let mut server = HttpServer::on(8080);
        // In both namespaces, where the registry is private.
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
