//! What each route wants: the actions and the level at which they are looked at, as data. The description carries it
//! (`x-actions`, `x-level`), and a test asks every route for every role by it; a route without an entry fails it.
//!
//! `{kind}` stands for the plural of whatever the route's object is of.

use serde_json::{Value, json};

/// Where the actions are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Project,
    Tenant,
    Platform,
    /// Whoever is signed in has a say in what is his own; only what a token is limited to stands against it.
    Own,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Tenant => "tenant",
            Self::Platform => "platform",
            Self::Own => "own",
        }
    }
}

use Level::{Own, Platform, Project, Tenant};

/// `(operation, level, actions)` of the routes that do not depend on kinds.
const FIXED: &[(&str, Level, &[&str])] = &[
    ("administrator_grant", Platform, &["members.grant"]),
    ("administrator_list", Platform, &["members.list"]),
    ("administrator_revoke", Platform, &["members.revoke"]),
    ("apply", Project, &["documents.apply", "{kind}.create"]),
    ("audit_chain", Tenant, &["audit.export"]),
    ("audit_export", Tenant, &["audit.export"]),
    ("audit_list", Project, &["audit.read"]),
    ("audit_verify", Tenant, &["audit.export"]),
    ("auth_can_i", Own, &["own.read"]),
    ("auth_what_if", Project, &["policies.read", "members.list"]),
    ("auth_who_can", Project, &["members.list"]),
    ("auth_credential_end", Own, &["own.end-session"]),
    ("auth_credential_list", Own, &["own.read"]),
    ("auth_link", Own, &["own.link"]),
    ("auth_password", Own, &["own.password"]),
    ("auth_role_list", Own, &["own.read"]),
    ("auth_sign_out", Own, &["own.sign-out"]),
    ("auth_token", Own, &["own.token"]),
    ("code_get", Project, &["code.read"]),
    ("code_put", Project, &["code.create"]),
    ("connection_test", Project, &["connections.test"]),
    ("consumer_list", Platform, &["system.read"]),
    ("dead_letter_list", Project, &["dead-letters.list"]),
    ("dead_letter_redeliver", Project, &["dead-letters.redeliver"]),
    ("engine_list", Project, &["engines.list"]),
    ("event_list", Project, &["events.list"]),
    ("explain", Project, &["{kind}.read"]),
    ("inbox_counts", Own, &["own.read"]),
    ("inbox_list", Own, &["own.read"]),
    ("job_ask", Project, &["jobs.ask"]),
    ("job_cancel", Project, &["jobs.cancel"]),
    ("job_get", Project, &["jobs.read"]),
    ("job_list", Project, &["jobs.list"]),
    ("kind_list", Project, &["kinds.list"]),
    ("me", Own, &["own.read"]),
    ("member_grant", Tenant, &["members.grant"]),
    ("member_list", Tenant, &["members.list"]),
    ("member_revoke", Tenant, &["members.revoke"]),
    ("metrics", Platform, &["system.read"]),
    ("notification_list", Own, &["own.read"]),
    ("notification_read", Own, &["own.read-notifications"]),
    ("plan_apply", Project, &["plans.apply", "{kind}.publish"]),
    ("plan_approve", Project, &["plans.approve"]),
    ("plan_create", Project, &["plans.create", "{kind}.publish"]),
    ("plan_get", Project, &["plans.read"]),
    ("plan_list", Project, &["plans.list"]),
    ("plan_reject", Project, &["plans.reject"]),
    ("project_create", Tenant, &["projects.create"]),
    ("project_delete", Tenant, &["projects.delete"]),
    ("project_export", Tenant, &["projects.export"]),
    ("project_list", Tenant, &["projects.list"]),
    ("project_quotas", Tenant, &["quotas.read"]),
    ("project_quotas_set", Tenant, &["projects.limit"]),
    ("project_update", Tenant, &["projects.update"]),
    ("ready", Platform, &["system.read"]),
    ("role_list", Own, &["roles.list"]),
    ("run_events", Project, &["runs.read"]),
    ("run_get", Project, &["runs.read"]),
    ("run_list", Project, &["runs.list"]),
    ("run_logs", Project, &["runs.read"]),
    ("run_metrics", Project, &["runs.read"]),
    ("run_request", Project, &["{kind}.request"]),
    ("run_result", Project, &["runs.read"]),
    ("run_results", Project, &["runs.read"]),
    ("run_retry", Project, &["{kind}.retry"]),
    ("run_stop", Project, &["{kind}.stop"]),
    ("secret_delete", Project, &["secrets.delete"]),
    ("secret_get", Project, &["secrets.read"]),
    ("secret_keys", Project, &["secrets.read"]),
    ("secret_list", Project, &["secrets.list"]),
    ("secret_put", Project, &["secrets.write"]),
    ("secret_rotate", Project, &["secrets.rotate"]),
    ("signing_key_rotate", Platform, &["signing-keys.rotate"]),
    ("stream", Project, &["events.list"]),
    ("team_create", Tenant, &["teams.create"]),
    ("team_delete", Tenant, &["teams.delete"]),
    ("team_get", Tenant, &["teams.read"]),
    ("team_list", Tenant, &["teams.list"]),
    ("team_member_add", Tenant, &["teams.update"]),
    ("team_member_remove", Tenant, &["teams.update"]),
    ("team_update", Tenant, &["teams.update"]),
    ("tenant_create", Platform, &["tenants.create"]),
    ("tenant_delete", Platform, &["tenants.delete"]),
    ("tenant_export", Tenant, &["tenants.export"]),
    ("tenant_export_archive", Tenant, &["tenants.export"]),
    ("tenant_export_get", Tenant, &["tenants.export"]),
    ("tenant_export_list", Tenant, &["tenants.export"]),
    ("tenant_list", Own, &["tenants.list"]),
    ("tenant_quotas", Tenant, &["quotas.read"]),
    ("tenant_quotas_set", Platform, &["tenants.limit"]),
    ("tenant_update", Platform, &["tenants.update"]),
    ("user_create", Platform, &["users.create"]),
    ("user_get", Platform, &["users.read"]),
    ("user_invite", Platform, &["users.update"]),
    ("user_list", Platform, &["users.list"]),
    ("user_token", Platform, &["tokens.create"]),
    ("user_token_list", Platform, &["tokens.list"]),
    ("user_token_revoke", Platform, &["tokens.revoke"]),
    ("user_update", Platform, &["users.update"]),
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
    ("rollback", &["{kind}.rollback"]),
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
    Some((level.as_str(), json!(actions)))
}

/// The same of a route of a kind, whose operations begin with its `singular`.
pub fn of_kind(singular: &str, plural: &str, operation: &str) -> Option<(&'static str, Value)> {
    let verb = operation.strip_prefix(singular)?.strip_prefix('_')?;
    let (_, actions) = OF_A_KIND.iter().find(|(name, _)| *name == verb)?;
    let actions: Vec<String> = actions.iter().map(|action| action.replace("{kind}", plural)).collect();
    Some((Level::Project.as_str(), json!(actions)))
}
