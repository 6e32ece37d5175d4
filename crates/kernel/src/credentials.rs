//! Who is calling: bearer tokens, browser sessions, access and refresh tokens, one-time sign-in links and invitations.
//!
//! A secret is shown once, when it is made; the database holds its SHA-256 alone, and a look-up is by that hash, so that
//! neither a copy of the database nor the time of a comparison gives one away. People choose a password when they accept an
//! invitation ([`accounts`]) and open a session with it ([`sign_in`]), or get an access token ([`access_token`]) and a refresh
//! token for the next one ([`refresh`]).

pub mod access_token;
pub mod accounts;
pub(crate) mod callers;
mod listing;
mod opening;
pub(crate) mod password;
mod refresh;
mod sign_in;
pub mod signing;
mod token;
mod tries;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use qd_core::{
    error::{Error, Result},
    id::{PrincipalId, ProjectId, TenantId},
    time::Timestamp,
};
use serde_json::json;
use uuid::Uuid;

pub use listing::Credential;
pub(crate) use opening::{Grounds, Proof};
pub use password::{bcrypt_rounds, password_hashes};
pub use refresh::Tokens;
pub use sign_in::SignIn;
pub use token::{OWN_ACTIONS, TokenRequest};

use crate::{
    access::{
        PLATFORM_ADMIN,
        bindings::{self, Binding},
        everybody,
        matrix::Level,
        sharing::{self, Held},
        teams,
    },
    clock::Source,
    context::{Context, Denials, Principal, PrincipalKind, RequestIds, Scope},
    jwt,
    kernel::Kernel,
    mutation::{Act, Mutation, Object, Subject},
    params,
    store::{self, Column, Row, StoreResult, Tx},
};

/// The account made at first start.
pub const OWNER: &str = "owner";
pub const SESSION_LIFE: Duration = Duration::from_hours(12);
/// Where the owner's own token and link are made from: by whoever holds that.
const DATA_FOLDER: &str = "data folder";
const LINK_LIFE: Duration = Duration::from_mins(10);
const INVITE_LIFE: Duration = Duration::from_hours(24 * 7);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// `qd_…`, sent as a bearer token.
    Token,
    /// `qds_…`, kept by a browser in an HttpOnly cookie.
    Session,
    /// `qdl_…`, exchanged once for a session.
    Link,
    /// `qdi_…`, used once to choose a password.
    Invite,
    /// `qdr_…`, exchanged once for an access token and the next of its kind.
    Refresh,
}

impl CredentialKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Link => "link",
            Self::Invite => "invite",
            Self::Refresh => "refresh",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Token => "qd_",
            Self::Session => "qds_",
            Self::Link => "qdl_",
            Self::Invite => "qdi_",
            Self::Refresh => "qdr_",
        }
    }
}

/// A new secret; not stored, not logged.
pub struct Secret {
    pub secret: String,
    pub expires_at: Option<Timestamp>,
}

/// Somebody who was recognised, with all that they hold; what of it counts depends on where they act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub id: PrincipalId,
    pub name: String,
    pub kind: PrincipalKind,
    pub bindings: Arc<[Binding]>,
    /// The teams that it is in, by tenant and name.
    pub teams: Arc<[(TenantId, String)]>,
    /// What it holds of single resources, in all tenants.
    pub held: Arc<[Held]>,
    /// Patterns of actions that the token in use is limited to, or the session that came of such a one.
    pub limits: Option<Arc<[String]>>,
    /// Which credential is in use.
    pub credential_id: Uuid,
}

impl Identity {
    /// The one who acts in the scope.
    pub fn principal(&self, scope: Scope) -> Principal {
        Principal {
            id: self.id,
            name: self.name.clone(),
            kind: self.kind,
            roles: bindings::roles_in(&self.bindings, scope),
            teams: self.teams_in(scope.tenant_id),
            held: self.held_in(scope),
            limits: self.limits.clone(),
        }
    }

    pub fn sees_tenant(&self, tenant_id: TenantId) -> bool {
        self.tenants().is_none_or(|tenants| tenants.contains(&tenant_id))
    }

    /// The tenants that it may know of; none where it may know of all.
    pub(crate) fn tenants(&self) -> Option<BTreeSet<TenantId>> {
        if self.bindings.iter().any(|binding| binding.level == Level::Platform) {
            return None;
        }
        let roles = self.bindings.iter().map(|binding| binding.tenant_id);
        let held = self.held.iter().map(|held| held.tenant_id);
        Some(roles.chain(held).chain(self.teams.iter().map(|(tenant, _)| *tenant)).collect())
    }

