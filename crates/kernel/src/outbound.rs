//! Calls to addresses that users give: what a connection, a webhook or a bucket leads to.
//!
//! Whoever writes a connection chooses where this server calls, with the server's place in the network. So a name is resolved here,
//! addresses that are not for everybody are left out, and the call goes to what is left and to nothing else: the client asks
//! this resolver and no other, so a name that leads elsewhere a moment later changes nothing. Redirects are not followed and
//! no proxy is used, for both would choose another address.
//!
//! On a server that is alone (SQLite, a laptop) loopback and private addresses are allowed: who writes connections there owns the
//! machine, and what they lead to runs beside it. Link-local addresses, where clouds keep their machines' credentials, are
//! refused everywhere unless their network is named.

use std::{
    error::Error as StdError,
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use ipnet::IpNet;
use qd_core::error::{Error, Result};
use reqwest::{
    Client, ClientBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use url::{Host, Url};

const CONNECT: Duration = Duration::from_secs(5);
/// How long a client is kept: a root certificate that was added is trusted after this time.
const KEPT: Duration = Duration::from_mins(1);

/// What an operator allows.
#[derive(Debug, Clone, Default)]
pub struct OutboundOptions {
    /// Loopback and private addresses; where it is not said, those of a server that is alone.
    pub private: Option<bool>,
    /// Networks that are allowed whatever they are.
    pub networks: Vec<IpNet>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    rules: Arc<Rules>,
    /// The client that is kept, and since when.
    kept: Arc<Mutex<Option<(Instant, Client)>>>,
}

struct Rules {
    private: bool,
    networks: Vec<IpNet>,
    lookup: Lookup,
}

/// Who knows which addresses a name leads to: the system, unless a test says otherwise.
type Lookup = fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

fn lookup(host: String, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((host.as_str(), port)).await?.collect()) })
}

/// An address that is not called, and why.
#[derive(Debug, Clone)]
pub struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Refused {}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::forbidden("address_refused", refused.0)
    }
}

/// Whom an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Everybody,
    /// Loopback and private networks.
    Private(&'static str),
    /// Link-local, and what is no host's address.
    Special(&'static str),
}

impl Outbound {
    /// `alone` of a server that shares its database with no other.
    pub fn new(options: &OutboundOptions, alone: bool) -> Self {
        Self::by(options, alone, lookup)
    }

    fn by(options: &OutboundOptions, alone: bool, lookup: Lookup) -> Self {
        let private = options.private.unwrap_or(alone);
        let rules = Rules { private, networks: options.networks.clone(), lookup };
        Self { rules: Arc::new(rules), kept: Arc::default() }
    }

    /// A URL that may be called, as far as it can be known without asking for its name's addresses.
    ///
    /// # Errors
    /// `address_refused`; nothing of the URL is repeated but its host.
    pub fn url(&self, text: &str) -> Result<Url> {
        let wrong = |why: &str| Error::forbidden("address_refused", why);
        let url = Url::parse(text).map_err(|_| wrong("the address is no URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("an address begins with http:// or https://"));
        }
        match url.host() {
            None => Err(wrong("the address names no host")),
            Some(Host::Ipv4(address)) => {
                self.rules.allow(IpAddr::V4(address)).map(|()| url).map_err(Into::into)
            }
            Some(Host::Ipv6(address)) => {
                self.rules.allow(IpAddr::V6(address)).map(|()| url).map_err(Into::into)
            }
            Some(Host::Domain(_)) => Ok(url),
        }
    }

    /// The addresses behind a name, or the one that it is, without those that are refused.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let found = (self.rules.lookup)(host.to_owned(), port).await.map_err(|_| {
            Error::unavailable("host_not_found", format!("the name {host:?} leads to no address"))
        })?;
        Ok(self.rules.allowed(host, found)?)
    }

    /// A client that calls allowed addresses alone, follows no redirect and uses no proxy.
    pub fn client(&self) -> Result<Client> {
        self.made(|builder| builder)
    }

    /// The same of calls here and there. It is kept, because to make one reads every root certificate; its connections are not, so that
    /// each call asks for the name's addresses.
    pub fn kept_client(&self) -> Result<Client> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = kept.as_ref().filter(|(made, _)| made.elapsed() < KEPT) {
            return Ok(client.clone());
        }
        let client = self.made(|builder| builder.pool_max_idle_per_host(0))?;
        *kept = Some((Instant::now(), client.clone()));
        Ok(client)
    }

    fn made(&self, wishes: fn(ClientBuilder) -> ClientBuilder) -> Result<Client> {
        let failed = |error| {
            Error::unavailable("no_http_client", "make a client for calls to outside").with_source(error)
        };
        let builder = || wishes(self.guard(Client::builder()));
        builder()
            .build()
            .or_else(|_| {
                // Without a root certificate to trust, what is not encrypted can still be called.
                builder().tls_certs_only([]).build()
            })
            .map_err(failed)
    }

    /// The same of a client with wishes of its own.
    pub fn guard(&self, builder: ClientBuilder) -> ClientBuilder {
        // The process may have chosen one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        builder
            .connect_timeout(CONNECT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Resolver(self.rules.clone())))
    }
}

