//! Access tokens, the families of refresh tokens, and the keys that sign.

use std::time::Duration;

use futures::future::join_all;
use qd_core::error::{Error, Result};
use qd_core::state::JobState;
use qd_kernel::access::PLATFORM_ADMIN;
use qd_kernel::context::{Context, Scope};
use qd_kernel::credentials::accounts::{AccountState, NewUser, UserPatch};
use qd_kernel::credentials::{Identity, Origin, SignIn, Tokens};
use qd_kernel::mutation::Act;
use qd_kernel::operations::secret_rotate::MASTER_KEY;
use qd_kernel::store::Backend;
use qd_testkit::kernel::key;
use qd_testkit::{ManualClock, TestDatabase, TestKernel, both_stores, jwt};
use serde_json::json;

const PASSWORD: &str = "correct horse battery";
const MASTER: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NEXT_MASTER: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

async fn kernel(db: &TestDatabase, clock: &ManualClock) -> TestKernel {
    TestKernel::build().clock(clock).master_keys(&[MASTER]).idle().on(db).await
}

fn admin(t: &TestKernel) -> Context {
    Context { scope: Scope::PLATFORM, ..t.context_as("admin", PLATFORM_ADMIN) }
}

fn own(t: &TestKernel, who: &Identity) -> Context {
    Context { scope: Scope::PLATFORM, principal: who.principal(Scope::PLATFORM), ..t.context() }
}

/// A person with a password.
async fn person(t: &TestKernel, name: &str) {
    let new = NewUser { name: name.into(), display_name: String::new(), service: false, password_hash: None };
    let invitation = t.kernel.user_create(&admin(t), new).await.unwrap().1.unwrap();
    t.kernel
        .invitation_accept(&invitation.secret, PASSWORD, Origin::default(), t.context().ids)
        .await
        .unwrap();
}

async fn tokens(t: &TestKernel, name: &str) -> Tokens {
    let asked = SignIn { name: name.into(), password: PASSWORD.into(), origin: Origin::default() };
    t.kernel.tokens_by_password(asked, t.context().ids).await.unwrap()
}

async fn refresh(t: &TestKernel, token: &str) -> Result<Tokens> {
    t.kernel.tokens_refresh(token, Origin::default(), t.context().ids).await
}

fn code<T>(answer: Result<T, Error>) -> &'static str {
    answer.err().map_or("fine", |error| error.code)
}

async fn suspend(t: &TestKernel, name: &str, state: AccountState) {
    let version = t.kernel.user_get(name).await.unwrap().version;
    let patch = UserPatch { state: Some(state), ..UserPatch::default() };
    t.kernel.user_update(&admin(t), name, version, patch).await.unwrap();
}

