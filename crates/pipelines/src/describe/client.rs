//! Asking the runner about code: bounded, a few at a time, and each question once.
//!
//! To describe a class is to import the user's module, which may do anything: it runs in a process of its own that
//! is ended with all it started. What it answers depends on the environment, the runner and the content of the code,
//! and the pipeline's environment variables, so an answer is kept for ever under these names, in memory and in a file.
//! A failure to answer is not kept, nor that a module cannot be imported, which may be a passing thing of the machine.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{env, fs, io};

use qd_core::canonical::{Digest, sha256_hex};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{Described, Description};
use crate::bounded;
use crate::environment::Environment;

/// The first import of Xenna and Ray takes seconds of it on a slow machine.
const LIMIT: Duration = Duration::from_secs(30);
const MAX_OUTPUT: usize = 4 * 1024 * 1024;
/// Each takes a core for a second or two.
const AT_ONCE: usize = 2;
/// Answers in memory; the files hold all.
const REMEMBERED: usize = 64;

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Question {
    /// Unpacked archives to import from.
    pub code: Vec<(Digest, PathBuf)>,
    /// Import paths of stage classes.
    pub classes: BTreeSet<String>,
    /// Import paths of input functions.
    pub callables: BTreeSet<String>,
    /// Variables that the pipeline sets for its own code.
    pub env: BTreeMap<String, String>,
}

/// Why there is no answer; the sentence is for the author of the code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotDescribed(String);

/// Asks and remembers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Describer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    files: PathBuf,
    remembered: Mutex<HashMap<String, Arc<Description>>>,
    permits: Semaphore,
}

impl Describer {
    /// `data` is the server's data folder.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        let inner = Inner {
            files: data.join("env/described"),
            remembered: Mutex::default(),
            permits: Semaphore::new(AT_ONCE),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What the environment says of the code.
    ///
    /// # Errors
    /// When the runner does not answer: it took longer than 30 seconds, was killed, or answered nonsense.
    pub async fn describe(
        &self,
        environment: &Environment,
        question: &Question,
    ) -> Result<Arc<Description>, NotDescribed> {
        let name = name_of(environment, question);
        let file = self.inner.files.join(format!("{name}.json"));
        if let Some(known) = self.remembered().get(&name) {
            return Ok(known.clone());
        }
        if let Some(kept) = read(&file) {
            return Ok(self.remember(name, kept));
        }
        let refused =
            |error: &dyn std::fmt::Display| NotDescribed(format!("the code could not be read: {error}"));
        let _permit = self.inner.permits.acquire().await.map_err(|error| refused(&error))?;
        // Another may have asked the same while this one waited.
        if let Some(kept) = read(&file) {
            return Ok(self.remember(name, kept));
        }
        let command = command(environment, question);
        let output = bounded::in_thread("describe", move || bounded::run(command, LIMIT, MAX_OUTPUT)).await;
        let output = output.and_then(|output| output).map_err(|error| refused(&error))?;
        if !output.success() {
            let said = output.stderr_tail(12);
            return Err(NotDescribed(
                format!("reading the code {}:\n{said}", output.ending()).trim_end().to_owned(),
            ));
        }
        let description: Description = serde_json::from_slice(&output.stdout)
            .map_err(|error| refused(&format!("what the runner says of it is unreadable ({error})")))?;
        if !final_answer(&description) {
            return Ok(Arc::new(description));
        }
        if let Err(error) = keep(&file, &output.stdout) {
            tracing::warn!(%error, "keep a description: it will be asked for again");
        }
        Ok(self.remember(name, description))
    }

