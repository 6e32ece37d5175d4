//! The roles as Cedar policies, and a question asked of them.
//!
//! One policy per role: `permit (principal in Role::"viewer", action in [Action::"read"], resource)`, and one for each way in
//! which a resource is held ([`Share`]). What is acted on is the platform, a tenant, a project, or a resource in its project;
//! a caller is in the roles that it holds there, in its teams, and in what it holds of the resource. An action is in the
//! groups that stand for it (`*.publish`, `pipelines.*`, `read`), so that a policy names a group and not every action.
//!
//! A project's own policies ([`Rules`]) stand beside these for whatever is done in it, but for [`governed`] actions, and are no
//! obstacle to what leads there ([`leads_there`]): nobody can be locked out of the policies themselves. A question that cannot be
//! asked, and a policy that fails while it is evaluated, denies.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Arc, LazyLock, OnceLock},
};

use cedar_policy::{
    Authorizer, Context as Circumstances, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    Policy, PolicyId, PolicySet, Request, RestrictedExpression, Schema,
};
use qd_core::error::{Error, Result};

use super::{
    matrix::{self, RoleInfo},
    objects::Facts,
    rules::Rules,
    schema,
    sharing::Share,
};
use crate::{
    context::{Principal, PrincipalKind, Scope},
    registry::Registry,
};

/// Who may do what: the roles of all projects, and the policies of one where it has any. Cheap to clone.
#[derive(Clone)]
pub struct Authority {
    roles: Arc<Compiled>,
    rules: Option<Arc<Rules>>,
}

struct Compiled {
    policies: PolicySet,
    authorizer: Authorizer,
    roles: Vec<RoleInfo>,
    actions: Vec<String>,
    schema: OnceLock<Option<Schema>>,
}

/// What came of a question, and which policies decided it: `role:viewer`, `share:editor`, `policy:night#1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub allowed: bool,
    pub because: Vec<String>,
}

impl Answer {
    /// What stands against it, in words for whoever is refused: what a policy says is for who may read it. Nothing where it is allowed,
    /// and where nothing allows it.
    pub(crate) fn against(&self) -> Vec<String> {
        let why = |policy: &String| {
            statement(policy, false)
                .unwrap_or_else(|| "the policies of the project cannot be evaluated".to_owned())
        };
        if self.allowed { vec![] } else { self.because.iter().map(why).collect() }
    }
}

/// A project's own policy that decided, in words: `policy:night#1`.
pub(super) fn statement(policy: &str, allowed: bool) -> Option<String> {
    let (name, number) = policy.strip_prefix("policy:")?.split_once('#')?;
    let does = if allowed { "allows" } else { "forbids" };
    Some(format!("statement {number} of policies/{name} {does} it"))
}

/// What the scope alone says of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow,
    Deny,
    /// It depends on the resource; `allowed` is what holds where there is nothing special about it.
    Depends {
        allowed: bool,
    },
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({} roles)", self.roles.roles.len())
    }
}

impl Default for Authority {
    /// The built-in roles alone.
    fn default() -> Self {
        static BUILT_IN: LazyLock<Authority> = LazyLock::new(|| {
            Authority::compile(matrix::built_in(), vec![], &[]).unwrap_or_else(|_| Authority::none())
        });
        BUILT_IN.clone()
    }
}

impl Authority {
    /// The roles of all that is registered.
    ///
    /// # Errors
    /// `policies_unreadable` (500) where a plane's role has a name or a pattern that cannot be written as a policy: a defect.
    pub fn of(registry: &Registry) -> Result<Self> {
        let plurals: Vec<&str> = registry.kinds().map(|kind| kind.info().plural).collect();
        Self::compile(matrix::roles(registry), matrix::actions(registry), &plurals)
    }

