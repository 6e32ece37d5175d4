//! Events that a consumer did not take: list them, and ask for one to be sent again.

use axum::{Json, extract::State, http::StatusCode};
use qd_core::error::Error;
use qd_kernel::{
    events::{DeadLetter, DeadLetterFilter},
    page::Page,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{jobs::ReasonBody, kind::resource::PageText};
use crate::{
    http::{body::Body, caller::Caller, path::Path, problem::Problem, query::Params},
    state::App,
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub struct DeadLettersQuery {
    #[serde(flatten)]
    pub page: PageText,
    /// Only those of this consumer.
    pub consumer: Option<String>,
    /// Also those that were delivered since.
    pub delivered: Option<bool>,
}

pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<DeadLettersQuery>,
) -> Result<Json<Page<DeadLetter>>, Problem> {
    let sight = caller.sight(&app, "dead-letters.list").await?;
    let (consumer, delivered) = (query.consumer, query.delivered.unwrap_or_default());
    let filter = DeadLetterFilter { consumer, delivered, sight };
    Ok(Json(app.kernel.dead_letter_list(caller.scope(), filter, query.page.page()?).await?))
}

/// The consumer gets it soon; the letter says when it has.
pub async fn redeliver(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<(StatusCode, Json<DeadLetter>), Problem> {
    let ReasonBody { reason } = body.json()?;
    let none = || Error::not_found("dead_letter_not_found", format!("there is no dead letter {id} here"));
    let id = id.parse().map_err(|_| none())?;
    let letter = app.kernel.dead_letter_redeliver_ask(&caller.context, id, reason).await?;
    Ok((StatusCode::ACCEPTED, Json(letter)))
}
