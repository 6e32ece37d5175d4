//! Reviews: what a project publishes only after somebody else than its authors has looked at it.
//!
//! A revision is submitted, and approved or rejected, or withdrawn. To approve it is to approve the plan that publishes it: the
//! plan is made in the transaction of the approval, compared with the hash that the reviewer saw, and kept. Publishing makes it again and
//! compares, so that other content, or another published revision below it, is not what was approved.
//!
//! Held in three places, none of them a handler: a plan to publish is refused while it may not be carried out
//! ([`crate::operation::View`]), asking for it compares the approval ([`approved`]), and the step that publishes looks once more
//! ([`may_publish`]), because the project's mode may have changed since.
//!
//! Not done here: who may review at all (the role's actions), and plans that want a second person for their risk ([`crate::plans`]).

pub(crate) mod authors;
mod comments;
mod decide;
mod inbox;
mod read;
mod submit;

use std::collections::BTreeSet;

use qd_core::{
    diff::Change,
    error::{Error, Result},
    id::{PlanId, ResourceId},
    plan::{Plan, Risk},
    state::RevisionState,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

pub use comments::{Comment, NewComment};
pub(crate) use decide::only_people;
pub use inbox::{InboxCounts, InboxItem, InboxWhat};
pub use read::ReviewDetail;
pub(crate) use submit::submit;

use crate::{
    audit::{self, NewRecord},
    context::Scope,
    mutation::Mutation,
    notifications::{self, News},
    params,
    resources::{self, Locked},
    store::{self, Column, Json, Row, StoreResult, Tx},
};

/// What the record of an approval that holds no more is called.
const APPROVAL_STALE: &str = "reviews.stale";

/// What a project asks of a revision before it is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReviewMode {
    #[default]
    None,
    /// That somebody else than its authors approved it.
    Required,
}

impl ReviewMode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Required => "required",
        }
    }
}

impl Column for ReviewMode {
    fn column(value: store::Value<'_>) -> std::result::Result<Self, String> {
        match String::column(value)?.as_str() {
            "none" => Ok(Self::None),
            "required" => Ok(Self::Required),
            other => Err(format!("{other:?} is no mode of review")),
        }
    }
}

/// From which risk on a project wants a second person for a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalFrom {
    #[default]
    None,
    Low,
    Medium,
    High,
}

impl ApprovalFrom {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// Whether a plan of this risk wants a second person.
    pub fn wants(self, risk: Risk) -> bool {
        match self {
            Self::None => false,
            Self::Low => true,
            Self::Medium => risk >= Risk::Medium,
            Self::High => risk >= Risk::High,
        }
    }
}

impl Column for ApprovalFrom {
    fn column(value: store::Value<'_>) -> std::result::Result<Self, String> {
        match String::column(value)?.as_str() {
            "none" => Ok(Self::None),
            "low" => Ok(Self::Low),
            "medium" => Ok(Self::Medium),
            "high" => Ok(Self::High),
            other => Err(format!("{other:?} is no risk")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReviewState {
    Open,
    Approved,
    Rejected,
    Withdrawn,
    /// It was approved, and what it rests on moved.
    Stale,
    Published,
}

impl ReviewState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Stale => "stale",
            Self::Published => "published",
        }
    }
}

impl Column for ReviewState {
    fn column(value: store::Value<'_>) -> std::result::Result<Self, String> {
        match String::column(value)?.as_str() {
            "open" => Ok(Self::Open),
            "approved" => Ok(Self::Approved),
            "rejected" => Ok(Self::Rejected),
            "withdrawn" => Ok(Self::Withdrawn),
            "stale" => Ok(Self::Stale),
            "published" => Ok(Self::Published),
            other => Err(format!("{other:?} is no state of a review")),
        }
    }
}

/// One time that a revision was submitted, and what came of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Review {
    pub id: Uuid,
    pub state: ReviewState,
    pub submitted_by: String,
    pub submitted_at: Timestamp,
    pub message: String,
    pub decided_by: Option<String>,
    pub decided_at: Option<Timestamp>,
    /// Why it was decided so, or what moved.
    pub decision: Option<String>,
    /// The plan that was approved.
    pub plan_id: Option<PlanId>,
}

