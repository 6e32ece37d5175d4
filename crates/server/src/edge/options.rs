//! What an operator sets of the edges, and what holds where he sets nothing.

use std::{collections::BTreeMap, num::NonZeroU32, path::PathBuf, str::FromStr, time::Duration};

use ipnet::IpNet;

/// Connections that are held at once where it is not said.
pub const MAX_CONNECTIONS: usize = 4096;

#[derive(Debug, Clone)]
pub struct EdgeOptions {
    pub rates: Rates,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Other sites whose pages may call the API, such as `https://portal.example.org`.
    pub cors_origins: Vec<String>,
    pub tls: Option<TlsFiles>,
    /// Somebody before this server speaks TLS.
    pub behind_proxy: bool,
    pub max_connections: usize,
    pub times: Times,
}

impl Default for EdgeOptions {
    fn default() -> Self {
        Self {
            rates: Rates::default(),
            trusted_proxies: vec![],
            cors_origins: vec![],
            tls: None,
            behind_proxy: false,
            max_connections: MAX_CONNECTIONS,
            times: Times::default(),
        }
    }
}

/// PEM files. They are read again when they change.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's own certificate first, then those between it and the root.
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// How long things may take.
#[derive(Debug, Clone)]
pub struct Times {
    /// From when a connection waits for a request until the request's head is there: idle connections end by it too.
    pub head: Duration,
    /// Between two pieces of a body.
    pub pause: Duration,
    /// For a whole body.
    pub body: Duration,
    /// The same of an archive of code.
    pub archive: Duration,
    /// From when the body is there until the handler answers. What a stream sends afterwards is not bounded by it.
    pub handler: Duration,
    /// For which a client that has data to read may read none of it.
    pub write: Duration,
    pub handshake: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(60),
            pause: Duration::from_secs(15),
            body: Duration::from_secs(60),
            archive: Duration::from_mins(10),
            handler: Duration::from_mins(2),
            write: Duration::from_secs(60),
            handshake: Duration::from_secs(10),
        }
    }
}

/// What requests are counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A route that needs no token and gives one: by address.
    SignIn,
    /// A token or session that is not accepted: by address.
    Refused,
    Read,
    Write,
    /// A stream that is opened.
    Stream,
}

impl Class {
    pub const ALL: [Self; 5] = [Self::SignIn, Self::Refused, Self::Read, Self::Write, Self::Stream];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Refused => "refused",
            Self::Read => "read",
            Self::Write => "write",
            Self::Stream => "stream",
        }
    }
}

/// So many at once, and all of them back after so long, one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub burst: NonZeroU32,
    pub window: Duration,
}

impl Rate {
    const fn new(burst: u32, seconds: u64) -> Option<Self> {
        match NonZeroU32::new(burst) {
            Some(burst) if seconds > 0 => Some(Self { burst, window: Duration::from_secs(seconds) }),
            _ => None,
        }
    }
}

/// The rate of each class; one without has no limit.
#[derive(Debug, Clone)]
pub struct Rates(BTreeMap<Class, Rate>);

impl Default for Rates {
    fn default() -> Self {
        let rates = [
            (Class::SignIn, Rate::new(60, 60)),
            (Class::Refused, Rate::new(300, 60)),
            (Class::Read, Rate::new(10_000, 10)),
            (Class::Write, Rate::new(5_000, 25)),
            (Class::Stream, Rate::new(600, 60)),
        ];
        Self(rates.into_iter().filter_map(|(class, rate)| Some((class, rate?))).collect())
    }
}

impl Rates {
    /// None at all, for a server whose tests and measurements storm it.
    pub fn off() -> Self {
        Self(BTreeMap::new())
    }

    pub fn of(&self, class: Class) -> Option<Rate> {
        self.0.get(&class).copied()
    }

    pub fn set(&mut self, given: &ClassRate) {
        match given.rate {
            Some(rate) => self.0.insert(given.class, rate),
            None => self.0.remove(&given.class),
        };
    }
}

/// `sign-in=60/60`: 60 at once, all back after 60 seconds; `read=off`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassRate {
    pub class: Class,
    pub rate: Option<Rate>,
}

impl FromStr for ClassRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let classes = Class::ALL.map(Class::as_str).join(", ");
            format!(
                "{text:?} is no limit: write a class ({classes}) with a number and the seconds after which all are back, such as sign-in=60/60, or sign-in=off"
            )
        };
        let (class, rate) = text.split_once('=').ok_or_else(wrong)?;
        let class = Class::ALL.into_iter().find(|known| known.as_str() == class).ok_or_else(wrong)?;
        if rate == "off" {
            return Ok(Self { class, rate: None });
        }
        let (burst, seconds) = rate.split_once('/').ok_or_else(wrong)?;
        let (Ok(burst), Ok(seconds)) = (burst.parse(), seconds.parse()) else { return Err(wrong()) };
        let rate = Rate::new(burst, seconds).ok_or_else(wrong)?;
        Ok(Self { class, rate: Some(rate) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_its_seconds() {
        let mut rates = Rates::default();
        rates.set(&"sign-in=5/10".parse().unwrap());
        assert_eq!(rates.of(Class::SignIn), Rate::new(5, 10));
        rates.set(&"sign-in=off".parse().unwrap());
        assert_eq!(rates.of(Class::SignIn), None);
        assert!(Class::ALL.into_iter().all(|class| Rates::default().of(class).is_some()));
        for wrong in ["", "sign-in", "other=1/1", "read=0/1", "read=1/0", "read=1", "read=-1/2", "read=x/y"] {
            assert!(wrong.parse::<ClassRate>().unwrap_err().contains("is no limit"), "{wrong}");
        }
    }
}