    /// The projects of the tenant in which it holds anything; none where it may know of all.
    pub fn projects_in(&self, tenant_id: TenantId) -> Option<BTreeSet<ProjectId>> {
        let whole = Scope { tenant_id, project_id: ProjectId::from_uuid(Uuid::nil()) };
        if self.bindings.iter().any(|binding| binding.reaches(whole)) {
            return None;
        }
        let roles = self.bindings.iter().filter(|binding| binding.tenant_id == tenant_id);
        let roles = roles.map(|binding| ProjectId::from_uuid(binding.object_id));
        let held = self.held.iter().filter(|held| held.tenant_id == tenant_id);
        Some(roles.chain(held.map(|held| held.project_id)).collect())
    }

    fn teams_in(&self, tenant_id: TenantId) -> Vec<String> {
        let teams = self.teams.iter().filter(|(tenant, _)| *tenant == tenant_id);
        teams.map(|(_, name)| name.clone()).collect()
    }

    fn held_in(&self, scope: Scope) -> Arc<[Held]> {
        self.held.iter().filter(|held| held.project_id == scope.project_id).cloned().collect()
    }
}

/// Where a credential is made from, for its holder to recognise it by.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// An address.
    pub source: String,
    /// What a token is for, or what the browser called itself; 200 characters at most are kept.
    pub label: String,
}

fn draw(source: &Source, kind: CredentialKind) -> String {
    let mut bytes = [0u8; 32];
    source.random(&mut bytes);
    format!("{}{}", kind.prefix(), hex::encode(bytes))
}

fn hash(secret: &str) -> Vec<u8> {
    hex::decode(qd_core::canonical::sha256_hex(secret.as_bytes())).unwrap_or_default()
}

/// A credential about to be written.
struct New<'a> {
    digest: &'a [u8],
    principal_id: PrincipalId,
    kind: CredentialKind,
    origin: &'a Origin,
    allows: Option<&'a [String]>,
    expires_at: Option<Timestamp>,
    /// What comes of it works no longer than until then, however often it is exchanged or renewed; a token's own end where absent.
    ends_at: Option<Timestamp>,
}

impl New<'_> {
    fn insert(&self, tx: &mut Tx<'_>, id: Uuid, now: Timestamp) -> Result<()> {
        let allows = self.allows.map(|patterns| json!(patterns).to_string());
        let label: String = self.origin.label.chars().take(200).collect();
        let ends_at = match self.kind {
            CredentialKind::Token => self.expires_at,
            _ => self.ends_at,
        };
        tx.exec(
            "INSERT INTO credential (hash, id, principal_id, kind, label, source, allows, created_at, expires_at, ends_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            params![
                self.digest.to_vec(),
                id,
                self.principal_id,
                self.kind.as_str(),
                label,
                self.origin.source.clone(),
                allows,
                now,
                self.expires_at,
                ends_at
            ],
        )?;
        Ok(())
    }
}

/// Until when that may work which is made with a credential; none where it may outlive it: a session that somebody opened who
/// proved who he is.
///
/// # Errors
/// `bad_credential` (401) where the credential has ended meanwhile.
fn end_of(m: &mut Mutation<'_, '_>) -> Result<Option<Timestamp>> {
    let (credential_id, now) = (m.context.credential_id, m.now);
    if credential_id.is_nil() {
        return Ok(None);
    }
    let sql = "SELECT ends_at FROM credential WHERE id = $1 AND (expires_at IS NULL OR expires_at > $2)";
    m.tx.opt(sql, params![credential_id, now], |row| row.get(0))?.ok_or_else(access_token::refused)
}

/// The earlier of two ends.
fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

impl Kernel {
    /// Makes the owner account where there is none.
    pub(crate) async fn owner_bootstrap(&self) -> Result<()> {
        let (id, now) = (self.source.uuid(), self.source.now());
        self.store
            .write(move |tx| -> Result<()> {
                let made = tx.exec(
                    "INSERT INTO principal (id, name, kind, created_at) VALUES ($1, $2, 'user', $3)
                     ON CONFLICT (name) DO NOTHING",
                    params![id, OWNER, now],
                )?;
                if made == 1 {
                    bind_everywhere(tx, id.into(), PLATFORM_ADMIN, "system", now)?;
                }
                Ok(())
            })
            .await
    }

    /// Somebody at work in a scope, by all that decides there: what he holds, and the project's own policies.
    pub async fn context(
        &self,
        identity: &Identity,
        scope: Scope,
        ids: RequestIds,
        source: String,
    ) -> Result<Context> {
        Ok(Context {
            principal: identity.principal(scope),
            scope,
            ids,
            source,
            authority: self.authority_in(scope).await?,
            denials: Denials::default(),
            on_behalf_of: None,
            credential_id: identity.credential_id,
        })
    }