const COLUMNS: &str =
    "id, state, submitted_by, submitted_at, message, decided_by, decided_at, decision, plan_id";

fn row(row: &Row<'_>) -> StoreResult<Review> {
    Ok(Review {
        id: row.get(0)?,
        state: row.get(1)?,
        submitted_by: row.get(2)?,
        submitted_at: row.get(3)?,
        message: row.get(4)?,
        decided_by: row.get(5)?,
        decided_at: row.get(6)?,
        decision: row.get(7)?,
        plan_id: row.get(8)?,
    })
}

/// The review of a revision that is open or approved.
fn current(tx: &mut Tx<'_>, resource_id: ResourceId, number: i64) -> Result<Option<Review>> {
    Ok(tx.opt(
        &format!(
            "SELECT {COLUMNS} FROM review WHERE resource_id = $1 AND number = $2 AND state IN ('open', 'approved')"
        ),
        params![resource_id, number],
        row,
    )?)
}

/// The mode of a project; one that is not there wants nothing.
pub(crate) fn mode(tx: &mut Tx<'_>, scope: Scope) -> Result<ReviewMode> {
    let found =
        tx.opt("SELECT review FROM project WHERE id = $1", params![scope.project_id], |row| row.get(0))?;
    Ok(found.unwrap_or_default())
}

/// From which risk on the project wants a second person.
pub(crate) fn approval_from(tx: &mut Tx<'_>, scope: Scope) -> Result<ApprovalFrom> {
    let found =
        tx.opt("SELECT approval_from FROM project WHERE id = $1", params![scope.project_id], |row| {
            row.get(0)
        })?;
    Ok(found.unwrap_or_default())
}

/// What whoever asks for a revision to be published is told where it has to be reviewed first.
pub(crate) fn refusal(path: &str, number: i64, state: RevisionState) -> Error {
    let next = match state {
        RevisionState::InReview => {
            "it is in review, and is published once somebody else than its authors has approved it".to_owned()
        }
        _ => format!(
            "the project publishes only what was reviewed: submit it (`qd submit {path} --revision {number}`), and have somebody else approve it"
        ),
    };
    Error::conflict("review_required", format!("revision {number} of {path} is not published: {next}"))
}

/// Of what was approved, and of all in a project that wants reviews: that this plan is the one that was approved. A plan that does more than
/// publish it (`None`) is never that.
///
/// # Errors
/// `approval_stale` (409) with one violation for each thing that moved.
pub(crate) fn approved(
    m: &mut Mutation<'_, '_>,
    (resource, path): (&Locked, &str),
    number: i64,
    plan: Option<&Plan>,
) -> Result<()> {
    let required = mode(m.tx, m.context.scope)? == ReviewMode::Required;
    let found: Option<(PlanId, Json<Plan>, String, Timestamp)> = m.tx.opt(
        "SELECT p.id, p.body, p.hash, p.expires_at FROM review v JOIN plan p ON p.id = v.plan_id
         WHERE v.resource_id = $1 AND v.number = $2 AND v.state = 'approved'",
        params![resource.id, number],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    )?;
    let (Some((id, Json(was), hash, expires_at)), Some(plan)) = (found, plan) else {
        // An approval whose plan is no longer kept is none.
        let was =
            current(m.tx, resource.id, number)?.is_some_and(|review| review.state == ReviewState::Approved);
        let refused = required || (was && plan.is_some());
        return if refused { Err(refusal(path, number, RevisionState::Draft)) } else { Ok(()) };
    };
    if expires_at <= m.now {
        let detail = format!(
            "the approval of revision {number} of {path} expired at {expires_at}; submit the revision again"
        );
        return Err(Error::conflict("approval_stale", detail));
    }
    if plan.hash()?.to_string() != hash {
        let moved = crate::plans::stale_error(&was.moved(plan));
        let detail = format!(
            "revision {number} of {path} is not what was approved any more: {}; submit it again",
            moved.detail
        );
        return Err(Error::conflict("approval_stale", detail).with_violations(moved.violations));
    }
    m.tx.exec_later("UPDATE plan SET state = 'applied' WHERE id = $1 AND state = 'approved'", params![id])?;
    Ok(())
}

