//! Questions about access: may somebody do it and why, who else may, and what would change with other policies.
//!
//! They are answered by the very policies that decide, so an answer is what would happen. Nothing is changed, and a token's limits
//! count for nobody but its holder.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use qd_core::{
    error::{Error, Result},
    id::ResourceId,
    name::Name,
    violation::Violation,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{
    Answer, Authority,
    cedar::{governed, statement},
    everybody::{self, OF_TENANT},
    matrix::{self, Level},
    objects::{self, Facts, On},
    rules,
    sharing::Share,
};
use crate::{
    context::{Context, PrincipalKind, Scope},
    credentials::Identity,
    kernel::Kernel,
    params,
    policies::MAX_BYTES,
};

/// How many people and services are asked about at once.
const MOST_PRINCIPALS: i64 = 500;
/// How many questions one what-if asks.
const MOST_QUESTIONS: usize = 100_000;
/// How many policies one what-if takes, and how many bytes all of them have.
const MOST_POLICIES: usize = 20;
const MOST_BYTES: usize = 4 * MAX_BYTES;
/// How many names or patterns each list of a what-if takes.
const MOST_NAMES: usize = 500;
/// What-ifs at work in this process: each keeps a core busy for seconds.
static AT_ONCE: Semaphore = Semaphore::const_new(1);
/// How long one waits for its turn.
const TURN: Duration = Duration::from_secs(10);

/// Why an answer is what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reason {
    /// `role:viewer`, `share:editor`, `policy:night#1`, or what stood in the way of an answer.
    pub policy: String,
    pub sentence: String,
}

/// An answer for a person.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Told {
    pub allowed: bool,
    /// What allows it or what forbids it; empty where nothing allows it.
    pub because: Vec<Reason>,
}

/// Somebody who may.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Able {
    pub principal: String,
    pub kind: PrincipalKind,
    pub because: Vec<Reason>,
}

/// Everybody who may.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AbleList {
    pub items: Vec<Able>,
    /// There are more people and services than were asked about.
    pub truncated: bool,
}

/// Policies that are not in force.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// They take the place of those of the same name.
    #[serde(default)]
    pub policies: Vec<CandidatePolicy>,
    /// Names of policies that would no longer be there.
    #[serde(default)]
    pub without: Vec<String>,
    /// Whom to ask about; everybody where empty.
    #[serde(default)]
    pub principals: Vec<String>,
    /// Patterns of the actions to ask about; all where empty.
    #[serde(default)]
    pub actions: Vec<String>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CandidatePolicy {
    pub name: String,
    pub cedar: String,
}

/// What would change.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct WhatIf {
    pub changes: Vec<WhatIfChange>,
    /// How many questions were asked, each before and after.
    pub asked: usize,
    /// There was more to ask about: narrow it by principals or actions.
    pub truncated: bool,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WhatIfChange {
    pub principal: String,
    pub action: String,
    /// `pipelines/curate`; none for the project as a whole.
    pub object: Option<String>,
    /// Whether it is allowed now.
    pub before: bool,
    pub after: bool,
    /// Why it would be so afterwards.
    pub because: Vec<Reason>,
}

impl Kernel {
    /// Whether somebody may do the action, to one resource or to the whole of what it is done to ([`matrix::level`]).
    ///
    /// # Errors
    /// `malformed_object` (400); the object's 403 or 404 where the caller may not read it.
    pub async fn access_told(
        &self,
        context: &Context,
        identity: &Identity,
        action: &str,
        object: Option<&str>,
    ) -> Result<Told> {
        let facts = self.asked_object(context, object).await?;
        let scope = context.scope.at(matrix::level(action));
        Ok(told(&context.authority, identity, scope, action, facts.as_ref()))
    }

