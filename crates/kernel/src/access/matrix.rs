//! The built-in roles and what each allows, as data: the policies are written from it, the docs show it, and a test asks
//! every route for every role by it.
//!
//! A pattern is an action (`jobs.cancel`), all of a plural (`schedules.*`), a verb of all (`*.validate`), [`READS`], or `*`.
//! The kernel names no kind of a plane: a plane says for its own kinds which roles it gives what
//! ([`crate::registry::Registry::role`]).

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::{AIOPS_ENGINEER, INFRA_ADMIN, PIPELINE_DEV, PLATFORM_ADMIN, TENANT_ADMIN, VIEWER};
use crate::registry::Registry;

/// Everything that changes nothing.
pub const READS: &str = "read";
/// The verbs that [`READS`] stands for.
pub const READ_VERBS: [&str; 3] = ["read", "list", "validate"];

/// Where a role can be held.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    Platform,
    Tenant,
    Project,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Tenant => "tenant",
            Self::Project => "project",
        }
    }
}

/// A role with what it allows.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RoleInfo {
    pub name: &'static str,
    pub summary: &'static str,
    /// Where it can be held.
    pub levels: Vec<Level>,
    /// Patterns of actions.
    pub allows: Vec<&'static str>,
}

impl RoleInfo {
    /// Whether a pattern of the role covers the action, where the role is held.
    pub fn allows(&self, action: &str) -> bool {
        self.allows.iter().any(|pattern| covers(pattern, action))
    }
}

/// Whether `pattern` stands for `action`.
pub fn covers(pattern: &str, action: &str) -> bool {
    pattern == "*" || pattern == action || groups(action).iter().any(|group| group == pattern)
}

/// Whether `pattern` stands for all that `other` stands for.
pub fn includes(pattern: &str, other: &str) -> bool {
    // Neither of these two stands for the actions that it would be found to.
    let plain = pattern != "*.*" && other.contains('.');
    pattern == "*" || pattern == other || (plain && groups(other).iter().any(|group| group == pattern))
}

/// The patterns other than itself and `*` that stand for an action.
pub fn groups(action: &str) -> Vec<String> {
    let (plural, verb) = action.rsplit_once('.').unwrap_or((action, ""));
    let mut groups = vec![format!("{plural}.*"), format!("*.{verb}")];
    if READ_VERBS.contains(&verb) {
        groups.push(READS.to_owned());
    }
    groups
}

const TENANT: &[Level] = &[Level::Tenant, Level::Project];
const ALL: &[Level] = &[Level::Platform, Level::Tenant, Level::Project];

