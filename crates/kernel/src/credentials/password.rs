//! Passwords: argon2id by default parameters of its crate (19 MiB, two passes, one lane), and bcrypt hashes that were
//! imported, which are replaced at the next sign-in.
//!
//! Work is done off the runtime's threads and by few at a time, so that many sign-ins at once cost time and not memory.
//! A name that nobody has costs the same work as a wrong password.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicU64, Ordering},
};

use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _, password_hash::phc::PasswordHash};
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

/// Passwords that were hashed in this process, to be kept or to be held against one that is.
pub fn password_hashes() -> u64 {
    HASHES.load(Ordering::Relaxed)
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

/// Whether the password is the stored one; without a stored one the same work is done, and it is not.
pub(crate) async fn verify(password: &str, stored: Option<&str>) -> Result<bool> {
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
        let same = match stored.starts_with("$2") {
            true => bcrypt::verify(&password, stored).unwrap_or(false),
            false => PasswordHash::new(stored)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()),
        };
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
        assert!(verify("correct horse battery", Some(&stored)).await.unwrap());
        for wrong in ["", "correct horse batterx", "correct horse battery "] {
            assert!(!verify(wrong, Some(&stored)).await.unwrap(), "{wrong:?}");
        }
        assert!(!verify("nobody", None).await.unwrap(), "nobody's password opens nothing");
    }

    #[tokio::test]
    async fn an_imported_hash_is_read_and_is_outdated() {
        let stored = bcrypt::hash("correct horse battery", 4).unwrap();
        assert!(readable(&stored) && outdated(&stored));
        assert!(verify("correct horse battery", Some(&stored)).await.unwrap());
        assert!(!verify("correct horse", Some(&stored)).await.unwrap());
        for odd in ["", "plain", "$2b$", "$argon2id$v=19$m=1", "$1$md5$x"] {
            assert!(!readable(odd), "{odd:?}");
            assert!(!verify("correct horse battery", Some(odd)).await.unwrap(), "{odd:?}");
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