    /// Everybody active who may do the action, with why.
    ///
    /// # Errors
    /// As [`Self::access_told`].
    pub async fn access_able(
        &self,
        context: &Context,
        action: &str,
        object: Option<&str>,
    ) -> Result<AbleList> {
        let facts = self.asked_object(context, object).await?;
        let (identities, truncated) = self.identities(context.scope).await?;
        let (authority, action) = (context.authority.clone(), action.to_owned());
        let scope = context.scope.at(matrix::level(&action));
        // Hundreds of questions: not on a thread that serves others.
        let asked = move || {
            let able = identities.iter().filter_map(|identity| {
                let told = told(&authority, identity, scope, &action, facts.as_ref());
                let (principal, kind) = (identity.name.clone(), identity.kind);
                told.allowed.then_some(Able { principal, kind, because: told.because })
            });
            able.collect()
        };
        let items = tokio::task::spawn_blocking(asked)
            .await
            .map_err(|error| Error::internal("who_can", "ask about everybody").with_source(error))?;
        Ok(AbleList { items, truncated })
    }

    /// What would change with other policies in the project of the scope.
    ///
    /// One at a time in a process, and within bounds: whoever may read policies may ask.
    ///
    /// # Errors
    /// `spec_invalid` (422) with all that is wrong with the texts; `what_if_busy` (429) where others ask as well.
    pub async fn access_what_if(&self, context: &Context, candidate: Candidate) -> Result<WhatIf> {
        let oversized = candidate.oversized();
        if !oversized.is_empty() {
            return Err(crate::revisions::spec_invalid(oversized));
        }
        // It goes with the work, which goes on when nobody waits for its answer any more.
        let permit = tokio::time::timeout(TURN, AT_ONCE.acquire()).await.ok().and_then(Result::ok);
        let permit = permit.ok_or_else(|| {
            let mut busy = Error::rate_limited("what_if_busy", "others ask what would change; try again");
            busy.retry_after_s = u32::try_from(TURN.as_secs()).ok();
            busy
        })?;
        let mut texts = self.policy_texts(context.scope).await?;
        texts.retain(|name, _| !candidate.without.contains(name));
        texts.extend(candidate.policies.iter().map(|policy| (policy.name.clone(), policy.cedar.clone())));
        let (identities, more) = self.identities(context.scope).await?;
        let (registry, scope) = (self.registry.clone(), context.scope);
        let resources = self.store.read(move |tx| objects::all(tx, &registry, scope)).await?;
        let (before, roles) = (context.authority.clone(), self.authority.clone());
        let compared = move || -> Result<WhatIf> {
            let _permit = permit;
            candidate.check(&roles)?;
            let after = roles.with_policies(&texts);
            let identities: Vec<&Identity> = identities
                .iter()
                .filter(|one| candidate.principals.is_empty() || candidate.principals.contains(&one.name))
                .collect();
            let told = WhatIf { truncated: more, ..WhatIf::default() };
            let mut compared = Compared { before: before.clone(), after: after.clone(), scope, told };
            let patterns = &candidate.actions;
            let wanted = |action: &&String| {
                matrix::level(action) == Level::Project
                    && !governed(action)
                    && (patterns.is_empty() || patterns.iter().any(|p| matrix::covers(p, action)))
            };
            let actions: Vec<&String> = before.actions().iter().filter(wanted).collect();
            let singled =
                |action: &str| before.singles_out(scope, action) || after.singles_out(scope, action);
            let of_kinds = OfKinds::of(&resources, &actions, singled);
            compared.all(questions(&identities, &resources, &actions, &of_kinds), MOST_QUESTIONS);
            Ok(compared.told)
        };
        tokio::task::spawn_blocking(compared)
            .await
            .map_err(|error| Error::internal("what_if", "compare two sets of policies").with_source(error))?
    }

