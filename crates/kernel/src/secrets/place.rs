//! Secrets that lie on the server: variables of its environment and files of its machine, as far as its operator lets connections
//! name them.
//!
//! Whoever writes a connection chooses both what is read here and where it is sent. So an operator lists the variables and the
//! folders; a server that shares its database has none until he does. On one that is alone, where whoever writes connections owns
//! the machine, the rest may be named while nothing is listed. What is the server's own (its keys, its folder, its variables) is
//! refused whatever is listed, by the place that a path leads to, after every link. Each use is written down as that of a stored
//! secret is, also one that was refused.

use std::{
    fs::File,
    io::Read as _,
    os::{
        fd::AsRawFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use qd_core::error::{Error, Result};
use zeroize::Zeroizing;

use super::{
    KEY_VARIABLE, LONGEST, Secret, SecretUse, Secrets, TOKEN_VARIABLE,
    resolve::{Used, What},
};

/// The server's own variables begin so, or are called so.
const OWN_VARIABLES: [&str; 3] = ["QD_", KEY_VARIABLE, TOKEN_VARIABLE];
/// With these the server itself may sign in somewhere: they are named by an operator or not read.
const SHARED_VARIABLES: [&str; 2] = ["AWS_", "VAULT_"];
/// Folders of the machine that hold the environment and the memory of processes.
const OWN_FOLDERS: [&str; 3] = ["/proc", "/sys", "/dev"];

const OWN: &str = "is the server's own, which no connection may name";

/// What connections may name of the server's machine.
#[derive(Debug, Clone, Default)]
pub struct ServerPlaces {
    /// Names of variables; one that ends with `*` means all that begin so.
    pub variables: Vec<String>,
    /// Folders with all that lies below them.
    pub folders: Vec<PathBuf>,
    /// Files of the server's own, which nobody may name.
    pub own: Vec<PathBuf>,
}

impl ServerPlaces {
    fn listed(&self) -> bool {
        !self.variables.is_empty() || !self.folders.is_empty()
    }
}

impl Secrets {
    /// What a variable of the server holds now.
    ///
    /// # Errors
    /// `secret_place_refused`; `secret_missing` where it is not set.
    pub(crate) async fn resolve_variable(&self, name: &str, usage: &SecretUse) -> Result<Secret> {
        let used =
            Used { object: ("ServerVariable", None, name.to_owned()), what: What::Variable(name.into()) };
        if let Some(why) = self.variable_refused(name) {
            return Err(self.refuse(used, usage, format!("the server's variable {name} {why}")).await);
        }
        let text = std::env::var(name).map(Zeroizing::new);
        let text = text.map_err(|_| missing(format!("the server's variable {name} is not set")))?;
        let secret = word_of(&text, || format!("the server's variable {name}"))?;
        self.record(used, usage).await?;
        Ok(secret)
    }

    /// What a file of the server's machine holds now, without the line's end.
    ///
    /// # Errors
    /// `secret_place_refused`; `secret_missing` where it is not there, is no text, or is too long.
    pub(crate) async fn resolve_file(&self, path: &Path, usage: &SecretUse) -> Result<Secret> {
        let place = || format!("the server's file {}", path.display());
        let named = path.to_string_lossy().into_owned();
        let used = Used { object: ("ServerFile", None, named), what: What::File(path.to_owned()) };
        let (secrets, at) = (self.clone(), path.to_owned());
        let read = tokio::task::spawn_blocking(move || secrets.file_read(&at)).await;
        let text = match read.map_err(|_| missing(format!("{} cannot be read", place())))? {
            Ok(text) => text,
            Err(Unread::Refused(why)) => {
                return Err(self.refuse(used, usage, format!("{} {why}", place())).await);
            }
            Err(Unread::Missing(why)) => return Err(missing(format!("{} {why}", place()))),
        };
        let secret = word_of(&text, place)?;
        self.record(used, usage).await?;
        Ok(secret)
    }

    async fn refuse(&self, used: Used, usage: &SecretUse, why: String) -> Error {
        match self.record_refused(used, usage, &why).await {
            Ok(()) => Error::forbidden("secret_place_refused", why),
            Err(error) => error,
        }
    }

    fn variable_refused(&self, name: &str) -> Option<&'static str> {
        let places = &self.0.options.places;
        let begins = |own: &&str| name.starts_with(*own);
        if OWN_VARIABLES.iter().any(&begins) {
            return Some(OWN);
        }
        let listed = places.variables.iter().any(|one| match one.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => one == name,
        });
        let open = !self.0.store.is_shared() && !places.listed() && !SHARED_VARIABLES.iter().any(begins);
        (!listed && !open).then_some(
            "is not one that the server's operator lets connections name (--allow-secret-variable)",
        )
    }

    /// The answer depends on what the path leads to, and is the same whether something lies there or not.
    fn file_read(&self, path: &Path) -> Result<Zeroizing<String>, Unread> {
        self.file_allowed(path)?;
        let real = path.canonicalize().map_err(Unread::because)?;
        self.file_allowed(&real)?;
        // Neither waits for the other end of a pipe nor follows a link that came since.
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits();
        let file = File::options().read(true).custom_flags(flags).open(&real).map_err(Unread::because)?;
        let opened = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
        if opened.map_err(Unread::because)? != real {
            return Err(Unread::Missing("was exchanged while it was read".into()));
        }
        let about = file.metadata().map_err(Unread::because)?;
        if !about.is_file() {
            return Err(Unread::Missing("is no file".into()));
        }
        let same = |own: &PathBuf| {
            own.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (about.dev(), about.ino()))
        };
        if self.own_files().iter().any(same) {
            return Err(Unread::Refused(OWN));
        }
        let mut text = Zeroizing::new(String::with_capacity(LONGEST + 1));
        file.take(LONGEST as u64 + 1).read_to_string(&mut text).map_err(Unread::because)?;
        match text.len() > LONGEST {
            true => Err(Unread::Missing(format!("is longer than {LONGEST} bytes"))),
            false => Ok(text),
        }
    }

    fn file_allowed(&self, path: &Path) -> Result<(), Unread> {
        let places = &self.0.options.places;
        let below = |folder: &Path| {
            path.starts_with(folder) || folder.canonicalize().is_ok_and(|folder| path.starts_with(folder))
        };
        let own = OWN_FOLDERS.iter().any(|folder| below(Path::new(folder)))
            || self.0.options.folder.as_deref().is_some_and(below)
            || places.own.iter().any(|file| below(file));
        if own {
            return Err(Unread::Refused(OWN));
        }
        let open = !self.0.store.is_shared() && !places.listed();
        match open || places.folders.iter().any(|folder| below(folder)) {
            true => Ok(()),
            false => Err(Unread::Refused(
                "is in no folder that the server's operator lets connections name (--allow-secret-folder)",
            )),
        }
    }

    /// Files of the server's own by themselves, for one that has another name as well.
    fn own_files(&self) -> Vec<PathBuf> {
        let folder = self.0.options.folder.iter();
        let entries = folder.filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
        entries.map(|entry| entry.path()).chain(self.0.options.places.own.iter().cloned()).collect()
    }
}

enum Unread {
    Refused(&'static str),
    Missing(String),
}

impl Unread {
    /// Without what was read: an error of decoding would quote it.
    fn because(error: std::io::Error) -> Self {
        Self::Missing(format!("cannot be read ({})", error.kind()))
    }
}

fn missing(why: String) -> Error {
    Error::unavailable("secret_missing", why)
}

fn word_of(text: &str, place: impl Fn() -> String) -> Result<Secret> {
    match text.trim() {
        "" => Err(missing(format!("{} is empty", place()))),
        secret => Ok(Secret::new(secret)),
    }
}