    fn remember(&self, name: String, description: Description) -> Arc<Description> {
        let description = Arc::new(description);
        let mut remembered = self.remembered();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(name, description.clone());
        description
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<String, Arc<Description>>> {
        self.inner.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(environment: &Environment, question: &Question) -> String {
    let digests: Vec<&str> = question.code.iter().map(|(digest, _)| digest.as_str()).collect();
    let text = json!({
        "environment": environment.key,
        "runner": environment.runner.file_name().and_then(|name| name.to_str()),
        "code": digests,
        "classes": question.classes,
        "callables": question.callables,
        "env": question.env,
    });
    sha256_hex(text.to_string())
}

fn command(environment: &Environment, question: &Question) -> Command {
    let list = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(",");
    let mut command = Command::new(&environment.python);
    command.args(["-m", "qd_runner", "describe"]);
    for (_, folder) in &question.code {
        command.arg("--code").arg(folder);
    }
    command.arg("--classes").arg(list(&question.classes));
    command.arg("--callables").arg(list(&question.callables));
    command.current_dir(&environment.runner).env_clear();
    for kept in ["PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH"] {
        if let Some(value) = env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command.envs(&question.env);
    command.env("PYTHONPATH", &environment.runner).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Whether the same question has the same answer tomorrow.
fn final_answer(description: &Description) -> bool {
    let mut all = description.classes.values().chain(description.callables.values());
    !all.any(|described| matches!(described, Described::Failed(failure) if failure.code == "import_error"))
}

fn read(file: &Path) -> Option<Description> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

fn keep(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let Some(folder) = file.parent() else { return Ok(()) };
    fs::create_dir_all(folder)?;
    let mut unfinished = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut unfinished, bytes)?;
    unfinished.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::environment::Versions;

    /// A stand-in for the interpreter: counts its calls and says what the script says.
    fn environment(folder: &Path, script: &str) -> Environment {
        let python = folder.join("python");
        let calls = folder.join("calls");
        fs::write(&python, format!("#!/bin/sh\necho \"$@\" >> {}\n{script}\n", calls.display())).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
        Environment {
            key: "k".into(),
            dir: folder.to_owned(),
            python,
            runner: folder.to_owned(),
            versions: Versions::default(),
        }
    }

    fn calls(folder: &Path) -> Vec<String> {
        fs::read_to_string(folder.join("calls")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn an_answer_is_kept_in_memory_and_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let environment = environment(
            folder.path(),
            r#"echo '{"xenna":"0.5.12","classes":{"a:B":{"ok":false,"code":"not_found","detail":"no"}}}'"#,
        );
        let mut question = Question::default();
        question.classes.insert("a:B".into());
        question.code.push((Digest::of("x"), "/code/x".into()));
        let describer = Describer::new(folder.path());
        let first = describer.describe(&environment, &question).await.unwrap();
        assert_eq!(first.xenna.as_deref(), Some("0.5.12"));
        assert_eq!(describer.describe(&environment, &question).await.unwrap(), first);
        let after_restart = Describer::new(folder.path());
        assert_eq!(after_restart.describe(&environment, &question).await.unwrap(), first);
        let asked = "-m qd_runner describe --code /code/x --classes a:B --callables ";
        assert_eq!(calls(folder.path()), [asked]);

        question.code[0].0 = Digest::of("y");
        describer.describe(&environment, &question).await.unwrap();
        assert_eq!(calls(folder.path()).len(), 2, "other code is another question");
    }

    #[tokio::test]
    async fn an_import_that_failed_is_tried_again_and_variables_are_part_of_the_question() {
        let folder = tempfile::tempdir().unwrap();
        let failed = r#"echo '{"classes":{"a:B":{"ok":false,"code":"import_error","detail":"no"}}}'"#;
        let environment = environment(folder.path(), &format!("echo \"$FLAG\" >> \"$0.env\"\n{failed}"));
        let mut question = Question::default();
        let describer = Describer::new(folder.path());
        question.env.insert("FLAG".into(), "on".into());
        for _ in 0..2 {
            describer.describe(&environment, &question).await.unwrap();
        }
        assert_eq!(fs::read_to_string(folder.path().join("python.env")).unwrap(), "on\non\n");
        let named = name_of(&environment, &question);
        question.env.insert("FLAG".into(), "off".into());
        assert_ne!(name_of(&environment, &question), named);
    }

    #[tokio::test]
    async fn a_failure_says_why_and_is_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let environment = environment(folder.path(), "echo 'MemoryError: no' >&2; exit 9");
        let describer = Describer::new(folder.path());
        for _ in 0..2 {
            let error = describer.describe(&environment, &Question::default()).await.unwrap_err();
            assert_eq!(error.to_string(), "reading the code ended with exit code 9:\nMemoryError: no");
        }
        assert_eq!(calls(folder.path()).len(), 2);
    }
}
