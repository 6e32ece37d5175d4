//! Removing what a tenant or a project has: which rows those are, table by table, in batches that hold nobody up.
//!
//! The list is data. A test compares it with the schema, so that a table that belongs to a tenant and is not here fails. What is left
//! to do is what is still there, so whoever comes after a crash goes on with it. Every table of a project comes before those that its
//! rows refer to.
//!
//! The audit stays: its records are sealed, and a last one says what was removed.

use qd_core::{
    error::Result,
    id::{ProjectId, ResourceId, RunId, TenantId},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    kernel::Kernel,
    logs, params,
    store::{Backend, Tx, in_list},
};

/// Rows that one transaction removes from a table.
const BATCH: i64 = 500;

/// How a table's rows are known to be a project's, or a tenant's.
#[derive(Debug, Clone, Copy)]
enum Of {
    /// By its own `project_id`.
    Project,
    /// By `resource_id`.
    Resource,
    /// By `run_id`.
    Run,
    /// By `job_id`.
    Job,
    /// By `secret_id`.
    Secret,
    /// By `object_id`, of what is held by the project or the tenant itself.
    Object,
    /// By its own `tenant_id`, and no project: removed with the tenant alone.
    Tenant,
    /// By its own `project_id`, and by its `tenant_id` where the tenant goes.
    Either,
    /// By `export_id`, the same of its export.
    Export,
}

/// A table with its primary key, and how what it holds is found.
struct Table {
    name: &'static str,
    key: &'static [&'static str],
    of: Of,
}

const fn table(name: &'static str, key: &'static [&'static str], of: Of) -> Table {
    Table { name, key, of }
}

/// In the order in which they are emptied.
const TABLES: &[Table] = &[
    table("job_lock_wait", &["key", "job_id"], Of::Job),
    table("job_queue", &["job_id"], Of::Job),
    table("job_step", &["job_id", "idx"], Of::Job),
    table("job", &["id"], Of::Project),
    table("plan", &["id"], Of::Project),
    table("idempotency", &["project_id", "principal_id", "key"], Of::Project),
    table("dead_letter", &["id"], Of::Project),
    table("schedule_firing", &["resource_id", "due_at"], Of::Resource),
    table("schedule", &["resource_id"], Of::Resource),
    table("subscription", &["resource_id"], Of::Resource),
    table("run_slot", &["key", "run_id"], Of::Run),
    table("run_chart", &["run_id", "attempt", "stage"], Of::Run),
    table("run_log", &["run_id", "first_line"], Of::Run),
    table("run_observer", &["run_id"], Of::Run),
    table("run_attempt", &["run_id", "attempt"], Of::Run),
    table("run", &["id"], Of::Project),
    table("notification", &["id"], Of::Project),
    table("review_comment", &["id"], Of::Project),
    table("review", &["id"], Of::Project),
    table("draft_author", &["resource_id", "name"], Of::Resource),
    table("revision_author", &["resource_id", "number", "name"], Of::Resource),
    table("connection_reading", &["resource_id"], Of::Resource),
    table("resource_holder", &["resource_id", "holder", "owner"], Of::Resource),
    table("secret_reference", &["resource_id", "revision", "pointer"], Of::Resource),
    table("working_copy", &["resource_id"], Of::Resource),
    table("revision", &["id"], Of::Resource),
    table("resource", &["id"], Of::Project),
    table("secret_version", &["secret_id", "version"], Of::Secret),
    table("secret", &["id"], Of::Project),
    table("log_usage", &["project_id", "shard"], Of::Project),
    table("role_binding", &["principal_id", "role", "object_id"], Of::Object),
    table("team_binding", &["team_id", "role", "object_id"], Of::Object),
    table("quota", &["object_id"], Of::Object),
    table("event", &["pos"], Of::Project),
    table("export_part", &["export_id", "file", "part"], Of::Export),
    table("export_file", &["export_id", "number"], Of::Export),
    table("export", &["id"], Of::Either),
    table("team_member", &["team_id", "principal_id"], Of::Tenant),
    table("team", &["id"], Of::Tenant),
    table("code", &["tenant_id", "digest"], Of::Tenant),
    table("secret_key", &["tenant_id", "number"], Of::Tenant),
];

/// Rows that Postgres alone has.
const OUTBOX: Table = table("event_outbox", &["seq"], Of::Project);

/// What has a tenant's or a project's id and is not in the list: the audit, which stays, and the two whose rows go last.
pub const KEPT: [&str; 3] = ["audit", "project", "tenant"];

/// Those whose rows are found by an id in their key.
const KEYED: [&str; 2] = ["job_lock", "slot"];

/// Every table that is emptied, for the test that holds them against the schema.
pub fn removed_tables() -> Vec<&'static str> {
    TABLES.iter().chain([&OUTBOX]).map(|table| table.name).chain(KEYED).collect()
}

impl Table {
    /// Selects the keys of some rows of `$1`.
    fn some(&self, whole_tenant: bool) -> Option<String> {
        let keys = |of: &str| self.key.iter().map(|key| format!("{of}{key}")).collect::<Vec<_>>().join(", ");
        let name = self.name;
        let through = |parent: &str, column: &str| {
            let keys = keys("t.");
            format!(
                "SELECT {keys} FROM {name} t JOIN {parent} p ON p.id = t.{column} WHERE p.project_id = $1"
            )
        };
        let own = keys("");
        let whose = if whole_tenant { "tenant_id" } else { "project_id" };
        Some(match self.of {
            Of::Either => format!("SELECT {own} FROM {name} WHERE {whose} = $1"),
            Of::Export => {
                let keys = keys("t.");
                format!(
                    "SELECT {keys} FROM {name} t JOIN export p ON p.id = t.export_id WHERE p.{whose} = $1"
                )
            }
            Of::Tenant if !whole_tenant => return None,
            Of::Tenant => format!("SELECT {own} FROM {name} WHERE tenant_id = $1"),
            Of::Object => format!("SELECT {own} FROM {name} WHERE object_id = $1"),
            _ if whole_tenant => return None,
            Of::Project => format!("SELECT {own} FROM {name} WHERE project_id = $1"),
            Of::Resource => through("resource", "resource_id"),
            Of::Run => through("run", "run_id"),
            Of::Job => through("job", "job_id"),
            Of::Secret => through("secret", "secret_id"),
        })
    }
}

