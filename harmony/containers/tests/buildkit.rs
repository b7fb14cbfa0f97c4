//! The BuildKit adapter against a real daemon, which each test starts and stops by itself.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod peers;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use harmony_containers::{BuildKitEndpoint, ClientCertificates};
use harmony_core::Context;
use harmony_core::capability::container_builder::{BuildError, ContainerBuilder};
use harmony_core::context::Cancelled;
use harmony_core::event::Event;
use harmony_core::image::{ImageSource, SecretSource};
use peers::buildkit_daemon::{self, BuildKitDaemon};
use peers::everything::{Everything, build_context, image};
use peers::image_files::{files, image_of, layout};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// A project whose steps run in a shell.
fn project(root: &Path, dockerfile: &str) {
    fs::create_dir_all(root).unwrap();
    fs::copy("/bin/busybox", root.join("busybox"))
        .expect("these tests need a static shell: apt-get install busybox-static");
    let begin =
        "FROM scratch\nCOPY busybox /bin/busybox\nSHELL [\"/bin/busybox\", \"sh\", \"-c\"]\n";
    fs::write(root.join("Dockerfile"), format!("{begin}{dockerfile}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_give_the_same_digest_for_the_same_files() {
    let (one, two) = (BuildKitDaemon::start(), BuildKitDaemon::start());
    let mut digests = Vec::new();
    for daemon in [&one, &two] {
        let work = tempfile::tempdir().unwrap();
        let root = work.path().join("project");
        project(&root, "COPY page /srv/page\nRUN echo made > /srv/made\n");
        fs::write(root.join("page"), "hello").unwrap();
        let builder = daemon.builder(&Context::new(), work.path());
        let recipe = ImageSource::Buildable(Arc::new(Everything(work.path().into())));
        for source in [recipe, ImageSource::dockerfile("Dockerfile")] {
            let context = build_context(&root, source);
            let built = image_of(builder.build(&context, &image()).await.unwrap());
            let again = image_of(builder.build(&context, &image()).await.unwrap());
            assert_eq!(built, again);
            digests.push(built.digest);
        }
    }
    assert_eq!(digests[..2], digests[2..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mounts_arguments_secrets_and_ignored_files_are_those_of_buildkit() {
    let daemon = BuildKitDaemon::start();
    let work = tempfile::tempdir().unwrap();
    let root = work.path().join("project");
    project(
        &root,
        "ARG WHO=nobody\nLABEL who=$WHO\nCOPY content/ /srv/\n\
         RUN --mount=type=cache,target=/cache echo $WHO >> /cache/all; cp /cache/all /all\n\
         RUN --mount=type=secret,id=file --mount=type=secret,id=variable,env=VARIABLE \
         echo $(wc -c < /run/secrets/file) ${#VARIABLE} > /lengths\n\
         USER 7:8\nCMD [\"/srv/page\"]\n",
    );
    fs::create_dir_all(root.join("content/private")).unwrap();
    fs::write(root.join("content/page"), "hello").unwrap();
    fs::write(root.join("content/private/key"), "key").unwrap();
    fs::write(root.join(".dockerignore"), "**/private\n").unwrap();
    fs::write(work.path().join("secret"), "from-a-file").unwrap();
    let source = |who: &str| ImageSource::Dockerfile {
        path: "Dockerfile".into(),
        build_args: BTreeMap::from([("WHO".to_owned(), who.to_owned())]),
        secrets: BTreeMap::from([
            (
                "file".parse().unwrap(),
                SecretSource::File("../secret".into()),
            ),
            // A variable that cargo sets for tests.
            (
                "variable".parse().unwrap(),
                SecretSource::Env("CARGO_PKG_NAME".into()),
            ),
        ]),
    };
    let context = Context::new();
    let mut events = context.subscribe();
    let builder = daemon.builder(&context, work.path());
    let mut seen = Vec::new();
    for who in ["first", "second"] {
        let build = build_context(&root, source(who));
        let built = layout(&image_of(builder.build(&build, &image()).await.unwrap()));
        let config = built.config().unwrap();
        let labels = config.labels_of_config().unwrap();
        assert_eq!(labels["who"], who);
        assert_eq!(labels["org.opencontainers.image.version"], "1.0.0");
        let annotations = built.manifest().annotations().clone().unwrap();
        assert_eq!(annotations["org.opencontainers.image.version"], "1.0.0");
        assert_eq!(
            config.config().as_ref().unwrap().user().as_deref(),
            Some("7:8")
        );
        assert_eq!(config.created().as_deref(), Some("2023-11-14T22:13:20Z"));
        seen = files(&built).into_iter().collect();
    }
    let content = |path: &str| {
        let found = seen.iter().find(|(name, _)| name == path);
        found.map(|(_, node)| String::from_utf8(node.3.clone()).unwrap())
    };
    assert_eq!(
        content("all").unwrap(),
        "first\nsecond\n",
        "the cache is kept"
    );
    let length = "harmony_containers".len();
    assert_eq!(content("lengths").unwrap(), format!("11 {length}\n"));
    assert!(content("srv/page").is_some() && content("srv/private/key").is_none());

    let mut messages = String::new();
    while let Ok(event) = events.try_recv() {
        if let Event::StepProgress { message, .. } = event {
            messages.extend(message);
        }
    }
    assert!(messages.contains("echo first"), "progress: {messages}");
    assert!(!messages.contains("from-a-file"), "{messages}");
    let is_secret = |content: &[u8]| content.windows(11).any(|part| part == b"from-a-file");
    assert!(!seen.iter().any(|(_, node)| is_secret(&node.3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_step_is_shown_with_its_last_lines() {
    let daemon = BuildKitDaemon::start();
    let work = tempfile::tempdir().unwrap();
    let root = work.path().join("project");
    let builder = daemon.builder(&Context::new(), work.path());
    for (dockerfile, expected, hint) in [
        (
            "RUN echo cannot find the answer >&2; exit 42\n",
            "cannot find the answer",
            "fix what BuildKit reports",
        ),
        ("RUNN x\n", "RUNN", "shows the line"),
        ("COPY missing /\n", "missing", "fix what BuildKit reports"),
        (
            "COPY --from=127.0.0.1:1/base:1 / /\n",
            "127.0.0.1:1",
            "cannot pull a base image",
        ),
        (
            "RUN --security=insecure true\n",
            "insecure",
            "does not grant",
        ),
    ] {
        project(&root, dockerfile);
        let context = build_context(&root, ImageSource::dockerfile("Dockerfile"));
        let error = builder.build(&context, &image()).await.unwrap_err();
        let BuildError::Daemon { output, help, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(output.join("\n").contains(expected), "{output:#?}");
        assert!(help.contains(hint), "{dockerfile}: {help} {output:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_build_stops_at_once() {
    let daemon = BuildKitDaemon::start();
    let work = tempfile::tempdir().unwrap();
    let root = work.path().join("project");
    project(&root, "RUN echo waiting; sleep 600\n");
    let context = Context::new();
    let mut events = context.subscribe();
    let builder = daemon.builder(&context, work.path());
    let build = build_context(&root, ImageSource::dockerfile("Dockerfile"));
    let running = tokio::spawn(async move { builder.build(&build, &image()).await });
    loop {
        let event = events.recv().await.unwrap();
        if matches!(&event, Event::StepProgress { message: Some(text), .. } if text == "waiting") {
            break;
        }
    }
    context.cancellation().cancel();
    let error = running.await.unwrap().unwrap_err();
    assert!(matches!(error, BuildError::Cancelled(Cancelled)), "{error}");
}

/// The daemon listens on a TCP port with TLS and accepts only clients of its authority.
#[tokio::test(flavor = "multi_thread")]
async fn over_tcp_both_sides_verify_each_other() {
    let work = tempfile::tempdir().unwrap();
    let root = work.path().join("project");
    project(&root, "RUN echo made > /made\n");
    let (ours, other) = (Authority::new(), Authority::new());
    let server = ours.issue(work.path(), "server", "127.0.0.1");
    let port = free_port();
    let daemon = BuildKitDaemon::start_with(&[
        &format!("--addr=tcp://127.0.0.1:{port}"),
        &format!("--tlscacert={}", server.ca.display()),
        &format!("--tlscert={}", server.certificate.display()),
        &format!("--tlskey={}", server.key.display()),
    ]);
    let client = ours.issue(work.path(), "client", "client");
    let address = format!("tcp://127.0.0.1:{port}");
    let with = |address: &str, certificates: &ClientCertificates| {
        let endpoint: BuildKitEndpoint = address.parse().unwrap();
        endpoint.with_certificates(certificates.clone()).unwrap()
    };
    let build = build_context(&root, ImageSource::dockerfile("Dockerfile"));
    let builder = |endpoint| buildkit_daemon::builder(&Context::new(), work.path(), endpoint);

    let trusted = builder(with(&address, &client));
    let built = image_of(trusted.build(&build, &image()).await.unwrap());
    assert!(files(&layout(&built)).contains_key("made"));

    let stranger = other.issue(work.path(), "stranger", "client");
    let plain_port = free_port();
    let _plain = BuildKitDaemon::start_with(&[&format!("--addr=tcp://127.0.0.1:{plain_port}")]);
    let named = ClientCertificates::clone;
    for (endpoint, expected) in [
        // The daemon is not the one that is expected.
        (
            with(
                &address,
                &ClientCertificates {
                    ca: stranger.ca.clone(),
                    ..named(&client)
                },
            ),
            "does not match the authority",
        ),
        // The certificate is for the address, not for this name.
        (
            with(&format!("tcp://localhost:{port}"), &client),
            "use the name in the certificate",
        ),
        // Without a certificate, or with that of another authority.
        (address.parse().unwrap(), "requires a client certificate"),
        (
            with(
                &address,
                &ClientCertificates {
                    ca: client.ca.clone(),
                    ..named(&stranger)
                },
            ),
            "requires a client certificate",
        ),
        (
            with(
                &address,
                &ClientCertificates {
                    key: stranger.key.clone(),
                    ..named(&client)
                },
            ),
            "belong together",
        ),
        (
            with(&format!("tcp://127.0.0.1:{plain_port}"), &client),
            "the daemon does not use TLS",
        ),
    ] {
        let error = builder(endpoint).build(&build, &image()).await.unwrap_err();
        let BuildError::Unreachable { help, output, .. } = &error else {
            panic!("{error:?}");
        };
        assert!(help.contains(expected), "{expected}: {help} {output:#?}");
    }
    drop(daemon);
}

/// A port that nobody uses at the moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// A certificate for a host or a client, and the authority's own, as files.
    fn issue(&self, folder: &Path, file: &str, host: &str) -> ClientCertificates {
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let write = |kind: &str, text: String| {
            let path = folder.join(format!("{file}-{kind}.pem"));
            fs::write(&path, text).unwrap();
            path
        };
        ClientCertificates {
            ca: write("ca", self.0.pem()),
            certificate: write("certificate", certificate.pem()),
            key: write("key", key.serialize_pem()),
        }
    }
}

#[tokio::test]
async fn without_a_daemon_or_a_client_the_error_says_what_to_do() {
    let work = tempfile::tempdir().unwrap();
    let source = ImageSource::Buildable(Arc::new(Everything(work.path().into())));
    let build = build_context(work.path(), source);
    for address in ["unix:///no/such/buildkitd.sock", "tcp://127.0.0.1:1"] {
        let endpoint = address.parse().unwrap();
        let builder = buildkit_daemon::builder(&Context::new(), work.path(), endpoint);
        let error = builder.build(&build, &image()).await.unwrap_err();
        let BuildError::Unreachable {
            endpoint, output, ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!(endpoint, address);
        assert!(!output.is_empty());
    }
    let endpoint = "unix:///no/such/buildkitd.sock".parse().unwrap();
    let builder = buildkit_daemon::builder(&Context::new(), work.path(), endpoint)
        .with_client("/no/such/buildctl");
    let error = builder.build(&build, &image()).await.unwrap_err();
    let BuildError::ProgramMissing { program, help } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(program, "buildctl");
    assert!(help.contains("github.com/moby/buildkit"), "{help}");
}
