//! Sends the build context to the daemon as an archive.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use bytes::Bytes;
use futures_util::{Stream, stream};
use harmony_core::capability::container_builder::BuildError;
use harmony_core::context::Context;
use harmony_oci::entry::write_end;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::blocking::blocking;
use crate::context::BuildFiles;
use crate::native::layer::write_entry;

/// The size of a chunk, in bytes.
const CHUNK: usize = 256 * 1024;

/// Starts writing the archive. Returns it in chunks, and a handle that returns the error of a file that could not be
/// read, if there was one.
pub(super) fn send(
    context: &Context,
    files: BuildFiles,
) -> (
    impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    impl Future<Output = Option<BuildError>>,
) {
    let (sender, receiver) = mpsc::channel::<Result<Bytes, io::Error>>(4);
    let body = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    let context = context.clone();
    let writing = tokio::spawn(async move {
        blocking(&context, move |cancel| {
            let abort = sender.clone();
            let mut out = BufWriter::with_capacity(CHUNK, Channel(sender));
            let written = write(&files, &mut out, cancel);
            if written.is_err() {
                // Without this, the daemon would treat a truncated archive as complete.
                let _ = abort.blocking_send(Err(io::ErrorKind::InvalidData.into()));
            }
            written
        })
        .await
    });
    let error = async move {
        match writing.await {
            // The daemon stopped reading, and reports the reason itself.
            Ok(Ok(()) | Err(BuildError::Write { .. })) | Err(_) => None,
            Ok(Err(error)) => Some(error),
        }
    };
    (body, error)
}

/// The blocking end of the request body.
struct Channel(mpsc::Sender<Result<Bytes, io::Error>>);

impl Write for Channel {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(content)))
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(content.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes the archive.
fn write(
    files: &BuildFiles,
    out: &mut dyn Write,
    cancel: &CancellationToken,
) -> Result<(), BuildError> {
    let path = Path::new("docker build context");
    for entry in files.entries.iter() {
        write_entry(entry, None, 0, out, path, cancel)?;
    }
    write_end(out)
        .and_then(|()| out.flush())
        .map_err(|source| BuildError::Write {
            path: path.to_owned(),
            source,
        })
}
