//! Changing something: a request is planned, its gates are looked at, and what is wanted is written with the job that
//! brings it about.
//!
//! A direct change makes its plan in the very transaction that writes the job, with the rows locked that the plan looked at,
//! so its preconditions hold. A plan that was stored earlier is made again there and compared ([`crate::plans`]).

use qd_core::{
    canonical::{Digest, canonical_json},
    error::{Error, Result},
    id::{JobId, PlanId},
    plan::{Plan, Risk},
    violation::Violation,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    context::{Context, Scope},
    idempotency::IdempotencyKey,
    jobs::{Job, NewJob},
    kernel::Kernel,
    mutation::{Act, Mutation},
    operation::{Intent, Operation, Planned, View},
    reviews::{self, ApprovalFrom},
    store::Tx,
};

/// The code of an error by which a plan says that its preflight is older than what it sees; it is asked again.
pub(crate) const STALE_PREFLIGHT: &str = "stale_preflight";
/// How often a preflight is asked anew because something moved between it and the transaction.
pub(crate) const PREFLIGHTS: usize = 4;

/// What somebody wants to be done.
#[derive(Debug, Clone)]
pub struct Request {
    pub act: Act,
    pub operation: String,
    pub input: Value,
}

/// What a change would do; nothing was written.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Preview {
    pub plan: Plan,
    /// What an approval would be given to.
    pub hash: Digest,
    /// Whether a second person must approve such a plan before it is applied.
    pub needs_approval: bool,
    #[serde(skip)]
    pub resolved: Value,
}

/// What asking for a change came to.
pub(crate) enum Changed {
    /// With its job as it was written; none where the plan has no steps.
    Made { planned: Box<Planned>, job: Option<Box<Job>> },
    /// The key was used before; whatever came of it has this id.
    Before(JobId),
}

impl Kernel {
    /// Plans the change and writes nothing. Closed gates are part of the answer, no error.
    pub async fn change_preview(&self, context: &Context, request: &Request) -> Result<Preview> {
        // It reads; whoever may validate may look at what a change would do.
        let plural = request.act.action.split('.').next().unwrap_or_default();
        self.permit(context, &format!("{plural}.validate"), request.act.on.clone()).await?;
        let operation = self.operation(&request.operation)?;
        self.preflighted(context, &*operation, &request.input, |preflight| {
            let (kernel, operation, scope) = (self.clone(), operation.clone(), context.scope);
            let input = request.input.clone();
            self.store.read(move |tx| -> Result<Preview> {
                let planned = kernel.plan_in(tx, scope, &*operation, &input, &preflight, false)?;
                let (_, hash) = canonical(&planned.plan)?;
                let from = reviews::approval_from(tx, scope)?;
                let needs_approval = !planned.reviewed && kernel.needs_approval(from, planned.plan.risk());
                Ok(Preview { plan: planned.plan, hash, needs_approval, resolved: planned.resolved })
            })
        })
        .await
    }

    /// Makes the job that carries the change out, once for the key.
    ///
    /// # Errors
    /// `gate_closed` (409) with one violation a gate; `approval_required` (409) where a second person must agree; whatever
    /// the operation's plan refuses.
    pub(crate) async fn change(
        &self,
        context: &Context,
        request: Request,
        key: IdempotencyKey,
    ) -> Result<Changed> {
        self.permit(context, &request.act.action, request.act.on.clone()).await?;
        let operation = self.operation(&request.operation)?;
        let made = self
            .preflighted(context, &*operation, &request.input, |preflight| {
                let (kernel, operation, input) = (self.clone(), operation.clone(), request.input.clone());
                self.create_job(context, request.act.clone(), key.clone(), move |m, job_id| {
                    let scope = m.context.scope;
                    let planned = kernel.plan_in(m.tx, scope, &*operation, &input, &preflight, true)?;
                    kernel.require_no_approval(m, &planned)?;
                    let job = kernel.intend(m, &*operation, &input, &preflight, &planned, job_id, None)?;
                    Ok((Box::new(planned), job.map(Box::new)))
                })
            })
            .await;
        match made {
            Ok((_, Some((planned, job)))) => Ok(Changed::Made { planned, job }),
            Ok((job_id, None)) => Ok(Changed::Before(job_id)),
            // What a repeat would be refused for today does not matter: it made its job before.
            Err(error) => match self.job_of_key(context, &key).await? {
                Some(job_id) => Ok(Changed::Before(job_id)),
                None => Err(error),
            },
        }
    }

