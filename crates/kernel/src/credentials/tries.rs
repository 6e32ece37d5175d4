//! Tries at a password: counted before it is looked at and forgotten when it was right, so that many at once all count.
//!
//! They are counted twice, by the hash of the name that was tried, so that a name that nobody has is locked out like any other:
//! together with where they come from, and by the name alone. From the fifth on the name is locked for that address for 30 s,
//! doubling to 15 min; nobody else is kept out by that. Only where very many fail within an hour, which takes many addresses, the
//! name is locked for all.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use qd_core::{
    error::{Error, Result},
    id::PrincipalId,
    time::Timestamp,
};

use super::{Origin, hash, sign_in::record};
use crate::{audit, context::RequestIds, kernel::Kernel, params, store::Tx};

const LOCKED: &str = "too_many_tries";
/// Failures from one address that cost nothing but the work.
const FREE: i64 = 4;
const LOCK: Duration = Duration::from_secs(30);
const LONGEST_LOCK: Duration = Duration::from_mins(15);
/// Failures from anywhere within [`WINDOW`]: more than one address gets to, with its locks between them.
const MOST: i64 = 200;
const WINDOW: Duration = Duration::from_hours(1);

/// What a try is held against.
pub(super) struct Stored {
    /// Whose name it is, with his password, if he can sign in.
    pub somebody: Option<(PrincipalId, String)>,
    /// The cost of the dearest bcrypt hash that anybody has.
    pub dearest: Option<u32>,
}

/// A name, and where it was tried from.
#[derive(Clone)]
pub(super) struct Tried {
    name: String,
    here: Vec<u8>,
    anywhere: Vec<u8>,
}

impl Tried {
    pub fn new(name: &str, origin: &Origin) -> Self {
        let here = hash(&format!("sign-in {} {name}", block(&origin.source)));
        Self { name: name.to_owned(), here, anywhere: hash(&format!("sign-in anywhere {name}")) }
    }

    /// The password was right. In the order in which they are counted, so that two never wait for each other.
    pub fn forget(&self, tx: &mut Tx<'_>) -> Result<()> {
        for key in [&self.here, &self.anywhere] {
            tx.exec("DELETE FROM sign_in_try WHERE name_hash = $1", params![key.clone()])?;
        }
        Ok(())
    }

    /// The key under which it is kept until when a lock has been put on record.
    fn told(&self) -> Vec<u8> {
        hash(&format!("told {}", hex::encode(&self.here)))
    }
}

impl Kernel {
    /// Counts a try, and answers what it is to be held against.
    ///
    /// # Errors
    /// `too_many_tries` (429) while the name is locked.
    pub(super) async fn try_count(&self, tried: &Tried) -> Result<Stored> {
        let (now, tried) = (self.source.now(), tried.clone());
        self.store
            .write(move |tx| -> Result<Stored> {
                let here = count(tx, &tried.here, now, None)?;
                let anywhere = count(tx, &tried.anywhere, now, now.checked_sub(WINDOW))?;
                let locked = here.locked_until.max(anywhere.locked_until);
                if let Some(until) = locked.filter(|until| *until > now) {
                    // Rolled back with the error: what is locked counts no further.
                    let left = until.since(now).as_secs().saturating_add(1);
                    let mut error = Error::rate_limited(
                        LOCKED,
                        format!("too many tries under this name; try again in {left} s"),
                    );
                    error.retry_after_s = u32::try_from(left).ok();
                    return Err(error);
                }
                let everywhere = (anywhere.failures > MOST).then_some(LONGEST_LOCK);
                for (key, lock) in [(&tried.here, lock_after(here.failures)), (&tried.anywhere, everywhere)] {
                    if let Some(lock) = lock {
                        tx.exec(
                            "UPDATE sign_in_try SET locked_until = $2 WHERE name_hash = $1",
                            params![key.clone(), now.checked_add(lock)],
                        )?;
                    }
                }
                let somebody = tx
                    .opt(
                        "SELECT id, password FROM principal WHERE name = $1 AND kind = 'user' AND state = 'active'",
                        params![tried.name.clone()],
                        |row| Ok((row.get(0)?, row.get::<Option<String>>(1)?)),
                    )?
                    .and_then(|(id, password)| Some((id, password?)));
                let dearest: Option<String> = tx.one(
                    "SELECT max(substr(password, 5, 2)) FROM principal WHERE password LIKE '_2%'",
                    &[],
                    |row| row.get(0),
                )?;
                Ok(Stored { somebody, dearest: dearest.and_then(|cost| cost.parse().ok()) })
            })
            .await
    }

