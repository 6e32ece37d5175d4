//! Exchanging the keys of secrets, as jobs that survive a kill: a tenant's data key, or the master key with the data keys of all
//! tenants.
//!
//! Neither can be undone, and need not be: between any two steps every value is readable, some under the old key and some under
//! the new one. A job that was cancelled is finished by the next one.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use qd_core::{
    diff::Change,
    error::{Error, ErrorKind, Result},
    id::TenantId,
    plan::{Gate, GateState, Risk},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    access,
    changes::Request,
    context::Context,
    credentials::signing::forget_sealed_by_others,
    kernel::Kernel,
    mutation::{Act, Mutation, Object},
    operation::{Intended, Intent, Operation, Outcome, Planned, Step, View, plan_of, step},
    params,
    secrets::rotate::{keys_retire, master_put},
};

pub const DATA_KEY: &str = "secrets.rotate_data_key";
pub const MASTER_KEY: &str = "secrets.rotate_master_key";

/// What plans and refusals call it.
const SUBJECT: &str = "secret-keys";
/// Whose keys are exchanged: one job at a time for a tenant, and one for all where it is the master key.
const TENANT_LOCK: &str = "tenant:secret-keys";
const PLATFORM_LOCK: &str = "platform:secret-keys";
/// How long a step works before it gives its slot back.
const STINT: Duration = Duration::from_secs(20);
/// A server that dies while it seals is no fault of the step, and each attempt leaves less to do.
const ATTEMPTS: u32 = 1000;
/// How long a step waits for a process that holds the keys.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Which keys are exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RotatedKey {
    /// The data key of the tenant.
    Data,
    /// The master key, and the data keys of all tenants.
    Master,
}

/// Asks for keys to be exchanged.
///
/// # Errors
/// `action_denied` (403) to who asks for the master key, which is every tenant's, and holds no role on the platform that allows it.
pub fn rotate_request(context: &Context, key: RotatedKey, reason: String) -> Result<Request> {
    let (operation, verb) = match key {
        RotatedKey::Data => (DATA_KEY, "rotate"),
        RotatedKey::Master => {
            access::check_on_platform(context, "secrets.rotate-master")?;
            (MASTER_KEY, "rotate-master")
        }
    };
    let act = Act::new("secrets", verb).because(reason);
    Ok(Request { act, operation: operation.to_owned(), input: json!({}) })
}

/// The data key of the tenant in whose scope it is asked for.
pub(crate) struct RotateDataKey;

/// The master key, and the data keys of every tenant.
pub(crate) struct RotateMasterKey;

#[async_trait]
impl Operation for RotateDataKey {
    fn name(&self) -> &'static str {
        DATA_KEY
    }

    fn plan(&self, input: &Value, view: &mut View<'_, '_>) -> Result<Planned> {
        let tenant = view.scope().tenant_id;
        let newest: Vec<Option<i64>> =
            view.rows("SELECT max(number) FROM secret_key WHERE tenant_id = $1", params![tenant], |row| {
                row.get(0)
            })?;
        let newest = newest.into_iter().flatten().next();
        if newest.is_none() {
            return Err(Error::conflict(
                "no_secret_key",
                "there is no secret here yet, and so no data key to exchange",
            ));
        }
        view.look("the tenant's data key", json!(newest));
        let steps = vec![
            step("key", "Make a new data key", SUBJECT, vec![], Risk::Low),
            step("seal", "Seal every value with it", SUBJECT, vec![], Risk::Medium),
            step("retire", "Remove the older data keys", SUBJECT, vec![], Risk::Low),
        ];
        let mut plan = plan_of(DATA_KEY, input, steps)?;
        plan.postconditions.push("no value of the tenant is sealed with an older data key".into());
        plan.locks.push(TENANT_LOCK.into());
        Ok(plan.into())
    }

    fn priority(&self) -> i64 {
        2
    }

    fn timeout(&self, _step: &str) -> Duration {
        Duration::from_mins(5)
    }

    fn max_attempts(&self, _step: &str) -> u32 {
        ATTEMPTS
    }

    async fn run(&self, step: &Step<'_>) -> Outcome {
        let tenant = step.context.scope.tenant_id;
        let job = step.job_id;
        match step.name {
            "key" => match step.kernel.secrets.key_make(tenant).await {
                Ok(made) => Outcome::done_with(json!({}), move |m| made.write(m, job)),
                Err(error) => away(error),
            },
            "seal" => match Stint::begin(step).tenant(tenant).await {
                Ok(Some(sealed)) => Outcome::done(json!({ "values": sealed })),
                Ok(None) => left(step, tenant).await,
                Err(error) => away(error),
            },
            _ => Outcome::done_with(json!({}), move |m| keys_retire(m, tenant).map(drop)),
        }
    }
}

