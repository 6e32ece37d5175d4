//! The one access check. Every mutation and every read of tenant data passes it with an action of the form
//! `<plural>.<verb>`.
//!
//! Deny by default. Who may do what is decided by Cedar: the built-in roles and those of the planes are data
//! ([`matrix`]) from which its policies are written. A role is held at a level: everywhere, in a tenant, or in a project
//! of one ([`bindings`]); what a caller holds where it acts is found once per request and travels with the
//! [`Context`].
//!
//! Where the scope alone does not decide, the resource does ([`objects`]): it may belong to the caller or be shared with it
//! ([`sharing`]), or a policy of the project may single it out ([`rules`]). Lists show what one may read ([`sight`]).
//!
//! Not decided here: who somebody is (`credentials`), and whether a change wants a second person (`plans`).

pub mod bindings;
pub mod cedar;
pub mod deletions;
pub(crate) mod everybody;
pub mod matrix;
pub mod objects;
pub mod questions;
pub(crate) mod rules;
mod schema;
pub mod sharing;
pub mod sight;
pub mod teams;

use qd_core::error::{Error, Result};

pub use cedar::{Answer, Authority};
use objects::Facts;

use crate::context::{Context, Scope};

/// May do everything, in every tenant and on the platform itself. The account made at first start has it.
pub const PLATFORM_ADMIN: &str = "PLATFORM_ADMIN";
/// May do everything within a tenant.
pub const TENANT_ADMIN: &str = "TENANT_ADMIN";
pub const INFRA_ADMIN: &str = "INFRA_ADMIN";
pub const PIPELINE_DEV: &str = "PIPELINE_DEV";
pub const AIOPS_ENGINEER: &str = "AIOPS_ENGINEER";
/// Reads everything, changes nothing.
pub const VIEWER: &str = "viewer";

/// `action` is `<plural>.<verb>`, for example `pipelines.publish`.
///
/// # Errors
/// `action_denied` (403), which names the action and the roles that do not allow it.
pub fn check(context: &Context, action: &str) -> Result<()> {
    check_in(context, context.scope, action)
}

/// The same of what concerns all tenants, wherever it is asked for: a role that is held on the platform is wanted.
pub(crate) fn check_on_platform(context: &Context, action: &str) -> Result<()> {
    check_in(context, Scope::PLATFORM, action)
}

fn check_in(context: &Context, scope: Scope, action: &str) -> Result<()> {
    if context.authority.allows(&context.principal, scope, action) {
        return Ok(());
    }
    Err(refused(context, scope, action, None))
}

/// The same as a question: the refusal, which is not noted.
pub(crate) fn refusal(context: &Context, scope: Scope, action: &str) -> Option<Error> {
    check_in(&context.asking(), scope, action).err()
}

/// What anybody may read of what is his own, or everybody's: only what the token in use is limited to stands against it.
///
/// # Errors
/// `action_denied` (403).
pub fn check_limits(context: &Context, action: &str) -> Result<()> {
    if context.principal.limits_cover(action) {
        return Ok(());
    }
    Err(refused(context, context.scope, action, None))
}

/// The refusal of an action, which is noted for the audit with why.
pub(crate) fn denied(context: &Context, action: &str) -> Error {
    refused(context, context.scope, action, None)
}

/// The same of a resource that the caller may read: whoever may not would learn by the reason that it is there.
pub(crate) fn denied_on(context: &Context, action: &str, on: &Facts) -> Error {
    refused(context, context.scope, action, Some(on))
}

fn refused(context: &Context, scope: Scope, action: &str, on: Option<&Facts>) -> Error {
    let why = why_not(context, scope, action, on);
    context.denials.note(action, &why);
    Error::forbidden("action_denied", format!("{} may not do {action}: {why}", context.principal.name))
}

/// What stands against it: the limits of the token, a policy, or that no role allows it.
fn why_not(context: &Context, scope: Scope, action: &str, on: Option<&Facts>) -> String {
    let principal = &context.principal;
    if !principal.limits_cover(action) {
        let limits = principal.limits.as_deref().unwrap_or_default();
        return format!("the token in use is limited to {}", limits.join(", "));
    }
    let answer = context.authority.decide(principal, scope, action, on);
    if answer.allowed {
        return "it is not allowed here".to_owned();
    }
    let forbidden = answer.against();
    if !forbidden.is_empty() {
        return forbidden.join("; ");
    }
    if scope.is_platform() && !context.scope.is_platform() {
        return "it concerns all tenants, and wants a role held on the platform that allows it".to_owned();
    }
    match principal.roles.as_slice() {
        [] if scope.is_platform() => "there is no role that is held on the platform".to_owned(),
        [] if scope.is_tenant() => "there is no role that is held in the tenant as a whole".to_owned(),
        [] => "there is no role that is held here".to_owned(),
        [role] => format!("the role {role} does not allow it"),
        roles => format!("the roles {} do not allow it", roles.join(", ")),
    }
}
