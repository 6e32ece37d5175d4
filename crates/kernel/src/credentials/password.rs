//! Passwords: argon2id by default parameters of its crate (19 MiB, two passes, one lane), and bcrypt hashes that were
//! imported, which are replaced at the next sign-in.
//!
//! Work is done off the runtime's threads and by few at a time, so that many sign-ins at once cost time and not memory.
//! A name that nobody has costs the same work as a wrong password: each try is one argon2id of our own parameters, and as long as
//! there are bcrypt hashes, as much of that as the dearest of them. What an imported argon2id hash of other parameters costs is not
//! made up for.

use std::{
    hint::black_box,
    ops::Range,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use argon2::{Argon2, Params, PasswordHasher as _, PasswordVerifier as _, password_hash::phc::PasswordHash};
use qd_core::error::{Error, Result};
use tokio::sync::Semaphore;

use crate::clock::Source;

/// Characters.
pub(crate) const SHORTEST: usize = 12;
/// Bytes: bcrypt reads 72 of them and argon2 all, so a longer one is only work.
const LONGEST: usize = 1024;
/// Of 19 MiB each.
static AT_ONCE: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));

static HASHES: AtomicU64 = AtomicU64::new(0);
static ROUNDS: AtomicU64 = AtomicU64::new(0);

/// Passwords that were hashed in this process, to be kept or to be held against one that is.
pub fn password_hashes() -> u64 {
    HASHES.load(Ordering::Relaxed)
}

/// Rounds of bcrypt that were done in this process.
pub fn bcrypt_rounds() -> u64 {
    ROUNDS.load(Ordering::Relaxed)
}

/// Whether the password is one that may be chosen by `name`.
///
/// # Errors
/// `weak_password` (422).
pub(crate) fn rules(name: &str, password: &str) -> Result<()> {
    let weak = |why: String| Err(Error::invalid("weak_password", why));
    if password.chars().count() < SHORTEST {
        return weak(format!("a password has {SHORTEST} characters at least"));
    }
    if password.len() > LONGEST {
        return weak(format!("a password has {LONGEST} bytes at most"));
    }
    let folded = password.to_lowercase();
    let mut letters: Vec<char> = folded.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    if letters.len() < 5 || folded.replace(&name.to_lowercase(), "").chars().count() < SHORTEST / 2 {
        return weak("this password is easily guessed: it repeats itself, or one's own name".into());
    }
    Ok(())
}

/// bcrypt's, the logarithm of its rounds: a quarter of a second.
const DEAREST_BCRYPT: u32 = 12;
/// argon2's, KiB.
const MOST_MEMORY: u32 = 64 * 1024;
/// argon2's memory times its passes: 64 MiB three times, as RFC 9106 recommends where memory is short.
const MOST_WORK: u64 = 3 * 64 * 1024;
const MOST_LANES: u32 = 16;

/// Whether a hash that can be verified costs no more than this server spends on each who tries.
pub(crate) fn affordable(stored: &str) -> bool {
    match bcrypt_cost(stored) {
        Some(cost) => cost <= DEAREST_BCRYPT,
        None => PasswordHash::new(stored).ok().and_then(|hash| Params::try_from(&hash).ok()).is_some_and(
            |params| {
                let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
                params.m_cost() <= MOST_MEMORY && work <= MOST_WORK && params.p_cost() <= MOST_LANES
            },
        ),
    }
}

/// Of a bcrypt hash.
fn bcrypt_cost(stored: &str) -> Option<u32> {
    stored.starts_with("$2").then(|| stored.parse::<bcrypt::HashParts>().ok())?.map(|parts| parts.get_cost())
}

/// The costs of the bcrypt that is done besides, so that with a hash of the cost `own` it comes to that of the dearest: 2^own and
/// 2^own + 2^(own + 1) + … + 2^(dearest - 1) are 2^dearest.
fn besides(own: Option<u32>, dearest: Option<u32>) -> Range<u32> {
    match (own, dearest.map(|cost| cost.min(DEAREST_BCRYPT))) {
        (Some(own), Some(dearest)) => own..dearest,
        (None, Some(dearest)) => dearest..dearest + 1,
        (_, None) => 0..0,
    }
}

/// Whether a stored hash is one that can be verified.
pub(crate) fn readable(stored: &str) -> bool {
    match stored.starts_with("$argon2id$") {
        true => PasswordHash::new(stored).is_ok_and(|hash| hash.salt.is_some() && hash.hash.is_some()),
        false => stored.parse::<bcrypt::HashParts>().is_ok(),
    }
}

/// The PHC string of a new password.
pub(crate) async fn hash(source: &Source, password: &str) -> Result<String> {
    let mut salt = [0u8; 16];
    source.random(&mut salt);
    let password = password.to_owned();
    work(move || {
        Argon2::default()
            .hash_password_with_salt(password.as_bytes(), &salt)
            .map(|hash| hash.to_string())
            .map_err(|error| Error::internal("password_hash", format!("hash a password: {error}")))
    })
    .await?
}

