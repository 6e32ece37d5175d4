//! pip: running it, and reading its progress out of what it prints.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::bounded::tie_to_this_thread;

/// Lines of output that a failure carries.
const TAIL: usize = 25;

/// Variables that pip may need to reach an index; nothing else of the server's environment goes to it.
const KEPT: [&str; 13] = [
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
];

/// Gives the child the environment that package tools need.
pub(super) fn environment_set(command: &mut Command) {
    command.env_clear();
    for (name, value) in std::env::vars_os() {
        let wanted = name.to_str().is_some_and(|name| {
            KEPT.contains(&name)
                || name.starts_with("PIP_")
                || name.starts_with("XDG_")
                || name.starts_with("LC_")
        });
        if wanted {
            command.env(name, value);
        }
    }
    command.env("PYTHONUNBUFFERED", "1");
}

/// Runs a package tool to its end. `report` gets what it is at; the error holds the end of what it said.
pub(super) fn run(mut command: Command, log: &mut File, report: &dyn Fn(&str)) -> Result<(), String> {
    environment_set(&mut command);
    let (output, output_end) = io::pipe().map_err(|error| error.to_string())?;
    let error_end = output_end.try_clone().map_err(|error| error.to_string())?;
    command.stdin(Stdio::null()).stdout(output_end).stderr(error_end);
    tie_to_this_thread(&mut command);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|error| format!("{program} could not be started: {error}"))?;
    // The writing ends: else the pipe would never end.
    drop(command);

    let mut tail: VecDeque<String> = VecDeque::new();
    let mut lines = BufReader::new(output);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        let _ = writeln!(log, "{text}");
        if let Some(now) = progress_of(&text) {
            report(&now);
        }
        tail.push_back(text);
        if tail.len() > TAIL {
            tail.pop_front();
        }
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{program} ended with {status}:\n{}", tail.make_contiguous().join("\n")))
}

/// What a line of pip's output tells a person who waits.
fn progress_of(line: &str) -> Option<String> {
    let text = line.trim();
    if let Some(package) = text.strip_prefix("Collecting ") {
        let package = package.split([' ', '(', ';']).next()?;
        return Some(format!("looking at {package}"));
    }
    for verb in ["Downloading ", "Using cached "] {
        let Some(rest) = text.strip_prefix(verb) else { continue };
        let (file, size) = rest.split_once(' ').unwrap_or((rest, ""));
        if file.ends_with(".metadata") {
            return None;
        }
        // `https://…/ray-2.60.0-cp312-cp312-manylinux2014_x86_64.whl` → `ray 2.60.0`
        let file = file.rsplit('/').next()?;
        let mut parts = file.split('-');
        let (name, version) = (parts.next()?, parts.next()?);
        let version = version.trim_end_matches(".tar.gz");
        return Some(format!("{}{name} {version} {size}", verb.to_lowercase()).trim_end().to_owned());
    }
    if let Some(packages) = text.strip_prefix("Installing collected packages:") {
        return Some(format!("installing {} packages", packages.split(',').count()));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_from_pips_own_lines() {
        let cases = [
            (
                "Collecting ray[default]>=2.56 (from cosmos-xenna==0.5.12)",
                Some("looking at ray[default]>=2.56"),
            ),
            (
                "  Downloading ray-2.60.0-cp312-cp312-manylinux2014_x86_64.whl (72.9 MB)",
                Some("downloading ray 2.60.0 (72.9 MB)"),
            ),
            ("Using cached attrs-24.2.0-py3-none-any.whl (63 kB)", Some("using cached attrs 24.2.0 (63 kB)")),
            ("  Downloading ray-2.60.0-cp312-cp312-manylinux2014_x86_64.whl.metadata (17 kB)", None),
            ("  Downloading https://x/y/demo-1.0.tar.gz (5 kB)", Some("downloading demo 1.0 (5 kB)")),
            ("Installing collected packages: a, b, c", Some("installing 3 packages")),
            ("Requirement already satisfied: pip", None),
        ];
        for (line, wanted) in cases {
            assert_eq!(progress_of(line).as_deref(), wanted, "{line}");
        }
    }

    #[test]
    fn a_failure_carries_the_end_of_what_was_said() {
        let mut log = tempfile::tempfile().unwrap();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "for i in $(seq 100); do echo line $i; done; echo 'ERROR: no match' >&2; exit 1"]);
        let error = run(command, &mut log, &|_| {}).unwrap_err();
        assert!(
            error.contains("ERROR: no match") && error.contains("line 90") && !error.contains("line 10\n")
        );
    }
}
