//! People and services: made, looked at, suspended, invited again.
//!
//! A person gets an invitation, shown once, with which to choose a password; a service gets tokens. Both hold no role until
//! one is granted. A suspended account is recognised by nothing: neither password, session nor token. Its sessions have ended
//! for good; its tokens work again when it is readmitted.

use qd_core::{
    diff::Change,
    error::{Error, Result},
    id::PrincipalId,
    name::Name,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{CredentialKind, INVITE_LIFE, New, Origin, Secret, draw, hash, password};
use crate::{
    access::bindings,
    context::{Context, PrincipalKind},
    kernel::Kernel,
    mutation::{Act, Object, Subject},
    page::{Page, PageRequest},
    params,
    query::Query,
    reviews::authors,
    store::{self, Column, Row, StoreResult},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    Active,
    Suspended,
}

impl AccountState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }
}

/// A person or service.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct User {
    pub id: PrincipalId,
    pub name: String,
    pub display_name: String,
    pub kind: PrincipalKind,
    pub state: AccountState,
    /// Whether a password was chosen.
    pub has_password: bool,
    pub created_at: Timestamp,
    pub version: i64,
}

/// Somebody to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub name: String,
    pub display_name: String,
    pub service: bool,
    /// A bcrypt or argon2id hash that is taken over from elsewhere, instead of an invitation.
    pub password_hash: Option<String>,
}

/// What is changed of an account; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct UserPatch {
    pub display_name: Option<String>,
    pub state: Option<AccountState>,
}

/// What stands in the audit and beside events where no account acts, or nobody knows which: an account of that name would be taken
/// for it.
const RESERVED: [&str; 5] = ["edge", "gateway", "observer", "system", "unknown"];

/// The name of an account to be.
///
/// # Errors
/// `malformed_name` (400); `name_reserved` (422).
pub(crate) fn account_name(text: &str) -> Result<Name> {
    let name: Name = text.parse()?;
    match RESERVED.contains(&name.as_str()) {
        true => Err(Error::invalid(
            "name_reserved",
            format!("{name} is what the system itself is called; take another name"),
        )),
        false => Ok(name),
    }
}

const COLUMNS: &str = "id, name, display_name, kind, state, password IS NOT NULL, created_at, version";

impl Kernel {
    /// Makes a person, with an invitation where no password hash is given, or a service.
    ///
    /// # Errors
    /// `malformed_name` (400); `name_reserved` (422); `already_exists` (409); `bad_password_hash`, `password_hash_cost` (422).
    pub async fn user_create(&self, context: &Context, new: NewUser) -> Result<(User, Option<Secret>)> {
        crate::access::check(context, "users.create")?;
        let name = account_name(&new.name)?;
        if new.password_hash.as_deref().is_some_and(|hash| new.service || !password::readable(hash)) {
            return Err(Error::invalid(
                "bad_password_hash",
                "a password hash is that of a person, by bcrypt ($2b$…) or argon2id ($argon2id$…)",
            ));
        }
        if new.password_hash.as_deref().is_some_and(|hash| !password::affordable(hash)) {
            return Err(Error::invalid(
                "password_hash_cost",
                "verifying this password hash costs too much: bcrypt is taken up to the cost 12, argon2id up to 64 MiB and three \
                 passes over that; leave it out, and the person is invited",
            ));
        }
        let invite =
            (!new.service && new.password_hash.is_none()).then(|| self.invitation(context.source.clone()));
        let written = invite.as_ref().map(|(_, written)| written.clone());
        let user = self
            .mutate(context, Act::new("users", "create"), move |m| {
                let id: PrincipalId = m.id();
                let kind = if new.service { PrincipalKind::Service } else { PrincipalKind::User };
                let made = m.tx.exec(
                    "INSERT INTO principal (id, name, display_name, kind, password, created_at)
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING",
                    params![
                        id,
                        name.to_string(),
                        new.display_name.clone(),
                        kind.as_str(),
                        new.password_hash.clone(),
                        m.now
                    ],
                )?;
                if made == 0 {
                    return Err(Error::conflict("already_exists", format!("there is a user {name} already")));
                }
                if new.service {
                    authors::answers_for(m, id)?;
                }
                if let Some(written) = &written {
                    let credential: Uuid = m.id();
                    written.of(id).insert(m.tx, credential, m.now)?;
                }
                m.event("user.created", Subject::default(), &json!({ "user": name, "kind": kind }))?;
                let change =
                    Change::add("", json!({ "name": name, "display_name": new.display_name, "kind": kind }));
                m.audit(&Object { kind: "Principal", id: id.uuid(), name: name.as_str() }, &[change], None)?;
                Ok(m.tx.one(
                    &format!("SELECT {COLUMNS} FROM principal WHERE id = $1"),
                    params![id],
                    user_row,
                )?)
            })
            .await?;
        Ok((user, invite.map(|(secret, _)| secret)))
    }

    /// A new invitation: whoever has it chooses the account's password anew. Earlier ones no longer work.
    ///
    /// # Errors
    /// `user_not_found` (404); `not_a_person` (422); `owner_account` (403).
    pub async fn user_invite(&self, context: &Context, name: &str) -> Result<Secret> {
        crate::access::check(context, "users.update")?;
        bindings::not_the_owners(context, name)?;
        let user = self.user_get(name).await?;
        if user.kind != PrincipalKind::User {
            return Err(Error::invalid(
                "not_a_person",
                format!("{name} is a service, which has tokens and no password"),
            ));
        }
        let (secret, written) = self.invitation(context.source.clone());
        self.mutate(context, Act::new("users", "update"), move |m| {
            m.tx.exec(
                "DELETE FROM credential WHERE principal_id = $1 AND kind = 'invite' AND used_at IS NULL",
                params![user.id],
            )?;
            let credential: Uuid = m.id();
            written.of(user.id).insert(m.tx, credential, m.now)?;
            m.event("user.invited", Subject::default(), &json!({ "user": user.name }))?;
            m.audit(&Object { kind: "Principal", id: user.id.uuid(), name: &user.name }, &[], None)
        })
        .await?;
        Ok(secret)
    }