    /// Puts on record that a name is locked, once for each lock and address however often it is tried meanwhile; answers the
    /// error.
    pub(super) async fn locked_out(
        &self,
        error: Error,
        tried: Tried,
        verb: &'static str,
        origin: &Origin,
        ids: &RequestIds,
    ) -> Result<Error> {
        if error.code != LOCKED {
            return Ok(error);
        }
        let (now, id, origin, ids) = (self.source.now(), self.source.uuid(), origin.clone(), ids.clone());
        let told = self.store.write(move |tx| -> Result<bool> {
            let until: Option<Timestamp> = tx.one(
                "SELECT max(locked_until) FROM sign_in_try WHERE name_hash IN ($1, $2)",
                params![tried.here.clone(), tried.anywhere.clone()],
                |row| row.get(0),
            )?;
            let Some(until) = until else { return Ok(false) };
            let fresh = tx.exec(
                "INSERT INTO sign_in_try (name_hash, failures, last_at, locked_until) VALUES ($1, 0, $2, $3)
                 ON CONFLICT (name_hash) DO UPDATE SET last_at = excluded.last_at, locked_until = excluded.locked_until
                 WHERE sign_in_try.locked_until < excluded.locked_until",
                params![tried.told(), now, until],
            )?;
            if fresh == 0 {
                return Ok(false);
            }
            let known: Option<String> = tx.opt(
                "SELECT name FROM principal WHERE name = $1 AND kind = 'user'",
                params![tried.name.clone()],
                |row| row.get(0),
            )?;
            let denied = record(known, verb, &origin, &ids).denied("too many failed tries under this name");
            audit::append_record(tx, now, id, &denied)?;
            Ok(true)
        });
        if told.await? {
            self.bus.audit_written();
        }
        Ok(error)
    }
}

/// How often, and until when no more are looked at.
struct Count {
    failures: i64,
    locked_until: Option<Timestamp>,
}

/// Counts one more. Where there is a `begin`, only those of a window that began after it, and `last_at` is when that was.
fn count(tx: &mut Tx<'_>, key: &[u8], now: Timestamp, begin: Option<Timestamp>) -> Result<Count> {
    // Written first: on Postgres that is what several at once wait for, also where there is no row yet.
    match begin {
        None => tx.exec(
            "INSERT INTO sign_in_try (name_hash, failures, last_at) VALUES ($1, 1, $2)
             ON CONFLICT (name_hash) DO UPDATE SET failures = sign_in_try.failures + 1, last_at = excluded.last_at",
            params![key.to_vec(), now],
        )?,
        Some(begin) => tx.exec(
            "INSERT INTO sign_in_try (name_hash, failures, last_at) VALUES ($1, 1, $2)
             ON CONFLICT (name_hash) DO UPDATE SET
               failures = CASE WHEN sign_in_try.last_at < $3 THEN 1 ELSE sign_in_try.failures + 1 END,
               last_at = CASE WHEN sign_in_try.last_at < $3 THEN excluded.last_at ELSE sign_in_try.last_at END",
            params![key.to_vec(), now, begin],
        )?,
    };
    Ok(tx.one(
        "SELECT failures, locked_until FROM sign_in_try WHERE name_hash = $1",
        params![key.to_vec()],
        |row| Ok(Count { failures: row.get(0)?, locked_until: row.get(1)? }),
    )?)
}

/// What counts as one address: of IPv6 a network of 64 bits, which one customer has whole.
fn block(source: &str) -> String {
    match source.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).to_string(),
        Ok(IpAddr::V4(address)) => address.to_string(),
        Err(_) => source.to_owned(),
    }
}

/// How long a name is locked for an address after so many failures from there.
fn lock_after(failures: i64) -> Option<Duration> {
    let doublings = u32::try_from(failures - FREE - 1).ok()?;
    Some(LOCK.saturating_mul(1 << doublings.min(10)).min(LONGEST_LOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_grow_to_a_bound() {
        let seconds = |failures| lock_after(failures).map(|lock| lock.as_secs());
        assert_eq!(
            [1, 4, 5, 6, 7, 9, 10, 1_000_000].map(seconds),
            [None, None, Some(30), Some(60), Some(120), Some(480), Some(900), Some(900)]
        );
    }

    #[test]
    fn no_address_alone_locks_a_name_for_all() {
        let (mut failures, mut passed) = (0, Duration::ZERO);
        while passed <= WINDOW {
            failures += 1;
            passed += lock_after(failures).unwrap_or_default();
        }
        assert!(failures * 10 < MOST, "{failures}");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        assert_eq!(block("2001:db8::1"), block("2001:db8::ffff:2"));
        assert_ne!(block("2001:db8::1"), block("2001:db8:0:1::1"));
        assert_eq!(block("::ffff:192.0.2.1"), block("192.0.2.1"));
        assert_ne!(block("192.0.2.1"), block("192.0.2.2"));
        assert_eq!(block("gateway"), "gateway");
    }
}
