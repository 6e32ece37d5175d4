//! What each route wants: the actions and the level at which they are looked at, as data. The description carries it
//! (`x-actions`, `x-level`), and a test asks every route for every role by it; a route without an entry fails it.
//!
//! `{kind}` stands for the plural of whatever the route's object is of.

use qd_kernel::access::matrix::Level;
use serde_json::{Value, json};

/// Where a role must be held that allows the actions; none for what is one's own: whoever is signed in has a say in it, and only what
/// a token is limited to stands against it.
type At = Option<Level>;

const PROJECT: At = Some(Level::Project);
const TENANT: At = Some(Level::Tenant);
const PLATFORM: At = Some(Level::Platform);
const OWN: At = None;

/// `(operation, level, actions)` of the routes that do not depend on kinds.
const FIXED: &[(&str, At, &[&str])] = &[
    ("administrator_grant", PLATFORM, &["members.grant"]),
    ("administrator_list", PLATFORM, &["members.list"]),
    ("administrator_revoke", PLATFORM, &["members.revoke"]),
    ("apply", PROJECT, &["documents.apply", "{kind}.create"]),
    ("audit_chain", TENANT, &["audit.export"]),
    ("audit_export", TENANT, &["audit.export"]),
    ("audit_list", PROJECT, &["audit.read"]),
    ("audit_verify", TENANT, &["audit.export"]),
    ("auth_can_i", OWN, &["own.read"]),
    ("auth_what_if", TENANT, &["policies.read", "members.list"]),
    ("auth_who_can", TENANT, &["members.list"]),
    ("auth_credential_end", OWN, &["own.end-session"]),
    ("auth_credential_list", OWN, &["own.read"]),
    ("auth_link", OWN, &["own.link"]),
    ("auth_password", OWN, &["own.password"]),
    ("auth_role_list", OWN, &["own.read"]),
    ("auth_sign_out", OWN, &["own.sign-out"]),
    ("auth_token", OWN, &["own.token"]),
    ("code_get", PROJECT, &["code.read"]),
    ("code_put", PROJECT, &["code.create"]),
    ("connection_test", PROJECT, &["connections.test"]),
    ("consumer_list", PLATFORM, &["system.read"]),
    ("dead_letter_list", PROJECT, &["dead-letters.list"]),
    ("dead_letter_redeliver", PROJECT, &["dead-letters.redeliver"]),
    ("engine_list", PROJECT, &["engines.list"]),
    ("event_list", PROJECT, &["events.list"]),
    ("explain", PROJECT, &["{kind}.read"]),
    ("inbox_counts", OWN, &["own.read"]),
    ("inbox_list", OWN, &["own.read"]),
    ("job_ask", PROJECT, &["jobs.ask"]),
    ("job_cancel", PROJECT, &["jobs.cancel"]),
    ("job_get", PROJECT, &["jobs.read"]),
    ("job_list", PROJECT, &["jobs.list"]),
    ("kind_list", PROJECT, &["kinds.list"]),
    ("me", OWN, &["own.read"]),
    ("member_grant", TENANT, &["members.grant"]),
    ("member_list", TENANT, &["members.list"]),
    ("member_revoke", TENANT, &["members.revoke"]),
    ("metrics", PLATFORM, &["system.read"]),
    ("notification_list", OWN, &["own.read"]),
    ("notification_read", OWN, &["own.read-notifications"]),
    ("plan_apply", PROJECT, &["plans.apply", "{kind}.publish"]),
    ("plan_approve", PROJECT, &["plans.approve"]),
    ("plan_create", PROJECT, &["plans.create", "{kind}.publish"]),
    ("plan_get", PROJECT, &["plans.read"]),
    ("plan_list", PROJECT, &["plans.list"]),
    ("plan_reject", PROJECT, &["plans.reject"]),
    ("project_create", TENANT, &["projects.create"]),
    ("project_delete", TENANT, &["projects.delete"]),
    ("project_export", TENANT, &["projects.export"]),
    ("project_list", OWN, &["projects.list"]),
    ("project_quotas", TENANT, &["quotas.read"]),
    ("project_quotas_set", TENANT, &["projects.limit"]),
    ("project_update", TENANT, &["projects.update"]),
    ("ready", PLATFORM, &["system.read"]),
    ("role_list", OWN, &["roles.list"]),
    ("run_events", PROJECT, &["runs.read"]),
    ("run_get", PROJECT, &["runs.read"]),
    ("run_list", PROJECT, &["runs.list"]),
    ("run_logs", PROJECT, &["runs.read"]),
    ("run_metrics", PROJECT, &["runs.read"]),
    ("run_request", PROJECT, &["{kind}.request"]),
    ("run_result", PROJECT, &["runs.read"]),
    ("run_results", PROJECT, &["runs.read"]),
    ("run_retry", PROJECT, &["{kind}.retry"]),
    ("run_stop", PROJECT, &["{kind}.stop"]),
    ("secret_delete", PROJECT, &["secrets.delete"]),
    ("secret_get", PROJECT, &["secrets.read"]),
    ("secret_keys", PROJECT, &["secrets.read"]),
    ("secret_list", PROJECT, &["secrets.list"]),
    ("secret_put", PROJECT, &["secrets.write"]),
    ("secret_rotate", PROJECT, &["secrets.rotate"]),
    ("signing_key_rotate", PLATFORM, &["signing-keys.rotate"]),
    ("stream", PROJECT, &["events.list"]),
    ("team_create", TENANT, &["teams.create"]),
    ("team_delete", TENANT, &["teams.delete"]),
    ("team_get", TENANT, &["teams.read"]),
    ("team_list", TENANT, &["teams.list"]),
    ("team_member_add", TENANT, &["teams.update"]),
    ("team_member_remove", TENANT, &["teams.update"]),
    ("team_update", TENANT, &["teams.update"]),
    ("tenant_create", PLATFORM, &["tenants.create"]),
    ("tenant_delete", PLATFORM, &["tenants.delete"]),
    ("tenant_export", TENANT, &["tenants.export"]),
    ("tenant_export_archive", TENANT, &["tenants.export"]),
    ("tenant_export_get", TENANT, &["tenants.export"]),
    ("tenant_export_list", TENANT, &["tenants.export"]),
    ("tenant_list", OWN, &["tenants.list"]),
    ("tenant_quotas", TENANT, &["quotas.read"]),
    ("tenant_quotas_set", PLATFORM, &["tenants.limit"]),
    ("tenant_update", PLATFORM, &["tenants.update"]),
    ("user_create", PLATFORM, &["users.create"]),
    ("user_get", PLATFORM, &["users.read"]),
    ("user_invite", PLATFORM, &["users.update"]),
    ("user_list", PLATFORM, &["users.list"]),
    ("user_token", PLATFORM, &["tokens.create"]),
    ("user_token_list", PLATFORM, &["tokens.list"]),
    ("user_token_revoke", PLATFORM, &["tokens.revoke"]),
    ("user_update", PLATFORM, &["users.update"]),
];