    /// Changes the display name, or suspends and readmits. `version` is what was read.
    ///
    /// # Errors
    /// `user_not_found` (404); `stale` (412); `own_access` (403) for one's own suspension; `owner_account` (403);
    /// `last_administrator` (409).
    pub async fn user_update(
        &self,
        context: &Context,
        name: &str,
        version: i64,
        patch: UserPatch,
    ) -> Result<User> {
        let name = name.to_owned();
        let user = self
            .mutate(context, Act::new("users", "update"), move |m| {
                bindings::not_the_owners(m.context, &name)?;
                let old =
                    m.tx.opt(
                        &format!(
                            "SELECT {COLUMNS} FROM principal WHERE name = $1{}",
                            m.tx.backend().for_update()
                        ),
                        params![name.clone()],
                        user_row,
                    )?
                    .ok_or_else(|| not_found(&name))?;
                if old.version != version {
                    return Err(Error::stale(
                        "stale_version",
                        format!("{name} was changed since it was read: it has version {}", old.version),
                    ));
                }
                let state = patch.state.unwrap_or(old.state);
                let display_name = patch.display_name.clone().unwrap_or_else(|| old.display_name.clone());
                if state != old.state && old.id == m.context.principal.id {
                    return Err(Error::forbidden(
                        "own_access",
                        "nobody suspends himself; ask another administrator",
                    ));
                }
                let said = |user: &User| json!({ "display_name": user.display_name, "state": user.state });
                m.tx.exec(
                    "UPDATE principal SET display_name = $2, state = $3, version = version + 1 WHERE id = $1",
                    params![old.id, display_name, state.as_str()],
                )?;
                if state == AccountState::Suspended {
                    m.tx.exec(
                        "DELETE FROM credential WHERE principal_id = $1 AND kind IN ('session', 'refresh', 'link')",
                        params![old.id],
                    )?;
                    bindings::administrators_left(m.tx)?;
                }
                let new = m.tx.one(
                    &format!("SELECT {COLUMNS} FROM principal WHERE id = $1"),
                    params![old.id],
                    user_row,
                )?;
                m.event("user.updated", Subject::default(), &json!({ "user": name, "state": state }))?;
                let changes = qd_core::diff::diff(&said(&old), &said(&new));
                m.audit(&Object { kind: "Principal", id: old.id.uuid(), name: &name }, &changes, None)?;
                Ok(new)
            })
            .await?;
        self.callers.clear();
        Ok(user)
    }

    pub async fn user_get(&self, name: &str) -> Result<User> {
        let asked = name.to_owned();
        self.store
            .read(move |tx| -> Result<Option<User>> {
                Ok(tx.opt(
                    &format!("SELECT {COLUMNS} FROM principal WHERE name = $1"),
                    params![asked],
                    user_row,
                )?)
            })
            .await?
            .ok_or_else(|| not_found(name))
    }

    /// All of them, by name.
    pub async fn user_list(&self, page: PageRequest) -> Result<Page<User>> {
        let (after, fetch) = (page.after("users")?.map(str::to_owned), page.fetch());
        let items = self
            .store
            .read(move |tx| -> Result<Vec<User>> {
                let mut query =
                    Query::new(&format!("SELECT {COLUMNS} FROM principal WHERE kind <> 'system'"));
                if let Some(after) = &after {
                    query.push(" AND name > ?", after.clone());
                }
                query.text(" ORDER BY name").limit(fetch);
                Ok(query.rows(tx, user_row)?)
            })
            .await?;
        Ok(page.cut("users", items, |user| user.name.clone()))
    }

    fn invitation(&self, source: String) -> (Secret, Invitation) {
        let secret = draw(&self.source, CredentialKind::Invite);
        let expires_at = self.source.now().checked_add(INVITE_LIFE);
        let origin = Origin { source, label: String::new() };
        (
            Secret { secret: secret.clone(), expires_at },
            Invitation { digest: hash(&secret), origin, expires_at },
        )
    }
}

/// An invitation about to be written.
#[derive(Clone)]
struct Invitation {
    digest: Vec<u8>,
    origin: Origin,
    expires_at: Option<Timestamp>,
}

impl Invitation {
    fn of(&self, principal_id: PrincipalId) -> New<'_> {
        New {
            digest: &self.digest,
            principal_id,
            kind: CredentialKind::Invite,
            origin: &self.origin,
            allows: None,
            expires_at: self.expires_at,
            ends_at: None,
        }
    }
}

fn not_found(name: &str) -> Error {
    Error::not_found("user_not_found", format!("there is nobody named {name:?}"))
}

fn user_row(row: &Row<'_>) -> StoreResult<User> {
    Ok(User {
        id: row.get(0)?,
        name: row.get(1)?,
        display_name: row.get(2)?,
        kind: row.get(3)?,
        state: row.get(4)?,
        has_password: row.get(5)?,
        created_at: row.get(6)?,
        version: row.get(7)?,
    })
}

impl Column for AccountState {
    fn column(value: store::Value<'_>) -> std::result::Result<Self, String> {
        match String::column(value)?.as_str() {
            "active" => Ok(Self::Active),
            "suspended" => Ok(Self::Suspended),
            other => Err(format!("{other:?} is no state of an account")),
        }
    }
}
