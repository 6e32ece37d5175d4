//! A second person's yes or no to a plan. It is given to the hash: whoever decides says which content he saw.

use qd_core::{
    diff::Change,
    document::Document,
    error::{Error, Result},
    id::PlanId,
    plan::Plan,
    state::PlanState,
};
use serde_json::{Value, json};

use super::{StoredPlan, find, with_id};
use crate::{
    access::{
        self,
        matrix::{self, Level},
        objects::{self, On},
    },
    context::{Context, Scope},
    kernel::Kernel,
    mutation::{Act, Object, Subject},
    operations::{
        documents::{APPLY, DocumentsRequest},
        publish::publishes,
        read,
    },
    params,
    registry::Registry,
    reviews::{authors, only_people},
    store::{Json, Tx},
};

impl Kernel {
    /// `hash`: of the plan that was seen.
    ///
    /// # Errors
    /// `own_plan` (403) to its author, and to who answers for the service that is, `persons_only` (403) to a service;
    /// `not_a_reviewer` (403) to who may not review what the plan publishes or, where it publishes nothing, do what it was made
    /// for; `plan_hash_mismatch` (409) for another hash; `illegal_plan_move` (409) when the plan is no longer open.
    pub async fn plan_approve(
        &self,
        context: &Context,
        id: PlanId,
        hash: String,
        reason: String,
    ) -> Result<StoredPlan> {
        self.plan_decide(context, id, PlanState::Approved, Some(hash), reason).await
    }

    /// Its author may reject it too.
    ///
    /// # Errors
    /// `reason_required` (400) without one; `not_a_reviewer` (403) as of [`Self::plan_approve`]; `illegal_plan_move` (409) when the
    /// plan is no longer open.
    pub async fn plan_reject(&self, context: &Context, id: PlanId, reason: String) -> Result<StoredPlan> {
        if reason.trim().is_empty() {
            return Err(Error::malformed("reason_required", "rejecting a plan wants a reason"));
        }
        self.plan_decide(context, id, PlanState::Rejected, None, reason).await
    }

    async fn plan_decide(
        &self,
        context: &Context,
        id: PlanId,
        to: PlanState,
        hash: Option<String>,
        reason: String,
    ) -> Result<StoredPlan> {
        let verb = if to == PlanState::Approved { "approve" } else { "reject" };
        let kernel = self.clone();
        let act = Act::new("plans", verb).because(reason).on(On::Plan(id));
        self.mutate(context, act, move |m| {
            let for_update = m.tx.backend().for_update();
            let plan = find(m.tx, &kernel, m.context.scope, id, for_update)?;
            if to == PlanState::Approved {
                only_people(m.context)?;
            }
            let own = authors::stands_for(m.tx, m.context, &plan.created_by)?;
            if to == PlanState::Approved && own {
                return Err(Error::forbidden(
                    "own_plan",
                    "a plan is approved by somebody else than its author, and than those who answer for the service that made it",
                ));
            }
            if !own
                && let Some(refusal) = beyond(m.tx, &kernel.registry, m.context, id)?
            {
                let detail = format!("deciding on this plan wants a right that is missing: {}", refusal.detail);
                return Err(Error::forbidden("not_a_reviewer", detail));
            }
            if let Some(hash) = hash.as_ref().filter(|hash| **hash != plan.hash) {
                return Err(Error::conflict(
                    "plan_hash_mismatch",
                    format!("the plan's hash is {}, not {hash}; look at it again", plan.hash),
                ));
            }
            plan.state.step(to)?;
            m.tx.exec(
                "UPDATE plan SET state = $2, decided_by = $3, decided_at = $4, decision = $5 WHERE id = $1",
                params![id, to.as_str(), m.context.principal.name, m.now, m.reason().to_owned()],
            )?;
            m.plan(&plan.hash);
            let change = Change::replace("/state", json!(plan.state), json!(to));
            m.audit(&Object { kind: "Plan", id: id.uuid(), name: &plan.operation }, &[change], None)?;
            let data = json!({ "operation": plan.operation, "hash": plan.hash, "reason": m.reason() });
            m.event(&format!("plan.{to}"), Subject::default(), &with_id(id, data))
        })
        .await?;
        self.plan_get(context, id).await
    }
}

/// What a plan was made for, of what, and what it says: action, input, preflight, body.
type Made = (String, Json<Value>, Json<Value>, Json<Plan>);

/// Whether the caller may approve a plan that is open.
pub(super) fn may(
    tx: &mut Tx<'_>,
    registry: &Registry,
    context: &Context,
    plan: &StoredPlan,
) -> Result<bool> {
    Ok(only_people(context).is_ok()
        && objects::may(tx, registry, context, "plans.approve", &On::Plan(plan.id))?
        && !authors::stands_for(tx, context, &plan.created_by)?
        && beyond(tx, registry, context, plan.id)?.is_none())
}

/// The refusal that stands between the caller and deciding on the plan: of the right to review each thing that it publishes, as it is
/// and as it would be, or, where it publishes nothing, of the action that it was made for. None where his word counts.
pub(crate) fn beyond(
    tx: &mut Tx<'_>,
    registry: &Registry,
    context: &Context,
    id: PlanId,
) -> Result<Option<Error>> {
    let found: Option<Made> = tx.opt(
        "SELECT action, input, preflight, body FROM plan WHERE project_id = $1 AND id = $2",
        params![context.scope.project_id, id],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    )?;
    let Some((action, Json(input), Json(preflight), Json(plan))) = found else { return Ok(None) };
    let mut wanted = judged(tx, registry, context.scope, &input, &preflight, &plan)?;
    if wanted.is_empty() {
        wanted.push((action, On::Plan(id)));
    }
    for (action, on) in wanted {
        let refusal = match matrix::level(&action) {
            Level::Project => objects::refusal(tx, registry, context, &action, &on)?,
            level => access::refusal(context, context.scope.at(level), &action),
        };
        if refusal.is_some() {
            return Ok(refusal);
        }
    }
    Ok(None)
}

/// Each thing that the plan publishes with the action that judges it, as it is and as it would be.
fn judged(
    tx: &mut Tx<'_>,
    registry: &Registry,
    scope: Scope,
    input: &Value,
    preflight: &Value,
    plan: &Plan,
) -> Result<Vec<(String, On)>> {
    let documents: Vec<Document> = match plan.operation == APPLY {
        true => read::<DocumentsRequest>(input)?.documents,
        false => vec![],
    };
    let mut wanted = vec![];
    for step in plan.steps.iter().filter(|step| publishes(step)) {
        let Some((plural, name)) = step.target.split_once('/') else { continue };
        let Some(kind) = registry.find_plural(plural).map(|kind| kind.info().kind) else { continue };
        let stands = On::revision(kind, name, preflight["revision"].as_i64());
        let there = objects::facts(tx, registry, scope, &stands)?.and_then(|mut of| of.pop());
        let review = format!("{plural}.review");
        let named = |one: &&Document| one.kind == kind && one.metadata.name.as_ref() == name;
        if let Some(document) = documents.iter().find(named) {
            let mut to_come = On::document(registry, document);
            if let On::New(facts) = &mut to_come {
                facts.id = there.as_ref().and_then(|there| there.id);
            }
            wanted.push((review.clone(), to_come));
        }
        if there.is_some() {
            wanted.push((review, stands));
        }
    }
    Ok(wanted)
}
