//! Code archives: a folder of Python as one content-addressed file, and back.
//!
//! The canonical form is a tar of regular files in the order of their paths, with no times, no owners and two modes;
//! its SHA-256 is the address, so that the same folder has the same digest on every machine, whatever packed it. It
//! travels as zstd; another compressor changes the bytes on the wire and not the address.
//!
//! An archive comes from outside and is believed nothing: reading checks each path and type, bounds size and count,
//! and the digest at the end. Nothing is visible under its address before all of that held.

mod archive;
mod pack;
mod unpack;

use qd_core::canonical::Digest;
use qd_core::error::{Error, Result};
use qd_kernel::code::MAX_BYTES;

pub use archive::Inspected;
pub use pack::pack;
pub(crate) use unpack::archive_files;
pub use unpack::{inspect, unpack};

/// Most bytes that all files together may have.
pub const MAX_UNPACKED_BYTES: u64 = 256 * 1024 * 1024;
/// Most files in one archive.
pub const MAX_FILES: usize = 20_000;
/// Longest path inside an archive, in bytes.
const MAX_PATH: usize = 1_024;

/// A packed folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Of the canonical tar, uncompressed.
    pub digest: Digest,
    /// `tar.zst`.
    pub archive: Vec<u8>,
    pub files: usize,
    /// Sum of the files' sizes.
    pub unpacked_bytes: u64,
}

fn bad_archive(detail: impl Into<String>) -> Error {
    Error::invalid("bad_code_archive", detail)
}

fn check_packed_size(bytes: usize) -> Result<()> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    let mib = MAX_BYTES / (1024 * 1024);
    Err(Error::too_large(
        "code_too_large",
        format!("the packed code has {bytes} bytes; at most {mib} MiB are taken"),
    ))
}

#[cfg(test)]
mod tests;
