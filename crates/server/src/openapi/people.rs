//! The routes of people: signing in, what is one's own, users, roles, tenants and projects.

use qd_kernel::{
    access::{
        bindings::Member,
        questions::{AbleList, Candidate, WhatIf},
    },
    credentials::{accounts::User, signing::JwkSet},
    notifications::Notification,
    page::Page,
    quotas::{Limits, Quotas},
    reviews::{InboxCounts, InboxItem},
    tenants::{
        admin::{ProjectInfo, TenantInfo},
        export::Export,
    },
};

use super::{
    route::{Content, Route},
    schemas::Schemas,
};
use crate::{api::describe::*, http::query::PageQuery};

pub fn routes(s: &mut Schemas) -> Vec<Route> {
    let mut out = signing_in(s);
    out.extend(providers(s));
    out.extend(own(s));
    out.extend(users(s));
    out.extend(roles(s));
    out.extend(tenants(s));
    out
}

fn signing_in(s: &mut Schemas) -> Vec<Route> {
    let signed_in = s.of::<SignedIn>();
    let opens = |path: &str, id: &str, summary: &str, body| {
        let reply = (200, Content::Json(signed_in.clone()));
        Route::with("post", path, id, "auth", summary, Content::Json(body), reply).public()
    };
    vec![
        opens(
            "/api/v1/auth/exchange",
            "auth_exchange",
            "Exchange a one-time sign-in code for a session cookie",
            s.of::<ExchangeBody>(),
        ),
        opens(
            "/api/v1/auth/sign-in",
            "auth_sign_in",
            "Open a session with a name and a password, as a cookie",
            s.of::<SignInBody>(),
        ),
        opens(
            "/api/v1/auth/accept",
            "auth_accept",
            "Accept an invitation: choose a password, and open a session",
            s.of::<AcceptBody>(),
        ),
        Route::with(
            "post",
            "/api/v1/auth/token",
            "auth_grant",
            "auth",
            "Get an access token and a refresh token: by password, by sign-in code, or by the refresh token before",
            Content::Json(s.of::<Grant>()),
            (200, Content::Json(s.of::<Granted>())),
        )
        .public(),
        Route::get(
            "/.well-known/jwks.json",
            "signing_key_list",
            "auth",
            "The public keys of access tokens",
            Content::Json(s.of::<JwkSet>()),
        )
        .public(),
        Route::with(
            "post",
            "/api/v1/auth/keys/rotate",
            "signing_key_rotate",
            "auth",
            "Let a new key sign access tokens",
            Content::None,
            (201, Content::Json(s.of::<Rotated>())),
        ),
    ]
}

/// Signing in elsewhere: a browser is sent there and comes back.
fn providers(s: &mut Schemas) -> Vec<Route> {
    let (start, callback) = (s.query::<StartQuery>(), s.query::<CallbackQuery>());
    let there = |path: &str, id: &str, summary: &str, query| {
        Route::with("get", path, id, "auth", summary, Content::None, (303, Content::None))
            .query(query)
            .public()
    };
    let list = "The OpenID providers that one can sign in with";
    vec![
        Route::get(
            "/api/v1/auth/providers",
            "provider_list",
            "auth",
            list,
            Content::Json(s.of::<ProviderList>()),
        )
        .public(),
        there(
            "/api/v1/auth/oidc/{provider}/start",
            "provider_start",
            "Go to a provider to sign in; back at the sign-in page with `error` where that cannot be",
            start,
        ),
        there(
            "/api/v1/auth/oidc/{provider}/callback",
            "provider_callback",
            "Come back from a provider: a session, or the sign-in page with `error`",
            callback,
        ),
    ]
}