#[async_trait]
impl Operation for RotateMasterKey {
    fn name(&self) -> &'static str {
        MASTER_KEY
    }

    /// Which keys this process holds: that no transaction can find out.
    async fn preflight(&self, kernel: &Kernel, _context: &Context, _input: &Value) -> Result<Value> {
        Ok(match kernel.secrets.master_change().await {
            Ok(id) => json!({ "to": id }),
            Err(error) => json!({ "why": error.detail }),
        })
    }

    fn plan(&self, input: &Value, view: &mut View<'_, '_>) -> Result<Planned> {
        let in_force: Vec<String> =
            view.rows("SELECT id FROM secret_master WHERE one = 1", params![], |row| row.get(0))?;
        let Some(in_force) = in_force.into_iter().next() else {
            return Err(Error::conflict(
                "no_secret_key",
                "there is no secret yet, and so no master key to exchange",
            ));
        };
        view.look("the master key in force", json!(in_force));
        let preflight = view.preflight.clone();
        let (state, evidence) = match preflight["to"].as_str() {
            Some(to) if to == in_force => {
                (GateState::Pass, format!("the master key {to} stays; every tenant gets a new data key"))
            }
            Some(to) => (GateState::Pass, format!("this server holds both {in_force} and {to}")),
            None => (GateState::Fail, preflight["why"].as_str().unwrap_or_default().to_owned()),
        };
        let begin =
            format!("Put the master key {} in force", preflight["to"].as_str().unwrap_or("that is to come"));
        let steps = vec![
            step("begin", &begin, SUBJECT, vec![], Risk::Medium),
            step(
                "seal",
                "Give every tenant a new data key under it, and seal every value anew",
                SUBJECT,
                vec![],
                Risk::Medium,
            ),
            step(
                "verify",
                "See that no data key is left under another master key",
                SUBJECT,
                vec![],
                Risk::Low,
            ),
        ];
        let mut plan = plan_of(MASTER_KEY, input, steps)?;
        plan.gates.push(Gate { name: "master_keys".into(), state, evidence });
        plan.postconditions
            .push("nothing is sealed under another master key than the one that this puts in force".into());
        plan.locks.push(PLATFORM_LOCK.into());
        Ok(Planned { plan, resolved: preflight, reviewed: false })
    }

    fn priority(&self) -> i64 {
        2
    }

    fn timeout(&self, _step: &str) -> Duration {
        Duration::from_mins(5)
    }

    fn max_attempts(&self, _step: &str) -> u32 {
        ATTEMPTS
    }

    /// The key that the plan names goes with the job: whichever server carries it out may have been given another first.
    fn intend(&self, m: &mut Mutation<'_, '_>, intent: &Intent<'_>) -> Result<Intended> {
        access::check_on_platform(m.context, "secrets.rotate-master")?;
        let input = json!({ "to": intent.planned.resolved["to"] });
        let object = Object { kind: "Job", id: intent.job_id.uuid(), name: self.name() };
        m.audit(&object, &[Change::add("/input", input.clone())], Some(intent.job_id))?;
        Ok(Intended { input, resource: None, run_id: None })
    }

    fn is_platforms(&self) -> bool {
        true
    }

    async fn run(&self, step: &Step<'_>) -> Outcome {
        match step.name {
            "begin" => {
                let Some(to) = step.input["to"].as_str().map(str::to_owned) else {
                    let detail =
                        "the job does not say which master key it is for: ask for the exchange again";
                    return Outcome::Fatal(Error::conflict("gate_closed", detail));
                };
                match step.kernel.secrets.master_ready(&to).await {
                    Ok(()) => {
                        let output = json!({ "master": to });
                        Outcome::done_with(output, move |m| {
                            master_put(m, &to)?;
                            forget_sealed_by_others(m.tx, &to, m.now)
                        })
                    }
                    Err(error) => away(error),
                }
            }
            "seal" => tenants(step).await,
            _ => verify(step).await,
        }
    }
}

