//! A file that a command writes: beside its place until it is whole, so that nobody takes a part for the file, and never over
//! one that is there unless that is meant.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Where a file comes to stand.
#[derive(Debug)]
pub struct Place<'p> {
    path: &'p Path,
    force: bool,
}

impl<'p> Place<'p> {
    /// Before anything is asked for: what takes long should not end with a refusal.
    ///
    /// # Errors
    /// A file is there, and it is not forced.
    pub fn new(path: &'p Path, force: bool) -> Result<Self, Failure> {
        let place = Self { path, force };
        place.is_free()?;
        Ok(place)
    }

    /// Where it is written until it is whole: a name that only this process takes.
    pub fn part(&self) -> PathBuf {
        let mut part = self.path.as_os_str().to_owned();
        part.push(format!(".{}.part", std::process::id()));
        part.into()
    }

    /// Puts the whole file in its place, where nothing came to stand meanwhile.
    pub fn take(&self) -> Result<(), Failure> {
        let part = self.part();
        if let Err(failure) = self.is_free() {
            fs::remove_file(&part)?;
            return Err(failure);
        }
        Ok(fs::rename(&part, self.path)?)
    }

    fn is_free(&self) -> Result<(), Failure> {
        if self.force || fs::symlink_metadata(self.path).is_err() {
            return Ok(());
        }
        Err(Failure::local_with_help(
            format!("{} is there already", self.path.display()),
            "name another file, or write over it with --force",
        ))
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_written_over_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let write = |force: bool, text: &str| {
            let place = Place::new(&path, force)?;
            fs::write(place.part(), text)?;
            place.take()
        };
        write(false, "one").unwrap();
        assert!(write(false, "two").unwrap_err().to_string().ends_with("a.txt is there already"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        write(true, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        // What came meanwhile stays, and no part beside it.
        fs::remove_file(&path).unwrap();
        let place = Place::new(&path, false).unwrap();
        fs::write(place.part(), "three").unwrap();
        fs::write(&path, "meanwhile").unwrap();
        assert!(place.take().is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "meanwhile");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