fn own(s: &mut Schemas) -> Vec<Route> {
    let none = || (204, Content::None);
    let (can_i, who_can) = (s.query::<CanIQuery>(), s.query::<WhoCanQuery>());
    vec![
        Route::with(
            "post",
            "/api/v1/auth/sign-out",
            "auth_sign_out",
            "auth",
            "End the session or revoke the token",
            Content::None,
            none(),
        ),
        Route::with(
            "post",
            "/api/v1/auth/links",
            "auth_link",
            "auth",
            "Make a one-time sign-in link for oneself",
            Content::None,
            (201, Content::Json(s.of::<Link>())),
        ),
        Route::with(
            "post",
            "/api/v1/auth/tokens",
            "auth_token",
            "auth",
            "Make a token for oneself; or, for the owner alone, for another named principal",
            Content::Json(s.of::<TokenBody>()),
            (201, Content::Json(s.of::<Token>())),
        ),
        Route::with(
            "put",
            "/api/v1/auth/password",
            "auth_password",
            "auth",
            "Change one's own password; other sessions end",
            Content::Json(s.of::<PasswordBody>()),
            none(),
        ),
        Route::get(
            "/api/v1/auth/credentials",
            "auth_credential_list",
            "auth",
            "One's own tokens and sessions",
            Content::Json(s.of::<CredentialList>()),
        ),
        Route::with(
            "delete",
            "/api/v1/auth/credentials/{id}",
            "auth_credential_end",
            "auth",
            "Revoke one's own token, or end one's own session",
            Content::None,
            none(),
        ),
        Route::get(
            "/api/v1/auth/roles",
            "auth_role_list",
            "auth",
            "One's own roles, with the place of each",
            Content::Json(s.of::<HeldRoleList>()),
        ),
        Route::get(
            "/api/v1/auth/can-i",
            "auth_can_i",
            "auth",
            "Whether one may do an action, and what decides it",
            Content::Json(s.of::<CanI>()),
        )
        .query(can_i)
        .placed(),
        Route::get(
            "/api/v1/auth/who-can",
            "auth_who_can",
            "auth",
            "Everybody who may do an action, with why",
            Content::Json(s.of::<AbleList>()),
        )
        .query(who_can),
        Route::with(
            "post",
            "/api/v1/auth/what-if",
            "auth_what_if",
            "auth",
            "What would change for whom with other policies in the project",
            Content::Json(s.of::<Candidate>()),
            (200, Content::Json(s.of::<WhatIf>())),
        ),
        Route::get(
            "/api/v1/inbox",
            "inbox_list",
            "reviews",
            "What waits for one's decision in the tenant, and one's own that was decided; newest first",
            Content::Json(s.of::<Page<InboxItem>>()),
        )
        .query(s.query::<PageQuery>()),
        Route::get(
            "/api/v1/inbox/counts",
            "inbox_counts",
            "reviews",
            "How much that is",
            Content::Json(s.of::<InboxCounts>()),
        ),
        Route::get(
            "/api/v1/notifications",
            "notification_list",
            "reviews",
            "What one is told of in the tenant, newest first",
            Content::Json(s.of::<Page<Notification>>()),
        )
        .query(s.query::<NotificationsQuery>()),
        Route::with(
            "post",
            "/api/v1/notifications/read",
            "notification_read",
            "reviews",
            "Mark notifications as read",
            Content::Json(s.of::<ReadBody>()),
            (200, Content::Json(s.of::<ReadCount>())),
        ),
        Route::get(
            "/api/v1/me",
            "me",
            "auth",
            "Who one is, where, and what one may do",
            Content::Json(s.of::<Me>()),
        )
        .placed(),
    ]
}

