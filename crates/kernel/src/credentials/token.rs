//! Tokens for other named principals, so that a second person can look at a plan and decide on it.
//!
//! Only the owner makes them: that account's token is given to nobody but to whoever holds the data folder. What this does not
//! do: passwords, sign-in of people, more than one role each. Those come with accounts.

use qd_core::{
    error::{Error, Result},
    id::PrincipalId,
    name::Name,
};
use serde_json::json;

use super::{CredentialKind, OWNER, draw, hash, principal_row};
use crate::{
    access::{PLATFORM_ADMIN, VIEWER},
    context::{Context, Principal, PrincipalKind},
    kernel::Kernel,
    mutation::{Act, Object, Subject},
    params,
};

impl Kernel {
    /// A new bearer token for the principal of that name, which is made where there is none.
    ///
    /// # Errors
    /// `owner_only` (403) for anybody but the owner; `role_not_found` (404); `malformed_name` (400); `already_exists` (409)
    /// where the principal has another role.
    pub async fn token_create(
        &self,
        context: &Context,
        name: &str,
        role: Option<&str>,
    ) -> Result<(Principal, String)> {
        crate::access::check(context, "tokens.create")?;
        if context.principal.name != OWNER {
            let detail =
                format!("{} may make no tokens for others; only {OWNER} may", context.principal.name);
            return Err(Error::forbidden("owner_only", detail));
        }
        let name: Name = name.parse()?;
        let known = |role: &str| {
            [PLATFORM_ADMIN, VIEWER].contains(&role)
                || self.registry.roles().iter().any(|known| known.name == role)
        };
        if let Some(role) = role.filter(|role| !known(role)) {
            let detail = format!("there is no role {role:?}; there are {PLATFORM_ADMIN} and {VIEWER}");
            return Err(Error::not_found("role_not_found", detail));
        }
        let secret = draw(&self.source, CredentialKind::Token);
        let (digest, wanted) = (hash(&secret), role.map(str::to_owned));
        let principal = self
            .mutate(context, Act::new("tokens", "create"), move |m| {
                let id: PrincipalId = m.id();
                let kind = PrincipalKind::User.as_str().to_owned();
                let role = wanted.clone().unwrap_or_else(|| PLATFORM_ADMIN.into());
                m.tx.exec(
                    "INSERT INTO principal (id, name, kind, role, created_at) VALUES ($1, $2, $3, $4, $5)
                     ON CONFLICT (name) DO NOTHING",
                    params![id, name.to_string(), kind, role, m.now],
                )?;
                let principal = m.tx.one(
                    "SELECT id, name, kind, role FROM principal WHERE name = $1",
                    params![name.to_string()],
                    principal_row,
                )?;
                if let Some(wanted) = wanted.as_ref().filter(|wanted| **wanted != principal.role) {
                    let detail = format!("{name} has the role {} and not {wanted}", principal.role);
                    return Err(Error::conflict("already_exists", detail));
                }
                m.tx.exec(
                    "INSERT INTO credential (hash, principal_id, kind, created_at) VALUES ($1, $2, 'token', $3)",
                    params![digest, principal.id, m.now],
                )?;
                let data = json!({ "principal": principal.name, "role": principal.role });
                m.event("token.created", Subject::default(), &data)?;
                m.audit(&Object { kind: "Principal", id: principal.id.uuid(), name: &principal.name }, &[], None)?;
                Ok(principal)
            })
            .await?;
        Ok((principal, secret))
    }
}
