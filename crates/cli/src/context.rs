//! Which server to talk to, and as whom.
//!
//! A JSON file holds named contexts and which one is current. It holds tokens, so it is written for its owner only
//! (0600) and replaced whole. `QD_SERVER` and `QD_TOKEN` go first; a token of the file is only ever sent to the
//! server that it was stored for.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::failure::Failure;
use crate::output::Out;

pub const DEFAULT_SERVER: &str = "http://127.0.0.1:7070";
/// How often a lock that another process holds is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contexts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    #[serde(default)]
    pub contexts: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub server: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The refresh token for the next access token, where the token is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
    /// When the access token expires, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The data folder of a server of this machine, written by `up` and `serve`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// A PEM file with the roots that the server's certificate may go back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cacert: Option<PathBuf>,
    /// The token may be sent without TLS: somebody looked after that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_http: bool,
}

/// What a command works with, from file, environment and flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub server: Url,
    pub token: Option<String>,
    pub tenant: Option<String>,
    pub project: Option<String>,
    /// The context it came from, if any.
    pub context: Option<String>,
    /// The roots that are trusted, instead of the system's.
    pub cacert: Option<PathBuf>,
    /// Where the token is renewed: the file, the context and when the token expires.
    pub renewal: Option<(ContextFile, String, i64)>,
    /// Nobody is warned that the token goes without TLS.
    pub allow_http: bool,
}

impl Access {
    /// Nobody in particular.
    pub fn anonymous(server: Url) -> Self {
        Self {
            server,
            token: None,
            tenant: None,
            project: None,
            context: None,
            cacert: None,
            renewal: None,
            allow_http: false,
        }
    }

    /// What to say where a secret is sent so that whoever is on the way can read it.
    pub fn plain_warning(&self) -> Option<String> {
        if self.server.scheme() != "http" || self.is_loopback() || self.allow_http {
            return None;
        }
        let server = self.server.as_str().trim_end_matches('/');
        Some(format!(
            "warning: {server} is spoken to without TLS: whoever is on the way can read the token, and use it. Use https://, or say that it is meant: qd context set NAME --server {server} --allow-http"
        ))
    }

    /// Says it, once in a process.
    pub fn warn_of_http(&self, out: Out) {
        static ONCE: Once = Once::new();
        if let Some(warning) = self.plain_warning() {
            ONCE.call_once(|| out.error_line(&warning));
        }
    }

    pub fn is_loopback(&self) -> bool {
        match self.server.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        }
    }
}

/// What the command line and the environment say.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub context: Option<String>,
    pub server: Option<String>,
    pub token: Option<String>,
    pub cacert: Option<PathBuf>,
    pub tenant: Option<String>,
    pub project: Option<String>,
}

/// The file, its place and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextFile {
    pub path: PathBuf,
}

impl ContextFile {
    /// `$QD_CONFIG`, else `quarterdeck/config.json` in `$XDG_CONFIG_HOME` or `~/.config`; none where nothing of these is set.
    pub fn locate(var: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        if let Some(path) = set("QD_CONFIG") {
            return Some(Self { path: path.into() });
        }
        let base = match (set("XDG_CONFIG_HOME"), set("HOME")) {
            (Some(config), _) if Path::new(&config).is_absolute() => PathBuf::from(config),
            (_, home) => PathBuf::from(home?).join(".config"),
        };
        Some(Self { path: base.join("quarterdeck").join("config.json") })
    }

    /// The contexts; none when there is no file.
    pub fn read(&self) -> Result<Contexts, Failure> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Contexts::default()),
            Err(error) => return Err(self.fault("read", &error)),
        };
        serde_json::from_str(&text).map_err(|error| {
            Failure::local_with_help(
                format!("{}:{}:{}: {error}", self.path.display(), error.line(), error.column()),
                "correct the context file, or move it away and sign in again",
            )
        })
    }

    /// Replaces the file as a whole, readable by its owner only.
    pub fn write(&self, contexts: &Contexts) -> Result<(), Failure> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|error| self.fault("make the folder of", &error))?;
        }
        let mut text =
            serde_json::to_string_pretty(contexts).map_err(|error| Failure::local(error.to_string()))?;
        text.push('\n');
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let fresh = self.path.with_file_name(name);
        let written = (|| {
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &self.path)
        })();
        written.map_err(|error| {
            let _ = fs::remove_file(&fresh);
            self.fault("write", &error)
        })
    }

    /// Keeps other processes from changing the file until it is dropped. Who reads and then writes takes it first: a refresh
    /// token that was put back in place of the next one would end the session.
    pub async fn lock(&self) -> Result<Flock<fs::File>, Failure> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|error| self.fault("make the folder of", &error))?;
        }
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let path = self.path.with_file_name(name);
        let opened = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = opened.map_err(|error| self.fault("lock", &error))?;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((back, Errno::EWOULDBLOCK | Errno::EINTR)) => file = back,
                Err((_, error)) => return Err(self.fault("lock", &error.into())),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Whether others than the owner can read the file.
    pub fn is_exposed(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
    }

    fn fault(&self, verb: &str, error: &std::io::Error) -> Failure {
        Failure::local(format!("{verb} the context file {}: {error}", self.path.display()))
    }
}

