//! OpenAPI 3.1, assembled from the registry's schemas and the typed fixed routes. Deterministic: the same build and kinds
//! give the same bytes, so that a snapshot can be committed and clients generated from it.

mod access;
mod fixed;
mod kinds;
pub mod page;
mod people;
mod route;
mod schemas;
mod teams;

use qd_kernel::registry::Registry;
use serde_json::{Map, Value, json};

use crate::state::BuildInfo;

use self::{route::Route, schemas::Schemas};

/// The whole description.
pub fn document(registry: &Registry, build: &BuildInfo) -> Value {
    let mut schemas = Schemas::default();
    let mut routes: Vec<Route> = fixed::routes(&mut schemas);
    routes.extend(people::routes(&mut schemas));
    routes.extend(teams::routes(&mut schemas));
    if !registry.askables().is_empty() {
        routes.push(fixed::ask(&mut schemas));
    }
    for route in &mut routes {
        route.access = access::of_fixed(&route.id);
    }
    for kind in registry.kinds() {
        let (info, mut of_kind) = (kind.info(), kinds::routes(&**kind, &mut schemas));
        for route in &mut of_kind {
            route.access = access::of_kind(info.singular, info.plural, &route.id);
        }
        routes.extend(of_kind);
    }
    kinds::unions(registry, &mut schemas);
    let mut paths: Map<String, Value> = Map::new();
    for route in routes {
        let operation = route.operation(&mut schemas);
        if let Value::Object(methods) = paths.entry(route.path.clone()).or_insert_with(|| json!({})) {
            methods.insert(route.method.to_owned(), operation);
        }
    }
    paths.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Quarterdeck",
            "version": build.version,
            "summary": "One control plane for data and ML platforms",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "bearer": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "parameters": route::parameters(),
            "schemas": schemas.finish(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": "qd_session" },
            },
        },
    })
}
