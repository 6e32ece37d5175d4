//! The audit: a record in the transaction of what it records, found again by any of its ids, and sealed soon after.
//!
//! A mutation leaves its record by [`Mutation::audit`](crate::mutation::Mutation::audit). What is no mutation (a refusal, a
//! sign-in, a secret that was resolved) is written by [`Kernel::audit_append`], or by [`append_record`] where a transaction is
//! open that it belongs to: see [`NewRecord`].
//!
//! A record is written once and never again: its place in the chain stands in a narrow table of its own ([`seal`]). What is
//! signed about chains is [`signing`]'s, what goes outside [`sinks`]', what is handed out [`export`]'s, what is removed
//! [`prune`]'s.

pub mod export;
mod list;
mod marks;
mod prune;
mod seal;
pub mod signing;
mod sinks;
pub mod status;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use qd_core::audit::{Chain, Outcome, Record, RecordObject, SigningKey, make_exact, redact};
use qd_core::{
    diff::Change,
    error::Result,
    id::{JobId, PrincipalId, ProjectId, TenantId},
    time::Timestamp,
};
use tokio::sync::{Notify, OnceCell};
use uuid::Uuid;

use crate::{
    context::{Context, PrincipalKind, RequestIds},
    kernel::Kernel,
    params,
    store::{Row, StoreError, StoreResult, Tx},
};

use marks::{BROKEN, Marks};

pub use list::{AuditFilter, AuditReach, AuditRecord, Seal};

/// What the system is called where it acts for somebody.
pub const SYSTEM: &str = "system";
/// Longer reasons are cut: what was refused may be somebody's anything.
const REASON_MAX: usize = 2000;

/// What an operator chooses about the audit.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// Where the key lies that signs; without one, records are sealed and nothing is signed by this process.
    pub key: Option<KeySource>,
    /// Makes that key the one that signs from now on, in the place of the one that did.
    pub rotate: bool,
    /// The folder in which it is remembered how far each chain was vouched for; without, that is known until the process ends.
    pub marks: Option<PathBuf>,
    /// How often a checkpoint is made of what was sealed since the last one.
    pub checkpoint_every: Duration,
    /// Where checkpoints go besides: `file:///folder`, `s3://bucket/prefix?…`, `https://…`.
    pub sinks: Vec<String>,
    /// Key id and secret for S3, where they are not found as its other programs find them.
    pub s3_keys: Option<(String, String)>,
    /// Sealed records older than this are removed; without, none.
    pub retention: Option<Duration>,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self {
            key: None,
            rotate: false,
            marks: None,
            checkpoint_every: Duration::from_mins(1),
            sinks: vec![],
            s3_keys: None,
            retention: None,
        }
    }
}

/// Where the key lies that signs.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A file that must be there. Another key than the one that signs for the database is refused.
    File(PathBuf),
    /// `audit.key` in the data folder, made where neither it nor the database has one.
    Folder(PathBuf),
    /// At hand.
    Key(SigningKey),
}

/// What the tasks of the audit share.
pub(crate) struct Auditing {
    /// Called where checkpoints were made.
    checked: Notify,
    pub(crate) sinks: Vec<Arc<sinks::Sink>>,
    /// The key, as long as it is the one that signs.
    signer: Mutex<Option<SigningKey>>,
    /// Why nothing is signed here.
    silent: Mutex<Option<String>>,
    /// Why a chain is not signed.
    broken: Mutex<BTreeMap<String, String>>,
    marks: Marks,
    installation: OnceCell<Uuid>,
}

impl Auditing {
    pub(crate) fn open(options: &AuditOptions) -> Result<Arc<Self>> {
        let sinks = options.sinks.iter().map(|url| sinks::Sink::open(url, options.s3_keys.clone()));
        Ok(Arc::new(Self {
            checked: Notify::new(),
            sinks: sinks.collect::<Result<_>>()?,
            signer: Mutex::default(),
            silent: Mutex::new(Some("this process has no key to sign the audit with".into())),
            broken: Mutex::default(),
            marks: Marks::open(options.marks.as_deref())?,
            installation: OnceCell::new(),
        }))
    }

