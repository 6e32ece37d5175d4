//! A second person's yes or no to a plan. It is given to the hash: whoever decides says which content he saw.

use qd_core::{
    diff::Change,
    error::{Error, Result},
    id::PlanId,
    state::PlanState,
};
use serde_json::json;

use super::{StoredPlan, find, with_id};
use crate::{
    access::objects::On,
    context::Context,
    kernel::Kernel,
    mutation::{Act, Object, Subject},
    params,
    reviews::{authors, only_people},
};

impl Kernel {
    /// `hash`: of the plan that was seen.
    ///
    /// # Errors
    /// `own_plan` (403) to its author, and to who answers for the service that is, `persons_only` (403) to a service; `plan_hash_mismatch` (409) for another hash; `illegal_plan_move` (409) when the plan
    /// is no longer open.
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
    /// `reason_required` (400) without one; `illegal_plan_move` (409) when the plan is no longer open.
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
            if to == PlanState::Approved && authors::stands_for(m, &plan.created_by)? {
                return Err(Error::forbidden(
                    "own_plan",
                    "a plan is approved by somebody else than its author, and than those who answer for the service that made it",
                ));
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
        self.plan_get(context.scope, id).await
    }
}
