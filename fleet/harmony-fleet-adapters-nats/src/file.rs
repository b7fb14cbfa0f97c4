//! Reads small files that are named in settings.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// The maximum size; two certificates have about 2 kB.
const LARGEST: u64 = 1024 * 1024;

/// Reads a regular file. Pipes and devices are refused, because reading them may never end.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    let mut content = Vec::new();
    // Do not trust the size: files in /proc report zero.
    File::open(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST {
        return Err(Error::new(
            ErrorKind::FileTooLarge,
            "it is larger than 1 MiB",
        ));
    }
    Ok(content)
}

/// Like [`read`], as text.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_not_a_small_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let made = Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());
        let _socket = UnixListener::bind(path("socket")).unwrap();
        File::create(path("large"))
            .unwrap()
            .set_len(LARGEST + 1)
            .unwrap();
        fs::write(path("text"), "text").unwrap();
        assert_eq!(read_text(&path("text")).unwrap(), "text");
        for other in [
            path("pipe"),
            path("socket"),
            path("large"),
            folder.path().to_owned(),
            "/dev/zero".into(),
            path("none"),
        ] {
            let (sender, receiver) = mpsc::channel();
            let asked = other.clone();
            std::thread::spawn(move || sender.send(read(&asked).map(drop)));
            let answer = receiver.recv_timeout(Duration::from_secs(10));
            assert!(answer.unwrap().is_err(), "{other:?}");
        }
    }
}