both_stores! {
    async fn a_refresh_token_works_once_and_a_second_use_ends_the_family(db: TestDatabase) {
        let t = kernel(&db, &ManualClock::new(1)).await;
        person(&t, "ann").await;
        let (first, other) = (tokens(&t, "ann").await, tokens(&t, "ann").await);
        let second = refresh(&t, &first.refresh.secret).await.unwrap();
        assert_eq!(second.identity.credential_id, first.identity.credential_id, "one family");
        for token in [&first.access_token, &second.access_token] {
            assert_eq!(t.kernel.authenticate(token).await.unwrap().name, "ann");
        }
        assert_eq!(code(t.kernel.authenticate(&second.refresh.secret).await), "bad_credential", "it lets nobody in");
        assert_eq!(code(refresh(&t, &first.refresh.secret).await), "bad_refresh_token");
        assert_eq!(code(refresh(&t, &second.refresh.secret).await), "bad_refresh_token", "the family has ended");
        for token in [&first.access_token, &second.access_token] {
            assert_eq!(code(t.kernel.authenticate(token).await), "bad_credential");
        }
        assert_eq!(code(refresh(&t, &first.refresh.secret).await), "bad_refresh_token");
        t.kernel.authenticate(&other.access_token).await.unwrap();
        assert_eq!(t.number("SELECT count(*) FROM audit WHERE action = 'own.end-family'").await, 1);
        let told = match t.kernel.store.backend() {
            Backend::Sqlite => "SELECT count(*) FROM event WHERE type = 'session.reused'",
            Backend::Postgres => "SELECT count(*) FROM event_outbox WHERE type = 'session.reused'",
        };
        assert_eq!(t.number(told).await, 1);
    }

    async fn of_many_that_come_at_once_one_at_most_gets_in_and_the_family_ends(db: TestDatabase) {
        let t = kernel(&db, &ManualClock::new(1)).await;
        person(&t, "ann").await;
        let first = tokens(&t, "ann").await;
        let all = join_all((0..8).map(|_| refresh(&t, &first.refresh.secret))).await;
        let renewed: Vec<Tokens> = all.into_iter().filter_map(Result::ok).collect();
        assert!(renewed.len() <= 1, "{}", renewed.len());
        for tokens in &renewed {
            assert_eq!(code(t.kernel.authenticate(&tokens.access_token).await), "bad_credential");
            assert_eq!(code(refresh(&t, &tokens.refresh.secret).await), "bad_refresh_token");
        }
        assert_eq!(t.number("SELECT count(*) FROM credential WHERE kind = 'refresh'").await, 0);
        assert_eq!(t.number("SELECT count(*) FROM audit WHERE action = 'own.end-family'").await, 1);
    }

    async fn whatever_ends_a_session_ends_its_tokens(db: TestDatabase) {
        let t = kernel(&db, &ManualClock::new(1)).await;
        let ended = async |tokens: &Tokens| {
            assert_eq!(code(t.kernel.authenticate(&tokens.access_token).await), "bad_credential");
            assert_eq!(code(refresh(&t, &tokens.refresh.secret).await), "bad_refresh_token");
        };
        for name in ["ann", "bob", "cat", "dan"] {
            person(&t, name).await;
        }
        let ann = tokens(&t, "ann").await;
        let who = t.kernel.authenticate(&ann.access_token).await.unwrap();
        let listed = t.kernel.credential_list(who.id).await.unwrap();
        assert!(listed.iter().any(|one| one.id == who.credential_id && one.kind == "refresh"), "{listed:?}");
        t.kernel.credential_revoke(&own(&t, &who), &who).await.unwrap();
        ended(&ann).await;

        let bob = tokens(&t, "bob").await;
        t.kernel.credential_end(&own(&t, &bob.identity), bob.identity.credential_id).await.unwrap();
        ended(&bob).await;

        let cat = tokens(&t, "cat").await;
        t.kernel.authenticate(&cat.access_token).await.unwrap();
        suspend(&t, "cat", AccountState::Suspended).await;
        ended(&cat).await;
        suspend(&t, "cat", AccountState::Active).await;
        ended(&cat).await;

        let (dan, kept) = (tokens(&t, "dan").await, tokens(&t, "dan").await);
        let me = own(&t, &kept.identity);
        t.kernel.password_change(&me, &kept.identity, PASSWORD, "staple in the barn").await.unwrap();
        ended(&dan).await;
        t.kernel.authenticate(&kept.access_token).await.unwrap();
        let again = t.kernel.user_invite(&admin(&t), "dan").await.unwrap();
        t.kernel.invitation_accept(&again.secret, PASSWORD, Origin::default(), me.ids.clone()).await.unwrap();
        ended(&kept).await;
    }

    async fn tokens_and_families_expire(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = kernel(&db, &clock).await;
        person(&t, "ann").await;
        let first = tokens(&t, "ann").await;
        clock.advance(Duration::from_secs(629));
        t.kernel.authenticate(&first.access_token).await.unwrap();
        clock.advance(Duration::from_secs(1));
        assert_eq!(code(t.kernel.authenticate(&first.access_token).await), "bad_credential", "however lately it was seen");
        let day = Duration::from_hours(24);
        let mut last = refresh(&t, &first.refresh.secret).await.unwrap();
        clock.advance(day * 31);
        assert_eq!(code(refresh(&t, &last.refresh.secret).await), "bad_refresh_token", "not used for 30 days");
        last = tokens(&t, "ann").await;
        for _ in 0..4 {
            clock.advance(day * 20);
            last = refresh(&t, &last.refresh.secret).await.unwrap();
        }
        clock.advance(day * 11);
        assert_eq!(code(refresh(&t, &last.refresh.secret).await), "bad_refresh_token", "after 90 days one signs in again");
        let swept = t.kernel.retention_sweep().await.unwrap();
        assert!(swept.credentials >= 6, "{swept:?}");
        assert_eq!(t.number("SELECT count(*) FROM refresh_used").await, 0);
    }

    async fn keys_are_exchanged_by_age_by_hand_and_with_the_master_key(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = kernel(&db, &clock).await;
        let other = TestKernel::build().clock(&clock).master_keys(&[MASTER]).idle().store(&t.kernel.store).on(&db).await;
        assert!(t.kernel.signing_keys().await.unwrap().keys.is_empty(), "made at first need");
        person(&t, "ann").await;
        let first = tokens(&t, "ann").await;
        other.kernel.authenticate(&first.access_token).await.unwrap();
        assert_eq!(code(t.kernel.signing_key_rotate(&t.context_as("dev", "viewer")).await), "action_denied");
        clock.advance(Duration::from_secs(1));
        let kid = t.kernel.signing_key_rotate(&admin(&t)).await.unwrap();
        clock.advance(Duration::from_secs(6));
        t.kernel.authenticate(&first.access_token).await.unwrap();
        // A process that has not heard signs with the old one for a while, and what it signs is good.
        t.kernel.authenticate(&tokens(&other, "ann").await.access_token).await.unwrap();
        let second = tokens(&t, "ann").await;
        other.kernel.authenticate(&second.access_token).await.unwrap();
        let published = t.kernel.signing_keys().await.unwrap().keys;
        assert_eq!((published.len(), &published[0].kid), (2, &kid));
        assert_eq!(t.number("SELECT count(*) FROM signing_key WHERE sealed IS NOT NULL").await, 1, "one private half");
        clock.advance(Duration::from_mins(31));
        t.kernel.signing_keys_tend().await.unwrap();
        assert_eq!(t.kernel.signing_keys().await.unwrap().keys.len(), 1, "nothing of the first can live");
        clock.advance(Duration::from_hours(24 * 30));
        t.kernel.signing_keys_tend().await.unwrap();
        let aged = t.kernel.signing_keys().await.unwrap().keys;
        assert_eq!(aged.len(), 2);
        assert_ne!(aged[0].kid, kid);
        // Each of the three by somebody, or by the system, on record.
        assert_eq!(t.number("SELECT count(*) FROM audit WHERE action = 'signing-keys.rotate'").await, 3);
    }

    async fn the_key_goes_with_the_master_key_that_sealed_it(db: TestDatabase) {
        let old = TestKernel::build().master_keys(&[MASTER]).idle().on(&db).await;
        person(&old, "ann").await;
        let before = tokens(&old, "ann").await;
        let t = TestKernel::build().master_keys(&[NEXT_MASTER, MASTER]).store(&old.kernel.store).on(&db).await;
        let act = Act::new("secrets", "rotate-master");
        let job = t.kernel.job_create(&t.context(), act, MASTER_KEY, json!({}), key()).await.unwrap();
        let job = t.job_ended(job.id).await;
        assert_eq!(job.state, JobState::Succeeded, "{:?}", job.error);
        assert_eq!(t.number("SELECT count(*) FROM signing_key WHERE sealed IS NOT NULL").await, 0);
        let after = tokens(&t, "ann").await;
        for token in [&before.access_token, &after.access_token] {
            t.kernel.authenticate(token).await.unwrap();
        }
        assert_eq!(t.number("SELECT count(DISTINCT master) FROM signing_key WHERE sealed IS NOT NULL").await, 1);
        let behind = TestKernel::build().master_keys(&[MASTER]).idle().store(&old.kernel.store).on(&db).await;
        let asked = SignIn { name: "ann".into(), password: PASSWORD.into(), origin: Origin::default() };
        assert_eq!(code(behind.kernel.tokens_by_password(asked, t.context().ids).await), "secret_key_wrong");
    }

    async fn what_another_master_key_sealed_signs_no_more(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = kernel(&db, &clock).await;
        person(&t, "ann").await;
        let before = tokens(&t, "ann").await;
        let stranger = TestKernel::build().clock(&clock).master_keys(&[NEXT_MASTER]).idle().store(&t.kernel.store).on(&db).await;
        let asked = SignIn { name: "ann".into(), password: PASSWORD.into(), origin: Origin::default() };
        let refused = stranger.kernel.tokens_by_password(asked, t.context().ids).await;
        assert_eq!(code(refused), "secret_key_wrong");
        stranger.kernel.authenticate(&before.access_token).await.unwrap();
    }

    async fn a_claim_that_is_not_ours_lets_nobody_in(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = kernel(&db, &clock).await;
        person(&t, "ann").await;
        let good = tokens(&t, "ann").await;
        let claims = jwt::claims(&good.access_token);
        // A key of ours whose private half the test has.
        let seed = [9; 32];
        let (public, now) = (jwt::public(&seed).to_vec(), t.kernel.source.now());
        let written = t.kernel.store.write(move |tx| -> Result<()> {
            tx.exec(
                "INSERT INTO signing_key (kid, public_key, created_at, retired_at) VALUES ('mine', $1, $2, $2)",
                qd_kernel::params![public.clone(), now],
            )?;
            Ok(())
        });
        written.await.unwrap();
        clock.advance(Duration::from_secs(2));
        let header = json!({ "alg": "EdDSA", "kid": "mine" });
        let with = |change: &[(&str, serde_json::Value)]| {
            let mut claims = claims.clone();
            for (name, value) in change {
                match value.is_null() {
                    true => drop(claims.as_object_mut().unwrap().remove(*name)),
                    false => claims[*name] = value.clone(),
                }
            }
            jwt::ed25519(&seed, &header, &claims)
        };
        t.kernel.authenticate(&with(&[])).await.unwrap();
        let at = claims["iat"].as_i64().unwrap();
        let mut told = vec![];
        for wrong in [
            with(&[("iss", json!("urn:uuid:00000000-0000-0000-0000-000000000000"))]),
            with(&[("aud", json!("elsewhere"))]),
            with(&[("aud", json!(["quarterdeck"]))]),
            with(&[("nbf", json!(at + 40))]),
            with(&[("exp", json!(at - 40))]),
            with(&[("exp", json!("never"))]),
            with(&[("exp", json!(null))]),
            with(&[("nbf", json!(null))]),
            with(&[("sub", json!(uuid::Uuid::nil()))]),
            with(&[("sid", json!(uuid::Uuid::nil()))]),
            jwt::ed25519(&seed, &json!({ "alg": "EdDSA", "kid": "unknown" }), &claims),
            jwt::ed25519(&seed, &json!({ "alg": "EdDSA" }), &claims),
            jwt::ed25519(&[8; 32], &header, &claims),
            jwt::unsigned(&json!({ "alg": "none", "kid": "mine" }), &claims),
            jwt::hs256(&jwt::public(&seed), &json!({ "alg": "HS256", "kid": "mine" }), &claims),
            jwt::hs256(&jwt::public(&seed), &header, &claims),
            "..".into(),
        ] {
            let error = t.kernel.authenticate(&wrong).await.err().unwrap_or_else(|| panic!("let in: {wrong}"));
            told.push((error.kind, error.code, error.detail));
        }
        told.dedup();
        assert_eq!(told.len(), 1, "one answer for all: {told:?}");
    }
}