/// Whether the password is the stored one; without a stored one the same work is done, and it is not. `dearest` is the cost of the
/// dearest bcrypt hash that anybody has.
pub(crate) async fn verify(password: &str, stored: Option<&str>, dearest: Option<u32>) -> Result<bool> {
    static NOBODYS: LazyLock<String> = LazyLock::new(|| {
        Argon2::default()
            .hash_password_with_salt(b"nobody", &[7; 16])
            .map(|hash| hash.to_string())
            .unwrap_or_default()
    });
    let (password, stored) = (password.to_owned(), stored.map(str::to_owned));
    work(move || {
        let (stored, somebodys) = match &stored {
            Some(stored) => (stored.as_str(), true),
            None => (NOBODYS.as_str(), false),
        };
        let argon2 = |stored: &str| {
            PasswordHash::new(stored)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        };
        let own = bcrypt_cost(stored);
        let same = match own {
            Some(_) => {
                black_box(argon2(&NOBODYS));
                ROUNDS.fetch_add(1 << own.unwrap_or_default(), Ordering::Relaxed);
                bcrypt::verify(&password, stored).unwrap_or(false)
            }
            None => argon2(stored),
        };
        for cost in besides(own, dearest) {
            ROUNDS.fetch_add(1 << cost, Ordering::Relaxed);
            let _ = black_box(bcrypt::hash_with_salt(&password, cost, [7; 16]));
        }
        same && somebodys
    })
    .await
}

/// Whether a verified password is to be hashed anew.
pub(crate) fn outdated(stored: &str) -> bool {
    !stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
}

async fn work<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let counted = move || {
        HASHES.fetch_add(1, Ordering::Relaxed);
        job()
    };
    in_turn(AT_ONCE.clone(), counted).await
}

/// The turn ends with the work, which nobody stops: whoever asked and went away has not made room for another.
async fn in_turn<T: Send + 'static>(
    turns: Arc<Semaphore>,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let failed = |error: String| Error::internal("password_hash", format!("hash a password: {error}"));
    let turn = turns.acquire_owned().await.map_err(|error| failed(error.to_string()))?;
    let work = tokio::task::spawn_blocking(move || {
        let done = job();
        drop(turn);
        done
    });
    work.await.map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_is_the_password() {
        let stored = hash(&crate::clock::system(), "correct horse battery").await.unwrap();
        assert!(!outdated(&stored) && readable(&stored), "{stored}");
        assert!(verify("correct horse battery", Some(&stored), None).await.unwrap());
        for wrong in ["", "correct horse batterx", "correct horse battery "] {
            assert!(!verify(wrong, Some(&stored), Some(4)).await.unwrap(), "{wrong:?}");
        }
        assert!(!verify("nobody", None, None).await.unwrap(), "nobody's password opens nothing");
    }

    #[tokio::test]
    async fn an_imported_hash_is_read_and_is_outdated() {
        let stored = bcrypt::hash("correct horse battery", 4).unwrap();
        assert!(readable(&stored) && outdated(&stored));
        assert!(verify("correct horse battery", Some(&stored), Some(5)).await.unwrap());
        assert!(!verify("correct horse", Some(&stored), Some(4)).await.unwrap());
        for odd in ["", "plain", "$2b$", "$argon2id$v=19$m=1", "$1$md5$x"] {
            assert!(!readable(odd), "{odd:?}");
            assert!(!verify("correct horse battery", Some(odd), None).await.unwrap(), "{odd:?}");
        }
    }

    #[test]
    fn whatever_is_stored_a_try_costs_what_the_dearest_bcrypt_costs() {
        for own in [None, Some(4), Some(9), Some(12)] {
            let done: u64 = own.into_iter().chain(besides(own, Some(12))).map(|cost| 1_u64 << cost).sum();
            assert_eq!(done, 1 << 12, "{own:?}");
        }
        assert_eq!(besides(None, None).count(), 0, "without any, none is done");
        assert!(
            besides(None, Some(31)).all(|cost| cost == DEAREST_BCRYPT),
            "what was imported before there was a bound"
        );
        assert_eq!(besides(Some(14), Some(14)).count(), 0);
    }

    #[test]
    fn a_hash_that_costs_too_much_is_known_by_its_parameters() {
        let bcrypt = |cost: &str| format!("$2b${cost}$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
        let argon2 = |parameters: &str| {
            format!(
                "$argon2id$v=19${parameters}$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            )
        };
        for (stored, fits) in [
            (bcrypt("04"), true),
            (bcrypt("12"), true),
            (bcrypt("13"), false),
            (bcrypt("31"), false),
            (argon2("m=19456,t=2,p=1"), true),
            (argon2("m=65536,t=3,p=4"), true),
            (argon2("m=65536,t=4,p=4"), false),
            (argon2("m=1048576,t=1,p=4"), false),
            (argon2("m=16,t=100000,p=1"), false),
            (argon2("m=65536,t=1,p=64"), false),
        ] {
            assert!(readable(&stored), "{stored}");
            assert_eq!(affordable(&stored), fits, "{stored}");
        }
    }

    #[tokio::test]
    async fn who_goes_away_keeps_his_turn_until_the_work_is_done() {
        let turns = Arc::new(Semaphore::new(1));
        let (go, held) = std::sync::mpsc::channel::<()>();
        let (begun, heard) = tokio::sync::oneshot::channel();
        let work = in_turn(turns.clone(), move || {
            let _ = begun.send(());
            let _ = held.recv();
        });
        tokio::select! {
            _ = work => panic!("it is held up"),
            begun = heard => begun.unwrap(),
        }
        // The request that asked for it is gone by now.
        assert_eq!(turns.available_permits(), 0);
        go.send(()).unwrap();
        drop(turns.acquire().await.unwrap());
    }

    #[test]
    fn what_is_easily_guessed_is_refused() {
        for weak in ["", "short", "aaaaaaaaaaaaaaaa", "ababababababab", "margaret1234", &"long ".repeat(300)]
        {
            assert_eq!(rules("margaret", weak).unwrap_err().code, "weak_password", "{weak:?}");
        }
        for fit in ["correct horse battery", "пароль-для-входа", "12345 67890 ab"] {
            rules("margaret", fit).unwrap();
        }
    }
}
