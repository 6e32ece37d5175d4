//! The roles as Cedar policies, and a question asked of them.
//!
//! One policy per role: `permit (principal in Role::"viewer", action in [Action::"read"], resource)`. What is acted on is
//! the platform, a tenant or a project; a caller is in the roles that it holds there. An action is in the groups that stand
//! for it (`*.publish`, `pipelines.*`, `read`), so that a policy names a group and not every action.
//!
//! A question that cannot be asked, and a policy that fails while it is evaluated, denies.

use std::{
    collections::HashSet,
    fmt,
    str::FromStr as _,
    sync::{Arc, LazyLock},
};

use cedar_policy::{
    Authorizer, Context as Circumstances, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicySet, Request,
};
use qd_core::error::{Error, Result};

use super::matrix::{self, RoleInfo};
use crate::{
    context::{Principal, Scope},
    registry::Registry,
};

/// Who may do what. Cheap to clone.
#[derive(Clone)]
pub struct Authority(Arc<Compiled>);

struct Compiled {
    policies: PolicySet,
    authorizer: Authorizer,
    roles: Vec<RoleInfo>,
    actions: Vec<String>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({} roles)", self.0.roles.len())
    }
}

impl Default for Authority {
    /// The built-in roles alone.
    fn default() -> Self {
        static BUILT_IN: LazyLock<Authority> = LazyLock::new(|| {
            Authority::compile(matrix::built_in(), vec![]).unwrap_or_else(|_| Authority::none())
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
        Self::compile(matrix::roles(registry), matrix::actions(registry))
    }

    fn compile(roles: Vec<RoleInfo>, actions: Vec<String>) -> Result<Self> {
        let text = roles.iter().map(policy).chain([EVERYBODYS.to_owned()]).collect::<String>();
        let policies = PolicySet::from_str(&text).map_err(|error| {
            Error::internal("policies_unreadable", format!("the policies of the roles: {error}"))
        })?;
        Ok(Self(Arc::new(Compiled { policies, authorizer: Authorizer::new(), roles, actions })))
    }

    /// Denies everything.
    fn none() -> Self {
        let (policies, authorizer) = (PolicySet::new(), Authorizer::new());
        Self(Arc::new(Compiled { policies, authorizer, roles: vec![], actions: vec![] }))
    }

    pub fn roles(&self) -> &[RoleInfo] {
        &self.0.roles
    }

    /// Every action that there is.
    pub fn actions(&self) -> &[String] {
        &self.0.actions
    }

    /// Whether somebody with the roles of `principal` may do `action` in the scope.
    pub fn allows(&self, principal: &Principal, scope: Scope, action: &str) -> bool {
        let within = |limits: &[String]| limits.iter().any(|pattern| matrix::covers(pattern, action));
        principal.limits.as_deref().is_none_or(within)
            && self.ask(principal, scope, action).is_some_and(|decision| decision == Decision::Allow)
    }

    /// All that the caller may do in the scope; `*` where that is everything.
    pub fn allowed(&self, principal: &Principal, scope: Scope) -> Vec<String> {
        let all = &self.0.actions;
        let allowed: Vec<String> =
            all.iter().filter(|action| self.allows(principal, scope, action)).cloned().collect();
        if allowed.len() == all.len() { vec!["*".into()] } else { allowed }
    }

    fn ask(&self, principal: &Principal, scope: Scope, action: &str) -> Option<Decision> {
        let roles = principal.roles.iter().map(|role| uid(&ROLE, role));
        let user = Entity::new_no_attrs(uid(&USER, &principal.id.to_string()), roles.collect());
        let groups = matrix::groups(action).into_iter().map(|group| uid(&ACTION, &group));
        let act = Entity::new_no_attrs(uid(&ACTION, action), groups.collect());
        let object = object(scope);
        let request = Request::new(user.uid(), act.uid(), object.uid(), Circumstances::empty(), None).ok()?;
        let entities = Entities::from_entities([user, act, object], None).ok()?;
        Some(self.0.authorizer.is_authorized(&request, &self.0.policies, &entities).decision())
    }
}

/// What concerns nobody but the caller: its own password, sessions and tokens.
const EVERYBODYS: &str = "@id(\"own\")\npermit (principal, action in [Action::\"own.*\"], resource);\n";

/// What is acted on: the smallest of platform, tenant and project that the scope names.
fn object(scope: Scope) -> Entity {
    let tenant = uid(&TENANT, &scope.tenant_id.to_string());
    if scope.is_platform() {
        Entity::new_no_attrs(uid(&PLATFORM, "platform"), HashSet::new())
    } else if scope.is_tenant() {
        Entity::new_no_attrs(tenant, HashSet::new())
    } else {
        Entity::new_no_attrs(uid(&PROJECT, &scope.project_id.to_string()), HashSet::from([tenant]))
    }
}

/// The policy of a role. Names and patterns are the code's own, and none has a quote in it.
fn policy(role: &RoleInfo) -> String {
    let action = if role.allows.contains(&"*") {
        "action".to_owned()
    } else {
        let named: Vec<String> = role.allows.iter().map(|pattern| format!("Action::\"{pattern}\"")).collect();
        format!("action in [{}]", named.join(", "))
    };
    let reach = if role.levels.contains(&matrix::Level::Platform) {
        ""
    } else {
        " unless { resource == Platform::\"platform\" }"
    };
    format!("@id(\"{0}\")\npermit (principal in Role::\"{0}\", {action}, resource){reach};\n", role.name)
}

fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

type TypeName = LazyLock<EntityTypeName>;

static USER: TypeName = LazyLock::new(|| type_name("User"));
static ROLE: TypeName = LazyLock::new(|| type_name("Role"));
static ACTION: TypeName = LazyLock::new(|| type_name("Action"));
static PLATFORM: TypeName = LazyLock::new(|| type_name("Platform"));
static TENANT: TypeName = LazyLock::new(|| type_name("Tenant"));
static PROJECT: TypeName = LazyLock::new(|| type_name("Project"));

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