    fn compile(roles: Vec<RoleInfo>, actions: Vec<String>, plurals: &[&str]) -> Result<Self> {
        let shares = Share::ALL.iter().map(|share| {
            let text = of_share(*share, &share.allows(plurals));
            (format!("share:{}", share.as_str()), text)
        });
        let texts = roles.iter().map(|role| (format!("role:{}", role.name), of_role(role)));
        let others = [("own", EVERYBODYS.to_owned()), ("guest", GUESTS.to_owned())];
        let others = others.into_iter().map(|(id, text)| (id.to_owned(), text));
        let mut policies = PolicySet::new();
        for (id, text) in texts.chain(shares).chain(others) {
            let unreadable = |why: String| {
                Error::internal("policies_unreadable", format!("the policy {id} of the roles: {why}"))
            };
            let policy =
                Policy::parse(Some(PolicyId::new(&id)), text).map_err(|e| unreadable(e.to_string()))?;
            policies.add(policy).map_err(|e| unreadable(e.to_string()))?;
        }
        let (authorizer, schema) = (Authorizer::new(), OnceLock::new());
        Ok(Self { roles: Arc::new(Compiled { policies, authorizer, roles, actions, schema }), rules: None })
    }

    /// Denies everything.
    fn none() -> Self {
        let (policies, authorizer, schema) = (PolicySet::new(), Authorizer::new(), OnceLock::new());
        let compiled = Compiled { policies, authorizer, roles: vec![], actions: vec![], schema };
        Self { roles: Arc::new(compiled), rules: None }
    }

    /// The same with a project's own policies beside the roles.
    #[must_use]
    pub(crate) fn with(&self, rules: Option<Arc<Rules>>) -> Self {
        Self { roles: self.roles.clone(), rules }
    }

    /// The same with these policies beside the roles, by name.
    #[must_use]
    pub fn with_policies(&self, texts: &BTreeMap<String, String>) -> Self {
        self.with(Some(Arc::new(Rules::compile(self, texts))))
    }

    /// The policies of the roles, for those of a project to stand beside.
    pub(crate) fn policies(&self) -> &PolicySet {
        &self.roles.policies
    }

    /// What a project's own policies are checked against.
    pub(crate) fn schema(&self) -> Result<&Schema> {
        let read = || schema::text(&self.roles.actions).parse().ok();
        self.roles.schema.get_or_init(read).as_ref().ok_or_else(|| {
            Error::internal(
                "policies_unreadable",
                "the schema that policies are checked against cannot be read",
            )
        })
    }

    pub fn roles(&self) -> &[RoleInfo] {
        &self.roles.roles
    }

    /// Every action that there is.
    pub fn actions(&self) -> &[String] {
        &self.roles.actions
    }

    /// Whether somebody with the roles of `principal` may do `action` in the scope as a whole.
    pub fn allows(&self, principal: &Principal, scope: Scope, action: &str) -> bool {
        principal.limits_cover(action) && self.ask(principal, scope, action, None).allowed
    }

    /// The same of one resource in it.
    pub fn allows_on(&self, principal: &Principal, scope: Scope, action: &str, on: &Facts) -> bool {
        principal.limits_cover(action) && self.decide(principal, scope, action, Some(on)).allowed
    }

    /// Everything that the caller may do in the scope; `*` where that is all there is.
    pub fn allowed(&self, principal: &Principal, scope: Scope) -> Vec<String> {
        let all = &self.roles.actions;
        let allowed: Vec<String> =
            all.iter().filter(|action| self.allows(principal, scope, action)).cloned().collect();
        if allowed.len() == all.len() { vec!["*".into()] } else { allowed }
    }

    pub(crate) fn verdict(&self, principal: &Principal, scope: Scope, action: &str) -> Verdict {
        if !principal.limits_cover(action) {
            return Verdict::Deny;
        }
        let allowed = self.ask(principal, scope, action, None).allowed;
        let special = self.singles_out(scope, action);
        match allowed {
            _ if special || (!allowed && !principal.held.is_empty()) => Verdict::Depends { allowed },
            true => Verdict::Allow,
            false => Verdict::Deny,
        }
    }

    /// Whether the project's own policies have a say, beside the roles.
    pub(crate) fn has_rules(&self) -> bool {
        self.rules.is_some()
    }

    /// Whether a policy of the project decides by the resource what may be read.
    pub(crate) fn reads_singled_out(&self, scope: Scope) -> bool {
        self.rules.as_deref().is_some_and(|rules| rules.reads && in_project(scope))
    }

    /// Whether a policy of the project decides on the action by the resource.
    pub(crate) fn singles_out(&self, scope: Scope, action: &str) -> bool {
        let rules = self.rules.as_deref().filter(|_| in_project(scope) && !governed(action));
        rules.is_some_and(|rules| rules.singles_out(action))
    }