    /// The same of somebody who is not there himself, because what he published goes on without him. None of nobody who is
    /// active.
    pub(crate) async fn context_of(
        &self,
        somebody: Option<PrincipalId>,
        scope: Scope,
        ids: RequestIds,
        source: &str,
    ) -> Result<Option<Context>> {
        let Some(id) = somebody else { return Ok(None) };
        let found = self.store.read(move |tx| identity_of(tx, id)).await?;
        match found {
            Some(identity) => self.context(&identity, scope, ids, source.to_owned()).await.map(Some),
            None => Ok(None),
        }
    }

    /// A new bearer token for the owner, for whoever holds the data folder: the caller is the machine's own user.
    pub async fn owner_token(&self) -> Result<String> {
        Ok(self.owners(CredentialKind::Token, None).await?.secret)
    }

    /// A new one-time sign-in code for the owner, valid for ten minutes.
    pub async fn owner_link(&self) -> Result<Secret> {
        self.owners(CredentialKind::Link, Some(LINK_LIFE)).await
    }

    /// On record as the system's, for the owner: who runs a process with the data folder is not asked who he is.
    async fn owners(&self, kind: CredentialKind, life: Option<Duration>) -> Result<Secret> {
        let id = self.principal_id(OWNER).await?;
        let secret = draw(&self.source, kind);
        let digest = hash(&secret);
        let expires_at = life.and_then(|life| self.source.now().checked_add(life));
        let origin = Origin { source: DATA_FOLDER.into(), label: String::new() };
        let request_id = self.source.uuid().to_string();
        let ids = RequestIds { correlation_id: request_id.clone(), request_id, trace_id: None };
        let context =
            Context::system(OWNER.into(), Scope::PLATFORM, ids, DATA_FOLDER).on_behalf_of(OWNER.to_owned());
        self.mutate(&context, Act::new("own", kind.as_str()), move |m| {
            let (allows, ends_at) = (None, None);
            let new =
                New { digest: &digest, principal_id: id, kind, origin: &origin, allows, expires_at, ends_at };
            let credential: Uuid = m.id();
            new.insert(m.tx, credential, m.now)?;
            let made = format!("{}.created", kind.as_str());
            m.event(&made, Subject::default(), &json!({ "principal": OWNER, "expires_at": expires_at }))?;
            m.audit(&Object { kind: "Principal", id: id.uuid(), name: OWNER }, &[], None)
        })
        .await?;
        Ok(Secret { secret, expires_at })
    }

    /// A new one-time sign-in code for the caller. What it opens is limited as the credential in use is, and ends with it.
    pub async fn link_create(&self, context: &Context) -> Result<Secret> {
        let secret = draw(&self.source, CredentialKind::Link);
        let (digest, principal) = (hash(&secret), context.principal.clone());
        let origin = Origin { source: context.source.clone(), label: String::new() };
        let usual = self.source.now().checked_add(LINK_LIFE);
        let expires_at = self
            .mutate(context, Act::new("own", "link"), move |m| {
                let ends_at = end_of(m)?;
                let expires_at = earlier(usual, ends_at);
                let new = New {
                    digest: &digest,
                    principal_id: principal.id,
                    kind: CredentialKind::Link,
                    origin: &origin,
                    allows: principal.limits.as_deref(),
                    expires_at,
                    ends_at,
                };
                let id = m.id();
                new.insert(m.tx, id, m.now)?;
                m.event("link.created", Subject::default(), &json!({ "principal": principal.name }))?;
                m.audit(
                    &Object { kind: "Principal", id: principal.id.uuid(), name: &principal.name },
                    &[],
                    None,
                )?;
                Ok(expires_at)
            })
            .await?;
        Ok(Secret { secret, expires_at })
    }

    /// Who holds this token or session.
    pub async fn authenticate(&self, secret: &str) -> Result<Identity> {
        let now = self.source.now();
        let since = match self.callers.get(secret, now) {
            Ok(identity) => return Ok(identity),
            Err(since) => since,
        };
        if jwt::looks_like_one(secret) {
            let (identity, until) = self.access_token_holder(secret).await?;
            self.callers.put(secret, &identity, since, now, until);
            return Ok(identity);
        }
        let digest = hash(secret);
        let found = self
            .store
            .read(move |tx| -> Result<Option<(Identity, Option<Timestamp>)>> {
                let found = tx.opt(
                    "SELECT p.id, p.name, p.kind, c.id, c.allows, c.expires_at
                     FROM credential c JOIN principal p ON p.id = c.principal_id
                     WHERE c.hash = $1 AND c.kind IN ('token', 'session') AND (c.expires_at IS NULL OR c.expires_at > $2)
                       AND p.state = 'active'",
                    params![digest, now],
                    |row| Ok((identity_row(row)?, row.get(5)?)),
                )?;
                found.map(|(identity, end)| Ok((with_bindings(tx, identity)?, end))).transpose()
            })
            .await?;
        let (identity, end) = found.ok_or_else(access_token::refused)?;
        self.callers.put(secret, &identity, since, now, end.unwrap_or(Timestamp::MAX));
        Ok(identity)
    }

