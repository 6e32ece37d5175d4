//! Why a plan can or cannot be applied: whom it waits for, what moved since, who decided, what became of it.

use qd_core::{
    error::{Error, ErrorKind, Result},
    id::PlanId,
    state::PlanState,
};
use serde_json::{Value, json};

use super::{Said, clause};
use crate::{
    context::Context,
    kernel::Kernel,
    plans::{StoredPlan, moved_text},
};

pub(super) async fn explain(kernel: &Kernel, context: &Context, id: &str) -> Result<Said> {
    let not_found = |_| Error::not_found("plan_not_found", format!("there is no plan {id} here"));
    let id: PlanId = id.parse().map_err(not_found)?;
    let plan = kernel.plan_get(context, id).await?;
    let mut said = Said::of(format!("plans/{id}"), kernel.source.now());
    let since = plan.decided_at.or(Some(plan.created_at));
    said.fact("state", plan.state.as_str(), since);
    said.fact("hash", plan.hash.clone(), Some(plan.created_at));
    said.fact("risk", plan.risk.as_str(), None);
    said.fact("made by", plan.created_by.clone(), Some(plan.created_at));
    let who = plan.decided_by.clone().unwrap_or_else(|| "somebody".into());
    let why = plan.decision.as_deref().map(clause).filter(|why| !why.is_empty());
    let why = why.map_or_else(String::new, |why| format!(" ({why})"));
    let decided = plan.decided_at.map_or_else(String::new, |at| format!(" at {}", said.when(at)));
    let sentence = match plan.state {
        PlanState::Open | PlanState::Approved => {
            let standing = match plan.state {
                PlanState::Approved => format!("{who} approved it{decided}{why}"),
                _ if plan.needs_approval => format!(
                    "It waits for a second person's approval, because its risk is {}; {} made it and cannot give it",
                    plan.risk.as_str(),
                    plan.created_by
                ),
                _ => "It is open and wants no approval".into(),
            };
            said.fact("expires", plan.expires_at.to_string(), Some(plan.expires_at));
            match obstacle(kernel, context, &plan, &mut said).await? {
                Some(obstacle) => format!("{standing}, but it cannot be applied: {obstacle}."),
                None if plan.state == PlanState::Open && plan.needs_approval => format!("{standing}."),
                None => format!("{standing}; it can be applied until {}.", said.when(plan.expires_at)),
            }
        }
        PlanState::Applied => {
            let job = plan.job_id.map(|id| format!("jobs/{id}"));
            said.fact("job", job.clone(), None);
            match job {
                Some(job) => format!("It was applied; {job} carries it out."),
                None => "It was applied, and there was nothing for a job to do.".into(),
            }
        }
        PlanState::Rejected => format!("{who} rejected it{decided}{why}."),
        PlanState::Stale => {
            let stale = plan.stale.clone().unwrap_or_else(|| "something moved".into());
            said.fact("moved", stale.clone(), None);
            let stale = stale.strip_prefix("the plan is stale: ").unwrap_or(&stale);
            format!("It is stale and can never be applied, because something moved: {}.", clause(stale))
        }
        PlanState::Expired => {
            format!("It expired at {} unused; a new one can be made.", said.when(plan.expires_at))
        }
    };
    Ok(said.say(sentence))
}

/// What would refuse the plan if it were applied now.
async fn obstacle(
    kernel: &Kernel,
    context: &Context,
    plan: &StoredPlan,
    said: &mut Said,
) -> Result<Option<String>> {
    let operation = kernel.operation(&plan.operation)?;
    let now = kernel
        .preflighted(context, &*operation, &plan.input, |preflight| {
            let (kernel, operation, input, scope) =
                (kernel.clone(), operation.clone(), plan.input.clone(), context.scope);
            let store = kernel.store.clone();
            async move {
                store.read(move |tx| kernel.plan_in(tx, scope, &*operation, &input, &preflight, false)).await
            }
        })
        .await;
    let now = match now {
        Ok(now) => now.plan,
        Err(error) if matches!(error.kind, ErrorKind::Unavailable | ErrorKind::Internal) => {
            return Err(error);
        }
        Err(error) => {
            said.fact("now", error.detail.clone(), Some(said.now));
            return Ok(Some(clause(&error.detail).to_owned()));
        }
    };
    let moved = plan.plan.moved(&now);
    if !moved.is_empty() {
        for moved in &moved {
            said.fact(&moved.subject, json!({ "from": moved.from, "to": moved.to }), Some(said.now));
        }
        return Ok(Some(format!("something moved: {}", moved_text(&moved))));
    }
    let closed: Vec<String> =
        now.closed_gates().map(|gate| format!("{} ({})", gate.name, gate.evidence)).collect();
    if closed.is_empty() {
        return Ok(None);
    }
    said.fact("closed gates", Value::from(closed.clone()), Some(said.now));
    Ok(Some(format!("a gate is closed: {}", closed.join("; "))))
}
