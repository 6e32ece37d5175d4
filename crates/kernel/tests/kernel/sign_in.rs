//! What happens beside a sign-in: a change of the password, records, locks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use qd_core::error::Result;
use qd_kernel::access::PLATFORM_ADMIN;
use qd_kernel::context::{Context, Scope};
use qd_kernel::credentials::accounts::NewUser;
use qd_kernel::credentials::{Identity, Origin, Secret, SignIn};
use qd_kernel::failpoint::Failpoints;
use qd_kernel::store::{Row, Store};
use qd_testkit::{ManualClock, TestDatabase, TestKernel, both_stores};

const PASSWORD: &str = "correct horse battery";

fn admin(t: &TestKernel) -> Context {
    Context { scope: Scope::PLATFORM, ..t.context_as("admin", PLATFORM_ADMIN) }
}

fn person(name: &str) -> NewUser {
    NewUser { name: name.into(), display_name: String::new(), service: false, password_hash: None }
}

/// A person with a password.
async fn member(t: &TestKernel, name: &str) {
    let invitation = t.kernel.user_create(&admin(t), person(name)).await.unwrap().1.unwrap();
    accept(t, &invitation.secret).await.unwrap();
}

async fn accept(t: &TestKernel, code: &str) -> Result<(Identity, Secret)> {
    t.kernel.invitation_accept(code, PASSWORD, Origin::default(), t.context().ids).await
}

async fn sign_in(t: &TestKernel, name: &str, password: &str, source: &str) -> Result<(Identity, Secret)> {
    let origin = Origin { source: source.into(), label: String::new() };
    let asked = SignIn { name: name.into(), password: password.into(), origin };
    t.kernel.sign_in(asked, t.context().ids).await
}

fn code<T>(answer: Result<T>) -> &'static str {
    answer.err().map_or("fine", |error| error.code)
}

/// `(outcome, actor, object, reason)` of the records of an action, oldest first.
async fn records(t: &TestKernel, action: &str) -> Vec<[String; 4]> {
    let action = action.to_owned();
    let found = t.kernel.store.read(move |tx| -> Result<Vec<[String; 4]>> {
        let sql = "SELECT outcome, actor, object_name, reason FROM audit WHERE action = $1 ORDER BY at, id";
        let read = |row: &Row<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]);
        Ok(tx.rows(sql, qd_kernel::params![action.clone()], read)?)
    });
    found.await.unwrap()
}

fn said(outcome: &str, actor: &str, object: &str, reason: &str) -> [String; 4] {
    [outcome, actor, object, reason].map(str::to_owned)
}

/// What is written between the proof of who somebody is and the session.
type Meanwhile = Arc<Mutex<Option<&'static str>>>;

/// A kernel in which that happens, once, to whoever signs in next.
async fn interrupted(db: &TestDatabase) -> (TestKernel, Meanwhile) {
    let (meanwhile, store) = (Meanwhile::default(), Arc::new(Mutex::<Option<Store>>::default()));
    let (asked, at) = (meanwhile.clone(), store.clone());
    let mut build = TestKernel::build().idle();
    build.options.failpoints = Some(Failpoints::new(move |name| {
        if name != "sign_in.proved" {
            return;
        }
        let sql = asked.lock().unwrap().take();
        let (Some(sql), Some(store)) = (sql, at.lock().unwrap().clone()) else { return };
        tokio::task::block_in_place(|| {
            let written = store.write(move |tx| -> Result<()> {
                tx.exec(sql, &[])?;
                Ok(())
            });
            tokio::runtime::Handle::current().block_on(written).unwrap();
        });
    }));
    let t = build.on(db).await;
    *store.lock().unwrap() = Some(t.kernel.store.clone());
    (t, meanwhile)
}

