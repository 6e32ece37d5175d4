//! Who asks, within which tenant and project, and by which request: what every kernel call takes first.

use std::sync::{Arc, Mutex, PoisonError};

use qd_core::id::{PrincipalId, ProjectId, TenantId};
use serde::Serialize;
use uuid::Uuid;

use crate::access::{
    Authority,
    matrix::{self, Level},
    sharing::Held,
};

/// The tenant and project that a call reads and writes in. No store function reads tenant data without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    pub tenant_id: TenantId,
    pub project_id: ProjectId,
}

impl Scope {
    /// What belongs to no tenant: people, tenants themselves, the processes.
    pub const PLATFORM: Self =
        Self { tenant_id: TenantId::from_uuid(Uuid::nil()), project_id: ProjectId::from_uuid(Uuid::nil()) };

    /// The tenant itself, and no project of it: who may do what in it, and its projects.
    #[must_use]
    pub fn of_tenant(self) -> Self {
        Self { project_id: ProjectId::from_uuid(Uuid::nil()), ..self }
    }

    /// The place of that level in which it is.
    #[must_use]
    pub fn at(self, level: Level) -> Self {
        match level {
            Level::Platform => Self::PLATFORM,
            Level::Tenant => self.of_tenant(),
            Level::Project => self,
        }
    }

    pub fn is_platform(self) -> bool {
        self == Self::PLATFORM
    }

    pub fn is_tenant(self) -> bool {
        !self.is_platform() && self.project_id.uuid().is_nil()
    }
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
    /// Those that it holds where it acts.
    pub roles: Vec<String>,
    /// Those that it is in, of the tenant where it acts.
    #[serde(skip)]
    pub teams: Vec<String>,
    /// What it holds of single resources of the project where it acts.
    #[serde(skip)]
    pub held: Arc<[Held]>,
    /// Patterns of actions that the token in use is limited to.
    #[serde(skip)]
    pub limits: Option<Arc<[String]>>,
}

impl Principal {
    /// Whether the token in use may be used for the action.
    pub(crate) fn limits_cover(&self, action: &str) -> bool {
        let within = |limits: &[String]| limits.iter().any(|pattern| matrix::covers(pattern, action));
        self.limits.as_deref().is_none_or(within)
    }
}

/// The ids that tie one request's logs, job, events, audit and outbound calls together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestIds {
    pub request_id: String,
    pub correlation_id: String,
    /// The trace id of a W3C `traceparent`, 32 hex digits.
    pub trace_id: Option<String>,
}

impl RequestIds {
    /// Of what no request asks for.
    pub(crate) fn own(id: Uuid) -> Self {
        let id = id.to_string();
        Self { request_id: id.clone(), correlation_id: id, trace_id: None }
    }
}

/// A principal acting in a scope by a request.
#[derive(Debug, Clone)]
pub struct Context {
    pub principal: Principal,
    pub scope: Scope,
    pub ids: RequestIds,
    /// Where the request came from: a socket address, or the name of an internal task.
    pub source: String,
    /// Who may do what.
    pub authority: Authority,
    /// What was refused to the request.
    pub denials: Denials,
    /// Whose wish the system carries out, where it is the system that acts.
    pub on_behalf_of: Option<String>,
    /// Which token or session is in use; nil where there is none.
    pub credential_id: Uuid,
}

/// The actions that were refused to a request with why, for the audit. Clones are the same list.
#[derive(Debug, Clone, Default)]
pub struct Denials(Arc<Mutex<Vec<(String, String)>>>);

impl Denials {
    pub(crate) fn note(&self, action: &str, why: &str) {
        let refused = (action.to_owned(), why.to_owned());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(refused);
    }

    /// What was refused since the last call.
    pub fn take(&self) -> Vec<(String, String)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Context {
    /// The system at work, under the name of what or who it works for.
    pub(crate) fn system(name: String, scope: Scope, ids: RequestIds, source: &str) -> Self {
        let principal = Principal {
            id: Uuid::nil().into(),
            name,
            kind: PrincipalKind::System,
            roles: vec![],
            teams: vec![],
            held: Arc::default(),
            limits: None,
        };
        Self {
            principal,
            scope,
            ids,
            source: source.into(),
            authority: Authority::default(),
            denials: Denials::default(),
            on_behalf_of: None,
            credential_id: Uuid::nil(),
        }
    }

    /// The same caller, of whom something is only asked: what is refused is not noted.
    pub(crate) fn asking(&self) -> Self {
        Self { denials: Denials::default(), ..self.clone() }
    }

    pub(crate) fn on_behalf_of(mut self, who: impl Into<Option<String>>) -> Self {
        self.on_behalf_of = who.into();
        self
    }
}