    /// Whether the project's own policies may leave the action allowed for some of its resources: one permits it to some, or one that
    /// looks at the resource forbids what the roles allow.
    pub(crate) fn allows_some(&self, principal: &Principal, scope: Scope, action: &str) -> bool {
        let rules = self.rules.as_deref().filter(|_| in_project(scope) && !governed(action));
        rules.is_some_and(|rules| {
            let by_roles = || self.evaluate(None, principal, scope, action, None).allowed;
            rules.permits_some(action) || (rules.singles_out(action) && by_roles())
        })
    }

    /// The answer and why, without regard to what a token is limited to. A resource that is in two places at once (its published
    /// revision in one, what is to come in another) must be allowed in each.
    pub(crate) fn decide(
        &self,
        principal: &Principal,
        scope: Scope,
        action: &str,
        on: Option<&Facts>,
    ) -> Answer {
        let Some(facts) = on.filter(|facts| facts.places.len() > 1) else {
            return self.ask(principal, scope, action, on);
        };
        let mut last = Answer { allowed: false, because: vec![] };
        for place in &facts.places {
            let here = Facts { places: vec![place.clone()], ..facts.clone() };
            last = self.ask(principal, scope, action, Some(&here));
            if !last.allowed {
                break;
            }
        }
        last
    }

    fn ask(&self, principal: &Principal, scope: Scope, action: &str, on: Option<&Facts>) -> Answer {
        let rules = self.rules.as_deref().filter(|_| in_project(scope) && !governed(action));
        if rules.is_some() && leads_there(action) {
            let by_roles = self.evaluate(None, principal, scope, action, on);
            if by_roles.allowed {
                return by_roles;
            }
        }
        self.evaluate(rules, principal, scope, action, on)
    }

    fn evaluate(
        &self,
        rules: Option<&Rules>,
        principal: &Principal,
        scope: Scope,
        action: &str,
        on: Option<&Facts>,
    ) -> Answer {
        let denied = |why: &str| Answer { allowed: false, because: vec![why.to_owned()] };
        let policies = match rules.map(|rules| &rules.policies) {
            Some(Ok(policies)) => policies,
            Some(Err(why)) => return denied(why),
            None => &self.roles.policies,
        };
        let asked = || -> Option<_> {
            let user = user(principal, on, rules.is_some())?;
            let groups = matrix::groups(action).into_iter().map(|group| uid(&ACTION, &group));
            let act = Entity::new_no_attrs(uid(&ACTION, action), groups.collect());
            let project = place(scope);
            let (request_on, mut entities) = match on {
                None => (project.uid(), vec![]),
                Some(facts) => {
                    let resource = resource(facts, project.uid(), rules.is_some())?;
                    (resource.uid(), vec![resource])
                }
            };
            let request =
                Request::new(user.uid(), act.uid(), request_on, Circumstances::empty(), None).ok()?;
            entities.extend([user, act, project]);
            Some((request, Entities::from_entities(entities, None).ok()?))
        };
        let Some((request, entities)) = asked() else { return denied("the question cannot be asked") };
        let response = self.roles.authorizer.is_authorized(&request, policies, &entities);
        let diagnostics = response.diagnostics();
        if let Some(error) = diagnostics.errors().next() {
            return denied(&format!("a policy cannot be evaluated: {error}"));
        }
        let mut because: Vec<String> = diagnostics.reason().map(ToString::to_string).collect();
        because.sort();
        Answer { allowed: response.decision() == Decision::Allow, because }
    }
}

/// What a project's own policies have no say in, so that whoever administers it can always put them right.
pub fn governed(action: &str) -> bool {
    ["members.", "policies."].iter().any(|plural| action.starts_with(plural))
}

/// What one comes to the policies by. A project's own policies can open it, and not close it: what comes by it is looked at by the
/// actions of its own kind.
fn leads_there(action: &str) -> bool {
    action == "kinds.list" || action.starts_with("documents.")
}

fn in_project(scope: Scope) -> bool {
    !scope.is_platform() && !scope.is_tenant()
}

/// What concerns nobody but the caller: its own password, sessions and tokens.
const EVERYBODYS: &str = "permit (principal, action in [Action::\"own.*\"], resource);";

/// Whoever holds anything of a project may know which kinds there are.
const GUESTS: &str = "permit (principal in Share::\"guest\", action == Action::\"kinds.list\", resource);";

