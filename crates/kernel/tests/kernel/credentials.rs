//! Sign-in links, sessions and tokens.

use std::time::Duration;

use futures::future::join_all;
use qd_core::error::{ErrorKind, Result};
use qd_kernel::access::{PLATFORM_ADMIN, VIEWER};
use qd_kernel::credentials::{Identity, Origin, Secret};
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

async fn exchange(t: &TestKernel, code: &str) -> Result<(Identity, Secret)> {
    t.kernel.link_exchange(code, Origin::default(), t.context().ids).await
}
