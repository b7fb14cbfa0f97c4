//! The Dockerfile of a Leptos app. Pure.

use harmony_core::image::DockerfileText;
use harmony_types::ImageRef;

use super::Rendering;
use crate::buildable::static_site::{SERVER, SITE, arguments};

/// The version of cargo-leptos.
const CARGO_LEPTOS: &str = "0.3.11";

/// The version of trunk.
const TRUNK: &str = "0.21.14";

/// The address on which the app listens.
pub(super) const ADDRESS: &str = "0.0.0.0:8080";

/// What the build must not copy.
const IGNORED: &[&str] = &["**/target", "**/node_modules", "**/dist", ".git"];

/// Compiles with the caches of cargo that BuildKit keeps.
const CACHED: &str =
    "RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target";

pub(super) fn render(
    package: &str,
    rendering: Rendering,
    compiler: &ImageRef,
    target: &str,
) -> DockerfileText {
    let text = match rendering {
        Rendering::Server => server(package, compiler, target),
        Rendering::Browser => browser(compiler, target),
    };
    DockerfileText {
        text,
        ignored: IGNORED.iter().map(|line| (*line).to_owned()).collect(),
    }
}

fn server(package: &str, compiler: &ImageRef, target: &str) -> String {
    let variable = target.to_uppercase().replace('-', "_");
    format!(
        r#"FROM {compiler} AS build
RUN rustup target add wasm32-unknown-unknown {target}
RUN cargo install --locked cargo-leptos@{CARGO_LEPTOS}
WORKDIR /src
COPY . .
ENV LEPTOS_BIN_TARGET_TRIPLE={target}
ENV CARGO_TARGET_{variable}_RUSTFLAGS="-Ctarget-feature=+crt-static"
{CACHED} \
    cargo leptos build --release --project {package} \
    && mkdir -p /out/usr/local/bin /out/srv /out/tmp \
    && chmod 1777 /out/tmp \
    && cp target/{target}/release/{package} /out/usr/local/bin/ \
    && cp -r target/site /out{SITE}

FROM scratch
COPY --from=build /out/ /
ENV LEPTOS_OUTPUT_NAME="{package}" LEPTOS_SITE_ROOT="{SITE}" LEPTOS_SITE_PKG_DIR="pkg"
ENV LEPTOS_SITE_ADDR="{ADDRESS}" LEPTOS_ENV="PROD"
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/{package}"]
"#
    )
}

fn browser(compiler: &ImageRef, target: &str) -> String {
    let (server, version, features) = SERVER;
    let words: Vec<String> = [format!("/usr/local/bin/{server}")]
        .into_iter()
        .chain(arguments(true, false))
        .collect();
    let entrypoint = serde_json::Value::from(words);
    let features = features.join(",");
    format!(
        r#"FROM {compiler} AS build
RUN rustup target add wasm32-unknown-unknown {target}
RUN cargo install --locked trunk@{TRUNK}
RUN RUSTFLAGS="-Ctarget-feature=+crt-static" cargo install --locked --target {target} \
    --no-default-features --features {features} {server}@{version}
WORKDIR /src
COPY . .
{CACHED} \
    trunk build --release --dist /out{SITE} \
    && mkdir -p /out/usr/local/bin /out/tmp \
    && chmod 1777 /out/tmp \
    && cp /usr/local/cargo/bin/{server} /out/usr/local/bin/

FROM scratch
COPY --from=build /out/ /
USER 65532:65532
ENTRYPOINT {entrypoint}
"#
    )
}
