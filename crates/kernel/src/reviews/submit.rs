//! Submitting a revision for review, and taking it back.

use std::collections::BTreeSet;

use qd_core::{
    diff::Change,
    error::{Error, Result},
    id::ResourceId,
    state::RevisionState,
};
use serde_json::json;
use uuid::Uuid;

use super::{Review, ReviewState, authors, current, tell};
use crate::{
    access::objects::On,
    context::Context,
    kernel::Kernel,
    kind::Kind,
    mutation::{Act, Mutation},
    notifications, params,
    registry::Registry,
    resources::{self, Locked},
    revisions::{Revision, no_revision, require_active},
};

impl Kernel {
    /// Asks for a draft to be reviewed, also where the project does not want it.
    ///
    /// # Errors
    /// `illegal_revision_move` (409) for what is no draft.
    pub async fn revision_submit(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        number: i64,
        message: String,
    ) -> Result<Revision> {
        let (kind_name, plural, wanted) = (kind.info().kind, kind.info().plural, name.to_owned());
        let registry = self.registry.clone();
        self.mutate(
            context,
            Act::new(plural, "submit").because(message).on(On::resource(kind_name, name)),
            move |m| {
                let resource = resources::lock(m.tx, m.context.scope, kind_name, &wanted)?;
                require_active(resource.state, &resource.name)?;
                let message = m.reason().to_owned();
                let change = submit(m, &registry, (kind_name, plural), &resource, number, &message)?;
                m.audit(&resource.object(kind_name), &[change], None)
            },
        )
        .await?;
        self.revision_get(context.scope, kind_name, name, number).await
    }

    /// Makes a draft again of what its author submitted, until somebody decided on it.
    ///
    /// # Errors
    /// `reason_required` (400) without one; `not_its_author` (403); `illegal_revision_move` (409).
    pub async fn revision_withdraw(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        number: i64,
        reason: String,
    ) -> Result<Revision> {
        if reason.trim().is_empty() {
            return Err(Error::malformed("reason_required", "withdrawing a revision wants a reason"));
        }
        let (kind_name, plural, wanted) = (kind.info().kind, kind.info().plural, name.to_owned());
        let registry = self.registry.clone();
        self.mutate(
            context,
            Act::new(plural, "withdraw").because(reason).on(On::resource(kind_name, name)),
            move |m| {
                let resource = resources::lock(m.tx, m.context.scope, kind_name, &wanted)?;
                let state = revision_state(m, &resource, number)?;
                let Some(review) =
                    current(m.tx, resource.id, number)?.filter(|_| state == RevisionState::InReview)
                else {
                    return Err(no_move(state, RevisionState::Draft));
                };
                if !authors::is_one(m, resource.id, number)? {
                    let detail = format!(
                        "revision {number} of {} is withdrawn by one of its authors; others reject it",
                        resource.name
                    );
                    return Err(Error::forbidden("not_its_author", detail));
                }
                over(m, &review, ReviewState::Withdrawn.as_str())?;
                let change = move_to(m, resource.id, number, state, RevisionState::Draft)?;
                let reason = m.reason().to_owned();
                let told = reviewers(m, &registry, (kind_name, plural), &resource, number)?;
                tell(m, (kind_name, &resource), number, told, "revision.withdrawn", &reason)?;
                let data = json!({ "revision": number, "reason": reason });
                m.event(
                    "revision.withdrawn",
                    resources::subject(kind_name, resource.id, &resource.name),
                    &data,
                )?;
                m.audit(&resource.object(kind_name), &[change], None)
            },
        )
        .await?;
        self.revision_get(context.scope, kind_name, name, number).await
    }
}

/// Puts a draft of a locked resource into review; the record is the caller's.
pub(crate) fn submit(
    m: &mut Mutation<'_, '_>,
    registry: &Registry,
    (kind, plural): (&str, &str),
    resource: &Locked,
    number: i64,
    message: &str,
) -> Result<Change> {
    let state = revision_state(m, resource, number)?;
    state.step(RevisionState::InReview)?;
    let id: Uuid = m.id();
    let scope = m.context.scope;
    m.tx.exec(
        "INSERT INTO review (id, tenant_id, project_id, kind, resource_id, number, state, submitted_by, submitted_at, message)
         VALUES ($1, $2, $3, $4, $5, $6, 'open', $7, $8, $9)",
        params![
            id,
            scope.tenant_id,
            scope.project_id,
            kind,
            resource.id,
            number,
            m.context.principal.name,
            m.now,
            message
        ],
    )?;
    authors::submitted(m, resource.id, number)?;
    let change = move_to(m, resource.id, number, state, RevisionState::InReview)?;
    let told = reviewers(m, registry, (kind, plural), resource, number)?;
    tell(m, (kind, resource), number, told, "revision.submitted", message)?;
    let data = json!({ "revision": number, "message": message });
    m.event("revision.submitted", resources::subject(kind, resource.id, &resource.name), &data)?;
    Ok(change)
}

/// Whom a revision in review waits for: who may review it, and had no hand in it.
fn reviewers(
    m: &mut Mutation<'_, '_>,
    registry: &Registry,
    (kind, plural): (&str, &str),
    resource: &Locked,
    number: i64,
) -> Result<BTreeSet<String>> {
    let authors = authors::of(m.tx, resource.id, number)?;
    let on = On::resource(kind, &resource.name);
    let mut reviewers = notifications::who_may(m, registry, &format!("{plural}.review"), &on)?;
    reviewers.retain(|name| !authors.contains(name));
    Ok(reviewers)
}

pub(super) fn revision_state(
    m: &mut Mutation<'_, '_>,
    resource: &Locked,
    number: i64,
) -> Result<RevisionState> {
    let state = m.tx.opt(
        "SELECT state FROM revision WHERE resource_id = $1 AND number = $2",
        params![resource.id, number],
        |row| row.get(0),
    )?;
    state.ok_or_else(|| no_revision(&resource.name, number))
}

/// Of a state from which there is no such move, or none for who asks.
pub(super) fn no_move(from: RevisionState, to: RevisionState) -> Error {
    match from.step(to) {
        Err(illegal) => illegal.into(),
        Ok(_) => {
            Error::conflict("illegal_revision_move", format!("the revision is {from}, and not in review"))
        }
    }
}

pub(super) fn move_to(
    m: &mut Mutation<'_, '_>,
    resource_id: ResourceId,
    number: i64,
    from: RevisionState,
    to: RevisionState,
) -> Result<Change> {
    m.tx.exec(
        "UPDATE revision SET state = $3 WHERE resource_id = $1 AND number = $2",
        params![resource_id, number, to.as_str()],
    )?;
    Ok(Change::replace(format!("/revisions/{number}/state"), json!(from), json!(to)))
}

/// Writes down who ended a review, when and why.
pub(super) fn over(m: &mut Mutation<'_, '_>, review: &Review, state: &str) -> Result<()> {
    m.tx.exec(
        "UPDATE review SET state = $2, decided_by = $3, decided_at = $4, decision = $5 WHERE id = $1",
        params![review.id, state, m.context.principal.name, m.now, m.reason().to_owned()],
    )?;
    Ok(())
}

/// The plan of a review that is over can no longer be applied.
pub(super) fn give_up_plan(m: &mut Mutation<'_, '_>, review: &Review, why: &str) -> Result<()> {
    m.tx.exec(
        "UPDATE plan SET state = 'stale', stale = $2 WHERE id = $1 AND state = 'approved'",
        params![review.plan_id, why],
    )?;
    Ok(())
}