/// `(name, summary, levels, patterns)`
type BuiltIn = (&'static str, &'static str, &'static [Level], &'static [&'static str]);

const BUILT_IN: &[BuiltIn] = &[
    (PLATFORM_ADMIN, "Everything, in every tenant and on the platform.", &[Level::Platform], &["*"]),
    (TENANT_ADMIN, "Everything within a tenant, its people and projects included.", &[Level::Tenant], &["*"]),
    (
        INFRA_ADMIN,
        "Connections, jobs and plans of all kinds: what the platform below the pipelines needs.",
        TENANT,
        &[
            READS,
            "connections.*",
            "dead-letters.*",
            "documents.apply",
            "jobs.*",
            "plans.*",
            "schedules.*",
            "secrets.delete",
            "secrets.write",
            "subscriptions.*",
        ],
    ),
    (
        PIPELINE_DEV,
        "Builds, publishes and runs pipelines.",
        TENANT,
        &[READS, "code.*", "documents.apply", "jobs.cancel", "plans.*", "schedules.*"],
    ),
    (
        AIOPS_ENGINEER,
        "Runs what others built, and models and inference.",
        TENANT,
        &[READS, "jobs.cancel", "plans.create", "plans.apply"],
    ),
    (VIEWER, "Reads everything, changes nothing.", ALL, &[READS]),
];

/// All roles: the built-in ones with what the planes add to them, then the planes' own.
pub fn roles(registry: &Registry) -> Vec<RoleInfo> {
    let mut roles: Vec<RoleInfo> = built_in();
    for brought in registry.roles() {
        match roles.iter_mut().find(|role| role.name == brought.name) {
            Some(role) => role.allows.extend(brought.actions),
            None => roles.push(RoleInfo {
                name: brought.name,
                summary: brought.summary,
                levels: TENANT.to_vec(),
                allows: brought.actions.to_vec(),
            }),
        }
    }
    roles
}

pub(crate) fn built_in() -> Vec<RoleInfo> {
    BUILT_IN
        .iter()
        .map(|(name, summary, levels, allows)| RoleInfo {
            name,
            summary,
            levels: levels.to_vec(),
            allows: allows.to_vec(),
        })
        .collect()
}

/// Every action that there is, sorted: of each kind, and of what does not depend on kinds.
pub fn actions(registry: &Registry) -> Vec<String> {
    let fixed = OF_THE_PLATFORM.iter().chain(OF_A_TENANT).chain(OF_A_PROJECT);
    let mut actions: BTreeSet<String> = fixed.map(|action| (*action).to_owned()).collect();
    for kind in registry.kinds() {
        let info = kind.info();
        let runs: &[&str] = if info.runnable() { &["run", "stop", "retry", "request"] } else { &[] };
        let declared = info.actions.iter().map(|action| action.verb);
        for verb in OF_A_KIND.iter().chain(runs).copied().chain(declared) {
            actions.insert(format!("{}.{verb}", info.plural));
        }
    }
    actions.into_iter().collect()
}

/// The smallest place that the action is done to. Who holds a role in a place below it may not do it, whatever the role allows.
pub fn level(action: &str) -> Level {
    if OF_THE_PLATFORM.contains(&action) {
        Level::Platform
    } else if OF_A_TENANT.contains(&action) {
        Level::Tenant
    } else {
        Level::Project
    }
}

/// What can be done with a resource of any kind.
const OF_A_KIND: &[&str] = &[
    "archive", "comment", "create", "edit", "list", "publish", "read", "restore", "review", "revise",
    "rollback", "share", "submit", "update", "validate", "withdraw",
];

/// What is done to the platform, whatever the kinds.
const OF_THE_PLATFORM: &[&str] = &[
    "secrets.rotate-master",
    "signing-keys.rotate",
    "system.read",
    "tenants.create",
    "tenants.delete",
    "tenants.limit",
    "tenants.update",
    "tokens.create",
    "tokens.list",
    "tokens.revoke",
    "users.create",
    "users.list",
    "users.read",
    "users.update",
];

/// What is done to a tenant.
const OF_A_TENANT: &[&str] = &[
    "audit.export",
    "members.grant",
    "members.list",
    "members.revoke",
    "projects.create",
    "projects.delete",
    "projects.export",
    "projects.limit",
    "projects.update",
    "quotas.read",
    "teams.create",
    "teams.delete",
    "teams.list",
    "teams.read",
    "teams.update",
    "tenants.export",
];

/// What is done in a project, whatever the kinds.
const OF_A_PROJECT: &[&str] = &[
    "audit.read",
    "code.create",
    "code.read",
    "connections.test",
    "dead-letters.list",
    "dead-letters.redeliver",
    "documents.apply",
    "engines.list",
    "events.list",
    "jobs.ask",
    "jobs.cancel",
    "jobs.list",
    "jobs.read",
    "kinds.list",
    "plans.apply",
    "plans.approve",
    "plans.create",
    "plans.list",
    "plans.read",
    "plans.reject",
    "projects.list",
    "projects.read",
    "roles.list",
    "runs.list",
    "runs.read",
    "secrets.delete",
    "secrets.list",
    "secrets.read",
    "secrets.rotate",
    "secrets.write",
    "tenants.list",
    "tenants.read",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_what_they_say() {
        for (pattern, action, covered) in [
            ("*", "jobs.cancel", true),
            ("jobs.*", "jobs.cancel", true),
            ("*.cancel", "jobs.cancel", true),
            ("jobs.cancel", "jobs.cancel", true),
            ("read", "jobs.list", true),
            ("read", "pipelines.validate", true),
            ("read", "jobs.cancel", false),
            ("job.*", "jobs.cancel", false),
            ("jobs.cancel", "jobs.cancels", false),
            ("*.can", "jobs.cancel", false),
        ] {
            assert_eq!(covers(pattern, action), covered, "{pattern} {action}");
        }
    }

    #[test]
    fn a_pattern_includes_what_is_no_wider() {
        for (pattern, other, included) in [
            ("*", "*", true),
            ("*", "jobs.*", true),
            ("jobs.*", "jobs.*", true),
            ("jobs.*", "jobs.cancel", true),
            ("jobs.*", "*.cancel", false),
            ("jobs.*", "*", false),
            ("jobs.cancel", "jobs.*", false),
            ("*.cancel", "jobs.cancel", true),
            ("*.*", "jobs.*", false),
            ("*.*", "*.cancel", false),
            ("read", "read", true),
            ("read", "jobs.list", true),
            ("read", "*.list", true),
            ("read", "jobs.*", false),
            ("read.*", "read", false),
            ("*.list", "read", false),
        ] {
            assert_eq!(includes(pattern, other), included, "{pattern} {other}");
            let wider = ["jobs.cancel", "jobs.list", "jobs.validate", "own.cancel", "own.token"]
                .into_iter()
                .any(|action| covers(other, action) && !covers(pattern, action));
            assert!(!(included && wider), "{pattern} {other}");
        }
    }

    #[test]
    fn only_the_platforms_own_role_can_be_held_there_with_more_than_reading() {
        for role in built_in().iter().filter(|role| role.levels.contains(&Level::Platform)) {
            assert!(role.name == PLATFORM_ADMIN || role.allows == [READS], "{role:?}");
        }
    }
}
