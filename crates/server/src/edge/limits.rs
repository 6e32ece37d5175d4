//! How many requests somebody may make: a token bucket for each class and sender.
//!
//! A sender is who was recognised, and an address only where nobody was: people behind one address do not use up each
//! other's share. What is kept is bounded: senders whose buckets are full again are forgotten, and where there are too many
//! addresses all the same, the further ones share one bucket.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, header},
};
use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed, keyed::HashMapStateStore},
};
use qd_core::{
    error::{Error, Result},
    id::PrincipalId,
};
use qd_kernel::credentials::Identity;

use super::{
    address::block,
    options::{Class, Rate, Rates},
};
use crate::{http::sse, metrics::Metrics, state::App};

/// Addresses that are counted one by one, in each class.
const ADDRESSES: usize = 50_000;
/// Questions after which those with nothing left to remember are forgotten.
const SWEEP: u32 = 10_000;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Routes that give a session or a token to whoever knows a secret, and those that lead to one.
const SIGN_IN: [&str; 6] = [
    "/api/v1/auth/accept",
    "/api/v1/auth/exchange",
    "/api/v1/auth/oidc/{provider}/callback",
    "/api/v1/auth/oidc/{provider}/start",
    "/api/v1/auth/sign-in",
    "/api/v1/auth/token",
];
/// Routes that answer with a stream, where one is asked for.
const STREAMED: [&str; 2] = ["/api/v1/events", "/api/v1/runs/{id}/logs"];
const STREAM: &str = "/api/v1/stream";

type Keyed<K, C> = RateLimiter<K, HashMapStateStore<K>, C, StateInformationMiddleware>;
type Shared<C> = RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>;

/// Whose request it is.
#[derive(Debug, Clone, Copy)]
pub enum Sender {
    Principal(PrincipalId),
    Address(IpAddr),
}

pub struct Limits<C: Clock + Clone = MonotonicClock> {
    buckets: Vec<(Class, Bucket<C>)>,
    /// Whose sign-ins were put on record as refused: one of each address in a window.
    told: Option<Keyed<IpAddr, C>>,
    clock: C,
    metrics: Arc<Metrics>,
    most: usize,
}

struct Bucket<C: Clock + Clone> {
    rate: Rate,
    principals: Keyed<PrincipalId, C>,
    addresses: Keyed<IpAddr, C>,
    /// For addresses beyond those that are counted one by one.
    further: Shared<C>,
    asked: AtomicU32,
}

/// What was counted, for the answer's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    class: Class,
    rate: Rate,
    left: u32,
    /// Until the next is taken, where none is left.
    wait: Option<Duration>,
}

impl Limits<MonotonicClock> {
    pub fn new(rates: &Rates, metrics: Arc<Metrics>) -> Self {
        Self::with(rates, metrics, MonotonicClock, ADDRESSES)
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn with(rates: &Rates, metrics: Arc<Metrics>, clock: C, most: usize) -> Self {
        let bucket = |class| Some((class, Bucket::new(rates.of(class)?, &clock)?));
        let told = rates.of(Class::SignIn).and_then(|rate| Quota::with_period(rate.window)).map(|quota| {
            let once = quota.allow_burst(NonZeroU32::MIN);
            RateLimiter::hashmap_with_clock(once, clock.clone()).with_middleware()
        });
        Self { buckets: Class::ALL.into_iter().filter_map(bucket).collect(), told, clock, metrics, most }
    }

    /// Whether it is to be put on record that the sign-ins of an address are refused: once in a window, so that a flood of them
    /// leaves no flood of records. Where there are too many addresses to tell apart, it is not.
    pub fn tells(&self, address: IpAddr) -> bool {
        let Some(told) = &self.told else { return false };
        if told.len() >= self.most {
            told.retain_recent();
        }
        told.len() < self.most && told.check_key(&block(address)).is_ok()
    }

    /// Takes one from the sender's bucket; none where the class has no limit.
    pub fn take(&self, class: Class, sender: Sender) -> Option<Charge> {
        let (_, bucket) = self.buckets.iter().find(|(of, _)| *of == class)?;
        let charge = bucket.take(class, sender, &self.clock, self.most);
        if charge.wait.is_some() {
            self.metrics.limited(class.as_str());
        }
        Some(charge)
    }
}

impl<C: Clock + Clone> Bucket<C> {
    fn new(rate: Rate, clock: &C) -> Option<Self> {
        let quota = Quota::with_period(rate.window / rate.burst.get())?.allow_burst(rate.burst);
        Some(Self {
            rate,
            principals: RateLimiter::hashmap_with_clock(quota, clock.clone()).with_middleware(),
            addresses: RateLimiter::hashmap_with_clock(quota, clock.clone()).with_middleware(),
            further: RateLimiter::direct_with_clock(quota, clock.clone()).with_middleware(),
            asked: AtomicU32::new(0),
        })
    }

