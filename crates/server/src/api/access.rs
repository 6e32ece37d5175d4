//! What the roles allow, what one may do and why, who else may, and what would change with other policies.

use axum::{Json, extract::State};
use qd_core::error::Error;
use qd_kernel::access::{
    matrix::{self, Level, RoleInfo},
    questions::{AbleList, Candidate, Reason, WhatIf},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    http::{
        body::Body,
        caller::{Caller, PlatformCaller},
        problem::Problem,
        query::Params,
    },
    state::App,
};

/// All roles with what they allow, and all actions.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RoleMatrix {
    pub roles: Vec<RoleInfo>,
    pub actions: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CanIQuery {
    /// `pipelines.publish`
    pub action: String,
    /// One resource: `pipelines/curate`; the project as a whole where absent.
    pub object: Option<String>,
    /// Whether somebody else may, who holds anything in the tenant; wants the right to list members.
    #[serde(rename = "as")]
    pub somebody: Option<String>,
}

/// Whether one may, by the level of what is acted on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CanI {
    pub action: String,
    /// The smallest place that the action is done to: what is of the platform is done to no tenant, and what is of a tenant to none
    /// of its projects.
    pub level: Level,
    /// Who was asked about.
    pub principal: String,
    /// In the project that the request names.
    pub project: bool,
    /// In its tenant as a whole.
    pub tenant: bool,
    /// On the platform itself.
    pub platform: bool,
    /// To the resource that was asked about; null where none was.
    pub object: Option<bool>,
    /// What decided: of the resource where one was asked about, else of the place of that level.
    pub because: Vec<Reason>,
    /// Those that are held there.
    pub roles: Vec<String>,
    /// Those that would allow it.
    pub allowed_by: Vec<&'static str>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhoCanQuery {
    /// `pipelines.publish`
    pub action: String,
    /// One resource: `pipelines/curate`; the project as a whole where absent.
    pub object: Option<String>,
}

pub async fn roles(State(app): State<App>, caller: PlatformCaller) -> Result<Json<RoleMatrix>, Problem> {
    caller.within_limits("roles.list")?;
    let authority = &app.kernel.authority;
    Ok(Json(RoleMatrix { roles: authority.roles().to_vec(), actions: authority.actions().to_vec() }))
}

pub async fn can_i(
    State(app): State<App>,
    caller: Caller,
    Params(CanIQuery { action, object, somebody }): Params<CanIQuery>,
) -> Result<Json<CanI>, Problem> {
    caller.within_limits("own.read")?;
    known(&app, &action)?;
    let other = match somebody.filter(|name| *name != caller.identity.name) {
        Some(name) => {
            caller.may_in_tenant("members.list")?;
            Some(app.kernel.identity_named(&caller.context, &name).await?)
        }
        None => None,
    };
    let identity = other.as_ref().unwrap_or(&caller.identity);
    let authority = &caller.context.authority;
    let (scope, level) = (caller.scope(), matrix::level(&action));
    let allows = |at: Level| {
        let there = scope.at(at);
        at <= level && authority.allows(&identity.principal(there), there, &action)
    };
    let told = app.kernel.access_told(&caller.context, identity, &action, object.as_deref()).await?;
    let would = |role: &&RoleInfo| role.allows(&action) && role.levels.iter().any(|at| *at <= level);
    let allowed_by = authority.roles().iter().filter(would).map(|role| role.name);
    Ok(Json(CanI {
        principal: identity.name.clone(),
        level,
        project: allows(Level::Project),
        tenant: allows(Level::Tenant),
        platform: allows(Level::Platform),
        object: object.map(|_| told.allowed),
        because: told.because,
        roles: identity.principal(scope.at(level)).roles,
        allowed_by: allowed_by.collect(),
        action,
    }))
}

pub async fn who_can(
    State(app): State<App>,
    caller: Caller,
    Params(WhoCanQuery { action, object }): Params<WhoCanQuery>,
) -> Result<Json<AbleList>, Problem> {
    caller.may_in_tenant("members.list")?;
    known(&app, &action)?;
    Ok(Json(app.kernel.access_able(&caller.context, &action, object.as_deref()).await?))
}

pub async fn what_if(State(app): State<App>, caller: Caller, body: Body) -> Result<Json<WhatIf>, Problem> {
    caller.may("policies.read")?;
    caller.may_in_tenant("members.list")?;
    let candidate: Candidate = body.json()?;
    Ok(Json(app.kernel.access_what_if(&caller.context, candidate).await?))
}

fn known(app: &App, action: &str) -> Result<(), Problem> {
    if app.kernel.authority.actions().iter().any(|known| known == action) {
        return Ok(());
    }
    let detail = format!("there is no action {action:?}; /api/v1/roles lists them");
    Err(Problem(Error::not_found("action_not_found", detail)))
}
