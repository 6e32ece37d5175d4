//! What was refused to a caller stands in the audit: who, what, why, and at which address. The action where a role was missing for
//! it, a policy forbade it or a token is limited; `access.refuse` with the answer's code where it was refused for another reason
//! (one's own plan, a suspended tenant).
//!
//! Only a refusal that the caller is told of is written down, and only of somebody who was recognised: a stranger would write as
//! much as he likes. One that asks what somebody may do (`/auth/can-i`) is none.

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

use super::problem::Unwritten;
use crate::state::App;

/// What is recorded where no action is named.
const REFUSED: &str = "access.refuse";
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
        let mut refused = context.denials.take();
        refused.sort();
        refused.dedup_by(|one, other| one.0 == other.0);
        if let Some(Unwritten(error)) = response.extensions().get()
            && error.code != "action_denied"
        {
            refused.push((REFUSED.to_owned(), format!("{}: {}", error.code, error.detail)));
        }
        for (action, why) in refused {
            let object = audit::object("Route", None, &address);
            let record = NewRecord::of(&context, &action, object).denied(&why);
            if let Err(error) = app.kernel.audit_append(record).await {
                tracing::warn!(%error, action, "write down what was refused");
            }
        }
    }
    response
}
