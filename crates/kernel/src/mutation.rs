//! The one way to change anything: access check, then the change, its audit record and its events in one transaction.
//!
//! A closure that changes something and leaves no audit record or no event is refused, so that no mutation can slip by.

use std::sync::Arc;

use qd_core::{
    diff::Change,
    error::{Error, Result},
    id::{JobId, ResourceId, RunId},
    time::Timestamp,
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    access::{
        self,
        objects::{self, Look, On},
    },
    audit::{self, NewRecord},
    clock::Source,
    context::Context,
    events,
    kernel::Kernel,
    observer::Follow,
    reckoning::Reckoning,
    store::Tx,
};

/// What is being done, as access and audit know it.
#[derive(Debug, Clone)]
pub struct Act {
    /// `<plural>.<verb>`
    pub action: String,
    /// Why, in the actor's words; empty where none was asked for.
    pub reason: String,
    /// What it is done to.
    pub on: On,
}

impl Act {
    pub fn new(plural: &str, verb: &str) -> Self {
        Self { action: format!("{plural}.{verb}"), reason: String::new(), on: On::Scope }
    }

    pub fn on(mut self, on: On) -> Self {
        self.on = on;
        self
    }

    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }
}

/// The thing that an audit record is about.
#[derive(Debug, Clone)]
pub struct Object<'a> {
    pub kind: &'a str,
    pub id: Uuid,
    pub name: &'a str,
}

/// What an event is about; what does not apply stays empty.
#[derive(Debug, Clone, Default)]
pub struct Subject<'a> {
    pub kind: Option<&'a str>,
    pub resource_id: Option<ResourceId>,
    pub resource_name: Option<&'a str>,
    pub run_id: Option<RunId>,
    pub job_id: Option<JobId>,
}

/// Who must look once the transaction is committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wake {
    pub events: bool,
    pub jobs: bool,
    pub runs: bool,
    pub audit: bool,
}

/// A transaction with the actor, the time and the duty to leave a record.
pub struct Mutation<'m, 't> {
    pub tx: &'m mut Tx<'t>,
    pub context: &'m Context,
    pub now: Timestamp,
    /// The same by the clock that the queue goes by.
    pub(crate) due_now: Timestamp,
    source: &'m Source,
    act: Option<&'m Act>,
    audited: bool,
    unchanged: bool,
    pub(crate) wake: Wake,
    /// Jobs to be told that they were asked to cancel.
    pub(crate) cancelled: Vec<JobId>,
    followed: Vec<Follow>,
    callers_changed: bool,
    plan_hash: Option<String>,
}

/// What a transaction is dated by.
struct Clocks {
    source: Source,
    reckoning: Arc<Reckoning>,
}

/// Who must hear of a transaction once it is committed.
struct Heard {
    wake: Wake,
    cancelled: Vec<JobId>,
    followed: Vec<Follow>,
    callers_changed: bool,
}

impl<'m, 't> Mutation<'m, 't> {
    fn new(tx: &'m mut Tx<'t>, context: &'m Context, clocks: &'m Clocks, act: Option<&'m Act>) -> Self {
        Self {
            tx,
            context,
            now: clocks.source.now(),
            due_now: clocks.reckoning.now(),
            source: &clocks.source,
            act,
            audited: false,
            unchanged: false,
            wake: Wake::default(),
            cancelled: vec![],
            followed: vec![],
            callers_changed: false,
            plan_hash: None,
        }
    }

    /// A new id, ordered by time.
    pub fn id<T: From<Uuid>>(&self) -> T {
        T::from(self.source.uuid())
    }

    pub fn reason(&self) -> &str {
        self.act.map_or("", |act| &act.reason)
    }

    /// Appends a fact to the event log of the scope.
    pub fn event(&mut self, event_type: &str, subject: Subject<'_>, data: &Value) -> Result<()> {
        self.event_at(self.now, event_type, subject, data)
    }

    /// The same of a fact that was observed and so is older than this transaction. A time ahead of ours is another clock's
    /// mistake and becomes now.
    pub fn event_at(
        &mut self,
        at: Timestamp,
        event_type: &str,
        subject: Subject<'_>,
        data: &Value,
    ) -> Result<()> {
        events::append(self.tx, self.context, at.min(self.now), event_type, &subject, data)?;
        self.wake.events = true;
        Ok(())
    }

