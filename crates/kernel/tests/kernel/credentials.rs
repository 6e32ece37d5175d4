//! Sign-in links, sessions and tokens.

use std::time::Duration;

use futures::future::join_all;
use qd_core::error::{ErrorKind, Result};
use qd_kernel::access::{PLATFORM_ADMIN, VIEWER};
use qd_kernel::context::{Context, Scope};
use qd_kernel::credentials::accounts::NewUser;
use qd_kernel::credentials::{Identity, Origin, Secret, TokenRequest};
use qd_testkit::{ManualClock, TestKernel, both_stores};

const MINUTE: Duration = Duration::from_secs(60);

both_stores! {
    async fn a_token_says_who_calls_until_it_is_revoked(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let token = t.kernel.owner_token().await.unwrap();
        assert!(token.starts_with("qd_") && token.len() > 60);
        for _ in 0..2 {
            let owner = t.kernel.authenticate(&token).await.unwrap();
            assert_eq!((owner.name.as_str(), owner.principal(t.scope).roles), ("owner", vec![PLATFORM_ADMIN.to_owned()]));
        }
        let other = t.kernel.owner_token().await.unwrap();
        assert_ne!(token, other);
        let whose = t.kernel.authenticate(&token).await.unwrap();
        t.kernel.credential_revoke(&t.context(), &whose).await.unwrap();
        let refused = t.kernel.authenticate(&token).await.unwrap_err();
        assert_eq!((refused.kind, refused.code), (ErrorKind::Unauthenticated, "bad_credential"));
        t.kernel.authenticate(&other).await.unwrap();
        for wrong in ["", "qd_", "qd_00", &token[..token.len() - 1], &token.to_uppercase()] {
            assert_eq!(t.kernel.authenticate(wrong).await.unwrap_err().kind, ErrorKind::Unauthenticated, "{wrong:?}");
        }
    }

    async fn a_sign_in_code_works_once(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let link = t.kernel.owner_link().await.unwrap();
        assert_eq!(t.kernel.authenticate(&link.secret).await.unwrap_err().code, "bad_credential", "a code is no session");
        let all = join_all((0..20).map(|_| exchange(&t, &link.secret))).await;
        let (sessions, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
        assert_eq!(sessions.len(), 1);
        assert!(refused.into_iter().all(|r| r.err().is_some_and(|error| error.code == "bad_sign_in_code")));
        let (principal, session) = sessions.into_iter().next().unwrap().unwrap();
        assert_eq!(principal.name, "owner");
        assert_eq!(t.kernel.authenticate(&session.secret).await.unwrap(), principal);
        assert_eq!(exchange(&t, &session.secret).await.err().unwrap().code, "bad_sign_in_code");
        t.kernel.credential_revoke(&t.context(), &principal).await.unwrap();
        assert_eq!(t.kernel.authenticate(&session.secret).await.unwrap_err().code, "bad_credential");
    }

    async fn codes_and_sessions_expire(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).idle().on(&db).await;
        let (late, in_time) = (t.kernel.owner_link().await.unwrap(), t.kernel.owner_link().await.unwrap());
        clock.advance(MINUTE * 9);
        let (_, session) = exchange(&t, &in_time.secret).await.unwrap();
        clock.advance(MINUTE);
        assert_eq!(exchange(&t, &late.secret).await.err().unwrap().code, "bad_sign_in_code");
        clock.advance(MINUTE * (12 * 60 - 2));
        t.kernel.authenticate(&session.secret).await.unwrap();
        clock.advance(MINUTE);
        assert_eq!(t.kernel.authenticate(&session.secret).await.unwrap_err().code, "bad_credential");
    }

    async fn no_secret_is_stored(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let token = t.kernel.owner_token().await.unwrap();
        let link = t.kernel.link_create(&owner(&t).await).await.unwrap();
        let stored: Vec<Vec<u8>> = t
            .kernel
            .store
            .read(|tx| tx.rows("SELECT hash FROM credential", &[], |row| row.get(0)))
            .await
            .map_err(|error: qd_kernel::store::StoreError| error)
            .unwrap();
        assert_eq!(stored.len(), 2);
        for secret in [&token, &link.secret] {
            let bytes = hex::decode(secret.rsplit_once('_').unwrap().1).unwrap();
            assert!(stored.iter().all(|hash| hash.len() == 32 && *hash != bytes && hash != secret.as_bytes()));
        }
        assert_eq!(t.number("SELECT count(*) FROM audit WHERE action = 'own.link'").await, 1);
    }

    async fn what_is_made_with_a_token_is_no_wider_and_ends_with_it(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).idle().on(&db).await;
        let (_, session) = exchange(&t, &t.kernel.owner_link().await.unwrap().secret).await.unwrap();
        let narrow = wanted(Some(600), &["read", "own.*", "tokens.create"]);
        let narrow = t.kernel.own_token_create(&holder(&t, &session.secret).await, narrow).await.unwrap();
        let context = holder(&t, &narrow.secret).await;
        assert_eq!(context.principal.limits.as_deref().map(<[String]>::len), Some(3));
        let admin = t.context_as("admin", PLATFORM_ADMIN);
        let robot = NewUser { name: "robot".into(), display_name: String::new(), service: true, password_hash: None };
        t.kernel.user_create(&admin, robot).await.unwrap();

        for wide in ["*", "jobs.*", "jobs.cancel", "*.list"] {
            let own = t.kernel.own_token_create(&context, wanted(None, &["own.token", wide])).await;
            let others = t.kernel.service_token_create(&context, "robot", wanted(None, &[wide])).await;
            let expected = if wide == "*.list" { "fine" } else { "token_too_wide" };
            assert_eq!((code(own), code(others)), (expected, expected), "{wide}");
        }
        let same = t.kernel.own_token_create(&context, TokenRequest::default()).await.unwrap();
        let part = t.kernel.own_token_create(&context, wanted(Some(86_400), &["jobs.list", "own.link"])).await.unwrap();
        let sooner = t.kernel.own_token_create(&context, wanted(Some(60), &["read"])).await.unwrap();
        let service = t.kernel.service_token_create(&context, "robot", TokenRequest::default()).await.unwrap();
        let (_, other) = t.kernel.token_create(&context, "other", None).await.unwrap();
        assert_eq!([same.expires_at, part.expires_at, service.expires_at], [narrow.expires_at; 3]);
        assert!(sooner.expires_at < narrow.expires_at);
        let limits = async |secret: &str| holder(&t, secret).await.principal.limits.unwrap().to_vec();
        for secret in [&same.secret, &service.secret, &other] {
            assert_eq!(limits(secret).await, ["read", "own.*", "tokens.create"]);
        }
        assert_eq!(limits(&part.secret).await, ["jobs.list", "own.link"]);

        // What comes of a link is bound as well, at each further step.
        let link = t.kernel.link_create(&holder(&t, &part.secret).await).await.unwrap();
        assert!(link.expires_at <= narrow.expires_at);
        let (who, opened) = exchange(&t, &link.secret).await.unwrap();
        assert_eq!(t.kernel.authenticate(&opened.secret).await.unwrap(), who);
        assert_eq!((limits(&opened.secret).await.join(" "), opened.expires_at), ("jobs.list own.link".into(), narrow.expires_at));
        let again = t.kernel.link_create(&holder(&t, &opened.secret).await).await.unwrap();
        let (_, opened) = exchange(&t, &again.secret).await.unwrap();
        assert_eq!((limits(&opened.secret).await.len(), opened.expires_at), (2, narrow.expires_at));

        let before = t.number("SELECT count(*) FROM credential WHERE kind = 'token' AND expires_at IS NULL").await;
        assert_eq!(before, 0, "all of them end");
        // Nor does it work on for the seconds in which callers are remembered.
        clock.advance(MINUTE * 10 - Duration::from_secs(1));
        t.kernel.authenticate(&part.secret).await.unwrap();
        clock.advance(Duration::from_secs(1));
        for secret in [&same.secret, &part.secret, &service.secret, &other, &opened.secret] {
            assert_eq!(code(t.kernel.authenticate(secret).await), "bad_credential");
        }
        // What has ended makes nothing, however lately it was seen.
        t.kernel.retention_sweep().await.unwrap();
        assert_eq!(code(t.kernel.own_token_create(&context, TokenRequest::default()).await), "bad_credential");
        assert_eq!(code(t.kernel.link_create(&context).await), "bad_credential");
        // A session is no token: what is made in it outlives it.
        let long = t.kernel.own_token_create(&holder(&t, &session.secret).await, wanted(Some(86_400 * 30), &["*"])).await.unwrap();
        assert!(long.expires_at > session.expires_at);
    }

    async fn a_family_that_a_limited_token_began_stays_limited(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).master_keys(&["000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"]).idle().on(&db).await;
        let (_, session) = exchange(&t, &t.kernel.owner_link().await.unwrap().secret).await.unwrap();
        let day = wanted(Some(86_400), &["read", "own.link"]);
        let token = t.kernel.own_token_create(&holder(&t, &session.secret).await, day).await.unwrap();
        let link = t.kernel.link_create(&holder(&t, &token.secret).await).await.unwrap();
        let ids = || t.context().ids;
        let first = t.kernel.tokens_by_code(&link.secret, Origin::default(), ids()).await.unwrap();
        assert_eq!(first.refresh.expires_at, token.expires_at);
        clock.advance(MINUTE * 60 * 23);
        let next = t.kernel.tokens_refresh(&first.refresh.secret, Origin::default(), ids()).await.unwrap();
        assert_eq!(next.refresh.expires_at, token.expires_at, "renewed, and no longer");
        let limits = holder(&t, &next.access_token).await.principal.limits;
        assert_eq!(limits.as_deref(), Some(&["read".to_owned(), "own.link".to_owned()][..]));
        clock.advance(MINUTE * 60);
        assert_eq!(code(t.kernel.authenticate(&next.access_token).await), "bad_credential");
        let late = t.kernel.tokens_refresh(&next.refresh.secret, Origin::default(), ids()).await;
        assert_eq!(code(late), "bad_refresh_token");
    }

    async fn only_the_owner_makes_tokens_for_others(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let owner = t.context_as("owner", PLATFORM_ADMIN);
        let (made, token) = t.kernel.token_create(&owner, "second", None).await.unwrap();
        assert_eq!((made.name.as_str(), made.roles.as_slice()), ("second", &[PLATFORM_ADMIN.to_owned()][..]));
        assert_eq!(t.kernel.authenticate(&token).await.unwrap().principal(t.scope), made);
        let (again, other) = t.kernel.token_create(&owner, "second", Some(PLATFORM_ADMIN)).await.unwrap();
        assert_eq!(again.id, made.id);
        assert_ne!(other, token);
        let (viewer, _) = t.kernel.token_create(&owner, "looks", Some(VIEWER)).await.unwrap();
        assert_eq!(viewer.roles, [VIEWER]);
        let second = t.context_as("second", PLATFORM_ADMIN);
        for (context, name, role, code) in [
            (&second, "third", None, "owner_only"),
            (&t.context_as("looks", VIEWER), "third", None, "action_denied"),
            (&owner, "looks", Some(PLATFORM_ADMIN), "already_exists"),
            (&owner, "third", Some("king"), "role_not_found"),
            (&owner, "No Name", None, "malformed_name"),
        ] {
            assert_eq!(t.kernel.token_create(context, name, role).await.unwrap_err().code, code, "{name} {role:?}");
        }
        assert_eq!(t.number("SELECT count(*) FROM principal WHERE name = 'third'").await, 0);
        assert_eq!(t.number("SELECT count(*) FROM audit WHERE action = 'tokens.create'").await, 3);
    }
}

/// The owner, as a caller.
async fn owner(t: &TestKernel) -> qd_kernel::context::Context {
    let token = t.kernel.owner_token().await.unwrap();
    let mut context = t.context();
    let whose = t.kernel.authenticate(&token).await.unwrap();
    context.principal = whose.principal(t.scope);
    t.kernel.credential_revoke(&t.context(), &whose).await.unwrap();
    context
}

/// Whoever comes with this, acting on the platform.
async fn holder(t: &TestKernel, secret: &str) -> Context {
    let identity = t.kernel.authenticate(secret).await.unwrap();
    t.kernel.context(&identity, Scope::PLATFORM, t.context().ids, "test".into()).await.unwrap()
}

fn wanted(seconds: Option<u64>, allows: &[&str]) -> TokenRequest {
    let allows = Some(allows.iter().map(|pattern| (*pattern).to_owned()).collect());
    TokenRequest { label: String::new(), life: seconds.map(Duration::from_secs), allows }
}

fn code<T>(answer: Result<T>) -> &'static str {
    answer.err().map_or("fine", |error| error.code)
}

async fn exchange(t: &TestKernel, code: &str) -> Result<(Identity, Secret)> {
    t.kernel.link_exchange(code, Origin::default(), t.context().ids).await
}
