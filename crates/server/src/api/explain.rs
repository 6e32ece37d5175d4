//! Why something is in its state: one sentence with its evidence.

use axum::{Json, extract::State};
use qd_kernel::explain::Explanation;

use crate::{
    http::{caller::Caller, path::Path, problem::Problem},
    state::App,
};

pub async fn explain(
    State(app): State<App>,
    caller: Caller,
    Path(object): Path<String>,
) -> Result<Json<Explanation>, Problem> {
    Ok(Json(app.kernel.explain(&caller.context, &object).await?))
}