    fn signer(&self) -> Option<SigningKey> {
        self.signer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn signs(&self, key: SigningKey) {
        *self.signer.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
        *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Says once why nothing is signed here.
    fn falls_silent(&self, why: String) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if silent.as_deref() != Some(&why) {
            tracing::warn!(why, "the audit is sealed, and not signed by this process");
            *silent = Some(why);
        }
    }

    /// Notes what was found of a chain: why it is not signed, or that it is again.
    fn found(&self, chain: &Chain, found: Result<()>) -> Result<()> {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        match &found {
            Ok(()) => drop(broken.remove(&chain.to_string())),
            Err(error) if error.code == BROKEN => {
                let before = broken.insert(chain.to_string(), error.detail.clone());
                if before.as_ref() != Some(&error.detail) {
                    tracing::error!(why = error.detail, "a chain of the audit is not signed");
                }
            }
            Err(_) => {}
        }
        found
    }

    /// Why this process does not sign, or not all.
    fn silent(&self) -> Option<String> {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        silent.or_else(|| {
            let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
            let why: Vec<&str> = broken.values().map(String::as_str).collect();
            (!why.is_empty()).then(|| why.join("; "))
        })
    }
}

/// A record before it is written.
///
/// Outside of a mutation, for example where somebody was refused:
///
/// ```ignore
/// let object = qd_kernel::audit::object("Pipeline", Some(id), name);
/// kernel.audit_append(NewRecord::of(context, "pipelines.publish", object).denied("the role viewer does not allow it")).await?;
/// ```
///
/// Where nobody is signed in yet there is no context: [`NewRecord::platform`] takes the name that was tried. What it says is kept
/// for good and leaves the system with every export: never a password, a token, or a text of a size that a stranger chooses.
#[derive(Debug, Clone)]
pub struct NewRecord {
    pub tenant_id: Option<TenantId>,
    pub project_id: Option<ProjectId>,
    pub actor: String,
    pub principal_id: Option<PrincipalId>,
    pub on_behalf_of: Option<String>,
    pub source: String,
    /// `<plural>.<verb>`
    pub action: String,
    pub object: RecordObject,
    pub outcome: Outcome,
    pub reason: String,
    pub changes: Vec<Change>,
    pub job_id: Option<JobId>,
    pub plan_hash: Option<String>,
    pub ids: RequestIds,
}

/// What a record is about.
pub fn object(kind: &str, id: Option<Uuid>, name: &str) -> RecordObject {
    RecordObject { kind: kind.to_owned(), id, name: name.to_owned() }
}

impl NewRecord {
    /// Of somebody who acted in a project, a tenant or on the platform; a success until said otherwise.
    pub fn of(context: &Context, action: &str, object: RecordObject) -> Self {
        let principal = &context.principal;
        // The system works under the name of whoever asked; the record says both.
        let lent = principal.kind == PrincipalKind::System
            && context.on_behalf_of.as_deref() == Some(principal.name.as_str());
        Self {
            tenant_id: Some(context.scope.tenant_id).filter(|_| !context.scope.is_platform()),
            project_id: Some(context.scope.project_id).filter(|project| !project.uuid().is_nil()),
            actor: if lent { SYSTEM.to_owned() } else { principal.name.clone() },
            principal_id: Some(principal.id).filter(|id| !id.uuid().is_nil()),
            on_behalf_of: context.on_behalf_of.clone(),
            source: context.source.clone(),
            action: action.to_owned(),
            object,
            outcome: Outcome::Success,
            reason: String::new(),
            changes: vec![],
            job_id: None,
            plan_hash: None,
            ids: context.ids.clone(),
        }
    }

    /// Of the platform and of no tenant: a sign-in, the system's own care. `actor` is who says that it is he.
    pub fn platform(actor: &str, source: &str, ids: RequestIds, action: &str, object: RecordObject) -> Self {
        Self {
            tenant_id: None,
            project_id: None,
            actor: actor.to_owned(),
            principal_id: None,
            on_behalf_of: None,
            source: source.to_owned(),
            action: action.to_owned(),
            object,
            outcome: Outcome::Success,
            reason: String::new(),
            changes: vec![],
            job_id: None,
            plan_hash: None,
            ids,
        }
    }

    #[must_use]
    pub fn denied(self, why: &str) -> Self {
        Self { outcome: Outcome::Denied, ..self.because(why) }
    }

    #[must_use]
    pub fn failed(self, why: &str) -> Self {
        Self { outcome: Outcome::Failure, ..self.because(why) }
    }

