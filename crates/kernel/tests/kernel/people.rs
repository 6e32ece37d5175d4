//! Accounts, passwords, roles held at places, tenants.

use std::time::Duration;

use futures::future::join_all;
use qd_core::error::{Error, ErrorKind, Result};
use qd_kernel::access::bindings::Grant;
use qd_kernel::access::sharing::Share;
use qd_kernel::access::{INFRA_ADMIN, PIPELINE_DEV, PLATFORM_ADMIN, TENANT_ADMIN, VIEWER, check};
use qd_kernel::context::{Context, Scope};
use qd_kernel::credentials::accounts::{AccountState, NewUser, UserPatch};
use qd_kernel::credentials::{Identity, Origin, Secret, SignIn, TokenRequest};
use qd_kernel::page::PageRequest;
use qd_kernel::registry::Role;
use qd_kernel::resources::MetadataPatch;
use qd_kernel::tenants::admin::{Patch, TenantState};
use qd_testkit::sample::document;
use qd_testkit::{ManualClock, TestKernel, both_stores};
use serde_json::json;

const PASSWORD: &str = "correct horse battery";
const OTHER: &str = "staple in the barn";

/// An administrator of the platform, acting on it.
fn admin(t: &TestKernel) -> Context {
    Context { scope: Scope::PLATFORM, ..t.context_as("admin", PLATFORM_ADMIN) }
}

fn person(name: &str) -> NewUser {
    NewUser { name: name.into(), display_name: String::new(), service: false, password_hash: None }
}

async fn invited(t: &TestKernel, name: &str) -> Secret {
    t.kernel.user_create(&admin(t), person(name)).await.unwrap().1.unwrap()
}

async fn accept(t: &TestKernel, code: &str, password: &str) -> Result<(Identity, Secret)> {
    t.kernel.invitation_accept(code, password, Origin::default(), t.context().ids).await
}

async fn sign_in(t: &TestKernel, name: &str, password: &str) -> Result<(Identity, Secret)> {
    let asked = SignIn { name: name.into(), password: password.into(), origin: Origin::default() };
    t.kernel.sign_in(asked, t.context().ids).await
}

/// A person with a password, signed in.
async fn member(t: &TestKernel, name: &str) -> (Identity, Secret) {
    let invitation = invited(t, name).await;
    accept(t, &invitation.secret, PASSWORD).await.unwrap()
}

fn code<T>(answer: Result<T, Error>) -> &'static str {
    answer.err().map_or("fine", |error| error.code)
}

fn grant(name: &str, role: &str, project: Option<&str>) -> Grant {
    Grant { principal: name.into(), role: role.into(), project: project.map(Into::into) }
}