    /// Somebody who was recognised before, if he would be now: what he holds is read anew.
    ///
    /// # Errors
    /// `bad_credential` (401) where the session or token has ended meanwhile.
    pub async fn recognised_still(&self, identity: &Identity) -> Result<Identity> {
        let (id, now) = (identity.credential_id, self.source.now());
        self.store
            .read(move |tx| -> Result<Option<Identity>> {
                let found = tx.opt(
                    "SELECT p.id, p.name, p.kind, c.id, c.allows
                     FROM credential c JOIN principal p ON p.id = c.principal_id
                     WHERE c.id = $1 AND c.kind IN ('token', 'session', 'refresh')
                       AND (c.expires_at IS NULL OR c.expires_at > $2) AND p.state = 'active'",
                    params![id, now],
                    identity_row,
                )?;
                found.map(|identity| with_bindings(tx, identity)).transpose()
            })
            .await?
            .ok_or_else(access_token::refused)
    }

    pub(crate) async fn identity(&self, id: PrincipalId, credential_id: Uuid) -> Result<Identity> {
        self.store
            .read(move |tx| -> Result<Option<Identity>> {
                Ok(identity_of(tx, id)?.map(|identity| Identity { credential_id, ..identity }))
            })
            .await?
            .ok_or_else(|| Error::unauthenticated("bad_credential", "the account is suspended"))
    }

    /// Somebody of whom the caller may know, with all that he holds; no credential is in use.
    ///
    /// # Errors
    /// `user_not_found` (404), also for one who is suspended.
    pub async fn identity_named(&self, context: &Context, name: &str) -> Result<Identity> {
        let (wanted, context) = (name.to_owned(), context.clone());
        self.store
            .read(move |tx| -> Result<Identity> {
                let id = bindings::principal_named(tx, &context, &wanted)?;
                identity_of(tx, id)?.ok_or_else(|| bindings::nobody(&wanted))
            })
            .await
    }

    async fn principal_id(&self, name: &str) -> Result<PrincipalId> {
        let name = name.to_owned();
        self.store
            .read(move |tx| -> Result<Option<PrincipalId>> {
                Ok(tx.opt("SELECT id FROM principal WHERE name = $1", params![name], |row| row.get(0))?)
            })
            .await?
            .ok_or_else(|| Error::not_found("user_not_found", "there is no such account"))
    }
}

/// A role held everywhere; held already, it stays.
fn bind_everywhere(tx: &mut Tx<'_>, id: PrincipalId, role: &str, by: &str, now: Timestamp) -> Result<()> {
    tx.exec(
        "INSERT INTO role_binding (principal_id, role, level, object_id, tenant_id, created_by, created_at)
         VALUES ($1, $2, 'platform', $3, $3, $4, $5) ON CONFLICT (principal_id, role, object_id) DO NOTHING",
        params![id, role.to_owned(), Uuid::nil(), by.to_owned(), now],
    )?;
    Ok(())
}

/// Somebody active, with all that he holds.
pub(crate) fn identity_of(tx: &mut Tx<'_>, id: PrincipalId) -> Result<Option<Identity>> {
    Ok(everybody::identities(tx, &[id])?.pop())
}

fn with_bindings(tx: &mut Tx<'_>, identity: Identity) -> Result<Identity> {
    let (bindings, teams) = (bindings::of(tx, identity.id)?.into(), teams::of(tx, identity.id)?.into());
    let held = sharing::of(tx, identity.id)?;
    Ok(Identity { bindings, teams, held, ..identity })
}

impl Column for PrincipalKind {
    fn column(value: store::Value<'_>) -> std::result::Result<Self, String> {
        match String::column(value)?.as_str() {
            "user" => Ok(Self::User),
            "service" => Ok(Self::Service),
            "system" => Ok(Self::System),
            other => Err(format!("{other:?} is no kind of account")),
        }
    }
}

/// `id, name, kind` of a principal, `id, allows` of the credential.
fn identity_row(row: &Row<'_>) -> StoreResult<Identity> {
    let allows: Option<String> = row.get(4)?;
    Ok(Identity {
        id: row.get(0)?,
        name: row.get(1)?,
        kind: row.get(2)?,
        bindings: Arc::default(),
        teams: Arc::default(),
        held: Arc::default(),
        limits: limits(allows),
        credential_id: row.get(3)?,
    })
}

/// What a credential is limited to, of its column. What cannot be read allows nothing.
fn limits(allows: Option<String>) -> Option<Arc<[String]>> {
    allows.map(|text| serde_json::from_str::<Vec<String>>(&text).unwrap_or_default().into())
}
