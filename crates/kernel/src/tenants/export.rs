//! Everything that a tenant or a project has, as one archive: asked for, listed, handed out, and removed after [`KEPT`].
//!
//! The archive lies in the database, as code archives do, so that every server of an installation can hand it out. A job writes
//! it ([`crate::operations::export`]); what is in it stands in [`contents`], how it gets there in [`archive`]. Whoever may ask for
//! one may fetch every one of the tenant, and each fetch is recorded.
//!
//! Not in it, ever: what a secret holds, passwords, tokens. Not in it either: logs, results and what engines keep.

pub(crate) mod archive;
pub(crate) mod contents;

use std::time::Duration;

use qd_core::{
    audit::RecordObject,
    error::{Error, Result},
    id::{JobId, ProjectId, TenantId},
    state::JobState,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::{DEFAULT, NamedScope};
use crate::{
    access,
    audit::NewRecord,
    changes::Request,
    context::Context,
    idempotency::IdempotencyKey,
    jobs::{Job, JobError},
    kernel::Kernel,
    mutation::{Act, Mutation},
    operations::export::{EXPORT, Extent},
    page::{Page, PageRequest},
    params,
    query::Query,
    store::{Row, StoreResult},
};

/// How long an archive can be fetched.
pub const KEPT: Duration = Duration::from_hours(24 * 7);
/// Parts read at once for whoever fetches it.
const PARTS: i64 = 8;
/// Parts removed by one transaction.
const BATCH: i64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportState {
    /// Its job is under way.
    Preparing,
    /// It can be fetched.
    Ready,
    Failed,
    Cancelled,
}

/// An archive of a tenant, or of a project of it, or what became of one.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Export {
    /// The id of the job that writes it.
    pub id: JobId,
    /// The name of the project, where it is of one.
    pub project: Option<String>,
    pub state: ExportState,
    /// What the job waits for.
    pub waiting_for: Option<String>,
    pub error: Option<JobError>,
    /// Files within the archive.
    pub files: Option<i64>,
    /// Of the archive, as it is fetched.
    pub bytes: Option<i64>,
    /// `sha256:` and the SHA-256 of the archive, as it is fetched.
    pub digest: Option<String>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// From then on it is removed.
    pub expires_at: Timestamp,
    /// What the tenant or the project was called.
    #[serde(skip)]
    pub name: String,
}

/// An archive that is being fetched, part by part. Cheap to drop.
pub struct ExportDownload {
    kernel: Kernel,
    pub export: Export,
    after: (i64, i64),
    left: i64,
}

const COLUMNS: &str = "e.id, e.project_id, e.name, e.files, e.bytes, e.digest, e.created_by, e.created_at, e.finished_at, e.expires_at,
  j.state, j.waiting_for, j.error_code, j.error_message";

impl Kernel {
    /// The request for an export of the tenant, with the context of its job: in the tenant's default project, or, because jobs
    /// of a suspended tenant do not go on, in the default project of the default tenant.
    pub async fn tenant_export_request(
        &self,
        context: &Context,
        named: &NamedScope,
        reason: &str,
    ) -> Result<(Context, Request)> {
        access::check(context, "tenants.export")?;
        let extent = Extent::of_tenant(named.tenant.id, named.tenant.name.clone());
        self.export_request(context, named, ("tenants", extent), reason).await
    }

    /// The same of a project of the tenant.
    ///
    /// # Errors
    /// `project_not_found` (404).
    pub async fn project_export_request(
        &self,
        context: &Context,
        name: &str,
        reason: &str,
    ) -> Result<(Context, Request)> {
        access::check(context, "projects.export")?;
        let tenant = context.scope.tenant_id.to_string();
        let named = self.scope_find(Some(&tenant), Some(name)).await.map_err(|error| match error.code {
            "scope_not_found" => {
                Error::not_found("project_not_found", format!("the tenant has no project {name:?}"))
            }
            _ => error,
        })?;
        let extent = Extent::of_project(named.scope, named.project.name.clone());
        self.export_request(context, &named, ("projects", extent), reason).await
    }

    async fn export_request(
        &self,
        context: &Context,
        named: &NamedScope,
        (plural, extent): (&str, Extent),
        reason: &str,
    ) -> Result<(Context, Request)> {
        let tenant = (!named.suspended).then(|| named.tenant.id.to_string());
        let home = self.scope_find(tenant.as_deref(), None).await?;
        let act = Act::new(plural, "export").because(reason);
        let context = Context { scope: home.scope, ..context.clone() };
        Ok((context, Request { act, operation: EXPORT.to_owned(), input: json!(extent) }))
    }