fn users(s: &mut Schemas) -> Vec<Route> {
    let (page, user) = (s.query::<PageQuery>(), s.of::<User>());
    vec![
        Route::get(
            "/api/v1/users",
            "user_list",
            "people",
            "People and services, by name",
            Content::Json(s.of::<Page<User>>()),
        )
        .query(page),
        Route::with(
            "post",
            "/api/v1/users",
            "user_create",
            "people",
            "Make a person, who is invited to choose a password, or a service",
            Content::Json(s.of::<NewUserBody>()),
            (201, Content::Json(s.of::<UserCreated>())),
        ),
        Route::get("/api/v1/users/{name}", "user_get", "people", "One of them", Content::Json(user.clone())),
        Route::with(
            "patch",
            "/api/v1/users/{name}",
            "user_update",
            "people",
            "Change the display name, suspend or readmit",
            Content::Json(s.of::<UserPatchBody>()),
            (200, Content::Json(user)),
        )
        .if_match(),
        Route::with(
            "post",
            "/api/v1/users/{name}/invite",
            "user_invite",
            "people",
            "Invite a person anew, to choose another password; earlier invitations end",
            Content::None,
            (201, Content::Json(s.of::<Invitation>())),
        ),
        Route::with(
            "post",
            "/api/v1/users/{name}/tokens",
            "user_token",
            "people",
            "Make a token for a service",
            Content::Json(s.of::<ServiceTokenBody>()),
            (201, Content::Json(s.of::<ServiceToken>())),
        ),
        Route::get(
            "/api/v1/users/{name}/tokens",
            "user_token_list",
            "people",
            "The tokens of a person or a service that still work, without their secrets",
            Content::Json(s.of::<TokenList>()),
        ),
        Route::with(
            "delete",
            "/api/v1/users/{name}/tokens/{id}",
            "user_token_revoke",
            "people",
            "Revoke a token of a person or a service",
            Content::None,
            (204, Content::None),
        ),
    ]
}

fn roles(s: &mut Schemas) -> Vec<Route> {
    let (page, members, place) = (s.query::<PageQuery>(), s.of::<Page<Member>>(), s.query::<GrantQuery>());
    let change = |method, path: &str, id: &str, summary: &str| {
        Route::with(method, path, id, "people", summary, Content::None, (204, Content::None))
    };
    let (member, administrator) = ("/api/v1/members/{name}/{role}", "/api/v1/administrators/{name}/{role}");
    vec![
        Route::get(
            "/api/v1/roles",
            "role_list",
            "people",
            "All roles with what they allow, and all actions",
            Content::Json(s.of::<RoleMatrix>()),
        ),
        Route::get(
            "/api/v1/members",
            "member_list",
            "people",
            "Who holds which role in the tenant",
            Content::Json(members.clone()),
        )
        .query(page.clone()),
        change("put", member, "member_grant", "Give a role in the tenant, or in a project of it")
            .query(place.clone()),
        change("delete", member, "member_revoke", "Take a role in the tenant, or in a project of it")
            .query(place),
        Route::get(
            "/api/v1/administrators",
            "administrator_list",
            "people",
            "Who holds which role everywhere",
            Content::Json(members),
        )
        .query(page),
        change("put", administrator, "administrator_grant", "Give a role that is held everywhere"),
        change("delete", administrator, "administrator_revoke", "Take a role that is held everywhere"),
    ]
}