/// The last look, in the transaction that publishes.
pub(crate) fn may_publish(
    m: &mut Mutation<'_, '_>,
    name: &str,
    number: i64,
    state: RevisionState,
) -> Result<()> {
    if state != RevisionState::Approved && mode(m.tx, m.context.scope)? == ReviewMode::Required {
        let detail = format!(
            "revision {number} of {name} is {state}: the project publishes only what is approved when it is published"
        );
        return Err(Error::conflict("review_required", detail));
    }
    Ok(state.step(RevisionState::Published).map(drop)?)
}

/// What follows from another revision being the published one: its review is over, and other approvals were given against what
/// was published before.
pub(crate) fn published(
    m: &mut Mutation<'_, '_>,
    kind: &str,
    resource: &Locked,
    now_published: Option<i64>,
) -> Result<()> {
    let approved: Vec<(Uuid, i64)> = m.tx.rows(
        "SELECT id, number FROM review WHERE resource_id = $1 AND state = 'approved' ORDER BY number",
        params![resource.id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    for (id, number) in approved {
        if Some(number) == now_published {
            m.tx.exec_later("UPDATE review SET state = 'published' WHERE id = $1", params![id])?;
            continue;
        }
        let word = |number: Option<i64>| number.map_or_else(|| "nothing".to_owned(), |n| n.to_string());
        let why = format!(
            "the published revision went from {} to {}",
            word(resource.published_number),
            word(now_published)
        );
        stale(m, kind, resource, number, &why)?;
    }
    Ok(())
}

/// Takes an approval back that holds no more: the revision is a draft again.
pub(crate) fn stale(
    m: &mut Mutation<'_, '_>,
    kind: &str,
    resource: &Locked,
    number: i64,
    why: &str,
) -> Result<()> {
    let Some(review) =
        current(m.tx, resource.id, number)?.filter(|review| review.state == ReviewState::Approved)
    else {
        return Ok(());
    };
    m.tx.exec(
        "UPDATE review SET state = 'stale', decided_at = $2, decision = $3 WHERE id = $1",
        params![review.id, m.now, why],
    )?;
    m.tx.exec(
        "UPDATE revision SET state = 'draft' WHERE resource_id = $1 AND number = $2 AND state = 'approved'",
        params![resource.id, number],
    )?;
    m.tx.exec(
        "UPDATE plan SET state = 'stale', stale = $2 WHERE id = $1 AND state IN ('approved', 'applied') AND job_id IS NULL",
        params![review.plan_id, why],
    )?;
    let told = review.decided_by.into_iter().chain([review.submitted_by]).collect();
    tell(m, (kind, resource), number, told, "revision.approval_stale", why)?;
    // Nobody asked for it: it follows from what somebody asked for, and has no record but this one.
    let about = audit::object(kind, Some(resource.id.uuid()), &resource.name);
    let pointer = format!("/revisions/{number}/state");
    let change = Change::replace(pointer, json!(RevisionState::Approved), json!(RevisionState::Draft));
    let record = NewRecord::of(m.context, APPROVAL_STALE, about).because(why).with_changes(&[change]);
    let id = m.id();
    audit::append_record(m.tx, m.now, id, &record)?;
    m.wake.audit = true;
    let data = json!({ "revision": number, "why": why });
    m.event("revision.approval_stale", resources::subject(kind, resource.id, &resource.name), &data)
}

/// Tells people of a revision.
fn tell(
    m: &mut Mutation<'_, '_>,
    (kind, resource): (&str, &Locked),
    number: i64,
    people: BTreeSet<String>,
    what: &str,
    message: &str,
) -> Result<()> {
    let news = News { what, kind, resource_id: resource.id, revision: number, message };
    notifications::tell(m, &people, &news)
}
