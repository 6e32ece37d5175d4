//! The one access check. Every mutation and every read of tenant data passes it with an action of the form
//! `<plural>.<verb>`.
//!
//! Deny by default. Who may do what is decided by Cedar: the built-in roles and those of the planes are data
//! ([`matrix`]) from which its policies are written. A role is held at a level: everywhere, in a tenant, or in a project
//! of one ([`bindings`]); what a caller holds where it acts is found once per request and travels with the
//! [`Context`].
//!
//! Not decided here: who somebody is (`credentials`), and whether a change wants a second person (`plans`).

pub mod bindings;
pub mod cedar;
pub mod matrix;

use qd_core::error::{Error, Result};

pub use cedar::Authority;

use crate::context::Context;

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
    if context.authority.allows(&context.principal, context.scope, action) {
        return Ok(());
    }
    context.denials.note(action);
    let roles = match context.principal.roles.as_slice() {
        [] => "there is no role that is held here".to_owned(),
        [role] => format!("the role {role} does not allow it"),
        roles => format!("the roles {} do not allow it", roles.join(", ")),
    };
    Err(Error::forbidden("action_denied", format!("{} may not do {action}: {roles}", context.principal.name)))
}
