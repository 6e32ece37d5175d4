//! Exporting a tenant, or a project of one, as a job: what it has is read page by page and written to an archive in the database, which
//! is there for whoever may fetch it once the job has ended.
//!
//! It reads while others work. The manifest says from when to when; a tenant's audit is read last, so that what was changed in
//! between stands in the archive. After a crash it goes on with the file that was not whole.
//!
//! The job lives in the default project of the tenant; of a suspended one, whose jobs do not go on, in that of the default tenant.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use qd_core::{
    diff::Change,
    error::{Error, ErrorKind, Result},
    id::{JobId, ProjectId, TenantId},
    plan::Risk,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::read;
use crate::{
    context::Scope,
    mutation::{Mutation, Object, Subject},
    operation::{Intended, Intent, Operation, Outcome, Planned, Step, View, plan_of, step},
    params,
    tenants::export::{
        self, KEPT,
        archive::{self, Archive, Place},
        contents::{self, DOCUMENTS, Entry, Shape, Table},
    },
};

pub const EXPORT: &str = "tenants.export";

/// Of the archive's form, which the manifest says.
const FORMAT: u32 = 1;
/// How long a step works before it gives its slot back, between two files.
const STINT: Duration = Duration::from_secs(20);
/// One file is written by one attempt, and a tenant's audit may be long.
const TIMEOUT: Duration = Duration::from_hours(2);
/// A server that dies while it writes is no fault of the step.
const ATTEMPTS: u32 = 100;
/// How long a step waits for a process that signs the audit.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long it is waited until the record of the export itself is sealed.
const SEALED_WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct Export;

/// What is exported.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Extent {
    pub tenant_id: TenantId,
    /// None for the tenant as a whole.
    pub project_id: Option<ProjectId>,
    pub name: String,
}

impl Extent {
    pub fn of_tenant(tenant_id: TenantId, name: String) -> Self {
        Self { tenant_id, project_id: None, name }
    }

    pub fn of_project(scope: Scope, name: String) -> Self {
        Self { tenant_id: scope.tenant_id, project_id: Some(scope.project_id), name }
    }

    fn table(&self) -> &'static str {
        if self.project_id.is_some() { "project" } else { "tenant" }
    }

    fn id(&self) -> Uuid {
        self.project_id.map_or_else(|| self.tenant_id.uuid(), ProjectId::uuid)
    }
}

/// What there was when it began: kept as the output of the first step, so that every attempt writes the same files.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Begun {
    at: Timestamp,
    tenant: TenantSeen,
    projects: Vec<(ProjectId, String)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct TenantSeen {
    id: TenantId,
    name: String,
    display_name: String,
    state: String,
    created_at: Timestamp,
}

