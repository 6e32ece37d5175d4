//! A project's own policies: checked before they are published, compiled with the roles, and kept for a moment.
//!
//! They are the published specs of the kind `policies`. They stand beside the policies of the roles for what is done in their
//! project and nowhere else, because no other question is put to them: a text cannot reach beyond it. A set that cannot be read
//! denies everything in the project but what it has no say in, and says so in `/ready`.

use std::{
    collections::{BTreeMap, HashMap},
    str::FromStr as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use cedar_policy::{
    ActionConstraint, Effect, Policy, PolicyId, PolicySet, ResourceConstraint, ValidationMode, Validator,
};
use miette::Diagnostic;
use qd_core::{error::Result, id::ProjectId, time::Timestamp, violation::Violation};
use serde_json::Value;

use super::{Authority, matrix};
use crate::{context::Scope, kernel::Kernel, params, policies::POLICY};

/// How old what is known of a project's policies may be.
const LIFE: Duration = Duration::from_secs(1);
/// What is known of this many projects is looked through for what can be forgotten.
const MOST_KNOWN: usize = 10_000;
/// How long a set that cannot be read is told of after it was last looked at.
const TOLD: Duration = Duration::from_mins(1);

/// The policies of a project, ready to be asked.
pub struct Rules {
    /// With those of the roles; or why they cannot be read.
    pub(super) policies: std::result::Result<PolicySet, String>,
    /// Those that look at the resource.
    singled: Vec<Singled>,
    /// Whether one of them decides on reading.
    pub(super) reads: bool,
}

/// A policy that looks at the resource.
struct Singled {
    permits: bool,
    /// None for all actions.
    actions: Option<Vec<String>>,
}

impl Singled {
    fn covers(&self, action: &str) -> bool {
        let covers = |patterns: &Vec<String>| patterns.iter().any(|pattern| matrix::covers(pattern, action));
        self.actions.as_ref().is_none_or(covers)
    }
}

impl Rules {
    /// `texts` by the names of the policies' resources.
    pub(crate) fn compile(authority: &Authority, texts: &BTreeMap<String, String>) -> Self {
        let mut policies = authority.policies().clone();
        let mut singled = vec![];
        for (name, text) in texts {
            let broken = |why: String| Self {
                policies: Err(format!("policies/{name} cannot be read: {why}")),
                singled: vec![],
                reads: false,
            };
            let own = match PolicySet::from_str(text) {
                Ok(own) => own,
                Err(error) => return broken(error.to_string()),
            };
            for policy in own.policies() {
                if looks_at_resource(policy) {
                    singled.push(Singled {
                        permits: policy.effect() == Effect::Permit,
                        actions: actions(policy),
                    });
                }
                let id = PolicyId::new(format!("policy:{name}#{}", place_of(policy)));
                if let Err(error) = policies.add(policy.new_id(id)) {
                    return broken(error.to_string());
                }
            }
        }
        let mut rules = Self { policies: Ok(policies), singled, reads: false };
        rules.reads = authority.actions().iter().any(|action| {
            action.ends_with(".read") && !super::cedar::governed(action) && rules.singles_out(action)
        });
        rules
    }

    /// Whether a policy decides on the action by what it is done to.
    pub(super) fn singles_out(&self, action: &str) -> bool {
        self.singled.iter().any(|singled| singled.covers(action))
    }

    /// Whether one that does permits it.
    pub(super) fn permits_some(&self, action: &str) -> bool {
        self.singled.iter().any(|singled| singled.permits && singled.covers(action))
    }

    /// Why the set cannot be read, where it cannot.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.policies.as_ref().err().map(String::as_str)
    }
}

/// The place of a statement in its text, from 1: the parser calls them `policy0`, `policy1`, ….
fn place_of(policy: &Policy) -> usize {
    let id: &str = policy.id().as_ref();
    id.trim_start_matches("policy").parse::<usize>().map_or(1, |place| place + 1)
}

fn looks_at_resource(policy: &Policy) -> bool {
    if policy.resource_constraint() != ResourceConstraint::Any {
        return true;
    }
    // What cannot be told is taken to look.
    policy.to_json().map_or(true, |json| mentions(&json["conditions"]) || names_share(&json))
}

/// Whether it asks how the resource is held: whoever asks about the principal alone is in no share of one.
fn names_share(policy: &Value) -> bool {
    match policy {
        Value::Object(map) => {
            let of = |key: &str| map.get(key).is_some_and(|name| name == "Share");
            of("type") || of("entity_type") || map.values().any(names_share)
        }
        Value::Array(items) => items.iter().any(names_share),
        _ => false,
    }
}

/// Whether an expression speaks of `resource`.
fn mentions(expression: &Value) -> bool {
    match expression {
        Value::Object(map) => {
            map.get("Var").is_some_and(|var| var == "resource") || map.values().any(mentions)
        }
        Value::Array(items) => items.iter().any(mentions),
        _ => false,
    }
}

/// The actions that a policy is about; none for all.
fn actions(policy: &Policy) -> Option<Vec<String>> {
    let named = match policy.action_constraint() {
        ActionConstraint::Any => return None,
        ActionConstraint::Eq(one) => vec![one],
        ActionConstraint::In(many) => many,
    };
    Some(named.iter().map(|action| action.id().unescaped().to_owned()).collect())
}

