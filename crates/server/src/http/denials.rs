//! What was refused to a caller stands in the audit: who, which action, and at which address.
//!
//! Only a refusal that the caller is told of is written down. One that asks what somebody may do (`/auth/can-i`) is none.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use qd_core::error::clip;
use qd_kernel::{
    audit::{self, NewRecord},
    context::Context,
};

use crate::state::App;

/// Bytes of an address that are kept.
const ADDRESS: usize = 300;

/// Where the request's caller is left, once it is recognised.
#[derive(Clone, Default)]
pub struct Asked(Arc<Mutex<Option<Context>>>);

impl Asked {
    pub fn by(&self, context: &Context) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.clone());
    }

    fn take(&self) -> Option<Context> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

pub async fn layer(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let asked = Asked::default();
    request.extensions_mut().insert(asked.clone());
    let address = clip(&format!("{} {}", request.method(), request.uri().path()), ADDRESS);
    let response = next.run(request).await;
    if response.status() == StatusCode::FORBIDDEN
        && let Some(context) = asked.take()
    {
        let mut actions = context.denials.take();
        actions.sort();
        actions.dedup();
        for action in actions {
            let object = audit::object("Route", None, &address);
            let record =
                NewRecord::of(&context, &action, object).denied("no role that is held there allows it");
            if let Err(error) = app.kernel.audit_append(record).await {
                tracing::warn!(%error, action, "write down what was refused");
            }
        }
    }
    response
}