    /// Asks the operation's preflight, and asks it again while what `then` sees is newer.
    pub(crate) async fn preflighted<T, F>(
        &self,
        context: &Context,
        operation: &dyn Operation,
        input: &Value,
        then: impl Fn(Value) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        for _ in 1..PREFLIGHTS {
            let preflight = operation.preflight(self, context, input).await?;
            match then(preflight).await {
                Err(error) if error.code == STALE_PREFLIGHT => {}
                done => return done,
            }
        }
        then(operation.preflight(self, context, input).await?).await
    }

    /// The plan of `input` as this transaction sees the world. `locking` where the transaction goes on to write.
    pub(crate) fn plan_in(
        &self,
        tx: &mut Tx<'_>,
        scope: Scope,
        operation: &dyn Operation,
        input: &Value,
        preflight: &Value,
        locking: bool,
    ) -> Result<Planned> {
        self.plan_by(View::new(tx, &self.registry, scope, preflight, locking), operation, input)
    }

    /// The same of what is to be published, for who decides whether it may be.
    pub(crate) fn plan_reviewed(
        &self,
        tx: &mut Tx<'_>,
        scope: Scope,
        operation: &dyn Operation,
        input: &Value,
        preflight: &Value,
        locking: bool,
    ) -> Result<Planned> {
        let view = View::new(tx, &self.registry, scope, preflight, locking).reviewing();
        self.plan_by(view, operation, input)
    }

    fn plan_by(&self, mut view: View<'_, '_>, operation: &dyn Operation, input: &Value) -> Result<Planned> {
        let mut planned = operation.plan(input, &mut view)?;
        planned.plan.preconditions.extend(view.into_preconditions());
        planned.plan.locks.sort();
        planned.plan.locks.dedup();
        Ok(planned)
    }

    /// Writes what the plan wants and the job that carries it out, and answers the job. A plan without steps leaves none.
    #[expect(clippy::too_many_arguments, reason = "one call of three callers, each part from another hand")]
    pub(crate) fn intend(
        &self,
        m: &mut Mutation<'_, '_>,
        operation: &dyn Operation,
        input: &Value,
        preflight: &Value,
        planned: &Planned,
        job_id: JobId,
        plan_id: Option<PlanId>,
    ) -> Result<Option<Job>> {
        gates_open(&planned.plan)?;
        let canonical = canonical(&planned.plan)?;
        m.plan(canonical.1.as_str());
        let intended = operation.intend(m, &Intent { kernel: self, job_id, input, preflight, planned })?;
        if planned.plan.steps.is_empty() {
            return Ok(None);
        }
        self.failpoint(|| format!("job.asked:{}", operation.name()));
        NewJob { id: job_id, operation, plan: &planned.plan, canonical, plan_id, intended }
            .insert(m)
            .map(Some)
    }

    fn require_no_approval(&self, m: &mut Mutation<'_, '_>, planned: &Planned) -> Result<()> {
        let (plan, from) = (&planned.plan, reviews::approval_from(m.tx, m.context.scope)?);
        if planned.reviewed || !self.needs_approval(from, plan.risk()) {
            return Ok(());
        }
        let detail = format!(
            "a change of {:?} risk wants a second person: make a plan and have it approved",
            plan.risk()
        );
        Err(Error::conflict("approval_required", detail.to_lowercase()))
    }

    /// By what the project asks for, and by what the server does.
    pub(crate) fn needs_approval(&self, from: ApprovalFrom, risk: Risk) -> bool {
        from.wants(risk) || self.options.approval.is_some_and(|from| risk >= from)
    }
}

/// The canonical text of a plan and its digest.
pub(crate) fn canonical(plan: &Plan) -> Result<(String, Digest)> {
    let text = canonical_json(&json!(plan))?;
    let hash = Digest::of(text.as_bytes());
    Ok((text, hash))
}

/// Refuses a plan with a gate that is not open; one that could not be looked at is not open.
pub(crate) fn gates_open(plan: &Plan) -> Result<()> {
    let closed: Vec<Violation> = plan
        .closed_gates()
        .map(|gate| Violation::new(format!("/gates/{}", gate.name), "gate_closed", gate.evidence.clone()))
        .collect();
    if closed.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = plan.closed_gates().map(|gate| gate.name.as_str()).collect();
    Err(Error::conflict("gate_closed", format!("closed: {}", names.join(", "))).with_violations(closed))
}
