//! What the roles allow, and what one may do.

use axum::{Json, extract::State};
use qd_core::error::Error;
use qd_kernel::{access::matrix::RoleInfo, context::Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    http::{
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
}

/// Whether one may, by the level of what is acted on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CanI {
    pub action: String,
    /// In the project that the request names.
    pub project: bool,
    /// In its tenant as a whole.
    pub tenant: bool,
    /// On the platform itself.
    pub platform: bool,
    /// Those that one holds in the project.
    pub roles: Vec<String>,
    /// Those that would allow it.
    pub allowed_by: Vec<&'static str>,
}

pub async fn roles(State(app): State<App>, _caller: PlatformCaller) -> Json<RoleMatrix> {
    let authority = &app.kernel.authority;
    Json(RoleMatrix { roles: authority.roles().to_vec(), actions: authority.actions().to_vec() })
}

pub async fn can_i(
    State(app): State<App>,
    caller: Caller,
    Params(CanIQuery { action }): Params<CanIQuery>,
) -> Result<Json<CanI>, Problem> {
    let authority = &app.kernel.authority;
    if !authority.actions().contains(&action) {
        let detail = format!("there is no action {action:?}; /api/v1/roles lists them");
        return Err(Problem(Error::not_found("action_not_found", detail)));
    }
    let allows = |scope: Scope| authority.allows(&caller.identity.principal(scope), scope, &action);
    let scope = caller.scope();
    let allowed_by = authority.roles().iter().filter(|role| role.allows(&action)).map(|role| role.name);
    Ok(Json(CanI {
        project: allows(scope),
        tenant: allows(scope.of_tenant()),
        platform: allows(Scope::PLATFORM),
        roles: caller.context.principal.roles.clone(),
        allowed_by: allowed_by.collect(),
        action,
    }))
}