/// The caller, in all that it is here. Attributes only where a policy could ask for them.
fn user(principal: &Principal, on: Option<&Facts>, attributes: bool) -> Option<Entity> {
    let mut parents: HashSet<EntityUid> = principal.roles.iter().map(|role| uid(&ROLE, role)).collect();
    parents.extend(principal.teams.iter().map(|team| uid(&TEAM, team)));
    match on {
        Some(facts) => {
            let held = principal.held.iter().filter(|held| Some(held.resource_id) == facts.id);
            parents.extend(held.map(|held| uid(&SHARE, held.share.as_str())));
        }
        None if !principal.held.is_empty() => {
            parents.insert(uid(&SHARE, "guest"));
        }
        None => {}
    }
    let of = uid(&USER, &principal.name);
    if !attributes {
        return Some(Entity::new_no_attrs(of, parents));
    }
    let service = RestrictedExpression::new_bool(principal.kind == PrincipalKind::Service);
    let attributes = [("name", word(&principal.name)), ("service", service)];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
    Entity::new(of, attributes.into_iter().collect(), parents).ok()
}

/// A resource in its project.
fn resource(facts: &Facts, project: EntityUid, attributes: bool) -> Option<Entity> {
    let of = uid(&RESOURCE, &facts.path());
    if !attributes {
        return Some(Entity::new_no_attrs(of, HashSet::from([project])));
    }
    let words = |all: &[String]| RestrictedExpression::new_set(all.iter().map(|one| word(one)));
    let mut said = vec![
        ("kind", word(&facts.kind)),
        ("name", word(&facts.name)),
        ("owners", words(&facts.owners)),
        ("teams", words(&facts.teams)),
    ];
    if let Some(place) = facts.places.first() {
        said.extend(place.cluster.as_deref().map(|cluster| ("cluster", word(cluster))));
        said.extend(place.namespace.as_deref().map(|namespace| ("namespace", word(namespace))));
    }
    let said = said.into_iter().map(|(name, value)| (name.to_owned(), value));
    let labels = facts.labels.iter().map(|(key, value)| (key.clone(), word(value)));
    Entity::new_with_tags(of, said, [project], labels).ok()
}