    /// The actions that the caller may do to a resource, of those of its kind.
    pub async fn resource_allowed(&self, context: &Context, kind: &str, name: &str) -> Result<Vec<String>> {
        let plural = self.registry.find_kind(kind).map_or("resources", |kind| kind.info().plural);
        let of_kind = |action: &&String| {
            let (of, verb) = action.rsplit_once('.').unwrap_or_default();
            of == plural && verb != "list" && verb != "create"
        };
        let actions: Vec<&String> = self.authority.actions().iter().filter(of_kind).collect();
        let on = On::resource(kind, name);
        let mut facts: Option<Option<Facts>> = None;
        let mut allowed = vec![];
        for action in actions {
            let may = match objects::before(context, action, &on) {
                objects::Look::Allowed => true,
                objects::Look::Denied => false,
                objects::Look::Object { .. } => {
                    if facts.is_none() {
                        facts = Some(self.facts_of(context.scope, &on).await?);
                    }
                    let on = facts.as_ref().and_then(Option::as_ref);
                    on.is_some_and(|on| {
                        context.authority.allows_on(&context.principal, context.scope, action, on)
                    })
                }
            };
            if may {
                allowed.push(action.clone());
            }
        }
        Ok(allowed)
    }

    /// The actions that the caller may do to single resources of the project, but not to all of it: by what he holds, or where the
    /// project's policies leave some.
    pub fn access_partly(&self, context: &Context) -> Vec<String> {
        let (authority, principal, scope) = (&context.authority, &context.principal, context.scope);
        let plurals: Vec<&str> = self.registry.kinds().map(|kind| kind.info().plural).collect();
        let held = principal.held.iter().map(|held| held.share).max();
        let patterns = held.map_or_else(Vec::new, |share: Share| share.allows(&plurals));
        let covered = |action: &str| patterns.iter().any(|pattern| matrix::covers(pattern, action));
        let partly = authority.actions().iter().filter(|action| {
            principal.limits_cover(action)
                && (covered(action) || authority.allows_some(principal, scope, action))
                && !authority.allows(principal, scope, action)
        });
        partly.cloned().collect()
    }

    async fn asked_object(&self, context: &Context, object: Option<&str>) -> Result<Option<Facts>> {
        let Some(object) = object else { return Ok(None) };
        let (plural, name) = object.split_once('/').unwrap_or((object, ""));
        let kind = self.registry.find_plural(plural).filter(|_| !name.is_empty()).ok_or_else(|| {
            let detail = format!("{object:?} names no resource; write it like pipelines/curate");
            Error::malformed("malformed_object", detail)
        })?;
        let on = On::resource(kind.info().kind, name);
        self.permit(context, &format!("{plural}.read"), on.clone()).await?;
        let facts = self.facts_of(context.scope, &on).await?;
        facts.map(Some).ok_or_else(|| crate::resources::not_found(kind.info().kind, name))
    }

    async fn facts_of(&self, scope: Scope, on: &On) -> Result<Option<Facts>> {
        let (registry, on) = (self.registry.clone(), on.clone());
        self.store
            .read(move |tx| -> Result<Option<Facts>> {
                Ok(objects::facts(tx, &registry, scope, &on)?.and_then(|mut of| of.pop()))
            })
            .await
    }

    /// Everybody active who holds anything in the scope, by name; and whether there are more than are asked about.
    async fn identities(&self, scope: Scope) -> Result<(Vec<Identity>, bool)> {
        let mut identities = self
            .store
            .read(move |tx| -> Result<Vec<Identity>> {
                let ids = tx.rows(
                    &format!(
                        "SELECT p.id FROM principal p WHERE p.state = 'active' AND ({OF_TENANT}) ORDER BY p.name LIMIT {}",
                        MOST_PRINCIPALS + 1
                    ),
                    params![scope.tenant_id],
                    |row| row.get(0),
                )?;
                everybody::identities(tx, &ids)
            })
            .await?;
        let most = usize::try_from(MOST_PRINCIPALS).unwrap_or_default();
        let more = identities.len() > most;
        identities.truncate(most);
        Ok((identities, more))
    }
}

/// Two sets of policies, asked the same.
struct Compared {
    before: Authority,
    after: Authority,
    scope: Scope,
    told: WhatIf,
}