    #[must_use]
    pub fn because(mut self, why: &str) -> Self {
        self.reason = qd_core::error::clip(why, REASON_MAX);
        self
    }

    #[must_use]
    pub fn with_changes(mut self, changes: &[Change]) -> Self {
        self.changes = changes.to_vec();
        self
    }
}

/// Writes a record in a transaction that is open, and puts it in the sealer's queue. Neither waits for the database.
pub fn append_record(tx: &mut Tx<'_>, now: Timestamp, id: Uuid, record: &NewRecord) -> Result<()> {
    let changes = redact(&record.changes).to_string();
    tx.exec_later(
        "INSERT INTO audit (id, tenant_id, project_id, at, actor, principal_id, on_behalf_of, source, action, kind, object_id,
           object_name, outcome, reason, changes, job_id, plan_hash, request_id, correlation_id, trace_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
        params![
            id,
            record.tenant_id,
            record.project_id,
            now,
            record.actor,
            record.principal_id,
            record.on_behalf_of,
            record.source,
            record.action,
            record.object.kind,
            record.object.id,
            record.object.name,
            record.outcome.as_str(),
            record.reason,
            changes,
            record.job_id,
            record.plan_hash,
            record.ids.request_id,
            record.ids.correlation_id,
            record.ids.trace_id
        ],
    )?;
    tx.exec_later("INSERT INTO audit_unsealed (audit_id) VALUES ($1)", params![id])?;
    Ok(())
}

impl Kernel {
    /// Writes a record that no mutation leaves; see [`NewRecord`]. It is on disk when this answers.
    pub async fn audit_append(&self, record: NewRecord) -> Result<()> {
        let source = self.source.clone();
        self.store
            .write(move |tx| -> Result<()> { append_record(tx, source.now(), source.uuid(), &record) })
            .await?;
        self.bus.audit_written();
        Ok(())
    }

    /// The chain of a tenant, or the platform's.
    pub(crate) async fn audit_chain(&self, tenant: Option<TenantId>) -> Result<Chain> {
        let installation = *self.audit.installation.get_or_try_init(|| self.installation()).await?;
        Ok(Chain { installation, tenant })
    }
}

/// The chain's key in the tables.
fn row_of(chain: &Chain) -> Uuid {
    chain.tenant.map_or_else(Uuid::nil, TenantId::uuid)
}

fn tenant_of(chain: Uuid) -> Option<TenantId> {
    (!chain.is_nil()).then(|| chain.into())
}

/// The columns of a record, of the table `a`.
const COLUMNS: &str = "a.id, a.at, a.tenant_id, a.project_id, a.actor, a.principal_id, a.on_behalf_of, a.source, a.action, a.kind,
  a.object_id, a.object_name, a.outcome, a.reason, a.changes, a.job_id, a.plan_hash, a.request_id, a.correlation_id, a.trace_id";
const COLUMN_COUNT: usize = 20;

/// The record in the columns from `first` on. What cannot be read as it was written is read as it stands: a row that was
/// tampered with must not keep those beside it from being sealed and exported.
fn read(row: &Row<'_>, first: usize) -> StoreResult<Record> {
    let at = |column: usize| first + column;
    let outcome: String = row.get(at(12))?;
    let changes: String = row.get(at(14))?;
    let mut changes = serde_json::from_str(&changes).unwrap_or(serde_json::Value::String(changes));
    make_exact(&mut changes);
    Ok(Record {
        id: row.get(at(0))?,
        at: row.get(at(1))?,
        tenant_id: row.get(at(2))?,
        project_id: row.get(at(3))?,
        actor: row.get(at(4))?,
        principal_id: row.get(at(5))?,
        on_behalf_of: row.get(at(6))?,
        source: row.get(at(7))?,
        action: row.get(at(8))?,
        object: RecordObject { kind: row.get(at(9))?, id: row.get(at(10))?, name: row.get(at(11))? },
        outcome: Outcome::from_word(&outcome).ok_or_else(|| StoreError::Decode {
            column: at(12),
            detail: format!("{outcome:?} is no outcome"),
        })?,
        reason: row.get(at(13))?,
        changes,
        job_id: row.get(at(15))?,
        plan_hash: row.get(at(16))?,
        request_id: row.get(at(17))?,
        correlation_id: row.get(at(18))?,
        trace_id: row.get(at(19))?,
    })
}