/// The same of what every kind has, without the kind's name before it.
const OF_A_KIND: &[(&str, &[&str])] = &[
    ("archive", &["{kind}.archive"]),
    ("audit", &["audit.read"]),
    ("create", &["{kind}.create"]),
    ("events", &["{kind}.read"]),
    ("get", &["{kind}.read"]),
    ("list", &["{kind}.list"]),
    ("plan", &["plans.create", "{kind}.publish"]),
    ("publish", &["{kind}.publish"]),
    ("restore", &["{kind}.restore"]),
    ("revision_approve", &["{kind}.review"]),
    ("revision_comment", &["{kind}.comment"]),
    ("revision_comment_list", &["{kind}.read"]),
    ("revision_create", &["{kind}.revise"]),
    ("revision_diff", &["{kind}.read"]),
    ("revision_get", &["{kind}.read"]),
    ("revision_list", &["{kind}.read"]),
    ("revision_reject", &["{kind}.review"]),
    ("revision_review", &["{kind}.read"]),
    ("revision_submit", &["{kind}.submit"]),
    ("revision_withdraw", &["{kind}.withdraw"]),
    ("rollback", &["{kind}.rollback", "{kind}.publish"]),
    ("run_list", &["{kind}.read"]),
    ("run_start", &["{kind}.run"]),
    ("share", &["{kind}.share"]),
    ("sharing_list", &["{kind}.read"]),
    ("unshare", &["{kind}.share"]),
    ("update", &["{kind}.update"]),
    ("validate", &["{kind}.validate"]),
    ("working_copy_get", &["{kind}.read"]),
    ("working_copy_put", &["{kind}.edit"]),
];

/// What the description says of a route's access; none where there is no entry.
pub fn of_fixed(operation: &str) -> Option<(&'static str, Value)> {
    let (_, level, actions) = FIXED.iter().find(|(name, ..)| *name == operation)?;
    Some((level.map_or("own", Level::as_str), json!(actions)))
}

/// The same of a route of a kind, whose operations begin with its `singular`.
pub fn of_kind(singular: &str, plural: &str, operation: &str) -> Option<(&'static str, Value)> {
    let verb = operation.strip_prefix(singular)?.strip_prefix('_')?;
    let (_, actions) = OF_A_KIND.iter().find(|(name, _)| *name == verb)?;
    let actions: Vec<String> = actions.iter().map(|action| action.replace("{kind}", plural)).collect();
    Some((Level::Project.as_str(), json!(actions)))
}