    /// Records who did what to what. `changes` is the diff, redacted by the caller where it could hold a secret.
    pub fn audit(&mut self, object: &Object<'_>, changes: &[Change], job_id: Option<JobId>) -> Result<()> {
        let Some(act) = self.act else {
            return Err(Error::internal(
                "audit_without_act",
                "a job's own step records no second audit entry",
            ));
        };
        let about = audit::object(object.kind, Some(object.id), object.name);
        let mut record = NewRecord::of(self.context, &act.action, about);
        record.reason.clone_from(&act.reason);
        record.changes = changes.to_vec();
        record.job_id = job_id;
        record.plan_hash.clone_from(&self.plan_hash);
        audit::append_record(self.tx, self.now, self.source.uuid(), &record)?;
        self.audited = true;
        self.wake.audit = true;
        Ok(())
    }

    pub(crate) fn is_audited(&self) -> bool {
        self.audited
    }

    /// The plan that this makes, decides on or carries out: the records that follow name its hash.
    pub(crate) fn plan(&mut self, hash: &str) {
        self.plan_hash = Some(hash.to_owned());
    }

    /// Nothing was changed: a repeat of what already is.
    pub fn unchanged(&mut self) {
        self.unchanged = true;
    }

    pub fn wake_jobs(&mut self) {
        self.wake.jobs = true;
    }

    pub fn wake_runs(&mut self) {
        self.wake.runs = true;
    }

    /// This process follows the attempt once the transaction is committed.
    pub(crate) fn follow(&mut self, follow: Follow) {
        self.followed.push(follow);
    }

    /// Somebody may do more or less than before: what this process knows of callers is forgotten once the transaction is committed.
    pub(crate) fn callers_changed(&mut self) {
        self.callers_changed = true;
    }

    fn finish(self) -> Result<Heard> {
        let excused = self.act.is_none() || (self.unchanged && !self.audited && !self.wake.events);
        if !excused && !self.audited {
            return Err(Error::internal(
                "mutation_without_audit",
                "a mutation left no audit record and was rolled back",
            ));
        }
        if !excused && !self.wake.events {
            return Err(Error::internal(
                "mutation_without_event",
                "a mutation left no event and was rolled back",
            ));
        }
        let Self { wake, cancelled, followed, callers_changed, .. } = self;
        Ok(Heard { wake, cancelled, followed, callers_changed })
    }
}

impl Kernel {
    /// Checks access, runs `change` in one transaction with its audit record and events, then wakes who must look.
    /// The closure may run more than once and must do nothing but database work.
    pub async fn mutate<T, F>(&self, context: &Context, act: Act, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Mutation<'_, '_>) -> Result<T> + Send + 'static,
    {
        self.mutate_for(context, context, act, change).await
    }

    /// The same of what acts for somebody: `asking` must be allowed it, and the record names `context`.
    pub(crate) async fn mutate_for<T, F>(
        &self,
        context: &Context,
        asking: &Context,
        act: Act,
        mut change: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Mutation<'_, '_>) -> Result<T> + Send + 'static,
    {
        let look = objects::before(asking, &act.action, &act.on);
        if look == Look::Denied {
            return Err(access::denied(asking, &act.action));
        }
        let registry = self.registry.clone();
        let (context, asking, clocks) = (context.clone(), asking.clone(), self.clocks());
        let (value, heard) = self
            .store
            .write(move |tx| -> Result<(T, Heard)> {
                if let Look::Object { usual } = look {
                    objects::look(tx, &registry, &asking, &act.action, &act.on, usual)?;
                }
                let mut mutation = Mutation::new(tx, &context, &clocks, Some(&act));
                let value = change(&mut mutation)?;
                Ok((value, mutation.finish()?))
            })
            .await?;
        self.hear(heard);
        Ok(value)
    }

    /// What the system itself writes while it carries out or observes what somebody asked for: the request was checked
    /// and audited when it was made, so this leaves events only.
    pub(crate) async fn carry_out<T, F>(&self, context: &Context, mut change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Mutation<'_, '_>) -> Result<T> + Send + 'static,
    {
        let (context, clocks) = (context.clone(), self.clocks());
        let (value, heard) = self
            .store
            .write(move |tx| -> Result<(T, Heard)> {
                let mut mutation = Mutation::new(tx, &context, &clocks, None);
                let value = change(&mut mutation)?;
                Ok((value, mutation.finish()?))
            })
            .await?;
        self.hear(heard);
        Ok(value)
    }

    fn clocks(&self) -> Clocks {
        Clocks { source: self.source.clone(), reckoning: self.reckoning.clone() }
    }

    fn hear(&self, heard: Heard) {
        self.bus.wake(heard.wake);
        heard.cancelled.into_iter().for_each(|id| self.in_flight.cancel(id));
        if heard.callers_changed {
            self.callers.clear();
        }
        heard.followed.into_iter().for_each(|follow| self.handed.give(follow));
    }
}
