//! `/t/<tenant>/…` and `/t/<tenant>/p/<project>/…` name the scope in the path, for clients that cannot set headers (an
//! EventSource, a link) and for the UI's own addresses. The prefix is taken off before routing, so that every route has it.

use axum::{
    extract::Request,
    http::{Uri, uri::PathAndQuery},
};

/// The tenant that the path named.
#[derive(Debug, Clone)]
pub struct TenantInPath(pub String);

/// The project that the path named behind the tenant.
#[derive(Debug, Clone)]
pub struct ProjectInPath(pub String);

pub fn strip(mut request: Request) -> Request {
    let Some(rest) = request.uri().path_and_query().and_then(|pq| pq.as_str().strip_prefix("/t/")) else {
        return request;
    };
    let Some((tenant, rest)) = rest.split_once('/') else { return request };
    let (project, rest) = match rest.strip_prefix("p/").and_then(|rest| rest.split_once('/')) {
        Some((project, rest)) => (Some(ProjectInPath(project.to_owned())), rest),
        None => (None, rest),
    };
    let Ok(path) = PathAndQuery::try_from(format!("/{rest}")) else { return request };
    let tenant = TenantInPath(tenant.to_owned());
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(path);
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
        request.extensions_mut().insert(tenant);
        if let Some(project) = project {
            request.extensions_mut().insert(project);
        }
    }
    request
}
