//! Lists of plans, newest first: what each is about, without its steps and without what was asked for, which may be large.

use qd_core::{
    error::Result,
    id::{JobId, PlanId},
    plan::{Plan, Risk},
    state::PlanState,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    access::{
        deletions::Unseen,
        objects,
        sight::{Sifted, Sight, sifted},
    },
    context::Scope,
    kernel::Kernel,
    page::{Page, PageRequest},
    query::Query,
    store::{Json, Row, StoreResult, Tx},
};

/// Which plans to list; empty means all of the scope.
#[derive(Debug, Clone, Default)]
pub struct PlanFilter {
    pub state: Option<PlanState>,
    /// About which resources.
    pub sight: Sight,
    pub unseen: Unseen,
}

/// A plan as lists show it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PlanSummary {
    pub id: PlanId,
    pub operation: String,
    pub state: PlanState,
    pub hash: String,
    pub risk: Risk,
    /// What its steps act on, each once.
    pub targets: Vec<String>,
    pub steps: usize,
    pub reason: String,
    pub created_by: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub needs_approval: bool,
    pub decided_by: Option<String>,
    pub decided_at: Option<Timestamp>,
    pub stale: Option<String>,
    pub job_id: Option<JobId>,
}

const COLUMNS: &str = "id, operation, state, hash, body, reason, created_by, created_at, expires_at, decided_by, decided_at, stale, job_id, (SELECT j.approval_from FROM project j WHERE j.id = plan.project_id)";

impl Kernel {
    /// Newest first.
    pub async fn plan_list(
        &self,
        scope: Scope,
        filter: PlanFilter,
        page: PageRequest,
    ) -> Result<Page<PlanSummary>> {
        let (before, fetch, kernel) = (page.after_uuid("plans")?, page.fetch(), self.clone());
        let now = self.source.now();
        let (items, rest) = self
            .store
            .read(move |tx| -> Result<Sifted<PlanSummary, Uuid>> {
                let read = |tx: &mut Tx<'_>, before: Option<Uuid>| -> Result<Vec<(PlanSummary, Plan)>> {
                    let mut query = Query::new(&format!("SELECT {COLUMNS} FROM plan WHERE"));
                    query.push(" project_id = ?", scope.project_id);
                    filter.unseen.narrow(&mut query, "operation");
                    match filter.state {
                        Some(PlanState::Expired) => {
                            query.push(
                            " AND (state = 'expired' OR (state IN ('open', 'approved') AND expires_at <= ?))",
                            now,
                        );
                        }
                        Some(state @ (PlanState::Open | PlanState::Approved)) => {
                            query
                                .push(" AND state = ?", state.as_str().to_owned())
                                .push(" AND expires_at > ?", now);
                        }
                        Some(state) => {
                            query.push(" AND state = ?", state.as_str().to_owned());
                        }
                        None => {}
                    }
                    if let Some(before) = before {
                        query.push(" AND id < ?", before);
                    }
                    query.text(" ORDER BY id DESC").limit(fetch);
                    Ok(query.rows(tx, |row| summary(row, &kernel, now))?)
                };
                let sight = filter.sight.clone();
                let (kept, rest) = sifted(
                    tx,
                    (fetch, before),
                    read,
                    |(plan, _)| plan.id.uuid(),
                    |tx, (_, plan)| {
                        Ok(sight.is_all()
                            || sight.shows_all(&objects::of_plan(tx, &kernel.registry, scope, plan)?))
                    },
                )?;
                Ok((kept.into_iter().map(|(summary, _)| summary).collect(), rest))
            })
            .await?;
        let rest = rest.map(|id| PlanId::from(id).to_string());
        Ok(page.cut_sifted("plans", (items, rest), |plan| plan.id.to_string()))
    }
}

/// With the plan that it is of.
fn summary(row: &Row<'_>, kernel: &Kernel, now: Timestamp) -> StoreResult<(PlanSummary, Plan)> {
    let Json(plan): Json<Plan> = row.get(4)?;
    let mut targets: Vec<String> = vec![];
    for step in &plan.steps {
        if !targets.contains(&step.target) {
            targets.push(step.target.clone());
        }
    }
    let (risk, expires_at) = (plan.risk(), row.get(8)?);
    let summary = PlanSummary {
        id: row.get(0)?,
        operation: row.get(1)?,
        state: super::shown(row.get(2)?, expires_at, now),
        hash: row.get(3)?,
        risk,
        targets,
        steps: plan.steps.len(),
        reason: row.get(5)?,
        created_by: row.get(6)?,
        created_at: row.get(7)?,
        expires_at,
        needs_approval: kernel.needs_approval(row.get(13)?, risk),
        decided_by: row.get(9)?,
        decided_at: row.get(10)?,
        stale: row.get(11)?,
        job_id: row.get(12)?,
    };
    Ok((summary, plan))
}