/// Each tenant in turn; those that are done are found so by their keys.
async fn tenants(step: &Step<'_>) -> Outcome {
    let mut stint = Stint::begin(step);
    let mut after = None;
    let secrets = &step.kernel.secrets;
    loop {
        let tenant = match secrets.tenant_left(step.job_id, after).await {
            Ok(Some(tenant)) => tenant,
            // Behind the last one of this round there may be one that came since, or that was not finished.
            Ok(None) if after.is_some() => {
                after = None;
                continue;
            }
            Ok(None) => return Outcome::done(json!({ "values": stint.sealed })),
            Err(error) => return away(error),
        };
        match stint.renew(tenant).await {
            Ok(Some(_)) if stint.is_over() => return left(step, tenant).await,
            Ok(Some(_)) => after = Some(tenant),
            Ok(None) => return left(step, tenant).await,
            Err(error) => return away(error),
        }
    }
}

/// What a server without the new key wrote meanwhile would be found here.
async fn verify(step: &Step<'_>) -> Outcome {
    let strays = step.kernel.store.read(|tx| -> Result<i64> {
        Ok(tx.one(
            "SELECT count(*) FROM secret_key k JOIN secret_master f ON f.one = 1 WHERE k.master <> f.id",
            &[],
            |row| row.get(0),
        )?)
    });
    match strays.await {
        Ok(0) => match step.kernel.secrets.in_force().await {
            // What another sealed for the platform meanwhile is made anew when it is needed.
            Ok(id) => Outcome::done_with(json!({ "data_keys_under_another": 0 }), move |m| {
                forget_sealed_by_others(m.tx, id.as_deref().unwrap_or_default(), m.now)
            }),
            Err(error) => Outcome::Retry(error),
        },
        Ok(_) => match tenants(step).await {
            Outcome::Done { .. } => Outcome::Wait {
                after: LOOK_AGAIN,
                waiting_for: "every data key to be under the new master key".into(),
            },
            other => other,
        },
        Err(error) => Outcome::Retry(error),
    }
}

/// The work of one attempt.
struct Stint<'s, 'a> {
    step: &'s Step<'a>,
    until: Instant,
    sealed: usize,
}

impl<'s, 'a> Stint<'s, 'a> {
    fn begin(step: &'s Step<'a>) -> Self {
        Self { step, until: Instant::now() + STINT, sealed: 0 }
    }

    /// Seals what is under older keys; none where the time is over before all is done.
    async fn tenant(&mut self, tenant: TenantId) -> Result<Option<usize>> {
        loop {
            let sealed = self.step.kernel.values_reseal(self.step.context, tenant).await?;
            if sealed == 0 {
                return Ok(Some(self.sealed));
            }
            self.sealed += sealed;
            self.step.kernel.failpoint(|| "secret.resealed".into());
            if self.is_over() {
                return Ok(None);
            }
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until || self.step.cancelled.is_cancelled()
    }

    /// A new data key for the tenant where this job has made none, everything sealed with it, and the older ones removed.
    async fn renew(&mut self, tenant: TenantId) -> Result<Option<usize>> {
        let (kernel, job) = (self.step.kernel, self.step.job_id);
        let made = kernel.secrets.key_make(tenant).await?;
        kernel.carry_out(self.step.context, move |m| made.write(m, job)).await?;
        if self.tenant(tenant).await?.is_none() {
            return Ok(None);
        }
        let more = kernel.carry_out(self.step.context, move |m| keys_retire(m, tenant)).await?;
        Ok((!more).then_some(self.sealed))
    }
}

/// What is left is done in the next stint.
async fn left(step: &Step<'_>, tenant: TenantId) -> Outcome {
    let left = step.kernel.secrets.values_left(tenant).await.unwrap_or_default();
    Outcome::Wait {
        after: Duration::ZERO,
        waiting_for: format!("its next turn: {left} values to be sealed anew"),
    }
}

/// A key that another process holds is waited for; what does not open will not get better by itself.
fn away(error: Error) -> Outcome {
    match (error.code, error.kind) {
        ("secret_key_missing" | "secret_key_wrong", _) => Outcome::Wait {
            after: LOOK_AGAIN,
            waiting_for: format!("a server that holds the keys: {}", error.detail),
        },
        ("secret_unreadable", _) => Outcome::Fatal(error),
        (_, ErrorKind::Unavailable | ErrorKind::Internal) => Outcome::Retry(error),
        _ => Outcome::Fatal(error),
    }
}