both_stores! {
    async fn an_invitation_makes_a_password_once(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let invitation = invited(&t, "ann").await;
        assert_eq!(code(t.kernel.authenticate(&invitation.secret).await), "bad_credential", "an invitation is no session");
        assert_eq!(code(accept(&t, &invitation.secret, "short").await), "weak_password");
        let all = join_all((0..6).map(|_| accept(&t, &invitation.secret, PASSWORD))).await;
        assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 1);
        assert!(all.into_iter().filter_map(Result::err).all(|error| error.code == "bad_invitation"));
        let (ann, session) = sign_in(&t, "ann", PASSWORD).await.unwrap();
        assert_eq!(t.kernel.authenticate(&session.secret).await.unwrap(), ann);
        assert!(ann.principal(t.scope).roles.is_empty(), "nobody holds a role that was not granted");
        let again = t.kernel.user_invite(&admin(&t), "ann").await.unwrap();
        accept(&t, &again.secret, OTHER).await.unwrap();
        assert_eq!(code(t.kernel.authenticate(&session.secret).await), "bad_credential", "the old password's sessions end");
        assert_eq!(code(sign_in(&t, "ann", PASSWORD).await), "bad_sign_in");
        sign_in(&t, "ann", OTHER).await.unwrap();
    }

    async fn nobody_is_called_what_the_system_is_called(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let owner = Context { scope: Scope::PLATFORM, ..t.context_as("owner", PLATFORM_ADMIN) };
        for name in ["edge", "gateway", "observer", "system", "unknown"] {
            for new in [person(name), NewUser { service: true, ..person(name) }] {
                assert_eq!(code(t.kernel.user_create(&admin(&t), new).await), "name_reserved", "{name}");
            }
            assert_eq!(code(t.kernel.token_create(&owner, name, None).await), "name_reserved", "{name}");
        }
        assert_eq!(code(t.kernel.user_create(&admin(&t), person("owner")).await), "already_exists");
        invited(&t, "systems").await;
    }

    async fn who_cannot_sign_in_is_told_the_same(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        member(&t, "ann").await;
        member(&t, "sus").await;
        let sus = t.kernel.user_get("sus").await.unwrap();
        let out = UserPatch { state: Some(AccountState::Suspended), ..UserPatch::default() };
        t.kernel.user_update(&admin(&t), "sus", sus.version, out).await.unwrap();
        let robot = NewUser { service: true, ..person("robot") };
        t.kernel.user_create(&admin(&t), robot).await.unwrap();
        let mut told = vec![];
        for (name, password) in [("ann", OTHER), ("sus", PASSWORD), ("nobody", PASSWORD), ("robot", PASSWORD), ("owner", PASSWORD), ("", "")] {
            let error = sign_in(&t, name, password).await.err().unwrap();
            told.push((error.kind, error.code, error.detail));
        }
        told.dedup();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].0, ErrorKind::Unauthenticated);
    }

    async fn a_name_is_locked_after_failures_whether_anybody_has_it_or_not(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).idle().on(&db).await;
        member(&t, "ann").await;
        for name in ["ann", "nobody"] {
            for _ in 0..5 {
                assert_eq!(code(sign_in(&t, name, OTHER).await), "bad_sign_in");
            }
            let locked = sign_in(&t, name, PASSWORD).await.err().unwrap();
            assert_eq!((locked.kind, locked.code, locked.retry_after_s), (ErrorKind::RateLimited, "too_many_tries", Some(31)), "{name}");
        }
        clock.advance(Duration::from_secs(31));
        sign_in(&t, "ann", PASSWORD).await.unwrap();
        for _ in 0..4 {
            assert_eq!(code(sign_in(&t, "ann", OTHER).await), "bad_sign_in", "the right password began anew");
        }
        sign_in(&t, "ann", PASSWORD).await.unwrap();
        // Many at once count one by one.
        let all = join_all((0..12).map(|_| sign_in(&t, "ann", OTHER))).await;
        let codes: Vec<&str> = all.into_iter().map(code).collect();
        assert_eq!(codes.iter().filter(|one| **one == "bad_sign_in").count(), 5, "{codes:?}");
    }

    async fn an_imported_hash_is_replaced_at_the_first_sign_in(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let imported = bcrypt::hash(PASSWORD, 4).unwrap();
        let new = NewUser { password_hash: Some(imported), ..person("ann") };
        assert!(t.kernel.user_create(&admin(&t), new).await.unwrap().1.is_none(), "no invitation is needed");
        assert_eq!(code(sign_in(&t, "ann", OTHER).await), "bad_sign_in");
        assert_eq!(t.number("SELECT count(*) FROM principal WHERE password LIKE '$2b$%'").await, 1);
        sign_in(&t, "ann", PASSWORD).await.unwrap();
        assert_eq!(t.number("SELECT count(*) FROM principal WHERE password LIKE '$argon2id$%'").await, 1);
        sign_in(&t, "ann", PASSWORD).await.unwrap();
        let dear = NewUser { password_hash: Some("$2b$13$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".into()), ..person("bob") };
        assert_eq!(code(t.kernel.user_create(&admin(&t), dear).await), "password_hash_cost");
        let odd = NewUser { password_hash: Some("plain".into()), ..person("bob") };
        assert_eq!(code(t.kernel.user_create(&admin(&t), odd).await), "bad_password_hash");
    }

    async fn a_changed_password_ends_other_sessions(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let (ann, here) = member(&t, "ann").await;
        let (_, elsewhere) = sign_in(&t, "ann", PASSWORD).await.unwrap();
        let own = Context { scope: Scope::PLATFORM, principal: ann.principal(Scope::PLATFORM), ..t.context() };
        assert_eq!(code(t.kernel.password_change(&own, &ann, OTHER, OTHER).await), "bad_sign_in");
        assert_eq!(code(t.kernel.password_change(&own, &ann, PASSWORD, "ann ann ann ann").await), "weak_password");
        t.kernel.password_change(&own, &ann, PASSWORD, OTHER).await.unwrap();
        t.kernel.authenticate(&here.secret).await.unwrap();
        assert_eq!(code(t.kernel.authenticate(&elsewhere.secret).await), "bad_credential");
        let mine = t.kernel.credential_list(ann.id).await.unwrap();
        assert_eq!(mine.iter().map(|one| one.id).collect::<Vec<_>>(), [ann.credential_id]);
        let stranger = t.context_as("stranger", VIEWER);
        assert_eq!(code(t.kernel.credential_end(&stranger, ann.credential_id).await), "credential_not_found");
        t.kernel.credential_end(&own, ann.credential_id).await.unwrap();
        assert_eq!(code(t.kernel.authenticate(&here.secret).await), "bad_credential");
    }

    async fn a_role_reaches_where_it_is_held_and_no_further(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let other = t.kernel.tenant_create(&admin(&t), "other", "").await.unwrap();
        let in_tenant = Context { scope: t.scope.of_tenant(), ..t.context() };
        t.kernel.project_create(&in_tenant, "lab", "").await.unwrap();
        let (_, session) = member(&t, "ann").await;
        t.kernel.role_grant(&in_tenant, grant("ann", PIPELINE_DEV, Some("lab"))).await.unwrap();
        t.kernel.role_grant(&in_tenant, grant("ann", PIPELINE_DEV, Some("lab"))).await.unwrap();
        t.kernel.role_grant(&in_tenant, grant("ann", VIEWER, None)).await.unwrap();
        let ann = t.kernel.authenticate(&session.secret).await.unwrap();
        let lab = t.kernel.scope_find(None, Some("lab")).await.unwrap().scope;
        let elsewhere = t.kernel.scope_find(Some("other"), None).await.unwrap().scope;
        for (scope, roles) in [(lab, &[PIPELINE_DEV, VIEWER][..]), (t.scope, &[VIEWER]), (elsewhere, &[]), (Scope::PLATFORM, &[])] {
            assert_eq!(ann.principal(scope).roles, roles, "{scope:?}");
            let context = Context { scope, principal: ann.principal(scope), ..t.context() };
            assert_eq!(check(&context, "jobs.cancel").is_ok(), roles.contains(&PIPELINE_DEV), "{scope:?}");
            assert_eq!(check(&context, "jobs.list").is_ok(), !roles.is_empty(), "{scope:?}");
        }
        assert!(ann.sees_tenant(t.scope.tenant_id) && !ann.sees_tenant(other.id));
        let seen = t.kernel.tenant_list(&ann, PageRequest::default()).await.unwrap().items;
        assert_eq!(seen.iter().map(|tenant| tenant.name.as_str()).collect::<Vec<_>>(), ["default"]);
        t.kernel.role_revoke(&in_tenant, grant("ann", PIPELINE_DEV, Some("lab"))).await.unwrap();
        let ann = t.kernel.authenticate(&session.secret).await.unwrap();
        assert_eq!(ann.principal(lab).roles, [VIEWER], "a revoked role is gone at once");
        assert_eq!(t.number("SELECT count(*) FROM audit WHERE action = 'members.grant'").await, 2, "a repeat changes nothing");
        assert_eq!(ann.projects_in(t.scope.tenant_id), None, "a role in the tenant reaches all");
        assert_eq!(ann.projects_in(other.id), Some([].into()));
        t.kernel.role_revoke(&in_tenant, grant("ann", VIEWER, None)).await.unwrap();
        t.kernel.role_grant(&in_tenant, grant("ann", PIPELINE_DEV, Some("lab"))).await.unwrap();
        let ann = t.kernel.authenticate(&session.secret).await.unwrap();
        let seen = ann.projects_in(t.scope.tenant_id);
        let seen = t.kernel.project_list(t.scope, seen, PageRequest::default()).await.unwrap().items;
        assert_eq!(seen.iter().map(|project| project.name.as_str()).collect::<Vec<_>>(), ["lab"]);
    }

    async fn nobody_grants_what_is_not_his_to_give(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let (ann, _) = member(&t, "ann").await;
        t.kernel.role_grant(&Context { scope: t.scope.of_tenant(), ..t.context() }, grant("ann", VIEWER, None)).await.unwrap();
        let of_tenant = |role: &str| Context { scope: t.scope.of_tenant(), ..t.context_as("boss", role) };
        let ann_herself = Context { principal: qd_kernel::context::Principal { roles: vec![TENANT_ADMIN.into()], ..ann.principal(t.scope) }, ..of_tenant(VIEWER) };
        for (context, grant, expected) in [
            (of_tenant(TENANT_ADMIN), grant("ann", PIPELINE_DEV, None), "fine"),
            (of_tenant(TENANT_ADMIN), grant("ann", PLATFORM_ADMIN, None), "role_not_here"),
            (of_tenant(TENANT_ADMIN), grant("ann", TENANT_ADMIN, Some("default")), "role_not_here"),
            (of_tenant(TENANT_ADMIN), grant("ann", "king", None), "role_not_found"),
            (of_tenant(TENANT_ADMIN), grant("nobody", VIEWER, None), "user_not_found"),
            (of_tenant(TENANT_ADMIN), grant("ann", VIEWER, Some("nowhere")), "project_not_found"),
            (of_tenant(PIPELINE_DEV), grant("ann", VIEWER, None), "action_denied"),
            (Context { scope: Scope::PLATFORM, ..of_tenant(TENANT_ADMIN) }, grant("ann", PLATFORM_ADMIN, None), "action_denied"),
            (ann_herself, grant("ann", TENANT_ADMIN, None), "own_access"),
        ] {
            assert_eq!(code(t.kernel.role_grant(&context, grant.clone()).await), expected, "{grant:?}");
        }
    }

    async fn the_last_administrator_stays(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let platform = admin(&t);
        let revoke = |name: &'static str| t.kernel.role_revoke(&platform, grant(name, PLATFORM_ADMIN, None));
        assert_eq!(code(revoke("owner").await), "last_administrator");
        for name in ["ann", "bob"] {
            member(&t, name).await;
            t.kernel.role_grant(&platform, grant(name, PLATFORM_ADMIN, None)).await.unwrap();
        }
        let all = join_all(["owner", "ann", "bob"].map(revoke)).await;
        assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 2, "three that go at once leave one");
        assert_eq!(t.number("SELECT count(*) FROM role_binding WHERE level = 'platform'").await, 1);
        let suspend = async |name: &'static str| {
            let out = UserPatch { state: Some(AccountState::Suspended), ..UserPatch::default() };
            let version = t.kernel.user_get(name).await.unwrap().version;
            code(t.kernel.user_update(&platform, name, version, out).await)
        };
        let (mut told, mut last) = (vec![], 0);
        for name in ["owner", "ann", "bob"] {
            told.push(suspend(name).await);
            last += usize::from(told.last() == Some(&"last_administrator"));
        }
        // The owner's account is nobody else's to suspend, whether it is the last or not.
        assert_eq!(told[0], "owner_account", "{told:?}");
        let held = t.number("SELECT count(*) FROM role_binding b JOIN principal p ON p.id = b.principal_id WHERE b.level = 'platform' AND p.name = 'owner'").await;
        assert_eq!(last, usize::from(held == 0), "{told:?}");
    }

    async fn the_account_of_the_owner_is_changed_by_the_owner_alone(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let other = admin(&t);
        let version = t.kernel.user_get("owner").await.unwrap().version;
        let shown = |name: &str| UserPatch { display_name: Some(name.into()), ..UserPatch::default() };
        assert_eq!(code(t.kernel.user_invite(&other, "owner").await), "owner_account");
        assert_eq!(code(t.kernel.user_update(&other, "owner", version, shown("Mine")).await), "owner_account");
        assert_eq!(t.number("SELECT count(*) FROM credential WHERE kind = 'invite'").await, 0);
        let owner = t.kernel.authenticate(&t.kernel.owner_token().await.unwrap()).await.unwrap();
        let himself = Context { principal: owner.principal(Scope::PLATFORM), ..other };
        t.kernel.user_update(&himself, "owner", version, shown("The owner")).await.unwrap();
        let invitation = t.kernel.user_invite(&himself, "owner").await.unwrap();
        accept(&t, &invitation.secret, PASSWORD).await.unwrap();
    }

    async fn a_tenant_takes_on_nobody_whom_it_does_not_know(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let other = t.kernel.tenant_create(&admin(&t), "other", "").await.unwrap();
        let elsewhere = t.kernel.scope_find(Some("other"), None).await.unwrap().scope;
        let platforms = |scope: Scope| Context { scope: scope.of_tenant(), ..t.context() };
        let (_, session) = member(&t, "eve").await;
        t.kernel.role_grant(&platforms(elsewhere), grant("eve", VIEWER, None)).await.unwrap();
        let eve = async || t.kernel.authenticate(&session.secret).await.unwrap();
        member(&t, "new").await;
        let boss = Context { scope: t.scope, authority: t.kernel.authority.clone(), ..t.context_as("boss", TENANT_ADMIN) };
        let in_tenant = Context { scope: t.scope.of_tenant(), ..boss.clone() };
        t.kernel.team_create(&in_tenant, "core", "").await.unwrap();
        t.kernel.resource_create(&boss, &*t.sample(), document("one", json!({}))).await.unwrap();

        // Somebody of another tenant, somebody of none, and nobody at all: the same words.
        let mut told = vec![];
        for name in ["eve", "new", "nil"] {
            let answers = [
                t.kernel.role_grant(&in_tenant, grant(name, VIEWER, None)).await,
                t.kernel.role_grant(&in_tenant, grant(name, VIEWER, Some("default"))).await,
                t.kernel.role_revoke(&in_tenant, grant(name, VIEWER, None)).await,
                t.kernel.team_member_add(&in_tenant, "core", name).await,
                t.kernel.team_member_remove(&in_tenant, "core", name).await,
                t.kernel.resource_share(&boss, &*t.sample(), "one", name, Share::Viewer).await,
                t.kernel.resource_unshare(&boss, &*t.sample(), "one", name).await,
                t.kernel.identity_named(&boss, name).await.map(drop),
            ];
            told.push(answers.map(|answer| answer.err().map(|error| (error.code, error.detail.replace(name, "NAME")))));
        }
        assert_eq!(told[2][0].as_ref().unwrap().0, "user_not_found", "{told:?}");
        assert_eq!(told[0], told[2]);
        assert_eq!(told[1], told[2]);

        // Nor by a document that names her.
        let owned = MetadataPatch { owners: Some(vec!["eve".into()]), ..MetadataPatch::default() };
        assert_eq!(code(t.kernel.resource_patch(&boss, &*t.sample(), "one", 1, owned.clone()).await), "metadata_invalid");
        assert!(!eve().await.sees_tenant(t.scope.tenant_id) && eve().await.held.is_empty());
        let able = t.kernel.access_able(&boss, "samples.read", Some("samples/one")).await.unwrap().items;
        assert!(able.iter().all(|one| one.principal != "eve"), "{able:?}");

        // Once the platform's own has brought her in she is the tenant's to give roles and resources to.
        t.kernel.role_grant(&platforms(t.scope), grant("eve", VIEWER, None)).await.unwrap();
        let now = t.kernel.resource_patch(&boss, &*t.sample(), "one", 1, owned).await.unwrap();
        assert_eq!(eve().await.held.len(), 1);
        t.kernel.role_grant(&in_tenant, grant("eve", PIPELINE_DEV, None)).await.unwrap();
        t.kernel.team_member_add(&in_tenant, "core", "eve").await.unwrap();
        t.kernel.team_member_remove(&in_tenant, "core", "eve").await.unwrap();
        for role in [VIEWER, PIPELINE_DEV] {
            t.kernel.role_revoke(&in_tenant, grant("eve", role, None)).await.unwrap();
        }
        let nobodys = MetadataPatch { owners: Some(vec![]), ..MetadataPatch::default() };
        t.kernel.resource_patch(&boss, &*t.sample(), "one", now.version, nobodys).await.unwrap();
        assert_eq!(code(t.kernel.role_grant(&in_tenant, grant("eve", VIEWER, None)).await), "user_not_found");
        assert!(!eve().await.sees_tenant(t.scope.tenant_id) && eve().await.sees_tenant(other.id));
    }

    async fn nobody_grants_more_than_he_may_do_himself(db: TestDatabase) {
        let hands_out = Role { name: "people:admin", summary: "Gives roles.", actions: &["read", "members.*", "teams.*"] };
        let t = TestKernel::build().register(move |registry| { registry.role(hands_out); }).idle().on(&db).await;
        let platforms = Context { scope: t.scope.of_tenant(), ..t.context() };
        t.kernel.project_create(&platforms, "lab", "").await.unwrap();
        for name in ["ann", "bob"] {
            member(&t, name).await;
            t.kernel.role_grant(&platforms, grant(name, VIEWER, None)).await.unwrap();
        }
        for (role, project) in [("people:admin", None), (PIPELINE_DEV, Some("lab"))] {
            t.kernel.role_grant(&platforms, grant("ann", role, project)).await.unwrap();
        }
        t.kernel.team_create(&platforms, "core", "").await.unwrap();
        t.kernel.role_grant(&platforms, grant("team:core", PIPELINE_DEV, None)).await.unwrap();
        let (ann, _) = sign_in(&t, "ann", PASSWORD).await.unwrap();
        let of = |context: Context| Context { authority: t.kernel.authority.clone(), ..context };
        let ann = of(Context { principal: ann.principal(platforms.scope), ..platforms.clone() });
        let boss = of(Context { scope: platforms.scope, ..t.context_as("boss", TENANT_ADMIN) });
        let limits = Some(["read".to_owned(), "members.*".to_owned()].into());
        let token = of(Context { principal: qd_kernel::context::Principal { limits, ..boss.principal.clone() }, ..boss.clone() });
        for (context, grant, expected) in [
            (&ann, grant("bob", VIEWER, None), "fine"),
            (&ann, grant("bob", "people:admin", None), "fine"),
            (&ann, grant("bob", PIPELINE_DEV, Some("lab")), "fine"),
            (&ann, grant("bob", PIPELINE_DEV, None), "role_beyond_own"),
            (&ann, grant("bob", PIPELINE_DEV, Some("default")), "role_beyond_own"),
            (&ann, grant("bob", TENANT_ADMIN, None), "role_beyond_own"),
            (&ann, grant("team:core", TENANT_ADMIN, None), "role_beyond_own"),
            (&token, grant("bob", VIEWER, Some("lab")), "fine"),
            (&token, grant("bob", INFRA_ADMIN, None), "role_beyond_own"),
            (&boss, grant("bob", TENANT_ADMIN, None), "fine"),
        ] {
            assert_eq!(code(t.kernel.role_grant(context, grant.clone()).await), expected, "{grant:?}");
        }
        let beyond = t.kernel.team_member_add(&ann, "core", "bob").await.unwrap_err();
        assert_eq!((beyond.kind, beyond.code), (ErrorKind::Forbidden, "role_beyond_own"), "a team's roles come with it");
        assert!(beyond.detail.contains(PIPELINE_DEV), "{}", beyond.detail);
        t.kernel.team_member_add(&boss, "core", "bob").await.unwrap();
        // To take a role is to give nothing.
        t.kernel.role_revoke(&ann, grant("bob", TENANT_ADMIN, None)).await.unwrap();
    }

    async fn a_suspended_account_is_recognised_by_nothing(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let (ann, session) = member(&t, "ann").await;
        let own = Context { scope: Scope::PLATFORM, principal: ann.principal(Scope::PLATFORM), ..t.context() };
        let token = t.kernel.own_token_create(&own, TokenRequest::default()).await.unwrap();
        let set = async |state| {
            let version = t.kernel.user_get("ann").await.unwrap().version;
            t.kernel.user_update(&admin(&t), "ann", version, UserPatch { state: Some(state), ..UserPatch::default() }).await.unwrap();
        };
        set(AccountState::Suspended).await;
        for secret in [&session.secret, &token.secret] {
            assert_eq!(code(t.kernel.authenticate(secret).await), "bad_credential");
        }
        assert_eq!(code(t.kernel.user_update(&own, "ann", 2, UserPatch::default()).await), "action_denied");
        set(AccountState::Active).await;
        t.kernel.authenticate(&token.secret).await.unwrap();
        let stale = t.kernel.user_update(&admin(&t), "ann", 1, UserPatch::default()).await;
        assert_eq!(code(stale), "stale_version");
    }

    async fn tokens_are_limited_and_expire(db: TestDatabase) {
        let clock = ManualClock::new(1);
        let t = TestKernel::build().clock(&clock).idle().on(&db).await;
        let robot = NewUser { service: true, ..person("robot") };
        let (_, none) = t.kernel.user_create(&admin(&t), robot).await.unwrap();
        assert!(none.is_none());
        let in_tenant = Context { scope: t.scope.of_tenant(), ..t.context() };
        t.kernel.role_grant(&in_tenant, grant("robot", PIPELINE_DEV, None)).await.unwrap();
        let wanted = TokenRequest { label: "ci".into(), life: Some(Duration::from_secs(60)), allows: Some(vec!["read".into(), "jobs.*".into()]) };
        let token = t.kernel.service_token_create(&admin(&t), "robot", wanted).await.unwrap();
        let robot = t.kernel.authenticate(&token.secret).await.unwrap();
        let context = Context { principal: robot.principal(t.scope), ..t.context() };
        for (action, may) in [("jobs.cancel", true), ("jobs.list", true), ("plans.create", false), ("jobs.ask", false)] {
            assert_eq!(check(&context, action).is_ok(), may, "{action}");
        }
        clock.advance(Duration::from_secs(61));
        assert_eq!(code(t.kernel.authenticate(&token.secret).await), "bad_credential");
        let odd = |allows: &str| TokenRequest { allows: Some(vec![allows.into()]), ..TokenRequest::default() };
        for pattern in ["", "jobs", "Jobs.list", "jobs.", "a.b.c", "jobs.list\""] {
            assert_eq!(code(t.kernel.service_token_create(&admin(&t), "robot", odd(pattern)).await), "bad_action_pattern", "{pattern:?}");
        }
        // What has the form of a pattern, and stands for nothing.
        for (pattern, words) in [
            ("job.cancel", "\"job.cancel\" stands for no action, did you mean \"jobs.cancel\"?"),
            ("job.*", "\"job.*\" stands for no action, did you mean \"jobs.*\"?"),
            ("*.cancle", "\"*.cancle\" stands for no action, did you mean \"*.cancel\"?"),
            ("own.raed", "\"own.raed\" stands for no action, did you mean \"own.read\"?"),
            ("foo.bar", "\"foo.bar\" stands for no action"),
            ("*.*", "\"*.*\" stands for no action"),
        ] {
            let wanted = TokenRequest { allows: Some(vec!["read".into(), pattern.into()]), ..TokenRequest::default() };
            let refused = t.kernel.service_token_create(&admin(&t), "robot", wanted).await.err().unwrap();
            assert_eq!((refused.kind, refused.code, refused.detail.as_str()), (ErrorKind::Invalid, "bad_action_pattern", words));
            let [found] = refused.violations.as_slice() else { panic!("{refused:?}") };
            assert_eq!((found.pointer.as_str(), found.code.as_str()), ("/allows/1", "unknown_action"));
        }
        for pattern in ["*", "read", "samples.*", "samples.publish", "*.validate", "own.*", "own.read", "tokens.create"] {
            t.kernel.service_token_create(&admin(&t), "robot", odd(pattern)).await.unwrap();
        }
        let long = TokenRequest { life: Some(Duration::from_secs(40_000_000)), ..TokenRequest::default() };
        assert_eq!(code(t.kernel.service_token_create(&admin(&t), "robot", long).await), "bad_token_life");
        member(&t, "ann").await;
        assert_eq!(code(t.kernel.service_token_create(&admin(&t), "ann", TokenRequest::default()).await), "not_a_service");
    }

    async fn a_tenant_is_renamed_and_suspended_and_keeps_what_it_has(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let made = t.kernel.tenant_create(&admin(&t), "acme", "Acme").await.unwrap();
        assert_eq!(code(t.kernel.tenant_create(&admin(&t), "acme", "").await), "already_exists");
        let before = t.kernel.scope_find(Some("acme"), None).await.unwrap();
        assert!(!before.suspended);
        let patch = Patch { name: Some("acme-2".into()), state: Some(TenantState::Suspended), ..Patch::default() };
        let now = t.kernel.tenant_update(&admin(&t), "acme", made.version, patch.clone()).await.unwrap();
        assert_eq!((now.id, now.display_name.as_str(), now.state), (made.id, "Acme", TenantState::Suspended));
        assert_eq!(code(t.kernel.scope_find(Some("acme"), None).await), "scope_not_found");
        let after = t.kernel.scope_find(Some("acme-2"), None).await.unwrap();
        assert!(after.suspended && after.scope == before.scope);
        for (name, version, patch, expected) in [
            ("acme", 1, Patch::default(), "tenant_not_found"),
            ("acme-2", 1, Patch::default(), "stale_version"),
            ("acme-2", 2, Patch { name: Some("default".into()), ..Patch::default() }, "already_exists"),
            ("acme-2", 2, Patch { name: Some("No Name".into()), ..Patch::default() }, "malformed_name"),
            ("default", 1, patch, "default_tenant"),
        ] {
            assert_eq!(code(t.kernel.tenant_update(&admin(&t), name, version, patch).await), expected, "{name}");
        }
        let in_tenant = Context { scope: after.scope.of_tenant(), ..t.context() };
        let lab = t.kernel.project_create(&in_tenant, "lab", "").await.unwrap();
        let renamed = Patch { name: Some("labs".into()), ..Patch::default() };
        let labs = t.kernel.project_update(&in_tenant, "lab", lab.version, renamed.clone()).await.unwrap();
        assert_eq!((labs.id, labs.name.as_str()), (lab.id, "labs"));
        assert_eq!(code(t.kernel.project_update(&in_tenant, "default", 1, renamed).await), "default_project");
        let projects = t.kernel.project_list(after.scope, None, PageRequest::default()).await.unwrap().items;
        assert_eq!(projects.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["default", "labs"]);
    }
}
