//! Who asks, within which tenant and project, and by which request: what every kernel call takes first.

use qd_core::id::{PrincipalId, ProjectId, TenantId};
use serde::Serialize;
use uuid::Uuid;

/// The tenant and project that a call reads and writes in. No store function reads tenant data without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    pub tenant_id: TenantId,
    pub project_id: ProjectId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    User,
    Service,
    System,
}

impl PrincipalKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::System => "system",
        }
    }
}

/// Somebody or something that acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Principal {
    pub id: PrincipalId,
    pub name: String,
    pub kind: PrincipalKind,
    /// The built-in role held in every tenant; finer roles come with tenants of their own.
    pub role: String,
}

/// The ids that tie one request's logs, job, events, audit and outbound calls together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestIds {
    pub request_id: String,
    pub correlation_id: String,
    /// The trace id of a W3C `traceparent`, 32 hex digits.
    pub trace_id: Option<String>,
}

/// A principal acting in a scope by a request.
#[derive(Debug, Clone)]
pub struct Context {
    pub principal: Principal,
    pub scope: Scope,
    pub ids: RequestIds,
    /// Where the request came from: a socket address, or the name of an internal task.
    pub source: String,
    /// Whose wish the system carries out, where it is the system that acts.
    pub on_behalf_of: Option<String>,
}

impl Context {
    /// The system at work, under the name of what or who it works for.
    pub(crate) fn system(name: String, scope: Scope, ids: RequestIds, source: &str) -> Self {
        let principal =
            Principal { id: Uuid::nil().into(), name, kind: PrincipalKind::System, role: String::new() };
        Self { principal, scope, ids, source: source.into(), on_behalf_of: None }
    }

    pub(crate) fn on_behalf_of(mut self, who: impl Into<Option<String>>) -> Self {
        self.on_behalf_of = who.into();
        self
    }
}
