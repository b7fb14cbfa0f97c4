//! Reproducible tar entries: the same entry gives the same bytes on every machine.
//!
//! Every entry is owned by root and has the given modification time. Names that do not fit in a ustar header are stored
//! in a pax record.

use std::io::{self, Write};

const BLOCK: usize = 512;

/// The maximum length of a name in the ustar header; a longer one is stored in a pax record.
const USTAR_NAME: usize = 100;

/// The header of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// A relative path without a leading or trailing slash.
    pub path: &'a str,
    pub kind: Kind<'a>,
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: u64,
}

/// The type of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A regular file; its content follows the header.
    File {
        /// In bytes.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink { target: &'a str },
}

impl<'a> Entry<'a> {
    /// A regular file with mode 644 and the date 1970.
    pub fn file(path: &'a str, size: u64) -> Self {
        Self {
            path,
            kind: Kind::File { size },
            mode: 0o644,
            mtime: 0,
        }
    }
}

/// Writes the header of an entry, after a pax record if necessary.
///
/// # Errors
/// The errors of `out`; a link target with a NUL byte.
pub fn write_head(out: &mut (impl Write + ?Sized), entry: &Entry<'_>) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(entry.mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(entry.mtime);
    header.set_size(0);
    let mut name = entry.path.to_owned();
    let mut pax: Vec<(&str, &[u8])> = Vec::new();
    match entry.kind {
        Kind::File { size } => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(size);
        }
        Kind::Directory => {
            header.set_entry_type(tar::EntryType::Directory);
            name.push('/');
        }
        Kind::Symlink { target } => {
            header.set_entry_type(tar::EntryType::Symlink);
            if fits_ustar(target) {
                header.set_link_name_literal(target)?;
            } else {
                pax.push(("linkpath", target.as_bytes()));
            }
        }
    }
    if fits_ustar(&name) {
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    } else {
        pax.push(("path", name.as_bytes()));
    }
    if !pax.is_empty() {
        out.write_all(&pax_header(pax)?)?;
    }
    header.set_cksum();
    out.write_all(header.as_bytes())
}

/// Fills the last block after `size` bytes of content.
///
/// # Errors
/// The errors of `out`.
pub fn write_padding(out: &mut (impl Write + ?Sized), size: u64) -> io::Result<()> {
    let over = usize::try_from(size % BLOCK as u64).map_err(io::Error::other)?;
    if over > 0 {
        out.write_all(&[0; BLOCK][over..])?;
    }
    Ok(())
}

/// Writes a complete file with mode 644 and the date 1970.
///
/// # Errors
/// The errors of `out`.
pub fn write_file(out: &mut (impl Write + ?Sized), path: &str, content: &[u8]) -> io::Result<()> {
    let size = content.len() as u64;
    write_head(out, &Entry::file(path, size))?;
    out.write_all(content)?;
    write_padding(out, size)
}

/// Writes the end of an archive: two empty blocks.
///
/// # Errors
/// The errors of `out`.
pub fn write_end(out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    out.write_all(&[0; 2 * BLOCK])
}

fn fits_ustar(name: &str) -> bool {
    name.len() <= USTAR_NAME && name.is_ascii()
}

fn pax_header(records: Vec<(&str, &[u8])>) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_pax_extensions(records)?;
    Ok(archive.get_ref().clone())
}
