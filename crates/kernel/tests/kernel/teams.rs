//! Teams: roles held through them, and lost with them.

use qd_core::error::{Error, Result};
use qd_kernel::access::bindings::Grant;
use qd_kernel::access::{PIPELINE_DEV, PLATFORM_ADMIN, TENANT_ADMIN, VIEWER};
use qd_kernel::context::{Context, Scope};
use qd_kernel::credentials::TokenRequest;
use qd_kernel::credentials::accounts::NewUser;
use qd_kernel::page::PageRequest;
use qd_testkit::{TestKernel, both_stores};

fn code<T>(answer: Result<T, Error>) -> &'static str {
    answer.err().map_or("fine", |error| error.code)
}

fn grant(name: &str, role: &str, project: Option<&str>) -> Grant {
    Grant { principal: name.into(), role: role.into(), project: project.map(Into::into) }
}

/// An administrator of the tenant.
fn boss(t: &TestKernel) -> Context {
    Context { scope: t.scope.of_tenant(), ..t.context_as("boss", TENANT_ADMIN) }
}

/// The platform's own, at work in the tenant: who may name anybody.
fn platforms(t: &TestKernel) -> Context {
    Context { scope: t.scope.of_tenant(), ..t.context_as("admin", PLATFORM_ADMIN) }
}

/// A service and its token.
async fn robot(t: &TestKernel, name: &str) -> String {
    let admin = Context { scope: Scope::PLATFORM, ..t.context_as("admin", PLATFORM_ADMIN) };
    let new = NewUser { name: name.into(), display_name: String::new(), service: true, password_hash: None };
    t.kernel.user_create(&admin, new).await.unwrap();
    t.kernel
        .service_token_create(&admin, name, TokenRequest { label: String::new(), life: None, allows: None })
        .await
        .unwrap()
        .secret
}

