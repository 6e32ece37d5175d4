//! Questions about access: may somebody do it and why, who else may, and what would change with other policies.
//!
//! They are answered by the very policies that decide, so an answer is what would happen. Nothing is changed, and a token's limits
//! count for nobody but its holder.

use std::collections::BTreeMap;

use qd_core::{
    error::{Error, Result},
    violation::Violation,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Answer, Authority,
    bindings::known,
    cedar::governed,
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
};

/// How many people and services are asked about at once.
const MOST_PRINCIPALS: i64 = 500;
/// How many questions one what-if asks.
const MOST_QUESTIONS: usize = 100_000;

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
    /// Whether somebody may do the action, to the project (or tenant, or platform) as a whole or to one resource of it.
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
        Ok(told(&context.authority, identity, context.scope, action, facts.as_ref()))
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
        let able = identities.iter().filter_map(|identity| {
            let told = told(&context.authority, identity, context.scope, action, facts.as_ref());
            let (principal, kind) = (identity.name.clone(), identity.kind);
            told.allowed.then_some(Able { principal, kind, because: told.because })
        });
        Ok(AbleList { items: able.collect(), truncated })
    }

    /// What would change with other policies in the project of the scope.
    ///
    /// # Errors
    /// `spec_invalid` (422) with all that is wrong with the texts.
    pub async fn access_what_if(&self, context: &Context, candidate: Candidate) -> Result<WhatIf> {
        let mut violations: Vec<Violation> = vec![];
        for (index, policy) in candidate.policies.iter().enumerate() {
            let found = rules::violations(&self.authority, &policy.cedar)?;
            violations.extend(found.into_iter().map(|mut violation| {
                violation.pointer = format!("/policies/{index}{}", violation.pointer);
                violation
            }));
        }
        if !violations.is_empty() {
            return Err(crate::revisions::spec_invalid(violations));
        }
        let mut texts = self.policy_texts(context.scope).await?;
        texts.retain(|name, _| !candidate.without.contains(name));
        texts.extend(candidate.policies.iter().map(|policy| (policy.name.clone(), policy.cedar.clone())));
        let (identities, more) = self.identities(context.scope).await?;
        let (registry, scope) = (self.registry.clone(), context.scope);
        let resources = self.store.read(move |tx| objects::all(tx, &registry, scope)).await?;
        let (before, roles) = (context.authority.clone(), self.authority.clone());
        let compared = move || {
            let after = roles.with_policies(&texts);
            let identities: Vec<&Identity> = identities
                .iter()
                .filter(|one| candidate.principals.is_empty() || candidate.principals.contains(&one.name))
                .collect();
            let mut compared =
                Compared { before, after, scope, told: WhatIf { truncated: more, ..WhatIf::default() } };
            compared.all(&identities, &resources, &candidate.actions);
            compared.told
        };
        tokio::task::spawn_blocking(compared)
            .await
            .map_err(|error| Error::internal("what_if", "compare two sets of policies").with_source(error))
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

    /// The actions that the caller may do to single resources of the project, but not to all of it.
    pub fn access_partly(&self, context: &Context) -> Vec<String> {
        let (authority, principal, scope) = (&context.authority, &context.principal, context.scope);
        let plurals: Vec<&str> = self.registry.kinds().map(|kind| kind.info().plural).collect();
        let held = principal.held.iter().map(|held| held.share).max();
        let patterns = held.map_or_else(Vec::new, |share: Share| share.allows(&plurals));
        let covered = |action: &str| patterns.iter().any(|pattern| matrix::covers(pattern, action));
        let partly = authority.actions().iter().filter(|action| {
            principal.limits_cover(action)
                && (covered(action) || authority.singles_out(scope, action))
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
                        "SELECT p.id FROM principal p WHERE p.state = 'active' AND ({}
                           OR EXISTS (SELECT 1 FROM role_binding b WHERE b.principal_id = p.id AND b.level = 'platform'))
                         ORDER BY p.name LIMIT {}",
                        known("p.id", "p.name", "$1"),
                        MOST_PRINCIPALS + 1
                    ),
                    params![scope.tenant_id],
                    |row| row.get(0),
                )?;
                let found = ids.into_iter().map(|id| crate::credentials::identity_of(tx, id));
                found.filter_map(Result::transpose).collect()
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

impl Compared {
    fn all(&mut self, identities: &[&Identity], resources: &[Facts], patterns: &[String]) {
        let wanted = |action: &&String| {
            !governed(action) && (patterns.is_empty() || patterns.iter().any(|p| matrix::covers(p, action)))
        };
        let actions: Vec<String> = self.before.actions().iter().filter(wanted).cloned().collect();
        for identity in identities {
            for action in &actions {
                self.one(identity, action, None);
            }
            for facts in resources {
                let of_it = format!("{}.", facts.plural);
                let held = identity.held.iter().any(|held| Some(held.resource_id) == facts.id);
                for action in actions.iter().filter(|action| action.starts_with(&of_it)) {
                    // Elsewhere the answer is that of the project.
                    let both = [&self.before, &self.after];
                    if held || both.iter().any(|authority| authority.singles_out(self.scope, action)) {
                        self.one(identity, action, Some(facts));
                    }
                }
            }
        }
    }

    fn one(&mut self, identity: &Identity, action: &str, on: Option<&Facts>) {
        if self.told.asked >= MOST_QUESTIONS {
            self.told.truncated = true;
            return;
        }
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
            Some(("policy", statement)) => {
                let (name, number) = statement.split_once('#').unwrap_or((statement, "1"));
                let does = if answer.allowed { "allows" } else { "forbids" };
                vec![format!("statement {number} of policies/{name} {does} it")]
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
