//! A reviewer's yes or no. The yes is given to the hash of the plan that publishes the revision, made anew in the transaction that
//! writes it, so that nobody approves what he did not see.

use std::collections::BTreeSet;

use qd_core::{
    error::{Error, Result},
    state::RevisionState,
};
use serde_json::json;

use super::{
    Review, authors, current,
    submit::{give_up_plan, move_to, no_move, over, revision_state},
    tell,
};
use crate::{
    access::objects::On,
    changes::{self, Request, canonical},
    context::{Context, PrincipalKind},
    kernel::Kernel,
    kind::Kind,
    mutation::{Act, Mutation},
    params, plans,
    resources::{self, Locked},
    revisions::{Revision, publish_request, require_active},
};

impl Kernel {
    /// `hash`: of the plan that was seen ([`Self::review_get`]).
    ///
    /// # Errors
    /// `own_revision`, `persons_only` (403); `plan_hash_mismatch` (409) where it would come to another plan by now;
    /// `gate_closed` (409); `illegal_revision_move` (409) where it is not in review.
    pub async fn revision_approve(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        number: i64,
        hash: String,
        reason: String,
    ) -> Result<Revision> {
        let (kind_name, plural) = (kind.info().kind, kind.info().plural);
        self.permit(context, &format!("{plural}.review"), On::resource(kind_name, name)).await?;
        let resource = self.resource_get(context.scope, kind_name, name).await?;
        let request = publish_request(kind, &resource.name, Some(number), reason.clone());
        let operation = self.operation(&request.operation)?;
        self.preflighted(context, &*operation, &request.input, |preflight| {
            let (kernel, operation, request) = (self.clone(), operation.clone(), request.clone());
            let (wanted, hash) = (resource.name.clone(), hash.clone());
            self.mutate(context, Act::new(plural, "review").because(reason.clone()).on(On::resource(kind_name, &resource.name)), move |m| {
                let resource = resources::lock(m.tx, m.context.scope, kind_name, &wanted)?;
                require_active(resource.state, &resource.name)?;
                let review = deciding(m, &resource, number, RevisionState::Approved)?;
                if authors::is_one(m, resource.id, number)? {
                    let detail = format!(
                        "revision {number} of {} is approved by somebody else than those who had a hand in it",
                        resource.name
                    );
                    return Err(Error::forbidden("own_revision", detail));
                }
                let scope = m.context.scope;
                let planned =
                    kernel.plan_reviewed(m.tx, scope, &*operation, &request.input, &preflight, true)?;
                changes::gates_open(&planned.plan)?;
                let now = canonical(&planned.plan)?.1.to_string();
                if now != hash {
                    let detail =
                        format!("publishing it would come to the plan {now} by now, not {hash}; look at it again");
                    return Err(Error::conflict("plan_hash_mismatch", detail));
                }
                approve(m, &kernel, &request, &preflight, &planned.plan, &review)?;
                m.plan(&now);
                decided(m, kind_name, &resource, number, RevisionState::Approved, &review)
            })
        })
        .await?;
        self.revision_get(context.scope, kind_name, &resource.name, number).await
    }

    /// Says no to what is in review, or was approved and is not published yet. Its content can only come back as another
    /// revision.
    ///
    /// # Errors
    /// `reason_required` (400) without one; `illegal_revision_move` (409).
    pub async fn revision_reject(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        number: i64,
        reason: String,
    ) -> Result<Revision> {
        if reason.trim().is_empty() {
            return Err(Error::malformed("reason_required", "rejecting a revision wants a reason"));
        }
        let (kind_name, plural, wanted) = (kind.info().kind, kind.info().plural, name.to_owned());
        self.mutate(
            context,
            Act::new(plural, "review").because(reason).on(On::resource(kind_name, name)),
            move |m| {
                let resource = resources::lock(m.tx, m.context.scope, kind_name, &wanted)?;
                let review = deciding(m, &resource, number, RevisionState::Rejected)?;
                give_up_plan(m, &review, "the revision was rejected")?;
                decided(m, kind_name, &resource, number, RevisionState::Rejected, &review)
            },
        )
        .await?;
        self.revision_get(context.scope, kind_name, name, number).await
    }
}

/// The review that is decided on, where a person decides and the revision may become that.
fn deciding(m: &mut Mutation<'_, '_>, resource: &Locked, number: i64, to: RevisionState) -> Result<Review> {
    only_people(m.context)?;
    let state = revision_state(m, resource, number)?;
    let Some(review) = current(m.tx, resource.id, number)? else { return Err(no_move(state, to)) };
    state.step(to)?;
    Ok(review)
}

/// An approval is a person's: what a program may decide is no second look.
pub(crate) fn only_people(context: &Context) -> Result<()> {
    if context.principal.kind == PrincipalKind::User {
        return Ok(());
    }
    let detail =
        format!("{} is no person, and only people decide on reviews and plans", context.principal.name);
    Err(Error::forbidden("persons_only", detail))
}

/// Keeps the plan that was approved.
fn approve(
    m: &mut Mutation<'_, '_>,
    kernel: &Kernel,
    request: &Request,
    preflight: &serde_json::Value,
    plan: &qd_core::plan::Plan,
    review: &Review,
) -> Result<()> {
    let kept = plans::keep(m, request, preflight, plan, kernel.options.plan_ttl, &review.submitted_by)?;
    m.tx.exec(
        "UPDATE plan SET state = 'approved', decided_by = $2, decided_at = $3, decision = $4 WHERE id = $1",
        params![kept.0, m.context.principal.name, m.now, m.reason().to_owned()],
    )?;
    m.tx.exec("UPDATE review SET plan_id = $2 WHERE id = $1", params![review.id, kept.0])?;
    Ok(())
}

fn decided(
    m: &mut Mutation<'_, '_>,
    kind: &str,
    resource: &Locked,
    number: i64,
    to: RevisionState,
    review: &Review,
) -> Result<()> {
    over(m, review, to.as_str())?;
    let from = revision_state(m, resource, number)?;
    let change = move_to(m, resource.id, number, from, to)?;
    let reason = m.reason().to_owned();
    let mut told: BTreeSet<String> = authors::of(m.tx, resource.id, number)?.into_iter().collect();
    told.insert(review.submitted_by.clone());
    tell(m, (kind, resource), number, told, &format!("revision.{to}"), &reason)?;
    let data = json!({ "revision": number, "reason": reason, "submitted_by": review.submitted_by });
    m.event(&format!("revision.{to}"), resources::subject(kind, resource.id, &resource.name), &data)?;
    m.audit(&resource.object(kind), &[change], None)
}
