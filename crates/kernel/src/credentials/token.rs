//! Bearer tokens: one's own, limited and expiring as one likes, and for a named service.
//!
//! What is made with a token is no wider than it: it ends with it at the latest, and is limited to a part of what it is limited to,
//! to all of it where nothing is said.
//!
//! Only the owner makes another principal with a role that is held everywhere by making it a token; within a tenant, roles
//! are granted ([`crate::access::bindings`]).

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use qd_core::{
    error::{Error, Result},
    id::PrincipalId,
    suggest,
    violation::Violation,
};
use serde_json::json;
use uuid::Uuid;

use super::{
    CredentialKind, New, OWNER, Origin, Secret, accounts::account_name, bind_everywhere, draw, earlier,
    end_of, hash,
};
use crate::{
    access::{PLATFORM_ADMIN, VIEWER, bindings, matrix},
    context::{Context, Principal, PrincipalKind, Scope},
    kernel::Kernel,
    mutation::{Act, Object, Subject},
    params,
    reviews::authors,
};

/// Years are no expiry.
const LONGEST: Duration = Duration::from_hours(24 * 366);
/// Patterns that are named where many stand for nothing.
const ODD: usize = 20;

/// What is done with one's own, which no role allows and a token may be limited to.
pub const OWN_ACTIONS: [&str; 7] = [
    "own.end-session",
    "own.link",
    "own.password",
    "own.read",
    "own.read-notifications",
    "own.sign-out",
    "own.token",
];

/// A token that somebody wants for himself, or for a service.
#[derive(Debug, Clone, Default)]
pub struct TokenRequest {
    /// What it is for.
    pub label: String,
    /// A year at most; without one it works until it is revoked.
    pub life: Option<Duration>,
    /// Patterns of actions; without any it may do what its holder may.
    pub allows: Option<Vec<String>>,
}

impl TokenRequest {
    /// `actions`: every one that there is but what is one's own.
    fn check(&self, actions: &[String]) -> Result<()> {
        if self.life.is_some_and(|life| life.is_zero() || life > LONGEST) {
            return Err(Error::invalid("bad_token_life", "a token lives for 1 s to 366 days"));
        }
        let patterns = self.allows.iter().flatten().enumerate();
        let found: Vec<Violation> =
            patterns.filter_map(|(place, pattern)| odd(place, pattern, actions)).take(ODD).collect();
        let detail = match found.as_slice() {
            [] => return Ok(()),
            [one] => one.detail.clone(),
            many => format!("several patterns of actions are wrong; the first {} are named", many.len()),
        };
        Err(Error::invalid("bad_action_pattern", detail).with_violations(found))
    }
}

/// What is wrong with a pattern. One that stands for nothing would make a token that is refused everything.
fn odd(place: usize, pattern: &str, actions: &[String]) -> Option<Violation> {
    let at = format!("/allows/{place}");
    if !is_pattern(pattern) {
        let detail =
            format!("{pattern:?} is no pattern of actions; write read, jobs.cancel, jobs.* or *.validate");
        return Some(Violation::new(at, "invalid_format", detail));
    }
    let known = || actions.iter().map(String::as_str).chain(OWN_ACTIONS);
    if known().any(|action| matrix::covers(pattern, action)) {
        return None;
    }
    let patterns: BTreeSet<String> =
        known().flat_map(|action| matrix::groups(action).into_iter().chain([action.to_owned()])).collect();
    let near = suggest::hint(pattern, patterns.iter().map(String::as_str));
    Some(Violation::new(at, "unknown_action", format!("{pattern:?} stands for no action{near}")))
}

fn is_pattern(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'*')
    };
    text == "*"
        || text == matrix::READS
        || text.split_once('.').is_some_and(|(plural, verb)| word(plural) && word(verb))
}

/// What a new token is limited to, where the one in use is limited.
fn within(limits: Option<&[String]>, wanted: Option<&[String]>) -> Result<Option<Vec<String>>> {
    let Some(limits) = limits else { return Ok(wanted.map(<[String]>::to_vec)) };
    let Some(wanted) = wanted else { return Ok(Some(limits.to_vec())) };
    let covered = |pattern: &String| limits.iter().any(|limit| matrix::includes(limit, pattern));
    match wanted.iter().find(|pattern| !covered(pattern)) {
        None => Ok(Some(wanted.to_vec())),
        Some(wider) => Err(Error::forbidden(
            "token_too_wide",
            format!(
                "the token in use is limited to {}: it makes none that allows {wider}",
                limits.join(", ")
            ),
        )),
    }
}

impl Kernel {
    /// A token for the caller himself.
    ///
    /// # Errors
    /// `bad_token_life`, `bad_action_pattern` (422); `token_too_wide` (403) where the token in use is limited, and not to that.
    pub async fn own_token_create(&self, context: &Context, request: TokenRequest) -> Result<Secret> {
        let me = context.principal.clone();
        self.token_write(context, Act::new("own", "token"), me.id, me.name, request).await
    }