/// Everything that is wrong with a policy's text, with pointers relative to the spec.
///
/// # Errors
/// `policies_unreadable` (500) where the schema cannot be read: a defect.
pub(crate) fn violations(authority: &Authority, text: &str) -> Result<Vec<Violation>> {
    let at = |code: &str, error: &dyn Diagnostic, detail: String| {
        let label = error.labels().and_then(|mut labels| labels.next());
        match label.map(|label| line_and_column(text, label.offset())) {
            Some((line, column)) => {
                Violation::new("/cedar", code, format!("line {line}, column {column}: {detail}"))
            }
            None => Violation::new("/cedar", code, detail),
        }
    };
    let policies = match PolicySet::from_str(text) {
        Ok(policies) => policies,
        Err(errors) => {
            return Ok(errors.iter().map(|error| at("policy_syntax", error, error.to_string())).collect());
        }
    };
    if policies.is_empty() {
        return Ok(vec![Violation::new("/cedar", "policy_empty", "there is no statement in it")]);
    }
    if policies.num_of_templates() > 0 {
        let detail = "a policy has no slots (?principal, ?resource): write whom and what it is about";
        return Ok(vec![Violation::new("/cedar", "policy_template", detail)]);
    }
    let validator = Validator::new(authority.schema()?.clone());
    let found = validator.validate(&policies, ValidationMode::Strict);
    Ok(found.validation_errors().map(|error| at("policy_invalid", error, error.to_string())).collect())
}

/// Both from 1.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    (line, column)
}

/// What is known of the policies of projects, for [`LIFE`].
#[derive(Default)]
pub(crate) struct KnownRules(Mutex<HashMap<ProjectId, Known>>);

struct Known {
    /// The name, revision and hash of each.
    stamp: Vec<(String, i64, String)>,
    rules: Option<Arc<Rules>>,
    until: Timestamp,
}

impl Kernel {
    /// The authority in a scope: the roles, and in a project its own policies.
    pub async fn authority_in(&self, scope: Scope) -> Result<Authority> {
        if scope.is_platform() || scope.is_tenant() {
            return Ok(self.authority.clone());
        }
        let now = self.source.now();
        if let Some(known) = self.rules.lock().get(&scope.project_id).filter(|known| now < known.until) {
            return Ok(self.authority.with(known.rules.clone()));
        }
        let published = self.policies_published(scope).await?;
        let named =
            |(name, number, hash, _): &(String, i64, String, String)| (name.clone(), *number, hash.clone());
        let stamp: Vec<(String, i64, String)> = published.iter().map(named).collect();
        let same = self
            .rules
            .lock()
            .get(&scope.project_id)
            .filter(|known| known.stamp == stamp)
            .map(|known| known.rules.clone());
        let rules = match same {
            Some(rules) => rules,
            None if published.is_empty() => None,
            None => {
                let texts = published.into_iter().map(|(name, _, _, text)| (name, text)).collect();
                let rules = Rules::compile(&self.authority, &texts);
                if let Some(why) = rules.broken() {
                    tracing::error!(project_id = %scope.project_id, "the policies of a project deny everything: {why}");
                }
                Some(Arc::new(rules))
            }
        };
        let until = now.checked_add(LIFE).unwrap_or(Timestamp::MAX);
        let mut known = self.rules.lock();
        if known.len() >= MOST_KNOWN {
            known.retain(|_, known| now < known.until);
        }
        known.insert(scope.project_id, Known { stamp, rules: rules.clone(), until });
        drop(known);
        Ok(self.authority.with(rules))
    }

    /// It was just read that these projects have no policies.
    pub(crate) fn without_policies(&self, projects: impl Iterator<Item = ProjectId>) {
        let now = self.source.now();
        let until = now.checked_add(LIFE).unwrap_or(Timestamp::MAX);
        let mut known = self.rules.lock();
        if known.len() >= MOST_KNOWN {
            known.retain(|_, known| now < known.until);
        }
        for project in projects {
            known.entry(project).or_insert_with(|| Known { stamp: vec![], rules: None, until });
        }
    }

    /// The texts that are in force in the project, by the names of the policies.
    pub(crate) async fn policy_texts(&self, scope: Scope) -> Result<BTreeMap<String, String>> {
        let published = self.policies_published(scope).await?;
        Ok(published.into_iter().map(|(name, _, _, text)| (name, text)).collect())
    }

    async fn policies_published(&self, scope: Scope) -> Result<Vec<(String, i64, String, String)>> {
        self.store
            .read(move |tx| -> Result<_> {
                Ok(tx.rows(
                    "SELECT r.name, v.number, v.spec_hash, v.spec FROM resource r
                     JOIN revision v ON v.resource_id = r.id AND v.number = r.published_number
                     WHERE r.project_id = $1 AND r.kind = $2 AND r.state = 'active' ORDER BY r.name",
                    params![scope.project_id, POLICY],
                    |row| {
                        let spec: Value = row.get(3)?;
                        // One without a text is none that was checked: it is not empty, it cannot be read.
                        let text = spec["cedar"].as_str().unwrap_or("?").to_owned();
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?, text))
                    },
                )?)
            })
            .await
    }

    /// What this process found lately of policies that cannot be read, one sentence a project.
    pub fn policies_broken(&self) -> Vec<String> {
        let since = self.source.now().checked_sub(TOLD).unwrap_or(Timestamp::MIN);
        let known = self.rules.lock();
        let lately = known.iter().filter(|(_, known)| known.until > since);
        let broken = lately.filter_map(|(project, known)| {
            let why = known.rules.as_ref()?.broken()?;
            Some(format!("project {project}: {why}; everything else in it is denied"))
        });
        broken.collect()
    }
}

impl KnownRules {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ProjectId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