/// What one batch came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch {
    pub removed: u64,
    /// The place in the list to go on at; none at its end.
    pub next: Option<usize>,
}

impl Kernel {
    /// Removes the next rows of the project, from this place in the list on.
    pub(crate) async fn project_remove_some(&self, project: ProjectId, from: usize) -> Result<Batch> {
        let (now, elsewhere) = (self.reckoning.now(), self.log_place.is_some());
        self.store
            .write(move |tx| -> Result<Batch> {
                let postgres = tx.backend() == Backend::Postgres;
                let tables = TABLES.iter().chain(postgres.then_some(&OUTBOX));
                for (at, table) in tables.enumerate().skip(from) {
                    let Some(some) = table.some(false) else { continue };
                    let removed = match table.name {
                        "run" => runs_remove(tx, &some, project, elsewhere.then_some(now))?,
                        "resource" => resources_remove(tx, &some, project)?,
                        _ => remove(tx, table, &some, project.uuid())?,
                    };
                    if removed > 0 {
                        return Ok(Batch { removed, next: Some(at) });
                    }
                }
                locks_remove(tx, &project.to_string())?;
                slots_remove(tx, &[format!("project/{project}")])?;
                let (first, end) = (format!("connection/{project}/"), format!("connection/{project}0"));
                tx.exec("DELETE FROM slot WHERE key > $1 AND key < $2", params![first, end])?;
                Ok(Batch { removed: 0, next: None })
            })
            .await
    }

    /// The same of what is the tenant's and of no project: its roles, its code, and last the data keys of its secrets.
    pub(crate) async fn tenant_remove_some(&self, tenant: TenantId) -> Result<u64> {
        self.store
            .write(move |tx| -> Result<u64> {
                for table in TABLES {
                    let Some(some) = table.some(true) else { continue };
                    let removed = remove(tx, table, &some, tenant.uuid())?;
                    if removed > 0 {
                        return Ok(removed);
                    }
                }
                // What happened in the tenant as a whole has no project.
                let outbox = (tx.backend() == Backend::Postgres).then_some(("event_outbox", "seq"));
                for (name, key) in [("event", "pos")].into_iter().chain(outbox) {
                    let sql = format!(
                        "DELETE FROM {name} WHERE {key} IN (SELECT {key} FROM {name} WHERE project_id = $1 AND tenant_id = $2 LIMIT {BATCH})"
                    );
                    let removed = tx.exec(&sql, params![Uuid::nil(), tenant])?;
                    if removed > 0 {
                        return Ok(removed);
                    }
                }
                locks_remove(tx, &tenant.to_string())?;
                slots_remove(tx, &[format!("tenant/{tenant}")])?;
                Ok(0)
            })
            .await
    }
}

fn remove(tx: &mut Tx<'_>, table: &Table, some: &str, of: Uuid) -> Result<u64> {
    let (name, keys) = (table.name, table.key.join(", "));
    Ok(tx.exec(&format!("DELETE FROM {name} WHERE ({keys}) IN ({some} LIMIT {BATCH})"), params![of])?)
}

/// With what their logs have elsewhere.
fn runs_remove(tx: &mut Tx<'_>, some: &str, project: ProjectId, garbage: Option<Timestamp>) -> Result<u64> {
    let runs: Vec<RunId> = tx.rows(&format!("{some} LIMIT {BATCH}"), params![project], |row| row.get(0))?;
    for (run, now) in runs.iter().filter_map(|run| Some((run, garbage?))) {
        logs::garbage(tx, &logs::objects_of_run(*run), now)?;
    }
    if runs.is_empty() {
        return Ok(0);
    }
    let (list, args) = in_list(&runs, 1);
    Ok(tx.exec(&format!("DELETE FROM run WHERE id IN ({list})"), &args)?)
}

/// With the rows by which their runs were counted.
fn resources_remove(tx: &mut Tx<'_>, some: &str, project: ProjectId) -> Result<u64> {
    let resources: Vec<ResourceId> =
        tx.rows(&format!("{some} LIMIT {BATCH}"), params![project], |row| row.get(0))?;
    if resources.is_empty() {
        return Ok(0);
    }
    slots_remove(tx, &resources.iter().map(|id| format!("resource/{id}")).collect::<Vec<_>>())?;
    let (list, args) = in_list(&resources, 1);
    Ok(tx.exec(&format!("DELETE FROM resource WHERE id IN ({list})"), &args)?)
}

fn slots_remove(tx: &mut Tx<'_>, keys: &[String]) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let (list, args) = in_list(keys, 1);
    tx.exec(&format!("DELETE FROM slot WHERE key IN ({list})"), &args)?;
    Ok(())
}

/// Keys are stored with the id of their project or tenant before them.
fn locks_remove(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    tx.exec("DELETE FROM job_lock WHERE key > $1 AND key < $2", params![format!("{id}/"), format!("{id}0")])?;
    Ok(())
}