    /// Starts the job that writes the archive, once for the key.
    ///
    /// # Errors
    /// `scope_deleting` (409).
    pub async fn tenant_export(
        &self,
        context: &Context,
        named: &NamedScope,
        reason: &str,
        key: IdempotencyKey,
    ) -> Result<Job> {
        let asked = self.tenant_export_request(context, named, reason).await?;
        self.export_start(asked, named.tenant.id, key).await
    }

    /// # Errors
    /// `project_not_found` (404); `scope_deleting` (409).
    pub async fn project_export(
        &self,
        context: &Context,
        name: &str,
        reason: &str,
        key: IdempotencyKey,
    ) -> Result<Job> {
        let asked = self.project_export_request(context, name, reason).await?;
        self.export_start(asked, context.scope.tenant_id, key).await
    }

    /// A repeat finds its job, also when the tenant was suspended or readmitted since.
    async fn export_start(
        &self,
        (context, request): (Context, Request),
        tenant: TenantId,
        key: IdempotencyKey,
    ) -> Result<Job> {
        for home in [DEFAULT.to_owned(), tenant.to_string()] {
            let elsewhere =
                Context { scope: self.scope_find(Some(&home), None).await?.scope, ..context.clone() };
            if elsewhere.scope != context.scope
                && let Some(job) = self.job_of_key(&elsewhere, &key).await?
            {
                return self.job_get(elsewhere.scope, job).await;
            }
        }
        let Request { act, operation, input } = request;
        self.job_create(&context, act, &operation, input, key).await
    }

    /// The exports of the tenant and of its projects, newest first.
    pub async fn export_list(&self, context: &Context, page: PageRequest) -> Result<Page<Export>> {
        access::check(context, "tenants.export")?;
        let (tenant, before, fetch) = (context.scope.tenant_id, page.after_uuid("exports")?, page.fetch());
        let items = self
            .store
            .read(move |tx| -> Result<Vec<Export>> {
                let mut query = exports(tenant);
                if let Some(before) = before {
                    query.push(" AND e.id < ?", before);
                }
                query.text(" ORDER BY e.id DESC").limit(fetch);
                Ok(query.rows(tx, row)?)
            })
            .await?;
        Ok(page.cut("exports", items, |export| export.id.to_string()))
    }

    /// # Errors
    /// `export_not_found` (404).
    pub async fn export_get(&self, context: &Context, id: &str) -> Result<Export> {
        access::check(context, "tenants.export")?;
        let missing = || Error::not_found("export_not_found", format!("the tenant has no export {id}"));
        let (tenant, id): (_, JobId) = (context.scope.tenant_id, id.parse().map_err(|_| missing())?);
        let found = self.store.read(move |tx| -> Result<Option<Export>> {
            let mut query = exports(tenant);
            query.push(" AND e.id = ?", id);
            Ok(query.rows(tx, row)?.into_iter().next())
        });
        found.await?.ok_or_else(missing)
    }

    /// Begins to hand an archive out. That it was fetched is on record before the first byte of it.
    ///
    /// # Errors
    /// `export_not_found` (404); `export_not_ready` (409).
    pub async fn export_fetch(&self, context: &Context, id: &str) -> Result<ExportDownload> {
        let export = self.export_get(context, id).await?;
        let (ExportState::Ready, Some(bytes)) = (export.state, export.bytes) else {
            let detail = "there is no archive to fetch: its job has not ended, or has failed";
            return Err(Error::conflict("export_not_ready", detail));
        };
        let object =
            RecordObject { kind: "Export".into(), id: Some(export.id.uuid()), name: export.name.clone() };
        let digest = export.digest.as_deref().unwrap_or_default();
        let record = NewRecord::of(context, "tenants.export", object);
        self.audit_append(record.because(&format!("fetched the archive {digest}"))).await?;
        Ok(ExportDownload { kernel: self.clone(), export, after: (-1, 0), left: bytes })
    }

    /// Removes the archives whose time is over; answers how many.
    pub(crate) async fn exports_sweep(&self, now: Timestamp) -> Result<u64> {
        let mut removed = 0;
        loop {
            let old: Option<JobId> = self
                .store
                .read(move |tx| -> Result<_> {
                    let sql =
                        "SELECT e.id FROM export e LEFT JOIN job j ON j.id = e.id AND j.ended_at IS NULL
                       WHERE e.expires_at < $1 AND j.id IS NULL ORDER BY e.expires_at LIMIT 1";
                    Ok(tx.opt(sql, params![now], |row| row.get(0))?)
                })
                .await?;
            let Some(id) = old else { return Ok(removed) };
            self.export_parts_remove(id).await?;
            self.store
                .write(move |tx| -> Result<()> {
                    tx.exec("DELETE FROM export WHERE id = $1", params![id])?;
                    Ok(())
                })
                .await?;
            removed += 1;
        }
    }

