//! Finding a Python that Xenna runs on.
//!
//! 3.12 comes first: the newest Xenna needs it, and it is what was tried most. 3.13 has wheels of everything as well;
//! on 3.11 pip finds Xenna 0.3.0. Each candidate is asked, not believed: a pyenv shim of that name may answer that no
//! such version is chosen, and Debian's Python may lack `venv`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use crate::bounded;

const PROBE: &str =
    "import sys, venv, ensurepip; print('%d.%d.%d' % sys.version_info[:3]); print(sys.executable)";
const PROBE_LIMIT: Duration = Duration::from_secs(20);

/// A Python interpreter that can make a venv.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    pub path: PathBuf,
    /// Such as `3.12.1`.
    pub version: String,
}

/// The best Python of this machine. `QD_PYTHON` overrides the search.
///
/// # Errors
/// A sentence that says what is missing and what to install.
pub fn find_python() -> Result<Python, String> {
    if let Some(chosen) = env::var_os("QD_PYTHON") {
        let path = PathBuf::from(chosen);
        return ask(&path).map_err(|why| format!("QD_PYTHON is {}, but {why}", path.display()));
    }
    let mut reasons = Vec::new();
    for candidate in candidates(env::var_os("PATH"), env::var_os("HOME").map(PathBuf::from).as_deref()) {
        match ask(&candidate) {
            Ok(python) => return Ok(python),
            Err(why) => reasons.push(format!("{} {why}", candidate.display())),
        }
    }
    let tried = if reasons.is_empty() { "no python3 was found".to_owned() } else { reasons.join("; ") };
    Err(format!(
        "no Python from 3.11 to 3.13 with venv: {tried}. Install one (on Debian: apt-get install python3-venv), or \
         set QD_PYTHON to its path"
    ))
}

fn candidates(path: Option<OsString>, home: Option<&Path>) -> Vec<PathBuf> {
    let folders: Vec<PathBuf> = path.map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    let mut found = Vec::new();
    for version in ["3.12", "3.13", "3.11"] {
        found.extend(folders.iter().map(|folder| folder.join(format!("python{version}"))));
        found.extend(
            home.map(|home| pyenv_versions(&home.join(".pyenv/versions"), version)).unwrap_or_default(),
        );
    }
    found.extend(folders.iter().map(|folder| folder.join("python3")));
    found.retain(|path| path.is_file());
    found
}

/// Newest first.
fn pyenv_versions(root: &Path, version: &str) -> Vec<PathBuf> {
    let patch = |name: &str| name.strip_prefix(version)?.strip_prefix('.')?.parse::<u32>().ok();
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((patch(entry.file_name().to_str()?)?, entry.path().join("bin/python"))))
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    found.into_iter().map(|(_, path)| path).collect()
}

fn ask(path: &Path) -> Result<Python, String> {
    let mut command = Command::new(path);
    command.args(["-I", "-c", PROBE]);
    let output = bounded::run(command, PROBE_LIMIT, 64 * 1024).map_err(|error| error.to_string())?;
    if !output.success() {
        let last = output.stderr_tail(1);
        return Err(format!("does not work ({})", if last.is_empty() { "it says nothing" } else { &last }));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let (Some(version), Some(executable)) = (lines.next(), lines.next()) else {
        return Err("does not say its version".to_owned());
    };
    let minor = version
        .strip_prefix("3.")
        .and_then(|rest| rest.split('.').next())
        .and_then(|minor| minor.parse().ok());
    match minor {
        // The interpreter itself and not the shim, which may choose another one tomorrow.
        Some(11..=13) => Ok(Python { path: PathBuf::from(executable), version: version.to_owned() }),
        _ => Err(format!("is Python {version}; Xenna runs on 3.11 to 3.13")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn script(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn candidates_come_in_order_and_each_is_asked() {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        let pyenv = home.path().join(".pyenv/versions");
        script(&bin.join("python3"), "echo 3.11.2; echo /real/python3");
        script(&bin.join("python3.12"), "echo 'pyenv: python3.12: command not found' >&2; exit 127");
        script(&pyenv.join("3.12.9/bin/python"), "echo 3.12.9; echo /real/3.12.9");
        script(&pyenv.join("3.12.10/bin/python"), "echo 3.12.10; echo /real/3.12.10");
        script(&pyenv.join("3.9.1/bin/python"), "echo 3.9.1; echo /real/3.9.1");
        let found = candidates(Some(bin.clone().into_os_string()), Some(home.path()));
        let names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(home.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "bin/python3.12",
                ".pyenv/versions/3.12.10/bin/python",
                ".pyenv/versions/3.12.9/bin/python",
                "bin/python3"
            ]
        );
        assert!(ask(&found[0]).unwrap_err().contains("command not found"));
        let python = Python { path: "/real/3.12.10".into(), version: "3.12.10".into() };
        assert_eq!(ask(&found[1]).unwrap(), python);
        assert!(ask(&pyenv.join("3.9.1/bin/python")).unwrap_err().contains("3.11 to 3.13"));
        assert!(ask(Path::new("/nowhere/python")).is_err());
    }
}
