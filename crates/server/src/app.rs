//! The whole service: routes, the embedded UI behind them, and the layers around both.

use axum::{Router, extract::Request, middleware};
use tower::{
    Service, ServiceBuilder,
    util::{MapRequestLayer, option_layer},
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
};

use crate::{
    api, drain,
    edge::{cors, headers, requests},
    http::{ids, problem::Problem, tenant_path},
    state::App,
    ui,
};

/// What is compressed already.
const ARCHIVES: &str = "application/gzip";

/// The service, ready to be served.
pub fn app(
    app: App,
) -> impl Service<Request, Response = axum::response::Response, Error = std::convert::Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    let compressed = SizeAbove::new(1024)
        .and(NotForContentType::SSE)
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::const_new(ARCHIVES));
    let cors = cors::layer(&app.edge.origins);
    let router: Router = Router::new()
        .merge(api::routes(&app))
        .fallback(ui::serve)
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            use axum::response::IntoResponse as _;
            Problem(qd_core::error::Error::internal(
                "panicked",
                "the server met a defect of its own while it answered",
            ))
            .into_response()
        }))
        .layer(CompressionLayer::new().gzip(true).compress_when(compressed))
        .layer(middleware::from_fn_with_state(app.clone(), requests::layer))
        .layer(middleware::from_fn_with_state(app.clone(), ids::layer))
        .layer(middleware::from_fn_with_state(app.clone(), drain::layer))
        .layer(option_layer(cors))
        .layer(middleware::from_fn_with_state(app.clone(), headers::layer))
        .with_state(app);
    ServiceBuilder::new().layer(MapRequestLayer::new(tenant_path::strip)).service(router)
}