    /// Removes what was written of an archive, and leaves only that it was asked for.
    pub(crate) async fn export_parts_remove(&self, id: JobId) -> Result<()> {
        loop {
            let removed = self
                .store
                .write(move |tx| -> Result<u64> {
                    let removed = tx.exec(
                        "DELETE FROM export_part WHERE (export_id, file, part) IN (
                           SELECT export_id, file, part FROM export_part WHERE export_id = $1 LIMIT $2)",
                        params![id, BATCH],
                    )?;
                    let files = tx.exec(
                        "DELETE FROM export_file WHERE (export_id, number) IN (
                           SELECT export_id, number FROM export_file WHERE export_id = $1 LIMIT $2)",
                        params![id, BATCH],
                    )?;
                    Ok(removed + files)
                })
                .await?;
            if removed == 0 {
                return Ok(());
            }
        }
    }
}

impl ExportDownload {
    /// `acme-2026-11-21.tar.gz`
    pub fn file_name(&self) -> String {
        let day: String = self.export.created_at.to_string().chars().take(10).collect();
        format!("{}-{day}.tar.gz", self.export.name)
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// `export_not_found` where the archive was removed meanwhile.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if self.left == 0 {
            return Ok(None);
        }
        let parts = self.kernel.export_parts(self.export.id, self.after).await?;
        let Some((file, part, _)) = parts.last() else {
            return Err(Error::not_found("export_not_found", "the export was removed while it was fetched"));
        };
        self.after = (*file, *part);
        let bytes = parts.into_iter().flat_map(|(_, _, body)| body).collect::<Vec<u8>>();
        self.left = (self.left - i64::try_from(bytes.len()).unwrap_or(i64::MAX)).max(0);
        Ok(Some(bytes))
    }
}

impl Kernel {
    /// The next parts of an archive, after the one of this file and number.
    pub(crate) async fn export_parts(
        &self,
        id: JobId,
        (file, part): (i64, i64),
    ) -> Result<Vec<(i64, i64, Vec<u8>)>> {
        self.store
            .read(move |tx| -> Result<_> {
                let sql = format!(
                    "SELECT file, part, body FROM export_part WHERE export_id = $1 AND (file, part) > ($2, $3)
                     ORDER BY file, part LIMIT {PARTS}"
                );
                Ok(tx
                    .rows(&sql, params![id, file, part], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?)
            })
            .await
    }
}

fn exports(tenant: TenantId) -> Query {
    let mut query =
        Query::new(&format!("SELECT {COLUMNS} FROM export e LEFT JOIN job j ON j.id = e.id WHERE"));
    query.push(" e.tenant_id = ?", tenant);
    query
}

fn row(row: &Row<'_>) -> StoreResult<Export> {
    let (project, name): (Option<ProjectId>, String) = (row.get(1)?, row.get(2)?);
    let (finished_at, job): (Option<Timestamp>, Option<JobState>) = (row.get(8)?, row.get(10)?);
    let state = match (finished_at, job) {
        (Some(_), _) => ExportState::Ready,
        (None, Some(JobState::Failed | JobState::Succeeded) | None) => ExportState::Failed,
        (None, Some(JobState::Cancelled | JobState::Undone)) => ExportState::Cancelled,
        (None, Some(_)) => ExportState::Preparing,
    };
    let (code, message): (Option<String>, Option<String>) = (row.get(12)?, row.get(13)?);
    Ok(Export {
        id: row.get(0)?,
        project: project.map(|_| name.clone()),
        state,
        waiting_for: row.get(11)?,
        error: code.zip(message).map(|(code, message)| JobError { code, message }),
        files: row.get(3)?,
        bytes: row.get(4)?,
        digest: row.get(5)?,
        created_by: row.get(6)?,
        created_at: row.get(7)?,
        finished_at,
        expires_at: row.get(9)?,
        name,
    })
}

/// What a job asked for: a row that says so, without an archive yet.
pub(crate) fn asked(m: &mut Mutation<'_, '_>, id: JobId, extent: &Extent) -> Result<()> {
    let expires = m.now.checked_add(KEPT).unwrap_or(Timestamp::MAX);
    m.tx.exec(
        "INSERT INTO export (id, tenant_id, project_id, name, token, created_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, 0, $5, $6, $7)",
        params![
            id,
            extent.tenant_id,
            extent.project_id,
            extent.name,
            m.context.principal.name,
            m.now,
            expires
        ],
    )?;
    Ok(())
}
