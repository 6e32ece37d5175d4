//! Plans that are stored: shown, decided on by another person, and applied by id while nothing moved.
//!
//! A stored plan holds its input and what the preflight answered. To apply it is to make it again and compare: the same
//! bytes, or a refusal that says what moved. So an approval, which is given to the hash, is an approval of what is done.

mod apply;
mod decide;
mod list;

use qd_core::{
    canonical::Digest,
    error::{Error, Result},
    id::{JobId, PlanId},
    plan::{Plan, Risk},
    state::PlanState,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    changes::{Request, canonical},
    context::{Context, Scope},
    kernel::Kernel,
    mutation::{Act, Mutation, Object, Subject},
    params,
    store::{Json, Row, StoreResult, Tx},
};

pub(crate) use apply::{stale_error, text as moved_text};
pub(crate) use decide::beyond;
pub use list::{PlanFilter, PlanSummary};

/// A plan as it is kept.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StoredPlan {
    pub id: PlanId,
    pub operation: String,
    pub state: PlanState,
    /// SHA-256 of the plan's canonical JSON: what an approval is given to.
    pub hash: String,
    pub risk: Risk,
    pub plan: Plan,
    /// What was asked for.
    pub input: Value,
    pub reason: String,
    pub created_by: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// Whether a second person must approve it before it can be applied.
    pub needs_approval: bool,
    /// Who approved or rejected it.
    pub decided_by: Option<String>,
    pub decided_at: Option<Timestamp>,
    pub decision: Option<String>,
    /// Why it can no longer be applied, where something moved.
    pub stale: Option<String>,
    /// The job that carries it out.
    pub job_id: Option<JobId>,
    /// The action that it was made for: `pipelines.run`.
    pub action: String,
    /// Whether the caller may approve it now.
    pub may_decide: bool,
}

const COLUMNS: &str = "id, operation, state, hash, risk, body, input, reason, created_by, created_at, expires_at, decided_by, decided_at,
  decision, stale, job_id, action, (SELECT j.approval_from FROM project j WHERE j.id = plan.project_id)";

impl Kernel {
    /// Plans the change and keeps the plan until it is applied, rejected, stale or expired.
    pub async fn plan_create(&self, context: &Context, request: Request) -> Result<StoredPlan> {
        // Who may not make the change may not plan it either.
        self.permit(context, &request.act.action, request.act.on.clone()).await?;
        let operation = self.operation(&request.operation)?;
        let id = self
            .preflighted(context, &*operation, &request.input, |preflight| {
                let (kernel, operation, request) = (self.clone(), operation.clone(), request.clone());
                let act = Act::new("plans", "create").because(request.act.reason.clone());
                let act = act.on(request.act.on.clone());
                self.mutate(context, act, move |m| {
                    let scope = m.context.scope;
                    let planned =
                        kernel.plan_in(m.tx, scope, &*operation, &request.input, &preflight, false)?;
                    insert(m, &request, &preflight, &planned.plan, kernel.options.plan_ttl)
                })
            })
            .await?;
        self.plan_get(context, id).await
    }

    pub async fn plan_get(&self, context: &Context, id: PlanId) -> Result<StoredPlan> {
        let (kernel, context) = (self.clone(), context.clone());
        self.store
            .read(move |tx| {
                let plan = find(tx, &kernel, context.scope, id, "")?;
                let may_decide =
                    plan.state == PlanState::Open && decide::may(tx, &kernel.registry, &context, &plan)?;
                Ok(StoredPlan { may_decide, ..plan })
            })
            .await
    }
}

fn insert(
    m: &mut Mutation<'_, '_>,
    request: &Request,
    preflight: &Value,
    plan: &Plan,
    ttl: std::time::Duration,
) -> Result<PlanId> {
    let by = m.context.principal.name.clone();
    let (id, hash) = keep(m, request, preflight, plan, ttl, &by)?;
    m.plan(hash.as_str());
    let summary = json!({ "operation": request.operation, "hash": hash, "risk": plan.risk() });
    m.audit(
        &Object { kind: "Plan", id: id.uuid(), name: &request.operation },
        &[qd_core::diff::Change::add("", summary.clone())],
        None,
    )?;
    m.event("plan.created", Subject::default(), &with_id(id, summary))?;
    Ok(id)
}

/// Writes an open plan that somebody asked for; the record is the caller's.
pub(crate) fn keep(
    m: &mut Mutation<'_, '_>,
    request: &Request,
    preflight: &Value,
    plan: &Plan,
    ttl: std::time::Duration,
    by: &str,
) -> Result<(PlanId, Digest)> {
    let id: PlanId = m.id();
    let (body, hash) = canonical(plan)?;
    let expires_at = m.now.checked_add(ttl).unwrap_or(Timestamp::MAX);
    m.tx.exec(
        "INSERT INTO plan (id, tenant_id, project_id, operation, action, state, input, preflight, body, hash, risk, reason, created_by,
           created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, 'open', $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        params![
            id,
            m.context.scope.tenant_id,
            m.context.scope.project_id,
            request.operation,
            request.act.action,
            request.input.to_string(),
            preflight.to_string(),
            body,
            hash.to_string(),
            plan.risk().as_str(),
            request.act.reason,
            by,
            m.now,
            expires_at
        ],
    )?;
    Ok((id, hash))
}

/// A plan as it stands; `for_update` locks its row.
fn find(tx: &mut Tx<'_>, kernel: &Kernel, scope: Scope, id: PlanId, for_update: &str) -> Result<StoredPlan> {
    let sql = format!("SELECT {COLUMNS} FROM plan WHERE project_id = $1 AND id = $2{for_update}");
    tx.opt(&sql, params![scope.project_id, id], |row| read(row, kernel))?
        .ok_or_else(|| Error::not_found("plan_not_found", format!("there is no plan {id} here")))
}

/// One that nobody used in time is expired, whether that was written yet or not.
fn shown(stored: PlanState, expires_at: Timestamp, now: Timestamp) -> PlanState {
    match stored {
        PlanState::Open | PlanState::Approved if expires_at <= now => PlanState::Expired,
        state => state,
    }
}

fn with_id(id: PlanId, mut data: Value) -> Value {
    data["plan_id"] = json!(id);
    data
}

fn read(row: &Row<'_>, kernel: &Kernel) -> StoreResult<StoredPlan> {
    let (stored, expires_at): (PlanState, Timestamp) = (row.get(2)?, row.get(10)?);
    let Json(plan): Json<Plan> = row.get(5)?;
    let risk = plan.risk();
    Ok(StoredPlan {
        id: row.get(0)?,
        operation: row.get(1)?,
        state: shown(stored, expires_at, kernel.source.now()),
        hash: row.get(3)?,
        risk,
        plan,
        input: row.get(6)?,
        reason: row.get(7)?,
        created_by: row.get(8)?,
        created_at: row.get(9)?,
        expires_at,
        needs_approval: kernel.needs_approval(row.get(17)?, risk),
        decided_by: row.get(11)?,
        decided_at: row.get(12)?,
        decision: row.get(13)?,
        stale: row.get(14)?,
        job_id: row.get(15)?,
        action: row.get(16)?,
        may_decide: false,
    })
}
