//! The archive of an image, imported by a real containerd, which the test starts and stops by itself.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harmony_containers::{NativeBuilder, Prebuilt};
use harmony_core::Context;
use harmony_core::capability::container_builder::ContainerBuilder;
use harmony_core::image::{BuildContext, Built, ImageLocation, ImageSource};
use harmony_core::inventory::Platform;
use harmony_oci::{Image, archive};
use harmony_types::ImageRef;
use rustix::process::{Pid, Signal, kill_process};

#[tokio::test]
async fn containerd_has_the_image_by_tag_and_by_digest() {
    let work = tempfile::Builder::new()
        .prefix("containerd-")
        .tempdir_in("/tmp")
        .unwrap();
    let program = work.path().join("app");
    fs::write(&program, static_program()).unwrap();
    let context = BuildContext {
        project_root: work.path().to_owned(),
        source: ImageSource::Buildable(Arc::new(Prebuilt::new(&program))),
        platform: Platform::current(),
        created: 1_700_000_000,
        labels: BTreeMap::new(),
    };
    let image = ImageRef::parse("registry.test/team/app:1.0.0").unwrap();
    let builder = NativeBuilder::new(Context::new(), work.path().join("cache"));
    let Built::Image(built) = builder.build(&context, &image).await.unwrap() else {
        panic!("nothing was built");
    };
    let ImageLocation::OciLayout(layout) = &built.location else {
        panic!("the image is not a layout");
    };
    let tar = work.path().join("image.tar");
    archive::write(
        &Image::open(layout).unwrap(),
        &image,
        &mut File::create(&tar).unwrap(),
    )
    .unwrap();

    let containerd = Containerd::start(work.path());
    containerd.ctr(&[
        "images",
        "import",
        "--snapshotter",
        "native",
        tar.to_str().unwrap(),
    ]);
    let images = containerd.ctr(&["images", "list"]);
    for name in [
        "registry.test/team/app:1.0.0".to_owned(),
        format!("registry.test/team/app@{}", built.digest),
    ] {
        let line = images
            .lines()
            .find(|line| line.split_whitespace().next() == Some(&name));
        let line = line.unwrap_or_else(|| panic!("`{name}` is not in:\n{images}"));
        assert!(line.contains(built.digest.as_str()), "{line}");
    }
    let check = containerd.ctr(&["images", "check"]);
    assert_eq!(check.matches("complete").count(), 2, "{check}");
}

/// A containerd with everything it has in one directory.
struct Containerd {
    daemon: Child,
    address: String,
}

impl Containerd {
    fn start(directory: &Path) -> Self {
        let at = |name: &str| directory.join(name).display().to_string();
        fs::write(
            directory.join("config.toml"),
            "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n",
        )
        .unwrap();
        let log = File::create(directory.join("log")).unwrap();
        let address = at("sock");
        let mut daemon = Command::new("containerd")
            .args(["--config", &at("config.toml"), "--address", &address])
            .args(["--root", &at("root"), "--state", &at("state")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect(
                "this test needs containerd: apt-get install -y --no-install-recommends containerd",
            );
        let begin = Instant::now();
        while UnixStream::connect(&address).is_err() {
            let ended = daemon.try_wait().unwrap();
            assert!(
                ended.is_none() && begin.elapsed() < Duration::from_secs(30),
                "containerd did not start (as root?): {}",
                fs::read_to_string(directory.join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { daemon, address }
    }

    fn ctr(&self, args: &[&str]) -> String {
        let output = Command::new("ctr")
            .args(["--address", &self.address, "--namespace", "k8s.io"])
            .args(args)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{printed}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        printed
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let pid = i32::try_from(self.daemon.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.daemon.wait();
    }
}

/// The header of a static program for this processor, which is all that a builder looks at.
fn static_program() -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    header[16] = 2; // an executable
    header[18] = if cfg!(target_arch = "aarch64") {
        183
    } else {
        62
    };
    header
}
