//! Making an environment: lock, venv, packages, a look at what was installed, and `ready.json`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::python::{Python, find_python};
use super::runner_files::{base_requirements, write_runner};
use super::{Environment, Progress, Versions, key_of, pip};
use crate::bounded;

const READY: &str = "ready.json";
const BUILD_LOG: &str = "build.log";
const STEPS: u32 = 4;
/// Importing Xenna for the first time, on a slow disk.
const LOOK_LIMIT: Duration = Duration::from_secs(180);
const LOOK: &str = "
import importlib.metadata as m, json, platform, cosmos_xenna.pipelines.v1, ray
print(json.dumps({'python': platform.python_version(), 'xenna': m.version('cosmos-xenna'), 'ray': m.version('ray')}))
";

/// The content of `ready.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {
    versions: Versions,
    requirements: Vec<String>,
}

type Report<'a> = &'a dyn Fn(Progress);

/// The environment with `requirements` beside the base's: the one that is there, or a new one.
pub(super) fn environment_make(
    root: &Path,
    requirements: &[String],
    report: Report<'_>,
) -> Result<Environment, String> {
    say(report, 1, "Find Python", "");
    let python = find_python()?;
    let base = base_make(root, &python, report)?;
    if requirements.is_empty() { Ok(base) } else { layer_make(root, &python, &base, requirements, report) }
}

fn base_make(root: &Path, python: &Python, report: Report<'_>) -> Result<Environment, String> {
    let key = key_of(&python.version, base_requirements(), &[]);
    make(
        root,
        &key,
        &[],
        report,
        &|dir, log| {
            let title = "Install Xenna and Ray";
            say(report, 3, title, "about 400 MB");
            let wanted = dir.join("requirements.txt");
            fs::write(&wanted, base_requirements())
                .map_err(|error| format!("write requirements.txt: {error}"))?;
            let mut command = pip_install(dir);
            command.arg("-r").arg(&wanted);
            pip::run(command, log, &|detail| say(report, 3, title, detail))
        },
        python,
    )
}

/// A thin environment that sees the base: what the base has is not installed again, and cannot be replaced.
fn layer_make(
    root: &Path,
    python: &Python,
    base: &Environment,
    requirements: &[String],
    report: Report<'_>,
) -> Result<Environment, String> {
    let key = key_of(&python.version, base_requirements(), requirements);
    make(
        root,
        &key,
        requirements,
        report,
        &|dir, log| {
            let title = "Install the pipeline's requirements";
            say(report, 3, title, &requirements.join(", "));
            let (own, below) = (site_packages(dir)?, site_packages(&base.dir)?);
            let pth = format!("{}\n", below.display());
            fs::write(own.join("quarterdeck_base.pth"), pth)
                .map_err(|error| format!("write a .pth file: {error}"))?;
            let constraints = dir.join("base.txt");
            fs::write(&constraints, installed_in(&below)?)
                .map_err(|error| format!("write constraints: {error}"))?;
            let mut command = pip_install(dir);
            command.arg("-c").arg(&constraints).args(requirements);
            pip::run(command, log, &|detail| say(report, 3, title, detail))
        },
        python,
    )
}

fn make(
    root: &Path,
    key: &str,
    requirements: &[String],
    report: Report<'_>,
    install: &dyn Fn(&Path, &mut File) -> Result<(), String>,
    python: &Python,
) -> Result<Environment, String> {
    fs::create_dir_all(root).map_err(|error| format!("create {}: {error}", root.display()))?;
    // Absolute: the interpreter is started from other folders.
    let root = root.canonicalize().map_err(|error| format!("find {}: {error}", root.display()))?;
    let runner = write_runner(&root).map_err(|error| format!("write the runner: {error}"))?;
    let dir = root.join(format!("xenna-{key}"));
    if let Some(found) = read_ready(&dir, key, &runner) {
        return Ok(found);
    }
    let _lock = lock(&root.join(format!("xenna-{key}.lock")), report)?;
    // Another process may have made it while this one waited.
    if let Some(found) = read_ready(&dir, key, &runner) {
        return Ok(found);
    }
    remove(&dir)?;
    let made = fill(&dir, requirements, report, install, python);
    if made.is_err() {
        // What the installer said stays for whoever looks into it; the rest would only lie there.
        let _ = fs::rename(dir.join(BUILD_LOG), root.join(format!("xenna-{key}.failed.log")));
        remove(&dir)?;
    }
    Ok(environment(dir, key, &runner, made?.versions))
}