fn tenants(s: &mut Schemas) -> Vec<Route> {
    let (page, named) = (s.query::<PageQuery>(), s.of::<NamedBody>());
    let (tenant, project) = (s.of::<TenantInfo>(), s.of::<ProjectInfo>());
    let (limits, quotas) = (s.of::<Limits>(), s.of::<Quotas>());
    let quotas_of = |plural: &str, id: &str, whose: &str| {
        let path = format!("/api/v1/{plural}/{{name}}/quotas");
        let shown = Route::get(
            &path,
            id,
            "tenants",
            &format!("The quotas of {whose}, each limit beside what is used"),
            Content::Json(quotas.clone()),
        );
        let (body, reply) = (Content::Json(limits.clone()), (200, Content::Json(quotas.clone())));
        let set = Route::with(
            "put",
            &path,
            &format!("{id}_set"),
            "tenants",
            &format!("Set the quotas of {whose}; what is absent has no limit"),
            body,
            reply,
        );
        [shown, set.if_match()]
    };
    let accepted = s.of::<Accepted>();
    let deletion = s.of::<DeletionBody>();
    let mut delete = |path: &str, id: &str, summary: &str| {
        let (body, reply) = (Content::Json(deletion.clone()), (202, Content::Json(accepted.clone())));
        Route::with("post", path, id, "tenants", summary, body, reply).starts_job_or_previews(s)
    };
    let deletions = [
        delete(
            "/api/v1/tenants/{name}/delete",
            "tenant_delete",
            "Delete a suspended tenant with all that it has; its audit stays",
        ),
        delete(
            "/api/v1/projects/{name}/delete",
            "project_delete",
            "Delete a project with all that it has; its audit stays",
        ),
    ];
    let of_tenant = quotas_of("tenants", "tenant_quotas", "a tenant");
    let of_project = quotas_of("projects", "project_quotas", "a project");
    let mut out = vec![
        Route::get(
            "/api/v1/tenants",
            "tenant_list",
            "tenants",
            "The tenants that one has a role in",
            Content::Json(s.of::<Page<TenantInfo>>()),
        )
        .query(page.clone()),
        Route::with(
            "post",
            "/api/v1/tenants",
            "tenant_create",
            "tenants",
            "Make a tenant with its default project",
            Content::Json(named.clone()),
            (201, Content::Json(tenant.clone())),
        ),
        Route::with(
            "patch",
            "/api/v1/tenants/{name}",
            "tenant_update",
            "tenants",
            "Rename a tenant, suspend or readmit it",
            Content::Json(s.of::<TenantPatchBody>()),
            (200, Content::Json(tenant)),
        )
        .if_match(),
        Route::get(
            "/api/v1/projects",
            "project_list",
            "tenants",
            "The projects of the tenant that one holds anything in",
            Content::Json(s.of::<Page<ProjectInfo>>()),
        )
        .query(page)
        .placed(),
        Route::with(
            "post",
            "/api/v1/projects",
            "project_create",
            "tenants",
            "Make a project in the tenant",
            Content::Json(named),
            (201, Content::Json(project.clone())),
        ),
        Route::with(
            "patch",
            "/api/v1/projects/{name}",
            "project_update",
            "tenants",
            "Rename a project",
            Content::Json(s.of::<ProjectPatchBody>()),
            (200, Content::Json(project)),
        )
        .if_match(),
    ];
    out.extend(of_tenant.into_iter().chain(of_project).chain(deletions));
    out.extend(exports(s));
    out
}

fn exports(s: &mut Schemas) -> Vec<Route> {
    let (asked, accepted) = (s.of::<ReasonBody>(), s.of::<Accepted>());
    let mut start = |path: &str, id: &str, summary: &str| {
        let (body, reply) = (Content::Json(asked.clone()), (202, Content::Json(accepted.clone())));
        Route::with("post", path, id, "tenants", summary, body, reply).starts_job_or_previews(s)
    };
    let mut out = vec![
        start(
            "/api/v1/tenants/{name}/export",
            "tenant_export",
            "Write all that a tenant has to an archive, without what its secrets hold",
        ),
        start(
            "/api/v1/projects/{name}/export",
            "project_export",
            "Write all that a project has to an archive, without what its secrets hold",
        ),
    ];
    let list = Content::Json(s.of::<Page<Export>>());
    let one = Content::Json(s.of::<Export>());
    let base = "/api/v1/tenants/{name}/exports";
    out.extend([
        Route::get(
            base,
            "tenant_export_list",
            "tenants",
            "The exports of a tenant and of its projects, newest first",
            list,
        )
        .query(s.query::<PageQuery>()),
        Route::get(
            &format!("{base}/{{id}}"),
            "tenant_export_get",
            "tenants",
            "One export; its id is that of its job",
            one,
        ),
        Route::get(
            &format!("{base}/{{id}}/archive"),
            "tenant_export_archive",
            "tenants",
            "The archive of an export, a tar that is compressed with gzip; that it was fetched is recorded",
            Content::Archive,
        ),
    ]);
    out
}