/// The actions of each kind: those that are asked of every resource of it, and all that there are.
struct OfKinds<'a>(BTreeMap<&'a str, (Vec<&'a str>, Vec<&'a str>)>);

impl<'a> OfKinds<'a> {
    fn of(resources: &'a [Facts], actions: &[&'a String], singled: impl Fn(&str) -> bool) -> Self {
        let mut kinds: BTreeMap<&str, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
        for facts in resources {
            kinds.entry(&facts.plural).or_insert_with(|| {
                let of_it =
                    |action: &&&'a String| action.rsplit_once('.').is_some_and(|(of, _)| of == facts.plural);
                let all: Vec<&str> = actions.iter().filter(of_it).map(|action| action.as_str()).collect();
                (all.iter().copied().filter(|action| singled(action)).collect(), all)
            });
        }
        Self(kinds)
    }
}

type Question<'a> = (&'a Identity, &'a str, Option<&'a Facts>);

/// What is asked: of everybody each action in the project, and of each resource where the answer can be another one than that.
fn questions<'a>(
    identities: &'a [&'a Identity],
    resources: &'a [Facts],
    actions: &'a [&'a String],
    of_kinds: &'a OfKinds<'a>,
) -> impl Iterator<Item = Question<'a>> {
    identities.iter().flat_map(move |identity| {
        let held: BTreeSet<ResourceId> = identity.held.iter().map(|held| held.resource_id).collect();
        let whole = actions.iter().map(move |action| (*identity, action.as_str(), None));
        let single = resources.iter().flat_map(move |facts| {
            let of_kind = of_kinds.0.get(facts.plural.as_str());
            let holds = facts.id.is_some_and(|id| held.contains(&id));
            let asked = of_kind.map_or(&[][..], |(singled, all)| if holds { all } else { singled });
            asked.iter().map(move |action| (*identity, *action, Some(facts)))
        });
        whole.chain(single)
    })
}

impl Candidate {
    /// What is more than one what-if takes.
    fn oversized(&self) -> Vec<Violation> {
        let mut violations = vec![];
        let mut most = |pointer: &str, code: &str, is: usize, most: usize, of: &str| {
            if is > most {
                violations.push(Violation::new(pointer, code, format!("{most} {of} at most are taken")));
            }
        };
        most("/policies", "too_many", self.policies.len(), MOST_POLICIES, "policies");
        let bytes = self.policies.iter().map(|policy| policy.cedar.len()).sum();
        most("/policies", "too_long", bytes, MOST_BYTES, "bytes of policies");
        for (index, policy) in self.policies.iter().enumerate().take(MOST_POLICIES) {
            let pointer = format!("/policies/{index}/cedar");
            most(&pointer, "too_long", policy.cedar.len(), MAX_BYTES, "bytes of a policy");
        }
        for (name, list) in
            [("without", &self.without), ("principals", &self.principals), ("actions", &self.actions)]
        {
            most(&format!("/{name}"), "too_many", list.len(), MOST_NAMES, "entries");
        }
        violations
    }

    /// Everything that is wrong with the names and texts.
    fn check(&self, roles: &Authority) -> Result<()> {
        let mut violations: Vec<Violation> = vec![];
        for (index, policy) in self.policies.iter().enumerate() {
            if let Err(error) = policy.name.parse::<Name>() {
                let pointer = format!("/policies/{index}/name");
                violations.push(Violation::new(pointer, "invalid_name", error.to_string()));
            }
            violations.extend(rules::violations(roles, &policy.cedar)?.into_iter().map(|mut violation| {
                violation.pointer = format!("/policies/{index}{}", violation.pointer);
                violation
            }));
        }
        if violations.is_empty() { Ok(()) } else { Err(crate::revisions::spec_invalid(violations)) }
    }
}