fn word(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

/// Where it happens: the smallest of platform, tenant and project that the scope names.
fn place(scope: Scope) -> Entity {
    let tenant = uid(&TENANT, &scope.tenant_id.to_string());
    if scope.is_platform() {
        Entity::new_no_attrs(uid(&PLATFORM, "platform"), HashSet::new())
    } else if scope.is_tenant() {
        Entity::new_no_attrs(tenant, HashSet::new())
    } else {
        Entity::new_no_attrs(uid(&PROJECT, &scope.project_id.to_string()), HashSet::from([tenant]))
    }
}

/// Actions as a policy names them. Patterns are the code's own, and none has a quote in it.
fn in_actions<S: AsRef<str>>(patterns: &[S]) -> String {
    if patterns.iter().any(|pattern| pattern.as_ref() == "*") {
        return "action".to_owned();
    }
    let named: Vec<String> =
        patterns.iter().map(|pattern| format!("Action::\"{}\"", pattern.as_ref())).collect();
    format!("action in [{}]", named.join(", "))
}

/// The policy of a role.
fn of_role(role: &RoleInfo) -> String {
    let reach = if role.levels.contains(&matrix::Level::Platform) {
        ""
    } else {
        " unless { resource == Platform::\"platform\" }"
    };
    format!("permit (principal in Role::\"{}\", {}, resource){reach};", role.name, in_actions(&role.allows))
}

/// The policy of a way to hold a resource. Policies are for administrators: who holds one may look at it.
fn of_share(share: Share, allows: &[String]) -> String {
    format!(
        "permit (principal in Share::\"{}\", {}, resource is Resource)
         unless {{ action in Action::\"policies.*\" && !(action in Action::\"read\") }};",
        share.as_str(),
        in_actions(allows)
    )
}

fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

type TypeName = LazyLock<EntityTypeName>;

static USER: TypeName = LazyLock::new(|| type_name("User"));
static ROLE: TypeName = LazyLock::new(|| type_name("Role"));
static TEAM: TypeName = LazyLock::new(|| type_name("Team"));
static SHARE: TypeName = LazyLock::new(|| type_name("Share"));
static ACTION: TypeName = LazyLock::new(|| type_name("Action"));
static PLATFORM: TypeName = LazyLock::new(|| type_name("Platform"));
static TENANT: TypeName = LazyLock::new(|| type_name("Tenant"));
static PROJECT: TypeName = LazyLock::new(|| type_name("Project"));
static RESOURCE: TypeName = LazyLock::new(|| type_name("Resource"));

#[expect(clippy::expect_used, reason = "each word above is an identifier, and every test reads it")]
fn type_name(word: &'static str) -> EntityTypeName {
    word.parse().expect("an identifier")
}

#[cfg(test)]
mod tests {
    use qd_core::id::{PrincipalId, ProjectId, TenantId};
    use uuid::Uuid;

    use super::*;
    use crate::{
        access::{PIPELINE_DEV, PLATFORM_ADMIN, TENANT_ADMIN, VIEWER},
        context::PrincipalKind,
    };

    fn with(roles: &[&str]) -> Principal {
        Principal {
            id: PrincipalId::from(Uuid::from_u128(7)),
            name: "ann".into(),
            kind: PrincipalKind::User,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            limits: None,
            teams: vec![],
            held: Arc::default(),
        }
    }

    fn project() -> Scope {
        Scope {
            tenant_id: TenantId::from(Uuid::from_u128(1)),
            project_id: ProjectId::from(Uuid::from_u128(2)),
        }
    }

    #[test]
    fn who_holds_nothing_may_do_nothing() {
        let authority = Authority::default();
        for roles in [&[][..], &["stranger"], &[""], &["viewer\" || true"]] {
            assert!(!authority.allows(&with(roles), project(), "pipelines.read"), "{roles:?}");
        }
    }

    /// The policies say what the matrix says, for every role, at every level, of actions of every sort.
    #[test]
    fn the_policies_are_the_matrix() {
        let authority = Authority::default();
        let tenant = project().of_tenant();
        let mut asked = 0;
        for role in authority.roles() {
            for action in
                ["jobs.list", "jobs.cancel", "plans.apply", "samples.publish", "users.create", "odd", ""]
            {
                for scope in [project(), tenant, Scope::PLATFORM] {
                    let reaches = !scope.is_platform() || role.levels.contains(&matrix::Level::Platform);
                    let told = authority.allows(&with(&[role.name]), scope, action);
                    assert_eq!(told, reaches && role.allows(action), "{} {action} {scope:?}", role.name);
                    asked += 1;
                }
            }
        }
        assert_eq!(asked, 6 * 7 * 3);
    }

    #[test]
    fn a_limited_token_does_what_its_holder_may_within_its_limits() {
        let authority = Authority::default();
        let limited = |roles: &[&str], limits: &[&str]| Principal {
            limits: Some(limits.iter().map(|limit| (*limit).to_owned()).collect()),
            ..with(roles)
        };
        let ci = limited(&[PLATFORM_ADMIN], &["read", "samples.publish"]);
        assert!(
            authority.allows(&ci, project(), "samples.publish")
                && authority.allows(&ci, project(), "jobs.list")
        );
        for more in ["samples.rollback", "members.grant", "own.token"] {
            assert!(!authority.allows(&ci, project(), more), "{more}");
        }
        assert!(!authority.allows(&limited(&[VIEWER], &["*"]), project(), "samples.publish"));
        assert!(!authority.allows(&limited(&[PLATFORM_ADMIN], &[]), project(), "jobs.list"));
    }

    #[test]
    fn everybody_has_a_say_in_what_is_his_own() {
        assert!(Authority::default().allows(&with(&[]), Scope::PLATFORM, "own.password"));
    }

    #[test]
    fn roles_add_up() {
        let (authority, both) = (Authority::default(), with(&[VIEWER, PIPELINE_DEV]));
        assert!(
            authority.allows(&both, project(), "jobs.cancel")
                && authority.allows(&both, project(), "audit.read")
        );
        assert!(!authority.allows(&both, project(), "members.grant"));
    }

    #[test]
    fn a_tenants_administrator_has_no_say_on_the_platform() {
        let authority = Authority::default();
        assert!(authority.allows(&with(&[TENANT_ADMIN]), project(), "tenants.create"));
        assert!(!authority.allows(&with(&[TENANT_ADMIN]), Scope::PLATFORM, "tenants.create"));
        assert!(authority.allows(&with(&[PLATFORM_ADMIN]), Scope::PLATFORM, "tenants.create"));
    }
}