impl Rules {
    fn allow(&self, address: IpAddr) -> Result<(), Refused> {
        if self.networks.iter().any(|network| network.contains(&plain(address))) {
            return Ok(());
        }
        match reach(address) {
            Reach::Everybody => Ok(()),
            Reach::Private(_) if self.private => Ok(()),
            Reach::Private(what) => Err(Refused(format!(
                "{address} is {what}, which this server does not call unless its operator allows it (--allow-private-addresses, --allow-network)"
            ))),
            Reach::Special(what) => Err(Refused(format!(
                "{address} is {what}, which this server does not call unless its operator names the network (--allow-network)"
            ))),
        }
    }

    fn allowed(&self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refused> {
        let mut refused = None;
        let mut allowed = vec![];
        for address in found {
            match self.allow(address.ip()) {
                Ok(()) => allowed.push(address),
                Err(why) => refused = Some(why),
            }
        }
        match (allowed.is_empty(), refused) {
            (true, Some(why)) if host.parse::<IpAddr>().is_ok() => Err(why),
            (true, Some(why)) => Err(Refused(format!("{host} leads to {why}"))),
            _ => Ok(allowed),
        }
    }
}

/// Whom a client asks for addresses. It holds the rules alone: if it held [`Outbound`], the client that is kept there would hold itself.
struct Resolver(Arc<Rules>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, name) = (self.0.clone(), name.as_str().to_owned());
        Box::pin(async move {
            let found = (rules.lookup)(name.clone(), 0).await?;
            let allowed = rules.allowed(&name, found)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Why a call was not made, where it was refused here.
pub fn refusal<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Refused> {
    let mut error: Option<&'e (dyn StdError + 'static)> = Some(error);
    while let Some(inner) = error {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return Some(refused);
        }
        error = inner.source();
    }
    None
}

/// What failed of a call, in words that hold nothing of what was sent.
pub fn failure(error: &reqwest::Error) -> Error {
    if let Some(refused) = refusal(error) {
        return refused.clone().into();
    }
    let why = if error.is_timeout() {
        "it does not answer in time"
    } else if error.is_connect() {
        "it cannot be connected to"
    } else {
        "the connection broke off"
    };
    Error::unavailable("unreachable", why)
}

/// The address that an IPv6 one stands for.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => embedded(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// An IPv4 address that is reached by way of this one: mapped, by NAT64, by 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let at =
        |from: usize| Some(Ipv4Addr::new(octets[from], octets[from + 1], octets[from + 2], octets[from + 3]));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => at(12),
        [0x2002, ..] => at(2),
        _ => None,
    }
}

