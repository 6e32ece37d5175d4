//! What a job runs from: zip packages that Ray fetches to each node.
//!
//! One holds the runner and the run file, and is the job's working folder; each code archive is one more, which Ray puts on
//! `PYTHONPATH` in its order. A package is named after its attempt and its place: Ray removes packages that no job uses, so
//! one that two attempts shared could go between the question whether it is there and the job that needs it.

use std::io::{Cursor, Write};
use std::path::Path;

use qd_core::canonical::{Digest, sha256_hex};
use qd_core::error::{Error, Result};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::code::archive_files;
use crate::environment::runner_sources;

/// The run file's name in the job's working folder.
pub(super) const RUN_FILE: &str = "run.json";

/// Names the package at `place` of a submission, without its ending.
pub(super) fn name(submission: &str, place: usize) -> String {
    let hash: String = sha256_hex(format!("{submission} {place}")).chars().take(16).collect();
    format!("_ray_pkg_{hash}")
}

/// The runner and the run file.
pub(super) fn of_run(run_file: &[u8]) -> Result<Vec<u8>> {
    let mut zip = Zip::new();
    for (name, text) in runner_sources() {
        zip.add(Path::new(name), false, text.as_bytes())?;
    }
    zip.add(Path::new(RUN_FILE), false, run_file)?;
    zip.finish()
}

/// A code archive. Its files stand at the root: Ray strips no folder.
pub(super) fn of_code(archive: &[u8], digest: &Digest) -> Result<Vec<u8>> {
    let mut zip = Zip::new();
    archive_files(archive, digest, |path, executable, content| zip.add(path, executable, content))?;
    zip.finish()
}

struct Zip(ZipWriter<Cursor<Vec<u8>>>);

impl Zip {
    fn new() -> Self {
        Self(ZipWriter::new(Cursor::new(Vec::new())))
    }

    fn add(&mut self, path: &Path, executable: bool, content: &[u8]) -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(if executable { 0o755 } else { 0o644 });
        self.0.start_file(path.to_string_lossy(), options).map_err(|error| failed(error.into()))?;
        self.0.write_all(content).map_err(failed)
    }

    fn finish(self) -> Result<Vec<u8>> {
        self.0.finish().map(Cursor::into_inner).map_err(|error| failed(error.into()))
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::internal("code_pack", "could not make a package for the cluster").with_source(error)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::code::pack;

    #[test]
    fn packages_hold_their_files_at_the_root_and_are_the_same_each_time() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("curate")).unwrap();
        std::fs::write(folder.path().join("curate/load.py"), "x = 1\n").unwrap();
        let packed = pack(folder.path()).unwrap();
        let code = of_code(&packed.archive, &packed.digest).unwrap();
        assert_eq!(code, of_code(&packed.archive, &packed.digest).unwrap());
        let mut zip = zip::ZipArchive::new(Cursor::new(code)).unwrap();
        let mut text = String::new();
        zip.by_name("curate/load.py").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), zip.len()), ("x = 1\n", 1));

        let mut run = zip::ZipArchive::new(Cursor::new(of_run(b"{}").unwrap())).unwrap();
        for name in [RUN_FILE, "qd_runner/__main__.py", "qd_runner/job.py"] {
            assert!(run.by_name(name).is_ok(), "{name}");
        }
        assert_ne!(name("qd-a-1-1-ff", 0), name("qd-a-1-2-ff", 0));
        assert_ne!(name("qd-a-1-1-ff", 0), name("qd-a-1-1-ff", 1));
    }
}