    fn take(&self, class: Class, sender: Sender, clock: &C, most: usize) -> Charge {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if asked.is_multiple_of(SWEEP) {
            self.principals.retain_recent();
            self.addresses.retain_recent();
            self.addresses.shrink_to_fit();
        }
        let taken = match sender {
            Sender::Principal(id) => self.principals.check_key(&id),
            Sender::Address(_) if self.addresses.len() >= most => self.further.check(),
            Sender::Address(address) => self.addresses.check_key(&block(address)),
        };
        let wait = |not: NotUntil<C::Instant>| not.wait_time_from(clock.now());
        let (left, wait) = match taken {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(not) => (0, Some(wait(not))),
        };
        Charge { class, rate: self.rate, left, wait }
    }
}

impl Charge {
    fn allowed(self) -> Result<()> {
        let Some(wait) = self.wait else { return Ok(()) };
        let seconds = whole_seconds(wait).max(1);
        let mut error = Error::rate_limited(
            "rate_limited",
            format!(
                "more requests of the class {} than this server takes from one sender; try again in {seconds} s",
                self.class.as_str()
            ),
        );
        error.retry_after_s = u32::try_from(seconds).ok();
        Err(error)
    }

    /// `RateLimit` and `RateLimit-Policy`, as the IETF's draft has them: what is left, and the seconds until there is more.
    fn write(self, headers: &mut HeaderMap) {
        let (name, burst, window) = (self.class.as_str(), self.rate.burst, whole_seconds(self.rate.window));
        let until = self.wait.unwrap_or_else(|| {
            (self.rate.window / burst.get()).saturating_mul(burst.get().saturating_sub(self.left))
        });
        let policy = format!("\"{name}\";q={burst};w={window}");
        let limit = format!("\"{name}\";r={};t={}", self.left, whole_seconds(until));
        for (name, value) in [(POLICY, policy), (LIMIT, limit)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// What the request is counted as, left with it for where its sender is recognised.
#[derive(Clone)]
pub struct Counted {
    class: Class,
    address: IpAddr,
    charge: Arc<Mutex<Option<Charge>>>,
}

impl Counted {
    pub fn new(request: &Request, address: IpAddr) -> Self {
        Self { class: class(request), address, charge: Arc::default() }
    }

    pub fn class(&self) -> Class {
        self.class
    }

    /// Counts a request that has nothing to be recognised by, or is about to get it.
    pub fn anonymous(&self, app: &App, headers: &HeaderMap) -> Result<()> {
        let named = headers.contains_key(header::AUTHORIZATION) || headers.contains_key(header::COOKIE);
        if named && self.class != Class::SignIn {
            return Ok(());
        }
        self.count(app, self.class, Sender::Address(self.address))
    }

    /// Counts what had something to be recognised by, at an address where nobody looked at it.
    pub fn unrecognised(&self, app: &App) -> Result<()> {
        match self.charged().is_some() {
            true => Ok(()),
            false => self.count(app, self.class, Sender::Address(self.address)),
        }
    }

    fn charged(&self) -> Option<Charge> {
        *self.charge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self, headers: &mut HeaderMap) {
        if let Some(charge) = self.charged() {
            charge.write(headers);
        }
    }

    fn count(&self, app: &App, class: Class, sender: Sender) -> Result<()> {
        let Some(charge) = app.edge.limits.take(class, sender) else { return Ok(()) };
        *self.charge.lock().unwrap_or_else(PoisonError::into_inner) = Some(charge);
        charge.allowed()
    }
}

/// Counts a request whose sender was looked for: by who it is, or by its address where it is nobody.
///
/// # Errors
/// `rate_limited` (429), and what `found` fails with.
pub fn recognised(app: &App, extensions: &Extensions, found: Result<Identity>) -> Result<Identity> {
    let Some(counted) = extensions.get::<Counted>() else { return found };
    match &found {
        Ok(identity) => counted.count(app, counted.class, Sender::Principal(identity.id))?,
        Err(_) => counted.count(app, Class::Refused, Sender::Address(counted.address))?,
    }
    found
}

/// By the route first: what a request says of itself does not take it out of the count of those who sign in.
fn class(request: &Request) -> Class {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    if SIGN_IN.contains(&path) {
        return Class::SignIn;
    }
    if !request.method().is_safe() {
        return Class::Write;
    }
    if path == STREAM || (STREAMED.contains(&path) && sse::wanted(request.headers())) {
        return Class::Stream;
    }
    Class::Read
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::state::BuildInfo;

    fn limits(rates: &[&str], most: usize) -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
        let mut set = Rates::off();
        rates.iter().for_each(|rate| set.set(&rate.parse().unwrap()));
        let (clock, metrics) =
            (FakeRelativeClock::default(), Arc::new(Metrics::new(&BuildInfo::new("test"))));
        (Limits::with(&set, metrics, clock.clone(), most), clock)
    }

    fn address(text: &str) -> Sender {
        Sender::Address(text.parse().unwrap())
    }

    fn taken(limits: &Limits<FakeRelativeClock>, sender: Sender, times: usize) -> usize {
        let charges = (0..times).map(|_| limits.take(Class::SignIn, sender).unwrap());
        charges.filter(|charge| charge.wait.is_none()).count()
    }

    #[test]
    fn a_bucket_empties_and_fills_again_one_by_one() {
        let (limits, clock) = limits(&["sign-in=3/30"], 10);
        assert_eq!(taken(&limits, address("192.0.2.1"), 5), 3);
        let refused = limits.take(Class::SignIn, address("192.0.2.1")).unwrap();
        let error = refused.allowed().unwrap_err();
        assert_eq!((error.code, error.retry_after_s), ("rate_limited", Some(10)));
        clock.advance(Duration::from_secs(10));
        assert_eq!(taken(&limits, address("192.0.2.1"), 5), 1);
        clock.advance(Duration::from_secs(300));
        assert_eq!(taken(&limits, address("192.0.2.1"), 5), 3);
    }

    #[test]
    fn senders_do_not_use_up_each_others_share() {
        let (limits, _) = limits(&["sign-in=3/30"], 10);
        assert_eq!(taken(&limits, address("192.0.2.1"), 5), 3);
        assert_eq!(taken(&limits, address("192.0.2.2"), 5), 3);
        let somebody = Sender::Principal(uuid::Uuid::from_u128(1).into());
        assert_eq!(taken(&limits, somebody, 5), 3);
        // One network of IPv6 is one sender.
        assert_eq!(taken(&limits, address("2001:db8::1"), 2), 2);
        assert_eq!(taken(&limits, address("2001:db8::ffff:2"), 5), 1);
        assert!(limits.take(Class::Read, address("192.0.2.1")).is_none(), "no limit, nothing counted");
    }

    #[test]
    fn what_is_kept_of_addresses_is_bounded() {
        let (limits, clock) = limits(&["sign-in=3/30"], 100);
        let bucket = &limits.buckets[0].1;
        let many = |from: u32| (from..from + 5_000).map(|n| Sender::Address(IpAddr::V4(n.into())));
        let through = many(0).filter(|sender| taken(&limits, *sender, 1) == 1).count();
        assert_eq!((bucket.addresses.len(), through), (100, 103), "the further ones share one bucket");
        clock.advance(Duration::from_secs(600));
        let again = many(10_000).filter(|sender| taken(&limits, *sender, 1) == 1).count();
        assert!(again <= 103, "{again}");
        clock.advance(Duration::from_secs(600));
        assert_eq!(taken(&limits, address("198.51.100.1"), 1), 1);
        assert!(bucket.addresses.len() <= 1, "those with nothing to remember are forgotten");
    }

    #[test]
    fn the_answer_says_what_is_left() {
        let (limits, _) = limits(&["sign-in=3/30"], 10);
        let mut headers = HeaderMap::new();
        limits.take(Class::SignIn, address("192.0.2.1")).unwrap().write(&mut headers);
        assert_eq!(headers[POLICY], "\"sign-in\";q=3;w=30");
        assert_eq!(headers[LIMIT], "\"sign-in\";r=2;t=10");
    }
}
