//! Tokens and sessions: one's own, and others' tokens for who administers accounts; listed by what can be told of them, and ended
//! one by one.

use qd_core::{
    error::{Error, Result},
    id::PrincipalId,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Identity;
use crate::{
    access,
    context::Context,
    kernel::Kernel,
    mutation::{Act, Object, Subject},
    params,
};

/// A token or session; never its secret.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Credential {
    pub id: Uuid,
    /// `token`, `session` of a browser, or `refresh`: a session of access and refresh tokens.
    pub kind: String,
    /// What a token is for, or what the browser called itself.
    pub label: String,
    /// The address that it was made from.
    pub source: String,
    /// Patterns of actions that a token is limited to.
    #[schemars(with = "Option<Vec<String>>")]
    pub allows: Option<Value>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

impl Kernel {
    /// Tokens and sessions of somebody that still work, newest first; 200 at most.
    pub async fn credential_list(&self, of: PrincipalId) -> Result<Vec<Credential>> {
        self.credentials_of(of, "'token', 'session', 'refresh'").await
    }

    /// Tokens of somebody else that still work, for whoever administers accounts; newest first, 200 at most.
    ///
    /// # Errors
    /// `user_not_found` (404).
    pub async fn token_list(&self, context: &Context, name: &str) -> Result<Vec<Credential>> {
        access::check(context, "tokens.list")?;
        let user = self.user_get(name).await?;
        self.credentials_of(user.id, "'token'").await
    }

    async fn credentials_of(&self, of: PrincipalId, kinds: &'static str) -> Result<Vec<Credential>> {
        let now = self.source.now();
        self.store
            .read(move |tx| -> Result<Vec<Credential>> {
                Ok(tx.rows(
                    &format!(
                        "SELECT id, kind, label, source, allows, created_at, expires_at FROM credential
                         WHERE principal_id = $1 AND kind IN ({kinds}) AND (expires_at IS NULL OR expires_at > $2)
                         ORDER BY created_at DESC, id LIMIT 200"
                    ),
                    params![of, now],
                    |row| {
                        Ok(Credential {
                            id: row.get(0)?,
                            kind: row.get(1)?,
                            label: row.get(2)?,
                            source: row.get(3)?,
                            allows: row.get(4)?,
                            created_at: row.get(5)?,
                            expires_at: row.get(6)?,
                        })
                    },
                )?)
            })
            .await
    }

    /// Revokes a token of somebody else. His sessions end where he is suspended.
    ///
    /// # Errors
    /// `user_not_found`, `credential_not_found` (404), also for another's token and for a session.
    pub async fn token_revoke(&self, context: &Context, name: &str, id: Uuid) -> Result<()> {
        access::check(context, "tokens.revoke")?;
        let user = self.user_get(name).await?;
        self.mutate(context, Act::new("tokens", "revoke"), move |m| {
            let gone = m.tx.exec(
                "DELETE FROM credential WHERE id = $1 AND principal_id = $2 AND kind = 'token'",
                params![id, user.id],
            )?;
            if gone == 0 {
                let detail = format!("{} has no such token", user.name);
                return Err(Error::not_found("credential_not_found", detail));
            }
            let data = json!({ "principal": user.name, "credential": id });
            m.callers_changed();
            m.event("credential.revoked", Subject::default(), &data)?;
            m.audit(&Object { kind: "Principal", id: user.id.uuid(), name: &user.name }, &[], None)
        })
        .await
    }

    /// Ends one of the caller's own tokens or sessions.
    ///
    /// # Errors
    /// `credential_not_found` (404), also for somebody else's.
    pub async fn credential_end(&self, context: &Context, id: Uuid) -> Result<()> {
        let me = context.principal.clone();
        self.mutate(context, Act::new("own", "end-session"), move |m| {
            let gone = m.tx.exec(
                "DELETE FROM credential WHERE id = $1 AND principal_id = $2 AND kind IN ('token', 'session', 'refresh')",
                params![id, me.id],
            )?;
            if gone == 0 {
                return Err(Error::not_found("credential_not_found", "you have no such token or session"));
            }
            m.event(
                "credential.revoked",
                Subject::default(),
                &json!({ "principal": me.name, "credential": id }),
            )?;
            m.audit(&Object { kind: "Principal", id: me.id.uuid(), name: &me.name }, &[], None)
        })
        .await?;
        // After the commit: who asked in between has been put on the list again.
        self.callers.clear();
        Ok(())
    }

    /// Ends the session or token that the caller came with.
    pub async fn credential_revoke(&self, context: &Context, identity: &Identity) -> Result<()> {
        let (id, me) = (identity.credential_id, context.principal.clone());
        self.mutate(context, Act::new("own", "sign-out"), move |m| {
            if m.tx.exec("DELETE FROM credential WHERE id = $1", params![id])? == 0 {
                m.unchanged();
                return Ok(());
            }
            m.event("session.closed", Subject::default(), &json!({ "principal": me.name }))?;
            m.audit(&Object { kind: "Principal", id: me.id.uuid(), name: &me.name }, &[], None)
        })
        .await?;
        self.callers.clear();
        Ok(())
    }
}
