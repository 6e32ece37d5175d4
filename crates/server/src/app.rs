//! The whole service: routes, the embedded UI behind them, and the layers around both.

use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue, header},
    middleware,
};
use tower::{Service, ServiceBuilder, util::MapRequestLayer};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
    set_header::SetResponseHeaderLayer,
};

use crate::{
    api, drain,
    http::{ids, problem::Problem, tenant_path},
    state::App,
    ui,
};

/// Everything that a page loads comes from here; styles may stand inline because the components set them.
const CSP: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// The service, ready to be served.
pub fn app(
    app: App,
) -> impl Service<Request, Response = axum::response::Response, Error = std::convert::Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    let compressed = SizeAbove::new(1024).and(NotForContentType::SSE).and(NotForContentType::IMAGES);
    let fixed = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
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
        .layer(middleware::from_fn_with_state(app.clone(), ids::layer))
        .layer(middleware::from_fn_with_state(app.clone(), drain::layer))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
        .layer(fixed(header::CONTENT_SECURITY_POLICY, CSP))
        .layer(fixed(header::X_FRAME_OPTIONS, "DENY"))
        .with_state(app);
    ServiceBuilder::new().layer(MapRequestLayer::new(tenant_path::strip)).service(router)
}
