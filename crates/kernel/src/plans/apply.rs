//! Applying a stored plan: made again of the same input, and carried out if it came to the same bytes.

use qd_core::{
    diff::Change,
    error::{Error, ErrorKind, Result},
    id::{JobId, PlanId},
    plan::Moved,
    state::PlanState,
    violation::Violation,
};
use serde_json::{Value, json};

use super::{StoredPlan, find, with_id};
use crate::{
    access::objects::On,
    changes::{PREFLIGHTS, STALE_PREFLIGHT, canonical},
    context::Context,
    idempotency::IdempotencyKey,
    jobs::Job,
    kernel::Kernel,
    mutation::{Act, Mutation, Object, Subject},
    operations::documents::APPLY,
    params,
};

impl Kernel {
    /// Answers the job; for a plan that is done with its intent alone, none.
    ///
    /// # Errors
    /// `plan_stale` (409) with one violation for each thing that moved, from what to what: the plan can never be applied
    /// then. `plan_expired`, `plan_rejected`, `plan_applied` (409); `approval_required` (409); `gate_closed` (409).
    pub async fn plan_apply(
        &self,
        context: &Context,
        id: PlanId,
        key: IdempotencyKey,
    ) -> Result<Option<Job>> {
        self.permit(context, "plans.read", On::Plan(id)).await?;
        let plan = self.plan_get(context, id).await?;
        let act = Act { action: plan.action.clone(), reason: plan.reason.clone(), on: On::Plan(id) };
        // What is applied by documents is looked at one by one, as they are written.
        let act = if plan.operation == APPLY { act.on(On::Scope) } else { act };
        self.permit(context, "plans.apply", act.on.clone()).await?;
        self.permit(context, &act.action, act.on.clone()).await?;
        if let Some(job_id) = self.job_of_key(context, &key).await? {
            return self.job_if_any(context, job_id).await;
        }
        self.appliable(&plan)?;
        let mut made = self.plan_apply_once(context, &plan, &act, &key).await;
        for _ in 1..PREFLIGHTS {
            match &made {
                Err(error) if error.code == STALE_PREFLIGHT => {
                    made = self.plan_apply_once(context, &plan, &act, &key).await;
                }
                _ => break,
            }
        }
        match made {
            Ok(job_id) => self.job_if_any(context, job_id).await,
            Err(error) if error.code == "plan_stale" => {
                self.plan_stale(context, id, &error).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    async fn plan_apply_once(
        &self,
        context: &Context,
        plan: &StoredPlan,
        act: &Act,
        key: &IdempotencyKey,
    ) -> Result<JobId> {
        let (id, operation) = (plan.id, self.operation(&plan.operation)?);
        let preflight = match operation.preflight(self, context, &plan.input).await {
            Err(error) if says_nothing(&error) => return Err(error),
            asked => asked.map_err(|error| error.detail),
        };
        let (kernel, input) = (self.clone(), plan.input.clone());
        let (job_id, _) = self
            .create_job(context, act.clone(), key.clone(), move |m, job_id| {
                let for_update = m.tx.backend().for_update();
                let stored = find(m.tx, &kernel, m.context.scope, id, for_update)?;
                kernel.appliable(&stored)?;
                let scope = m.context.scope;
                let stale = |why: String| {
                    let moved = Moved { subject: subject(&stored), from: Value::Null, to: why.into() };
                    stale_error(&[moved])
                };
                let preflight = preflight.as_ref().map_err(|why| stale(why.clone()))?;
                let planned = match kernel.plan_in(m.tx, scope, &*operation, &input, preflight, true) {
                    Err(error) if says_nothing(&error) => return Err(error),
                    planned => planned.map_err(|error| stale(error.detail))?,
                };
                if canonical(&planned.plan)?.1.to_string() != stored.hash {
                    return Err(stale_error(&stored.plan.moved(&planned.plan)));
                }
                kernel.intend(m, &*operation, &input, preflight, &planned, job_id, Some(id))?;
                applied(m, &stored, job_id)
            })
            .await?;
        Ok(job_id)
    }

    async fn job_if_any(&self, context: &Context, job_id: JobId) -> Result<Option<Job>> {
        match self.job_get(context.scope, job_id).await {
            Err(error) if error.code == "job_not_found" => Ok(None),
            found => found.map(Some),
        }
    }

    fn appliable(&self, plan: &StoredPlan) -> Result<()> {
        let refuse = |code, detail: String| Err(Error::conflict(code, detail));
        match plan.state {
            PlanState::Approved => Ok(()),
            PlanState::Open if plan.needs_approval => refuse(
                "approval_required",
                "a second person must approve this plan before it is applied".into(),
            ),
            PlanState::Open => Ok(()),
            PlanState::Applied => refuse("plan_applied", "this plan was applied already".into()),
            PlanState::Rejected => refuse(
                "plan_rejected",
                format!(
                    "{} rejected this plan: {}",
                    plan.decided_by.as_deref().unwrap_or("somebody"),
                    plan.decision.as_deref().unwrap_or_default()
                ),
            ),
            PlanState::Expired => {
                refuse("plan_expired", format!("this plan expired at {}; make a new one", plan.expires_at))
            }
            PlanState::Stale => refuse(
                "plan_stale",
                format!("{}; make a new plan", plan.stale.as_deref().unwrap_or("something moved")),
            ),
        }
    }

    async fn plan_stale(&self, context: &Context, id: PlanId, error: &Error) -> Result<()> {
        let (kernel, why) = (self.clone(), error.detail.clone());
        self.carry_out(context, move |m| {
            let for_update = m.tx.backend().for_update();
            let plan = find(m.tx, &kernel, m.context.scope, id, for_update)?;
            if !plan.state.may_become(PlanState::Stale) {
                return Ok(());
            }
            m.tx.exec("UPDATE plan SET state = 'stale', stale = $2 WHERE id = $1", params![id, why])?;
            let data = json!({ "operation": plan.operation, "why": why });
            m.event("plan.stale", Subject::default(), &with_id(id, data))
        })
        .await
    }
}

/// Of whether the plan still holds: what is not known, or moved between two looks, is no reason to give it up.
fn says_nothing(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Internal) || error.code == STALE_PREFLIGHT
}

fn applied(m: &mut Mutation<'_, '_>, plan: &StoredPlan, job_id: JobId) -> Result<()> {
    plan.state.step(PlanState::Applied)?;
    let job = (!plan.plan.steps.is_empty()).then_some(job_id);
    m.tx.exec_later("UPDATE plan SET state = 'applied', job_id = $2 WHERE id = $1", params![plan.id, job])?;
    // The records of what it changes name its hash; one that changes nothing is recorded itself.
    if !m.is_audited() {
        m.plan(&plan.hash);
        let change = Change::replace("/state", json!(plan.state), json!(PlanState::Applied));
        m.audit(&Object { kind: "Plan", id: plan.id.uuid(), name: &plan.operation }, &[change], job)?;
    }
    let data = json!({ "operation": plan.operation, "hash": plan.hash });
    m.event("plan.applied", Subject { job_id: Some(job_id), ..Subject::default() }, &with_id(plan.id, data))
}

fn subject(plan: &StoredPlan) -> String {
    plan.plan.steps.first().map_or_else(|| plan.operation.clone(), |step| step.target.clone())
}

/// Says of each thing that moved from what to what.
pub(crate) fn stale_error(moved: &[Moved]) -> Error {
    let said: Vec<String> = moved.iter().map(one).collect();
    let violations = moved
        .iter()
        .zip(&said)
        .map(|(m, said)| {
            Violation::new(format!("/{}", m.subject.trim_start_matches('/')), "moved", said.clone())
        })
        .collect();
    Error::conflict("plan_stale", format!("the plan is stale: {}", text(moved))).with_violations(violations)
}

/// All that moved, in one clause. What was looked at before and is not now, or the other way round, follows from the rest
/// where there is any.
pub(crate) fn text(moved: &[Moved]) -> String {
    let both: Vec<String> = moved.iter().filter(|m| !m.from.is_null() && !m.to.is_null()).map(one).collect();
    match both.is_empty() {
        true => moved.iter().map(one).collect::<Vec<_>>().join("; "),
        false => both.join("; "),
    }
}

/// `pipelines/curate published revision: from 1 to 3`
fn one(moved: &Moved) -> String {
    match &moved.from {
        Value::Null => format!("{}: {}", moved.subject, word(&moved.to)),
        from => format!("{}: from {} to {}", moved.subject, word(from), word(&moved.to)),
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