fn fill(
    dir: &Path,
    requirements: &[String],
    report: Report<'_>,
    install: &dyn Fn(&Path, &mut File) -> Result<(), String>,
    python: &Python,
) -> Result<Ready, String> {
    fs::create_dir_all(dir).map_err(|error| format!("create {}: {error}", dir.display()))?;
    let mut log =
        File::create(dir.join(BUILD_LOG)).map_err(|error| format!("create {BUILD_LOG}: {error}"))?;
    say(report, 2, "Create the environment", &format!("Python {}", python.version));
    let mut command = Command::new(&python.path);
    command.args(["-m", "venv"]).arg(dir);
    pip::run(command, &mut log, &|_| {})?;
    install(dir, &mut log)?;
    say(report, 4, "Check what was installed", "importing Xenna");
    let versions = look(dir)?;
    let ready = Ready { versions, requirements: requirements.to_vec() };
    write_ready(dir, &ready).map_err(|error| format!("write {READY}: {error}"))?;
    Ok(ready)
}

fn remove(dir: &Path) -> Result<(), String> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(format!("remove a half-made environment: {error}"))
        }
        _ => Ok(()),
    }
}

fn environment(dir: PathBuf, key: &str, runner: &Path, versions: Versions) -> Environment {
    let python = dir.join("bin/python");
    Environment { key: key.to_owned(), dir, python, runner: runner.to_owned(), versions }
}

fn read_ready(dir: &Path, key: &str, runner: &Path) -> Option<Environment> {
    let ready: Ready = serde_json::from_slice(&fs::read(dir.join(READY)).ok()?).ok()?;
    // Its Python may have been uninstalled since.
    let python = dir.join("bin/python");
    python.exists().then(|| environment(dir.to_owned(), key, runner, ready.versions))
}

fn write_ready(dir: &Path, ready: &Ready) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&serde_json::to_vec_pretty(ready)?)?;
    // The packages before their seal, also after a power cut.
    nix::unistd::syncfs(file.as_file())?;
    file.persist(dir.join(READY))?;
    Ok(())
}

fn lock(path: &Path, report: Report<'_>) -> Result<Flock<File>, String> {
    let open = OpenOptions::new().create(true).append(true).open(path);
    let mut file = open.map_err(|error| format!("open {}: {error}", path.display()))?;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((again, Errno::EWOULDBLOCK)) => {
                say(report, 2, "Wait for another process", "it prepares the same environment");
                file = again;
                std::thread::sleep(Duration::from_millis(200));
            }
            Err((_, error)) => return Err(format!("lock {}: {error}", path.display())),
        }
    }
}

fn pip_install(dir: &Path) -> Command {
    let mut command = Command::new(dir.join("bin/python"));
    command.args([
        "-m",
        "pip",
        "install",
        "--progress-bar",
        "off",
        "--no-input",
        "--disable-pip-version-check",
    ]);
    command
}

fn site_packages(dir: &Path) -> Result<PathBuf, String> {
    let found = fs::read_dir(dir.join("lib")).into_iter().flatten().flatten();
    let mut folders = found.map(|entry| entry.path().join("site-packages")).filter(|path| path.is_dir());
    folders.next().ok_or_else(|| format!("{} has no site-packages", dir.display()))
}

/// `name==version` of each package in a site-packages folder, as constraints for pip.
fn installed_in(site_packages: &Path) -> Result<String, String> {
    let entries =
        fs::read_dir(site_packages).map_err(|error| format!("read {}: {error}", site_packages.display()))?;
    let mut lines: Vec<String> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (package, version) = name.strip_suffix(".dist-info")?.split_once('-')?;
            // The tools that venv brings may differ.
            (package != "pip" && package != "setuptools").then(|| format!("{package}=={version}\n"))
        })
        .collect();
    lines.sort();
    Ok(lines.concat())
}

fn look(dir: &Path) -> Result<Versions, String> {
    let mut command = Command::new(dir.join("bin/python"));
    command.args(["-I", "-c", LOOK]);
    pip::environment_set(&mut command);
    let output = bounded::run(command, LOOK_LIMIT, 64 * 1024).map_err(|error| error.to_string())?;
    if !output.success() {
        return Err(format!("importing Xenna {}:\n{}", output.ending(), output.stderr_tail(20)));
    }
    // Imported packages may print before.
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|error| format!("what was installed cannot be told: {error}"))
}

fn say(report: Report<'_>, step: u32, title: &str, detail: &str) {
    report(Progress { step, total: STEPS, title: title.to_owned(), detail: detail.to_owned() });
}
