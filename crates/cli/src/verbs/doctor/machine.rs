//! What the machine of the server needs: Python with venv, a data folder with room, a prepared environment.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use qd_pipelines::environment::find_python;
use serde_json::Value;

use super::Finding;
use crate::context::{Access, ContextFile};
use crate::output::age;

/// An environment with Xenna and Ray takes about this much.
const ROOM_FOR_ENVIRONMENT: u64 = 3_000_000_000;
/// Ray itself stops spilling when a disk is this full.
const ROOM_AT_LEAST: u64 = 1_000_000_000;

pub fn context(file: Option<&ContextFile>, access: &Access) -> Finding {
    let server = access.server.as_str().trim_end_matches('/');
    let name = access.context.as_deref().map(|name| format!("{name}, ")).unwrap_or_default();
    if let Some(file) = file.filter(|file| file.is_exposed()) {
        let path = file.path.display();
        return Finding::fail(
            "context",
            format!("others can read {path}, which holds tokens"),
            format!("chmod 600 {path}"),
        );
    }
    if access.token.is_none() {
        return Finding::warn(
            "context",
            format!("{name}{server}, without a token"),
            "`qd up` stores one; or set QD_TOKEN, or `qd context set NAME --server URL --token-stdin`",
        );
    }
    Finding::ok("context", format!("{name}{server}"))
}

/// The Python that environments would be made with.
pub fn python() -> Finding {
    match find_python() {
        Ok(python) => {
            Finding::ok("python", format!("{} ({}), with venv", python.path.display(), python.version))
        }
        Err(why) => Finding::fail("python", why, "apt-get install python3 python3-venv, or set QD_PYTHON"),
    }
}

/// Whether the folder, or the place where it will be made, can be written and has room.
pub fn data_folder(data: &Path) -> Vec<Finding> {
    let shown = data.display();
    let place = existing(data);
    let mut findings = Vec::new();
    let writable = access(&place, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
    findings.push(match (writable, data.exists()) {
        (true, true) => Finding::ok("data folder", format!("{shown}")),
        (true, false) => Finding::ok("data folder", format!("{shown} is not there yet and will be made")),
        (false, _) => Finding::fail(
            "data folder",
            format!("{} cannot be written", place.display()),
            "choose another one with --data, or change its owner",
        ),
    });
    if let Ok(stat) = statvfs(&place) {
        findings.push(room(stat.blocks_available() * stat.fragment_size()));
    }
    findings
}

fn room(free: u64) -> Finding {
    let found = format!("{} free", age::bytes(free));
    let todo = "free some, or put the data folder elsewhere with --data";
    match free {
        0..ROOM_AT_LEAST => Finding::fail("disk", found, todo),
        ROOM_AT_LEAST..ROOM_FOR_ENVIRONMENT => {
            Finding::warn("disk", format!("{found}; an environment takes up to 3 GB"), todo)
        }
        _ => Finding::ok("disk", found),
    }
}

fn existing(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = absolute.ancestors().find(|place| place.exists());
    found.unwrap_or(Path::new("/")).to_owned()
}

/// The Xenna environments in the data folder; `ready.json` is written last.
pub fn environment(data: &Path) -> Finding {
    let mut ready = Vec::new();
    let mut unfinished = 0;
    for entry in std::fs::read_dir(data.join("env")).into_iter().flatten().flatten() {
        match std::fs::read_to_string(entry.path().join("ready.json")) {
            Ok(text) => ready.push(describe(&entry.file_name().to_string_lossy(), &text)),
            Err(_) if entry.path().is_dir() => unfinished += 1,
            Err(_) => {}
        }
    }
    ready.sort();
    match (ready.is_empty(), unfinished) {
        (false, _) => Finding::ok("xenna", ready.join("; ")),
        (true, 0) => Finding::warn(
            "xenna",
            "no environment is prepared yet",
            "nothing: the server prepares one at its first start, which takes minutes",
        ),
        (true, _) => Finding::warn(
            "xenna",
            "the environment is not finished",
            "wait for it (`qd get engines`); if the server is not running, start it: it goes on",
        ),
    }
}

fn describe(name: &str, ready: &str) -> String {
    let value: Value = serde_json::from_str(ready).unwrap_or_default();
    let parts: Vec<String> = ["xenna", "ray", "python"]
        .iter()
        .filter_map(|part| Some(format!("{part} {}", value.get(*part)?.as_str()?)))
        .collect();
    if parts.is_empty() { name.to_owned() } else { format!("{name} ({})", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::doctor::Verdict;

    #[test]
    fn room_is_judged_by_what_an_environment_takes() {
        assert_eq!(room(500_000_000).verdict, Verdict::Fail);
        assert_eq!(room(2_000_000_000).verdict, Verdict::Warn);
        assert_eq!(room(20_000_000_000).verdict, Verdict::Ok);
    }

    #[test]
    fn an_environment_is_ready_when_its_last_file_is_there() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(environment(data.path()).verdict, Verdict::Warn);
        let env = data.path().join("env/xenna-1");
        std::fs::create_dir_all(&env).unwrap();
        assert_eq!(environment(data.path()).found, "the environment is not finished");
        std::fs::write(env.join("ready.json"), r#"{"xenna": "0.5.1", "python": "3.12.4"}"#).unwrap();
        let finding = environment(data.path());
        assert_eq!(
            (finding.verdict, finding.found.as_str()),
            (Verdict::Ok, "xenna-1 (xenna 0.5.1, python 3.12.4)")
        );
    }

    #[test]
    fn a_folder_that_will_be_made_is_fine() {
        let base = tempfile::tempdir().unwrap();
        let findings = data_folder(&base.path().join("a/b"));
        assert_eq!(findings[0].verdict, Verdict::Ok);
        assert!(findings[0].found.ends_with("will be made"));
    }
}