impl Contexts {
    /// Resolves what a command works with. Flags and environment go before the file.
    pub fn access(&self, overrides: &Overrides) -> Result<Access, Failure> {
        let chosen = overrides.context.as_ref().or(self.current.as_ref());
        let entry = match chosen {
            Some(name) => match self.contexts.get(name) {
                Some(entry) => Some((name, entry)),
                None => return Err(self.no_such(name)),
            },
            None => None,
        };
        let entry_server = entry.map(|(_, entry)| entry.server.as_str());
        let server = parse_server(overrides.server.as_deref().or(entry_server).unwrap_or(DEFAULT_SERVER))?;
        let belongs = |entry: &Entry| parse_server(&entry.server).is_ok_and(|other| other == server);
        if let Some((name, entry)) = entry.filter(|(_, entry)| overrides.context.is_some() && !belongs(entry))
        {
            let of = &entry.server;
            let detail =
                format!("the context {name:?} is of {of}, not of {server}: name the one or the other");
            return Err(Failure::usage(detail));
        }
        let entry = entry
            .filter(|(_, entry)| belongs(entry))
            .or_else(|| self.contexts.iter().find(|(_, entry)| belongs(entry)));
        // The project that the file names is one of the tenant that it names.
        let usual = entry.filter(|_| overrides.tenant.is_none());
        Ok(Access {
            server,
            token: overrides.token.clone().or_else(|| entry?.1.token.clone()),
            tenant: overrides.tenant.clone().or_else(|| usual?.1.tenant.clone()),
            project: overrides.project.clone().or_else(|| usual?.1.project.clone()),
            context: entry.map(|(name, _)| name.clone()),
            cacert: overrides.cacert.clone().or_else(|| entry?.1.cacert.clone()),
            renewal: None,
            // What goes to this machine's own server does not leave it.
            allow_http: entry.is_some_and(|(_, entry)| entry.allow_http || entry.data.is_some()),
        })
    }

    /// The same, with a token that is renewed in the file where it was stored for that.
    pub fn renewed_access(&self, overrides: &Overrides, file: &ContextFile) -> Result<Access, Failure> {
        let mut access = self.access(overrides)?;
        let entry = access.context.as_ref().and_then(|name| Some((name, self.contexts.get(name)?)));
        access.renewal = entry
            .filter(|(_, entry)| overrides.token.is_none() && entry.refresh.is_some())
            .map(|(name, entry)| (file.clone(), name.clone(), entry.expires_at.unwrap_or(0)));
        Ok(access)
    }

    pub fn no_such(&self, name: &str) -> Failure {
        let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
        let known = if known.is_empty() {
            "there is none yet".into()
        } else {
            format!("there are: {}", known.join(", "))
        };
        Failure::local_with_help(
            format!("there is no context {name:?}; {known}"),
            "`qd context set NAME --server URL` makes one, `qd up` does it by itself",
        )
    }
}

