//! How a subscription is: whether it sends, to whose eyes, and why it does not go on.
//!
//! Read from where its consumer is. What was set aside in the end is no part of it: that is listed as dead letters.

use qd_core::{error::Result, state::ResourceState, time::Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    consumer_name,
    may::{self, Publisher},
};
use crate::{context::Scope, explain::age, jobs::JobError, kernel::Kernel, params, resources::Resource};

/// What a subscription does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    Sending,
    /// An event was not taken and is sent again; those after it wait.
    Retrying,
    Silent,
}

/// What a subscription tells of itself beyond its spec.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SubscriptionStatus {
    /// For a person.
    pub sentence: String,
    pub state: DeliveryState,
    /// Whether anything new is sent now.
    pub sending: bool,
    /// Who published it: what he may see is sent.
    pub publisher: Option<String>,
    /// Attempts that failed of the event that is sent again.
    pub failures: i64,
    /// Why the last of them did.
    pub error: Option<JobError>,
    /// When that event happened.
    pub since: Option<Timestamp>,
    /// When it is sent again.
    pub due_at: Option<Timestamp>,
}

impl SubscriptionStatus {
    fn new(sentence: String, state: DeliveryState, publisher: Option<String>) -> Self {
        let sending = state == DeliveryState::Sending;
        Self { sentence, state, sending, publisher, failures: 0, error: None, since: None, due_at: None }
    }

    fn silent(publisher: Option<String>, why: &str) -> Self {
        Self::new(format!("Nothing is sent: {why}"), DeliveryState::Silent, publisher)
    }
}

/// What a receiver did not take.
struct Failing {
    failures: i64,
    error: JobError,
    since: Option<Timestamp>,
    due_at: Timestamp,
}

pub(super) async fn status(kernel: &Kernel, scope: Scope, resource: &Resource) -> Result<SubscriptionStatus> {
    if resource.state == ResourceState::Archived {
        return Ok(SubscriptionStatus::silent(None, "it is archived"));
    }
    if resource.published.is_none() {
        return Ok(SubscriptionStatus::silent(None, "it is not published"));
    }
    let Publisher { name, sight } = may::publisher(kernel, scope, resource.id).await?;
    let sight = match sight {
        Ok((sight, _)) => sight,
        Err(why) => return Ok(SubscriptionStatus::silent(name, &why)),
    };
    let who = name.clone().unwrap_or_default();
    let what = if sight.is_all() { "every event" } else { "events of what that one may see" };
    let sentence = format!("It sends as {who}, who published it: {what}");
    let Some(failing) = failing(kernel, scope, resource).await? else {
        return Ok(SubscriptionStatus::new(sentence, DeliveryState::Sending, name));
    };
    let sentence = format!("{sentence}. {}", failing.words(kernel));
    Ok(SubscriptionStatus {
        failures: failing.failures,
        error: Some(failing.error),
        since: failing.since,
        due_at: Some(failing.due_at),
        ..SubscriptionStatus::new(sentence, DeliveryState::Retrying, name)
    })
}

impl Failing {
    fn words(&self, kernel: &Kernel) -> String {
        let now = kernel.reckoning.now();
        let what = self.since.map_or_else(
            || "An event".to_owned(),
            |at| format!("What happened {} ago", age(at, kernel.source.now())),
        );
        let times = if self.failures == 1 { "once".to_owned() } else { format!("{} times", self.failures) };
        let next = if self.due_at > now { format!("in {}", age(now, self.due_at)) } else { "now".to_owned() };
        format!("{what} failed {times}, last because {}: it is sent again {next}", self.error.message)
    }
}

async fn failing(kernel: &Kernel, scope: Scope, resource: &Resource) -> Result<Option<Failing>> {
    let consumer = consumer_name(&resource.name, resource.id);
    kernel
        .store
        .read(move |tx| -> Result<Option<Failing>> {
            // Nothing between the place and what fails is the project's: it would have been passed.
            Ok(tx.opt(
                "SELECT c.failures, c.error_code, c.error_message, c.due_at,
                   (SELECT e.at FROM event e WHERE e.project_id = $2 AND e.pos > c.pos ORDER BY e.pos LIMIT 1)
                 FROM consumer c WHERE c.name = $1 AND c.failures > 0",
                params![consumer, scope.project_id],
                |row| {
                    let (code, message) = (row.get::<Option<String>>(1)?, row.get::<Option<String>>(2)?);
                    Ok(Failing {
                        failures: row.get(0)?,
                        error: JobError {
                            code: code.unwrap_or_default(),
                            message: message.unwrap_or_default(),
                        },
                        due_at: row.get(3)?,
                        since: row.get(4)?,
                    })
                },
            )?)
        })
        .await
}
