//! Where Postgres' programs are, and as whom they run: `initdb` and `postgres` refuse root.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{User, geteuid};

pub(super) struct Binaries {
    folder: PathBuf,
    /// Set when this process is root.
    user: Option<User>,
}

impl Binaries {
    /// # Panics
    /// With what to install where there is no Postgres.
    pub fn find() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let mut debian: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .map(|path| {
                let version = path.file_name().and_then(|name| name.to_str()?.parse().ok());
                (version.unwrap_or(0), path.join("bin"))
            })
            .collect();
        debian.sort();
        folders.extend(debian.into_iter().rev().map(|(_, folder)| folder));
        let folder = folders
            .into_iter()
            .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
            .expect("tests need a Postgres server's programs: apt-get install postgresql");
        let user = geteuid().is_root().then(|| {
            let named = |name| User::from_name(name).ok().flatten();
            named("postgres").or_else(|| named("nobody")).expect("root needs a user `postgres` or `nobody`")
        });
        Self { folder, user }
    }

    /// Makes a folder the server's own.
    pub fn give(&self, folder: &Path) {
        if let Some(user) = &self.user {
            chown(folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .expect("give the folder to the server");
        }
    }

    pub fn command(&self, program: &str) -> Command {
        let mut words = self.words(program).into_iter();
        let mut command = Command::new(words.next().expect("a program's name is one word at least"));
        command.args(words);
        command
    }

    /// The same for a shell, with this in the program's environment, and not in that of what starts it; nothing of it holds quotes.
    pub fn command_line(&self, program: &str, env: &[String]) -> String {
        let mut words = self.words(program);
        let at = words.len() - 1;
        words.splice(at..at, std::iter::once("env".to_owned()).chain(env.iter().cloned()));
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
    }

    fn words(&self, program: &str) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(user) = &self.user {
            words.push("setpriv".to_owned());
            words.push(format!("--reuid={}", user.uid));
            words.push(format!("--regid={}", user.gid));
            words.push("--clear-groups".to_owned());
        }
        words.push(self.folder.join(program).display().to_string());
        words
    }
}