impl Compared {
    /// Stops at the first question beyond `most`.
    fn all<'a>(&mut self, questions: impl Iterator<Item = Question<'a>>, most: usize) {
        for (identity, action, on) in questions {
            if self.told.asked >= most {
                self.told.truncated = true;
                return;
            }
            self.one(identity, action, on);
        }
    }

    fn one(&mut self, identity: &Identity, action: &str, on: Option<&Facts>) {
        self.told.asked += 1;
        let principal = identity.principal(self.scope);
        let before = self.before.decide(&principal, self.scope, action, on).allowed;
        let after = self.after.decide(&principal, self.scope, action, on);
        if before != after.allowed {
            self.told.changes.push(WhatIfChange {
                principal: identity.name.clone(),
                action: action.to_owned(),
                object: on.map(Facts::path),
                before,
                after: after.allowed,
                because: reasons(identity, self.scope, on, &after),
            });
        }
    }
}

fn told(authority: &Authority, identity: &Identity, scope: Scope, action: &str, on: Option<&Facts>) -> Told {
    let principal = identity.principal(scope);
    let mut answer = authority.decide(&principal, scope, action, on);
    if !principal.limits_cover(action) {
        answer = Answer { allowed: false, because: vec!["the token is limited to other actions".into()] };
    }
    Told { allowed: answer.allowed, because: reasons(identity, scope, on, &answer) }
}

/// What decided, in words: each role by every way in which it is held.
fn reasons(identity: &Identity, scope: Scope, on: Option<&Facts>, answer: &Answer) -> Vec<Reason> {
    let through = |team: &Option<String>| {
        team.as_ref().map_or_else(String::new, |team| format!(" through the team {team}"))
    };
    let mut reasons = BTreeMap::new();
    for policy in &answer.because {
        let sentences: Vec<String> = match policy.split_once(':') {
            Some(("role", role)) => {
                let held = identity.bindings.iter().filter(|held| held.role == role && held.reaches(scope));
                let at = |level| match level {
                    Level::Platform => "everywhere",
                    Level::Tenant => "in the tenant",
                    Level::Project => "in the project",
                };
                held.map(|held| format!("the role {role}, held {}{}", at(held.level), through(&held.team)))
                    .collect()
            }
            Some(("share", share)) => identity
                .held
                .iter()
                .filter(|held| {
                    on.is_some_and(|on| on.id == Some(held.resource_id)) && held.share.as_str() == share
                })
                .map(|held| match held.share {
                    Share::Owner => format!("it belongs to {}{}", identity.name, through(&held.team)),
                    _ => format!("it is shared with {} as {share}{}", identity.name, through(&held.team)),
                })
                .collect(),
            Some(("policy", _)) => {
                vec![statement(policy, answer.allowed).unwrap_or_else(|| policy.clone())]
            }
            _ if policy == "own" => vec!["it is one's own".to_owned()],
            _ if policy == "guest" => vec!["whoever holds anything here may".to_owned()],
            _ => vec![policy.clone()],
        };
        for sentence in sentences {
            reasons.insert(sentence, policy.clone());
        }
    }
    reasons.into_iter().map(|(sentence, policy)| Reason { policy, sentence }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_what_if_stops_where_it_has_asked_enough() {
        let identity = Identity {
            id: uuid::Uuid::nil().into(),
            name: "ann".into(),
            kind: PrincipalKind::User,
            bindings: [].into(),
            teams: [].into(),
            held: [].into(),
            limits: None,
            credential_id: uuid::Uuid::nil(),
        };
        let (before, after) = (Authority::default(), Authority::default());
        let mut compared = Compared { before, after, scope: Scope::PLATFORM, told: WhatIf::default() };
        let mut looked = 0;
        let questions = std::iter::repeat_with(|| {
            looked += 1;
            (&identity, "jobs.cancel", None)
        });
        // One that goes on to the end would not end.
        compared.all(questions, 10);
        assert_eq!((compared.told.asked, compared.told.truncated, looked), (10, true, 11));
    }
}