both_stores! {
    async fn what_a_team_holds_its_members_hold_as_long_as_they_are_in_it(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let (boss, token) = (boss(&t), robot(&t, "ann").await);
        t.kernel.project_create(&boss, "lab", "").await.unwrap();
        t.kernel.team_create(&boss, "core", "Core").await.unwrap();
        assert_eq!(code(t.kernel.team_create(&boss, "core", "").await), "already_exists");
        t.kernel.role_grant(&boss, grant("team:core", VIEWER, None)).await.unwrap();
        t.kernel.role_grant(&boss, grant("team:core", PIPELINE_DEV, Some("lab"))).await.unwrap();
        t.kernel.role_grant(&platforms(&t), grant("ann", VIEWER, None)).await.unwrap();
        let roles = async || t.kernel.authenticate(&token).await.unwrap();
        assert_eq!(roles().await.principal(t.scope).roles, [VIEWER]);

        t.kernel.team_member_add(&boss, "core", "ann").await.unwrap();
        t.kernel.team_member_add(&boss, "core", "ann").await.unwrap();
        let lab = t.kernel.scope_find(None, Some("lab")).await.unwrap().scope;
        assert_eq!(roles().await.principal(lab).roles, [PIPELINE_DEV, VIEWER], "at once in this process");
        assert_eq!(roles().await.principal(t.scope).roles, [VIEWER], "each once");

        let all = t.kernel.member_list(boss.scope, PageRequest::first(500)).await.unwrap().items;
        let anns: Vec<_> =
            all.iter().filter(|m| m.name == "ann").map(|m| (m.role.as_str(), m.project.as_deref(), m.team.as_deref())).collect();
        assert_eq!(anns, [(PIPELINE_DEV, Some("lab"), Some("core")), (VIEWER, None, None), (VIEWER, None, Some("core"))]);
        let held = t.kernel.roles_held(roles().await.id).await.unwrap();
        let held: Vec<_> =
            held.iter().map(|h| (h.role.as_str(), h.project.as_deref(), h.team.as_deref())).collect();
        assert_eq!(
            held,
            [(VIEWER, None, None), (VIEWER, None, Some("core")), (PIPELINE_DEV, Some("lab"), Some("core"))],
            "by place"
        );
        let mut paged = vec![];
        let mut page = PageRequest::first(1);
        loop {
            let one = t.kernel.member_list(boss.scope, page).await.unwrap();
            paged.extend(one.items);
            let Some(next) = one.next_cursor else { break };
            page = PageRequest::new(Some(1), Some(&next)).unwrap();
        }
        assert_eq!(paged.len(), all.len());

        let team = t.kernel.team_get(boss.scope, "core").await.unwrap();
        assert_eq!((team.team.members, team.people.len(), team.roles.len()), (1, 1, 2));
        t.kernel.team_member_remove(&boss, "core", "ann").await.unwrap();
        assert_eq!(code(t.kernel.team_member_remove(&boss, "core", "ann").await), "not_in_team");
        assert!(roles().await.principal(lab).roles == [VIEWER], "her own role is left");
        t.kernel.team_member_add(&boss, "core", "ann").await.unwrap();
        t.kernel.role_revoke(&boss, grant("team:core", PIPELINE_DEV, Some("lab"))).await.unwrap();
        assert_eq!(roles().await.principal(lab).roles, [VIEWER]);
        t.kernel.role_revoke(&boss, grant("ann", VIEWER, None)).await.unwrap();
        assert_eq!(roles().await.principal(lab).roles, [VIEWER], "through the team");
        t.kernel.team_delete(&boss, "core").await.unwrap();
        assert!(roles().await.bindings.is_empty());
        assert_eq!(code(t.kernel.team_get(boss.scope, "core").await), "team_not_found");
    }

    async fn nobody_changes_what_he_may_do_through_a_team(db: TestDatabase) {
        let t = TestKernel::build().idle().on(&db).await;
        let boss = boss(&t);
        let token = robot(&t, "ann").await;
        t.kernel.role_grant(&platforms(&t), grant("ann", TENANT_ADMIN, None)).await.unwrap();
        let ann = t.kernel.authenticate(&token).await.unwrap();
        let ann = Context { principal: ann.principal(boss.scope), ..boss.clone() };
        t.kernel.team_create(&boss, "core", "").await.unwrap();
        assert_eq!(code(t.kernel.team_member_add(&ann, "core", "ann").await), "own_access");
        t.kernel.team_member_add(&boss, "core", "ann").await.unwrap();
        assert_eq!(code(t.kernel.team_member_remove(&ann, "core", "ann").await), "own_access");
        assert_eq!(code(t.kernel.role_grant(&ann, grant("team:core", VIEWER, None)).await), "own_access");
        assert_eq!(code(t.kernel.team_delete(&ann, "core").await), "own_access");
        assert_eq!(code(t.kernel.role_grant(&boss, grant("team:core", PLATFORM_ADMIN, None)).await), "role_not_here");
        let everywhere = Context { scope: Scope::PLATFORM, ..t.context_as("admin", PLATFORM_ADMIN) };
        assert_eq!(code(t.kernel.role_grant(&everywhere, grant("team:core", VIEWER, None)).await), "role_not_here");
        assert_eq!(code(t.kernel.role_grant(&boss, grant("team:none", VIEWER, None)).await), "team_not_found");
        assert_eq!(code(t.kernel.team_member_add(&boss, "core", "nobody").await), "user_not_found");
        let viewer = Context { scope: boss.scope, ..t.context_as("eve", VIEWER) };
        assert_eq!(code(t.kernel.team_create(&viewer, "more", "").await), "action_denied");
        let team = t.kernel.team_get(boss.scope, "core").await.unwrap().team;
        let renamed = t.kernel.team_update(&boss, "core", team.version, Some("The core".into())).await.unwrap();
        assert_eq!((renamed.display_name.as_str(), renamed.version), ("The core", 2));
        assert_eq!(code(t.kernel.team_update(&boss, "core", 1, None).await), "stale_version");
    }
}