/// One entry of the list of all that is written, in its order.
enum Section {
    Rows { folder: String, owner: Uuid, table: &'static Table },
    Code,
    Audit,
}

impl Begun {
    fn section(&self, extent: &Extent, at: usize) -> Option<Section> {
        let whole = extent.project_id.is_none();
        let first = if whole { contents::OF_TENANT } else { &[] };
        if let Some(table) = first.get(at) {
            return Some(Section::Rows { folder: String::new(), owner: extent.tenant_id.uuid(), table });
        }
        let (at, each) = (at - first.len(), contents::OF_PROJECT.len());
        if let Some((id, name)) = self.projects.get(at / each) {
            let folder = format!("projects/{name}/");
            return Some(Section::Rows { folder, owner: id.uuid(), table: &contents::OF_PROJECT[at % each] });
        }
        // Code and the audit are a tenant's as a whole.
        match at - self.projects.len() * each {
            0 if whole => Some(Section::Code),
            1 if whole => Some(Section::Audit),
            _ => None,
        }
    }
}

fn next(place: &Place) -> Place {
    Place { section: place.section + 1, after: None, series: 0 }
}

async fn begin(step: &Step<'_>, extent: &Extent) -> Result<Outcome> {
    let (extent, at) = (extent.clone(), step.now);
    let begun = step.kernel.store.read(move |tx| -> Result<Begun> {
        let tenant = tx.opt(
            "SELECT id, name, display_name, state, created_at FROM tenant WHERE id = $1",
            params![extent.tenant_id],
            |row| {
                Ok(TenantSeen {
                    id: row.get(0)?,
                    name: row.get(1)?,
                    display_name: row.get(2)?,
                    state: row.get(3)?,
                    created_at: row.get(4)?,
                })
            },
        )?;
        let tenant = tenant.ok_or_else(|| Error::not_found("tenant_not_found", "the tenant is gone"))?;
        let of = if extent.project_id.is_some() { "id" } else { "tenant_id" };
        let sql = format!("SELECT id, name FROM project WHERE {of} = $1 ORDER BY id");
        let projects = tx.rows(&sql, params![extent.id()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Begun { at, tenant, projects })
    });
    Ok(Outcome::done(json!(begun.await?)))
}

/// What the first step has found.
fn begun(step: &Step<'_>) -> Result<Begun> {
    read(step.outputs.first().unwrap_or(&Value::Null))
}

/// A job whose turn is over; it goes on with the next file.
fn turn() -> Outcome {
    Outcome::Wait { after: Duration::ZERO, waiting_for: "its next turn to write more".into() }
}

async fn write(step: &Step<'_>, extent: &Extent) -> Result<Outcome> {
    let until = Instant::now() + STINT;
    let begun = begun(step)?;
    let mut archive = Archive::open(step.kernel, step.job_id, step.fencing_token, begun.at).await?;
    while let Some(section) = begun.section(extent, archive.place.section) {
        if step.cancelled.is_cancelled() || Instant::now() >= until {
            return Ok(turn());
        }
        let written = match section {
            Section::Rows { folder, owner, table } => {
                rows(step, &mut archive, &format!("{folder}{}", table.file), owner, table).await?
            }
            Section::Code => code(step, &mut archive, extent).await?,
            Section::Audit => match audit(step, &mut archive, extent).await {
                Err(error) if error.code == "audit_key_absent" => {
                    let waiting_for = "a server that has the key which signs the audit".into();
                    return Ok(Outcome::Wait { after: LOOK_AGAIN, waiting_for });
                }
                written => written?,
            },
        };
        if !written {
            return Ok(turn());
        }
        step.kernel.failpoint(|| "export.written".to_owned());
    }
    Ok(Outcome::done(json!({})))
}

/// Writes the next file of the table, or nothing where there are no more rows. False where it was interrupted.
async fn rows(
    step: &Step<'_>,
    archive: &mut Archive,
    path: &str,
    owner: Uuid,
    table: &'static Table,
) -> Result<bool> {
    let (place, mut after) = (archive.place.clone(), archive.place.after.clone());
    let documents = table.shape == Shape::Documents;
    let (mut entries, mut last) = page(step, owner, table, after.clone()).await?;
    let Some(first) = entries.first() else {
        archive.place = next(&place);
        return Ok(true);
    };
    let (path, kind, series) = match documents {
        false => (format!("{path}.jsonl"), Value::Null, 0),
        true => {
            let kind = first.value.get("kind").cloned().unwrap_or_default();
            let same = place.after.as_ref().and_then(|after| after.first()) == Some(&kind);
            let series = if same { place.series + 1 } else { 1 };
            let registered = step.kernel.registry.find_kind(kind.as_str().unwrap_or_default());
            let plural = registered.map_or("resources", |kind| kind.info().plural);
            (format!("{path}{plural}-{series:04}.yaml"), kind, series)
        }
    };
    let (mut file, mut written) = (archive.file(path).await?, 0);
    loop {
        let mut text = String::new();
        let mut records = 0;
        for Entry { key, mut value } in entries {
            if documents && (written + records == DOCUMENTS || value.get("kind") != Some(&kind)) {
                file.add(records as i64, text.as_bytes()).await?;
                file.end(Place { after, series, ..place }).await?;
                return Ok(true);
            }
            match table.shape {
                Shape::Line => line(&mut text, &Value::Object(value))?,
                Shape::LineWithDocument => {
                    let document = contents::document(&mut value);
                    value.insert("document".into(), document);
                    line(&mut text, &Value::Object(value))?;
                }
                // JSON is YAML, and nothing of it is read back as something else.
                Shape::Documents => {
                    let document = serde_json::to_string_pretty(&contents::document(&mut value));
                    text.push_str("---\n");
                    text.push_str(&document.map_err(unwritten)?);
                    text.push('\n');
                }
            }
            (after, records) = (Some(key), records + 1);
        }
        file.add(records as i64, text.as_bytes()).await?;
        written += records;
        if last {
            file.end(next(&place)).await?;
            return Ok(true);
        }
        if step.cancelled.is_cancelled() {
            return Ok(false);
        }
        (entries, last) = page(step, owner, table, after.clone()).await?;
    }
}

async fn page(
    step: &Step<'_>,
    owner: Uuid,
    table: &'static Table,
    after: Option<Vec<Value>>,
) -> Result<(Vec<Entry>, bool)> {
    let entries = step.kernel.store.read(move |tx| table.entries(tx, owner, after.as_deref())).await?;
    let last = table.ends(entries.len());
    Ok((entries, last))
}

fn line(text: &mut String, value: &Value) -> Result<()> {
    text.push_str(&serde_json::to_string(value).map_err(unwritten)?);
    text.push('\n');
    Ok(())
}

fn unwritten(error: serde_json::Error) -> Error {
    Error::internal("export_write", "write a record of an export").with_source(error)
}

/// The next code archive, as it was uploaded.
async fn code(step: &Step<'_>, archive: &mut Archive, extent: &Extent) -> Result<bool> {
    let place = archive.place.clone();
    let (tenant, after) = (extent.tenant_id, place.after.as_ref().and_then(|after| after.first()));
    let after = after.and_then(Value::as_str).unwrap_or_default().to_owned();
    let found = step.kernel.store.read(move |tx| -> Result<Option<(String, Vec<u8>)>> {
        let sql =
            "SELECT digest, body FROM code WHERE tenant_id = $1 AND digest > $2 ORDER BY digest LIMIT 1";
        Ok(tx.opt(sql, params![tenant, after], |row| Ok((row.get(0)?, row.get(1)?)))?)
    });
    let Some((digest, body)) = found.await? else {
        archive.place = next(&place);
        return Ok(true);
    };
    let name = digest.strip_prefix("sha256:").unwrap_or(&digest);
    let mut file = archive.file(format!("code/{name}.tar.zst")).await?;
    file.add(1, &body).await?;
    file.end(Place { after: Some(vec![json!(digest)]), ..place }).await?;
    Ok(true)
}

/// The tenant's chain, as it is verified without this server.
async fn audit(step: &Step<'_>, archive: &mut Archive, extent: &Extent) -> Result<bool> {
    sealed(step).await?;
    let place = archive.place.clone();
    let mut chain = step.kernel.audit_export(Some(extent.tenant_id), None, None).await?;
    let mut file = archive.file("audit.jsonl".into()).await?;
    while let Some(lines) = chain.next().await? {
        if step.cancelled.is_cancelled() {
            return Ok(false);
        }
        file.add(lines.lines().count() as i64, lines.as_bytes()).await?;
    }
    file.end(next(&place)).await?;
    Ok(true)
}

/// Waits for a moment until what was recorded of the export itself is sealed, so that the archive has it.
async fn sealed(step: &Step<'_>) -> Result<()> {
    let (until, job) = (Instant::now() + SEALED_WITHIN, step.job_id);
    loop {
        let waits: Option<i64> = step
            .kernel
            .store
            .read(move |tx| -> Result<_> {
                let sql =
                    "SELECT 1 FROM audit a JOIN audit_unsealed u ON u.audit_id = a.id WHERE a.job_id = $1";
                Ok(tx.opt(sql, params![job], |row| row.get(0))?)
            })
            .await?;
        if waits.is_none() || step.cancelled.is_cancelled() || Instant::now() >= until {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn seal(step: &Step<'_>, extent: &Extent) -> Result<Outcome> {
    let begun = begun(step)?;
    let mut archive = Archive::open(step.kernel, step.job_id, step.fencing_token, begun.at).await?;
    let listed = archive.listed().await?;
    let files = listed.len() + 1;
    let manifest = json!({
        "format": FORMAT,
        "export": step.job_id,
        "tenant": begun.tenant,
        "project": extent.project_id.and(begun.projects.first()).map(|(id, name)| json!({ "id": id, "name": name })),
        "began_at": begun.at,
        "ended_at": step.now,
        "files": listed,
    });
    let mut text = serde_json::to_string_pretty(&manifest).map_err(unwritten)?;
    text.push('\n');
    let mut file = archive.first_file("manifest.json").await?;
    file.add(1, text.as_bytes()).await?;
    file.end(Place::default()).await?;
    archive.end().await?;
    let (bytes, digest) = measured(step).await?;
    let (id, token, extent) = (step.job_id, step.fencing_token, extent.clone());
    let output = json!({ "files": files, "bytes": bytes, "digest": digest });
    Ok(Outcome::done_with(output, move |m| {
        archive::fence(m.tx, id, token)?;
        m.tx.exec(
            "UPDATE export SET files = $2, bytes = $3, digest = $4, finished_at = $5, expires_at = $6 WHERE id = $1",
            params![id, files as i64, bytes, digest, m.now, m.now.checked_add(KEPT).unwrap_or(Timestamp::MAX)],
        )?;
        let subject = Subject { job_id: Some(id), ..Subject::default() };
        m.event(
            &format!("{}.exported", extent.table()),
            subject,
            &json!({ "name": extent.name, "digest": digest }),
        )
    }))
}

/// Length and digest of the archive, as it is fetched.
async fn measured(step: &Step<'_>) -> Result<(i64, String)> {
    let (mut after, mut bytes, mut hash) = ((-1, 0), 0, Sha256::new());
    loop {
        let parts = step.kernel.export_parts(step.job_id, after).await?;
        let Some((file, part, _)) = parts.last() else {
            return Ok((bytes, format!("sha256:{}", hex::encode(hash.finalize()))));
        };
        after = (*file, *part);
        for (_, _, body) in &parts {
            hash.update(body);
            bytes += i64::try_from(body.len()).unwrap_or(i64::MAX);
        }
    }
}

#[async_trait]
impl Operation for Export {
    fn name(&self) -> &'static str {
        EXPORT
    }

    fn plan(&self, input: &Value, view: &mut View<'_, '_>) -> Result<Planned> {
        let extent: Extent = read(input)?;
        let (table, name) = (extent.table(), &extent.name);
        let sql = format!("SELECT deleting IS NOT NULL FROM {table} WHERE id = $1");
        let found: Vec<bool> = view.rows(&sql, params![extent.id()], |row| row.get(0))?;
        match found.first() {
            Some(false) => {}
            Some(true) => {
                let detail = format!("the {table} {name} is being deleted");
                return Err(Error::conflict("scope_deleting", detail));
            }
            None if table == "tenant" => {
                return Err(Error::not_found("tenant_not_found", format!("there is no tenant {name:?}")));
            }
            None => {
                let detail = format!("the tenant has no project {name:?}");
                return Err(Error::not_found("project_not_found", detail));
            }
        }
        let target = format!("{table}s/{name}");
        let steps = [
            ("begin", "Look which projects there are"),
            ("write", "Write what there is to the archive, the audit last"),
            ("seal", "Write the manifest, and let the archive be fetched"),
        ];
        let steps = steps.map(|(name, title)| step(name, title, &target, vec![], Risk::Low));
        let mut plan = plan_of(EXPORT, input, steps.to_vec())?;
        plan.postconditions.push(format!("an archive of the {table} {name} can be fetched"));
        plan.locks.push(target);
        Ok(plan.into())
    }

    fn intend(&self, m: &mut Mutation<'_, '_>, intent: &Intent<'_>) -> Result<Intended> {
        let extent: Extent = read(intent.input)?;
        export::asked(m, intent.job_id, &extent)?;
        let kind = if extent.project_id.is_some() { "Project" } else { "Tenant" };
        let object = Object { kind, id: extent.id(), name: &extent.name };
        m.audit(&object, &[Change::add("/export", json!(intent.job_id))], Some(intent.job_id))?;
        Ok(Intended { input: intent.input.clone(), resource: None, run_id: None })
    }

    fn priority(&self) -> i64 {
        2
    }

    fn timeout(&self, _step: &str) -> Duration {
        TIMEOUT
    }

    fn max_attempts(&self, _step: &str) -> u32 {
        ATTEMPTS
    }

    async fn run(&self, step: &Step<'_>) -> Outcome {
        let done = match read(step.input) {
            Ok(extent) => match step.name {
                "begin" => begin(step, &extent).await,
                "write" => write(step, &extent).await,
                _ => seal(step, &extent).await,
            },
            Err(error) => Err(error),
        };
        done.unwrap_or_else(|error| match error.kind {
            ErrorKind::Unavailable | ErrorKind::Internal => Outcome::Retry(error),
            _ => Outcome::Fatal(error),
        })
    }

    /// Leaves nothing of the archive; that it was asked for stays until its time is over.
    async fn call_off(&self, step: &Step<'_>) -> Result<()> {
        let (id, token): (JobId, i64) = (step.job_id, step.fencing_token);
        let mine = step.kernel.store.write(move |tx| archive::fence(tx, id, token));
        match mine.await {
            Err(error) if error.code == "export_overtaken" => Ok(()),
            mine => {
                mine?;
                step.kernel.export_parts_remove(id).await
            }
        }
    }
}