fn reach(address: IpAddr) -> Reach {
    match plain(address) {
        IpAddr::V4(v4) => reach_v4(v4),
        IpAddr::V6(v6) => reach_v6(v6),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    let [a, b, c, _] = address.octets();
    // Where Azure's own services answer a machine, in the midst of everybody's addresses.
    if address == Ipv4Addr::new(168, 63, 129, 16) {
        return Reach::Special("an address of the provider's network");
    }
    match (a, b, c) {
        (127, ..) => Reach::Private("an address of this machine"),
        (10, ..) | (192, 168, _) => Reach::Private("a private address"),
        (172, 16..=31, _) => Reach::Private("a private address"),
        // Where a cloud's own services are found, as in 100.100.100.200.
        (100, 64..=127, _) => Reach::Special("an address of the provider's network"),
        (169, 254, _) => Reach::Special("a link-local address"),
        (0, ..) => Reach::Special("no host's address"),
        (192, 0, 0) | (192, 0, 2) | (192, 88, 99) | (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113) => {
            Reach::Special("an address that is kept for special use")
        }
        (224.., ..) => Reach::Special("no host's address"),
        _ => Reach::Everybody,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Private("an address of this machine"),
        // Where AWS and Google answer for a machine's credentials.
        [0xfd00, 0xec2, ..] | [0xfd20, 0xce, ..] => Reach::Special("an address of the provider's network"),
        [0xfc00..=0xfdff, ..] => Reach::Private("a private address"),
        [0xfe80..=0xfeff, ..] => Reach::Special("a link-local address"),
        [0, 0, 0, 0, ..] | [0xff00..=0xffff, ..] => Reach::Special("no host's address"),
        [0x100, 0, 0, 0, ..] | [0x2001, 0xdb8, ..] | [0x2001, 0..=0x1ff, ..] | [0x64, 0xff9b, 1, ..] => {
            Reach::Special("an address that is kept for special use")
        }
        _ => Reach::Everybody,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    fn open(private: bool, networks: &[&str]) -> Outbound {
        let networks = networks.iter().map(|text| text.parse().unwrap()).collect();
        Outbound::new(&OutboundOptions { private: Some(private), networks }, false)
    }

    #[test]
    fn what_is_not_for_everybody_is_refused_in_every_disguise() {
        let strict = open(false, &[]);
        let relaxed = open(true, &[]);
        let private = [
            "127.0.0.1",
            "127.8.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "[::1]",
            "[fd12::1]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::a00:1]",
            "[2002:a00:1::]",
            "0x7f.1",
            "2130706433",
            "127.1",
            "017700000001",
            "127.0.0.1.",
            "%31%32%37.0.0.1",
            "①②⑦.0.0.1",
            "user:word@127.0.0.1",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:ffff:127.0.0.1]",
        ];
        for host in private {
            assert_eq!(strict.url(&format!("http://{host}/")).unwrap_err().code, "address_refused", "{host}");
            assert!(relaxed.url(&format!("http://{host}/")).is_ok(), "{host}");
        }
        let special = [
            "169.254.169.254",
            "[::ffff:169.254.169.254]",
            "[64:ff9b::a9fe:a9fe]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[fd20:ce::254]",
            "168.63.129.16",
            "[::ffff:168.63.129.16]",
            "[2002:a9fe:a9fe::]",
            "[::ffff:0:169.254.169.254]",
            "[::169.254.169.254]",
            "[64:ff9b:1::a9fe:a9fe]",
            "[2001:0:a9fe:a9fe::]",
            "[fec0::1]",
            "0251.0376.0251.0376",
            "0xa9fea9fe",
            "2852039166",
            "169.254.43518",
            "0",
            "[::ffff:0.0.0.0]",
            "240.0.0.1",
            "192.88.99.1",
            "100.100.100.200",
            "0.0.0.0",
            "[::]",
            "255.255.255.255",
            "224.0.0.1",
            "[ff02::1]",
            "198.18.0.1",
            "[2001:db8::1]",
        ];
        for host in special {
            for outbound in [&strict, &relaxed] {
                assert_eq!(
                    outbound.url(&format!("http://{host}/")).unwrap_err().code,
                    "address_refused",
                    "{host}"
                );
            }
        }
        for host in ["1.1.1.1", "172.32.0.1", "[2606:4700::1111]", "example.org"] {
            assert!(strict.url(&format!("https://{host}/x")).is_ok(), "{host}");
        }
        for text in ["ftp://example.org", "file:///etc/passwd", "nothing", "http://"] {
            assert_eq!(relaxed.url(text).unwrap_err().code, "address_refused", "{text}");
        }
    }

    #[test]
    fn an_operator_names_networks() {
        let named = open(false, &["10.7.0.0/16", "169.254.169.254/32"]);
        assert!(named.url("http://10.7.1.1/").is_ok());
        assert!(named.url("http://[::ffff:10.7.1.1]/").is_ok());
        assert!(named.url("http://169.254.169.254/").is_ok());
        assert!(named.url("http://10.8.1.1/").is_err());
    }

    fn strict(lookup: Lookup) -> Outbound {
        Outbound::by(&OutboundOptions { private: Some(false), networks: vec![] }, false, lookup)
    }

    #[tokio::test]
    async fn a_name_that_leads_elsewhere_a_moment_later_is_not_followed() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        // The first question is answered with an address for everybody, each further one with this machine's.
        let outbound = strict(|_, port| {
            let first = ASKED.fetch_add(1, Ordering::SeqCst) == 0;
            let address = if first { [1, 1, 1, 1] } else { [127, 0, 0, 1] };
            Box::pin(async move { Ok(vec![SocketAddr::from((address, port))]) })
        });
        assert!(outbound.addresses("turns.example", 80).await.is_ok());
        let url = format!("http://turns.example:{}/", listener.local_addr().unwrap().port());
        let error = outbound.client().unwrap().get(url).send().await.unwrap_err();
        assert_eq!(failure(&error).code, "address_refused", "{error:?}");
        assert!(ASKED.load(Ordering::SeqCst) > 1);
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock, "nobody came");
    }

    #[tokio::test]
    async fn a_client_is_kept_and_each_call_asks_for_the_names_addresses() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://twice.example:{}/", listener.local_addr().unwrap().port());
        let answering = std::thread::spawn(move || {
            // Held open: another call could go over the connection that there is.
            let mut held = vec![];
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 1024]).unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                held.push(stream);
            }
        });
        let allowed = OutboundOptions { private: Some(true), networks: vec![] };
        let outbound = Outbound::by(&allowed, false, |_, port| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move { Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))]) })
        });
        let mut made = vec![];
        for n in 1..=2 {
            let request = outbound.kept_client().unwrap().get(&url).timeout(CONNECT);
            let status = request.send().await.unwrap().status().as_u16();
            assert_eq!((status, ASKED.load(Ordering::SeqCst)), (200, n));
            made.push(outbound.kept.lock().unwrap().as_ref().map(|(at, _)| *at));
        }
        assert_eq!(made[0], made[1], "the second call has the client of the first");
        answering.join().unwrap();
    }

    #[tokio::test]
    async fn of_several_addresses_only_the_allowed_are_called() {
        let outbound = strict(|_, port| {
            Box::pin(async move {
                Ok([[10, 0, 0, 1], [1, 1, 1, 1], [169, 254, 169, 254]]
                    .map(|address| SocketAddr::from((address, port)))
                    .into())
            })
        });
        let kept = outbound.addresses("many.example", 80).await.unwrap();
        assert_eq!(kept, [SocketAddr::from(([1, 1, 1, 1], 80))]);
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            let reply =
                "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(reply.as_bytes()).unwrap();
        });
        let response = open(true, &[]).client().unwrap().get(url).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 302);
        answering.join().unwrap();
    }

    #[test]
    fn who_is_alone_calls_his_own_machine() {
        let of = |alone| Outbound::new(&OutboundOptions::default(), alone).url("http://127.0.0.1:1/").is_ok();
        assert_eq!((of(true), of(false)), (true, false));
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_called() {
        let strict = open(false, &[]);
        let error = strict.addresses("localhost", 80).await.unwrap_err();
        assert_eq!(error.code, "address_refused");
        assert!(error.detail.starts_with("localhost leads to "), "{error}");
        let error = strict.client().unwrap().get("http://localhost:9/").send().await.unwrap_err();
        assert_eq!(failure(&error).code, "address_refused", "{error:?}");
        assert!(!open(true, &[]).addresses("localhost", 80).await.unwrap().is_empty());
    }
}
