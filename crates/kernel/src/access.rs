//! The one access check. Every mutation and every read of tenant data passes it with an action of the form
//! `<plural>.<verb>`; roles are sets of such actions.
//!
//! Deny by default. What is deliberately not here yet: people's accounts, teams and policies; the check is the one call
//! that they plug into.

use qd_core::error::{Error, Result};

use crate::context::Context;

/// The role of the account made at first start and of the system's own tasks.
pub const PLATFORM_ADMIN: &str = "PLATFORM_ADMIN";
/// Reads everything, changes nothing.
pub const VIEWER: &str = "viewer";

/// Verbs that change nothing.
const READS: [&str; 3] = ["read", "list", "validate"];

/// `action` is `<plural>.<verb>`, for example `pipelines.publish`.
pub fn check(context: &Context, action: &str) -> Result<()> {
    if allowed(&context.principal.role, action) {
        return Ok(());
    }
    Err(Error::forbidden(
        "action_denied",
        format!(
            "{} may not do {action}: the role {} does not allow it",
            context.principal.name, context.principal.role
        ),
    ))
}

/// What `/me` answers, so that a client shows only what one may do.
pub fn permissions(role: &str) -> Vec<String> {
    match role {
        PLATFORM_ADMIN => vec!["*".into()],
        VIEWER => READS.iter().map(|verb| format!("*.{verb}")).collect(),
        _ => vec![],
    }
}

fn allowed(role: &str, action: &str) -> bool {
    let verb = action.rsplit_once('.').map_or(action, |(_, verb)| verb);
    match role {
        PLATFORM_ADMIN => true,
        VIEWER => READS.contains(&verb),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_roles_may_do_nothing() {
        assert!(!allowed("", "pipelines.read"));
        assert!(!allowed("stranger", "pipelines.read"));
    }

    #[test]
    fn viewers_read_and_change_nothing() {
        assert!(allowed(VIEWER, "runs.list"));
        assert!(!allowed(VIEWER, "runs.stop"));
    }
}