    /// A token for a service.
    ///
    /// # Errors
    /// As [`Self::own_token_create`]; `user_not_found` (404); `not_a_service` (422): people make their own.
    pub async fn service_token_create(
        &self,
        context: &Context,
        name: &str,
        request: TokenRequest,
    ) -> Result<Secret> {
        crate::access::check(context, "tokens.create")?;
        let user = self.user_get(name).await?;
        if user.kind != PrincipalKind::Service {
            let detail =
                format!("{name} is a person, who makes tokens for himself; make a service for a program");
            return Err(Error::invalid("not_a_service", detail));
        }
        self.token_write(context, Act::new("tokens", "create"), user.id, user.name, request).await
    }

    async fn token_write(
        &self,
        context: &Context,
        act: Act,
        principal_id: PrincipalId,
        name: String,
        request: TokenRequest,
    ) -> Result<Secret> {
        request.check(self.authority.actions())?;
        let secret = draw(&self.source, CredentialKind::Token);
        let digest = hash(&secret);
        let wanted = request.life.and_then(|life| self.source.now().checked_add(life));
        let origin = Origin { source: context.source.clone(), label: request.label.clone() };
        let expires_at = self
            .mutate(context, act, move |m| {
                let allows = within(m.context.principal.limits.as_deref(), request.allows.as_deref())?;
                let expires_at = earlier(wanted, end_of(m)?);
                let new = New {
                    digest: &digest,
                    principal_id,
                    kind: CredentialKind::Token,
                    origin: &origin,
                    allows: allows.as_deref(),
                    expires_at,
                    ends_at: None,
                };
                let id: Uuid = m.id();
                new.insert(m.tx, id, m.now)?;
                if principal_id != m.context.principal.id {
                    authors::answers_for(m, principal_id)?;
                }
                let data = json!({ "principal": name, "label": origin.label, "allows": allows, "expires_at": expires_at });
                m.event("token.created", Subject::default(), &data)?;
                m.audit(&Object { kind: "Principal", id: principal_id.uuid(), name: &name }, &[], None)?;
                Ok(expires_at)
            })
            .await?;
        Ok(Secret { secret, expires_at })
    }

    /// A new bearer token for the principal of that name, which is made where there is none, with a role held everywhere. It is
    /// limited as the token in use is, and ends with it.
    ///
    /// # Errors
    /// `owner_only` (403) for anybody but the owner; `role_not_found` (404); `malformed_name` (400); `name_reserved` (422); `already_exists` (409)
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
        let name = account_name(name)?;
        if let Some(role) = role.filter(|role| ![PLATFORM_ADMIN, VIEWER].contains(role)) {
            let detail = format!("no role {role:?} is held everywhere; {PLATFORM_ADMIN} and {VIEWER} are");
            return Err(Error::not_found("role_not_found", detail));
        }
        let secret = draw(&self.source, CredentialKind::Token);
        let (digest, wanted) = (hash(&secret), role.map(str::to_owned));
        let origin = Origin { source: context.source.clone(), label: format!("made by {OWNER}") };
        let principal = self
            .mutate(context, Act::new("tokens", "create"), move |m| {
                let fresh: PrincipalId = m.id();
                let made = m.tx.exec(
                    "INSERT INTO principal (id, name, kind, created_at) VALUES ($1, $2, 'user', $3)
                     ON CONFLICT (name) DO NOTHING",
                    params![fresh, name.to_string(), m.now],
                )?;
                let (id, kind): (PrincipalId, PrincipalKind) = m.tx.one(
                    "SELECT id, kind FROM principal WHERE name = $1",
                    params![name.to_string()],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?;
                if made == 1 {
                    let role = wanted.as_deref().unwrap_or(PLATFORM_ADMIN);
                    bind_everywhere(m.tx, id, role, OWNER, m.now)?;
                }
                let roles = bindings::roles_in(&bindings::of(m.tx, id)?, Scope::PLATFORM);
                if let Some(wanted) = wanted.as_ref().filter(|wanted| !roles.contains(wanted)) {
                    let detail = format!("{name} has the role {} and not {wanted}", roles.join(", "));
                    return Err(Error::conflict("already_exists", detail));
                }
                let new = New {
                    digest: &digest,
                    principal_id: id,
                    kind: CredentialKind::Token,
                    origin: &origin,
                    allows: m.context.principal.limits.as_deref(),
                    expires_at: end_of(m)?,
                    ends_at: None,
                };
                let credential: Uuid = m.id();
                new.insert(m.tx, credential, m.now)?;
                m.event("token.created", Subject::default(), &json!({ "principal": name, "roles": roles }))?;
                m.audit(&Object { kind: "Principal", id: id.uuid(), name: name.as_str() }, &[], None)?;
                Ok(Principal {
                    id,
                    name: name.to_string(),
                    kind,
                    roles,
                    teams: vec![],
                    held: Arc::default(),
                    limits: None,
                })
            })
            .await?;
        Ok((principal, secret))
    }
}