/// The base URL of a server, without a slash at its end.
pub fn parse_server(text: &str) -> Result<Url, Failure> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let mut url = Url::parse(&full)
        .map_err(|error| Failure::usage(format!("{text:?} is not the address of a server: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(Failure::usage(format!(
            "{text:?} is not the address of a server: use http:// or https://"
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::usage("a server's address carries no user and password: use a token"));
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Contexts {
        let entry = |server: &str, token: &str| Entry {
            server: server.into(),
            token: Some(token.into()),
            ..Entry::default()
        };
        Contexts {
            current: Some("local".into()),
            contexts: [
                ("local".to_owned(), entry("http://127.0.0.1:7070", "qd_local")),
                ("far".to_owned(), entry("https://qd.example.com/base/", "qd_far")),
            ]
            .into(),
        }
    }

    fn access(overrides: Overrides) -> Access {
        two().access(&overrides).unwrap()
    }

    #[test]
    fn the_current_context_is_taken_and_flags_go_first() {
        assert_eq!(access(Overrides::default()).token.as_deref(), Some("qd_local"));
        let far = access(Overrides { context: Some("far".into()), ..Overrides::default() });
        assert_eq!(far.server.as_str(), "https://qd.example.com/base");
        assert_eq!(far.token.as_deref(), Some("qd_far"));
        let env = access(Overrides { token: Some("qd_env".into()), ..Overrides::default() });
        assert_eq!(env.token.as_deref(), Some("qd_env"));
    }

    #[test]
    fn another_tenant_is_named_with_its_own_project_or_none() {
        let mut contexts = two();
        let local = contexts.contexts.get_mut("local").unwrap();
        (local.tenant, local.project) = (Some("acme".into()), Some("search".into()));
        let scope = |tenant: Option<&str>, project: Option<&str>| {
            let [tenant, project] = [tenant, project].map(|name| name.map(str::to_owned));
            let access = contexts.access(&Overrides { tenant, project, ..Overrides::default() }).unwrap();
            (access.tenant.unwrap_or_default(), access.project.unwrap_or_default())
        };
        assert_eq!(scope(None, None), ("acme".into(), "search".into()));
        assert_eq!(scope(None, Some("ads")), ("acme".into(), "ads".into()));
        assert_eq!(scope(Some("other"), None), ("other".into(), String::new()));
        assert_eq!(scope(Some("other"), Some("ads")), ("other".into(), "ads".into()));
    }

    #[test]
    fn a_token_goes_only_to_its_own_server() {
        let other = access(Overrides { server: Some("http://10.0.0.9:7070".into()), ..Overrides::default() });
        assert_eq!((other.token, other.context), (None, None));
        let known =
            access(Overrides { server: Some("https://qd.example.com/base".into()), ..Overrides::default() });
        assert_eq!(known.token.as_deref(), Some("qd_far"));
    }

    #[test]
    fn a_context_that_is_named_is_not_exchanged_for_that_of_the_server() {
        let named = |context: &str, server: &str| {
            let (context, server) = (Some(context.into()), Some(server.into()));
            two().access(&Overrides { context, server, ..Overrides::default() })
        };
        let refused = named("local", "https://qd.example.com/base").unwrap_err().to_string();
        assert_eq!(
            refused,
            "the context \"local\" is of http://127.0.0.1:7070, not of https://qd.example.com/base: name the one or the other"
        );
        assert!(named("local", "http://10.0.0.9:7070").is_err());
        assert_eq!(named("far", "https://qd.example.com/base/").unwrap().token.as_deref(), Some("qd_far"));
    }

    #[test]
    fn without_a_file_the_default_server_is_taken() {
        let access = Contexts::default().access(&Overrides::default()).unwrap();
        assert_eq!(access.server.as_str(), "http://127.0.0.1:7070/");
        assert!(access.is_loopback());
    }

    #[test]
    fn a_token_that_anybody_on_the_way_can_read_is_warned_of() {
        let mut contexts = two();
        contexts.contexts.get_mut("far").unwrap().allow_http = true;
        let warned = |server: &str| {
            let overrides = Overrides { server: Some(server.into()), ..Overrides::default() };
            contexts.access(&overrides).unwrap().plain_warning().is_some()
        };
        for server in
            ["http://qd.example.com", "http://10.0.0.9:7070", "qd.example.com", "http://[fd00::1]:7070"]
        {
            assert!(warned(server), "{server}");
        }
        for server in
            ["https://qd.example.com", "http://127.0.0.1:7070", "http://localhost:9", "http://[::1]:9"]
        {
            assert!(!warned(server), "{server}");
        }
        // Said of the very server, or it is one of this machine's own.
        for (allow_http, data) in [(true, None), (false, Some(PathBuf::from("/data")))] {
            let entry = Entry { server: "http://10.0.0.9:7070".into(), allow_http, data, ..Entry::default() };
            let contexts = Contexts { current: None, contexts: [("plain".to_owned(), entry)].into() };
            let access = |server: &str| {
                let overrides = Overrides { server: Some(server.into()), ..Overrides::default() };
                contexts.access(&overrides).unwrap()
            };
            assert_eq!(access("http://10.0.0.9:7070").plain_warning(), None);
            assert!(access("http://10.0.0.8:7070").plain_warning().is_some());
        }
    }

    #[test]
    fn an_unknown_context_names_the_known_ones() {
        let failure =
            two().access(&Overrides { context: Some("x".into()), ..Overrides::default() }).unwrap_err();
        assert_eq!(failure.to_string(), "there is no context \"x\"; there are: far, local");
    }

    #[test]
    fn the_file_is_for_its_owner_only_and_round_trips() {
        let folder = tempfile::tempdir().unwrap();
        let file = ContextFile { path: folder.path().join("deep").join("config.json") };
        assert_eq!(file.read().unwrap(), Contexts::default());
        file.write(&two()).unwrap();
        assert_eq!(file.read().unwrap(), two());
        assert_eq!(fs::metadata(&file.path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!file.is_exposed());
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o644)).unwrap();
        file.write(&two()).unwrap();
        assert!(!file.is_exposed(), "also when it was readable before");
        assert_eq!(fs::read_dir(folder.path().join("deep")).unwrap().count(), 1, "nothing left beside it");
    }

    #[test]
    fn the_place_follows_the_environment() {
        let locate = |vars: &[(&str, &str)]| {
            ContextFile::locate(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
                .map(|file| file.path.display().to_string())
        };
        assert_eq!(locate(&[("QD_CONFIG", "/c/x.json"), ("HOME", "/h")]).unwrap(), "/c/x.json");
        assert_eq!(
            locate(&[("XDG_CONFIG_HOME", "/xdg"), ("HOME", "/h")]).unwrap(),
            "/xdg/quarterdeck/config.json"
        );
        assert_eq!(locate(&[("HOME", "/h")]).unwrap(), "/h/.config/quarterdeck/config.json");
        assert_eq!(locate(&[]), None);
    }

    #[test]
    fn addresses_are_checked() {
        assert_eq!(parse_server("127.0.0.1:9").unwrap().as_str(), "http://127.0.0.1:9/");
        assert!(parse_server("ftp://x").is_err());
        assert!(parse_server("http://user:pw@x").is_err());
    }
}