both_stores! {
    async fn a_sign_in_under_way_does_not_survive_what_ends_the_others(db: TestDatabase) {
        let (t, meanwhile) = interrupted(&db).await;
        member(&t, "ann").await;
        let sessions = "SELECT count(*) FROM credential WHERE kind = 'session'";
        let before = t.number(sessions).await;
        let next = |sql: &'static str| *meanwhile.lock().unwrap() = Some(sql);

        next("UPDATE principal SET password = 'another' WHERE name = 'ann'");
        let old = t.kernel.store.read(|tx| -> Result<String> {
            Ok(tx.one("SELECT password FROM principal WHERE name = 'ann'", &[], |row| row.get(0))?)
        });
        let old = old.await.unwrap();
        assert_eq!(code(sign_in(&t, "ann", PASSWORD, "").await), "bad_sign_in");
        let back = t.kernel.store.write(move |tx| -> Result<()> {
            tx.exec("UPDATE principal SET password = $1 WHERE name = 'ann'", qd_kernel::params![old.clone()])?;
            Ok(())
        });
        back.await.unwrap();

        next("UPDATE principal SET state = 'suspended' WHERE name = 'ann'");
        assert_eq!(code(sign_in(&t, "ann", PASSWORD, "").await), "bad_sign_in");

        // A change of the password ends links as well.
        let link = t.kernel.owner_link().await.unwrap();
        next("DELETE FROM credential WHERE kind = 'link'");
        let opened = t.kernel.link_exchange(&link.secret, Origin::default(), t.context().ids).await;
        assert_eq!(code(opened), "bad_sign_in_code");
        assert_eq!(t.number(sessions).await, before, "nobody got in");
    }

    async fn what_fails_at_the_door_is_on_record_without_a_secret(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).idle().on(&db).await;
        let invitation = t.kernel.user_create(&admin(&t), person("ann")).await.unwrap().1.unwrap().secret;
        t.kernel.owner_token().await.unwrap();
        let link = t.kernel.owner_link().await.unwrap().secret;
        for action in ["own.token", "own.link"] {
            assert_eq!(records(&t, action).await, [said("success", "system", "owner", "")]);
        }

        accept(&t, &invitation).await.unwrap();
        let bad = "this invitation is unknown, used or expired; ask for a new one";
        for wrong in [invitation.as_str(), "qdi_nobodys"] {
            assert_eq!(code(accept(&t, wrong).await), "bad_invitation");
        }
        assert_eq!(records(&t, "own.accept-invitation").await, [
            said("success", "ann", "ann", ""),
            said("failure", "ann", "ann", bad),
            said("failure", "unknown", "unknown", bad),
        ]);
        assert_eq!(t.number("SELECT count(*) FROM audit WHERE action = 'own.sign-in'").await, 0, "one record of each");

        let exchange = |code: &str| {
            let code = code.to_owned();
            let (kernel, ids) = (t.kernel.clone(), t.context().ids);
            async move { kernel.link_exchange(&code, Origin::default(), ids).await }
        };
        let (owner, _) = exchange(&link).await.unwrap();
        for wrong in [link.as_str(), "qdl_nobodys"] {
            assert_eq!(code(exchange(wrong).await), "bad_sign_in_code");
        }
        let bad = "this sign-in code is unknown, used or expired; ask for a new one with: qd auth link";
        assert_eq!(records(&t, "own.sign-in").await, [
            said("success", "owner", "owner", ""),
            said("failure", "owner", "owner", bad),
            said("failure", "unknown", "unknown", bad),
        ]);

        let (ann, session) = sign_in(&t, "ann", PASSWORD, "").await.unwrap();
        let own = t.kernel.context(&ann, Scope::PLATFORM, t.context().ids, String::new()).await.unwrap();
        for _ in 0..5 {
            let change = t.kernel.password_change(&own, &ann, "not the present one", "staple in the barn").await;
            assert_eq!(code(change), "bad_sign_in");
        }
        let wrong = said("failure", "ann", "ann", "the present password is wrong");
        let locked = said("denied", "ann", "ann", "too many failed tries under this name");
        assert_eq!(records(&t, "own.password").await, vec![wrong; 5]);
        // Once for each lock, however often it is tried.
        let denied = "SELECT count(*) FROM audit WHERE outcome = 'denied'";
        for locks in 1..=2 {
            for _ in 0..7 {
                assert_eq!(code(sign_in(&t, "ann", PASSWORD, "").await), "too_many_tries");
            }
            assert_eq!(t.number(denied).await, locks);
            clock.advance(Duration::from_secs(61));
            assert_eq!(code(sign_in(&t, "ann", "wrong", "").await), "bad_sign_in");
        }
        assert_eq!(records(&t, "own.sign-in").await.iter().filter(|one| **one == locked).count(), 2);
        for _ in 0..5 {
            assert_eq!(code(sign_in(&t, "my password", PASSWORD, "").await), "bad_sign_in");
        }
        assert_eq!(code(sign_in(&t, "my password", PASSWORD, "").await), "too_many_tries");
        let unknown = said("denied", "unknown", "unknown", "too many failed tries under this name");
        assert!(records(&t, "own.sign-in").await.contains(&unknown));

        let all = t.kernel.store.read(|tx| -> Result<Vec<String>> {
            Ok(tx.rows("SELECT actor || object_name || reason || changes FROM audit", &[], |row| row.get(0))?)
        });
        let all = all.await.unwrap().join("\n");
        for secret in [&link, &invitation, &session.secret, "my password", PASSWORD, "qdl_", "qdi_", "not the present one"] {
            assert!(!all.contains(secret), "{secret}");
        }
        assert_eq!(owner.name, "owner");
    }

    async fn nobody_is_locked_out_by_somebody_elsewhere(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).idle().on(&db).await;
        member(&t, "ann").await;
        for n in 0..5 {
            assert_eq!(code(sign_in(&t, "ann", "wrong", &format!("2001:db8::{n}")).await), "bad_sign_in");
        }
        for (source, expected) in [("2001:db8::77", "too_many_tries"), ("192.0.2.1", "fine"), ("2001:db8::1", "too_many_tries")] {
            assert_eq!(code(sign_in(&t, "ann", PASSWORD, source).await), expected, "{source}");
        }
        // Very many, from many places, lock the name for all: the row of the name alone has all three.
        for source in ["192.0.2.2", "192.0.2.2", "192.0.2.3"] {
            assert_eq!(code(sign_in(&t, "ann", "wrong", source).await), "bad_sign_in");
        }
        let many = "UPDATE sign_in_try SET failures = 200 WHERE failures = 3";
        let set = t.kernel.store.write(move |tx| -> Result<u64> { Ok(tx.exec(many, &[])?) });
        assert_eq!(set.await.unwrap(), 1);
        assert_eq!(code(sign_in(&t, "ann", "wrong", "192.0.2.4").await), "bad_sign_in");
        let locked = sign_in(&t, "ann", PASSWORD, "192.0.2.5").await.err().unwrap();
        assert_eq!((locked.code, locked.retry_after_s), ("too_many_tries", Some(901)));
        clock.advance(Duration::from_secs(901));
        assert_eq!(code(sign_in(&t, "ann", "wrong", "192.0.2.6").await), "bad_sign_in");
        assert_eq!(code(sign_in(&t, "ann", PASSWORD, "192.0.2.5").await), "too_many_tries");
        // An hour after the first of them, they are forgotten.
        clock.advance(Duration::from_secs(3600));
        for source in ["192.0.2.7", "192.0.2.8"] {
            assert_eq!(code(sign_in(&t, "ann", "wrong", source).await), "bad_sign_in");
        }
        assert_eq!(code(sign_in(&t, "ann", PASSWORD, "192.0.2.9").await), "fine");
    }

    async fn first_sign_ins_at_once_with_an_imported_hash_all_succeed(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let imported = bcrypt::hash(PASSWORD, 4).unwrap();
        t.kernel.user_create(&admin(&t), NewUser { password_hash: Some(imported), ..person("ann") }).await.unwrap();
        let all = join_all((0..4).map(|_| sign_in(&t, "ann", PASSWORD, ""))).await;
        assert_eq!(all.into_iter().map(code).collect::<Vec<_>>(), ["fine"; 4]);
    }
}
