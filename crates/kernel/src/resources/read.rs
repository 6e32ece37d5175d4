//! Reading resources: by name or id, as keyset pages, and as the specs that other specs refer to.

use std::{collections::HashMap, sync::Arc};

use qd_core::{
    error::{Error, Result},
    id::{ResourceId, RunId},
    state::ResourceState,
};
use serde_json::Value;

use crate::{
    access::sight::Sight,
    context::Scope,
    kernel::Kernel,
    mutation::Object,
    page::{Page, PageRequest},
    params,
    query::Query,
    resources::{Published, Resource, RevisionRef, RunSummary, StoredMetadata},
    store::{Backend, Json, Row, Store, StoreResult, Tx, in_list},
};

/// How many of a resource's newest runs a list shows.
const RECENT_RUNS: i64 = 10;

const SELECT: &str = "
SELECT r.id, r.kind, r.name, r.display_name, r.description, r.metadata, r.state, r.version, r.created_at, r.created_by,
  r.updated_at, p.number, p.published_at, p.spec_hash, l.number, l.state,
  CASE WHEN w.cut_hash IS NULL OR w.cut_hash <> w.spec_hash THEN 1 ELSE 0 END, r.last_run
FROM resource r
JOIN working_copy w ON w.resource_id = r.id
LEFT JOIN revision p ON p.resource_id = r.id AND p.number = r.published_number
LEFT JOIN revision l ON l.resource_id = r.id AND l.number = r.last_revision";

/// Which resources of a kind to list.
#[derive(Debug, Clone, Default)]
pub struct ResourceFilter {
    pub state: Option<ResourceState>,
    /// Part of the name or display name.
    pub text: Option<String>,
    /// Labels that must all be there.
    pub labels: Vec<(String, String)>,
    /// Which of them.
    pub sight: Sight,
}

/// A resource as its row is locked for a change.
pub(crate) struct Locked {
    pub id: ResourceId,
    pub name: String,
    pub state: ResourceState,
    pub version: i64,
    pub last_revision: i64,
    pub last_run: i64,
    pub published_number: Option<i64>,
    pub publish_asked: i64,
    pub publish_done: i64,
    pub display_name: String,
    pub description: String,
    pub metadata: StoredMetadata,
}

impl Locked {
    /// What a record of it is about.
    pub(crate) fn object<'a>(&'a self, kind: &'a str) -> Object<'a> {
        Object { kind, id: self.id.uuid(), name: &self.name }
    }
}

impl Kernel {
    /// By name.
    pub async fn resource_list(
        &self,
        scope: Scope,
        kind: &str,
        filter: ResourceFilter,
        page: PageRequest,
    ) -> Result<Page<Resource>> {
        let list = format!("resources/{kind}");
        let (kind, after, fetch) = (kind.to_owned(), page.after(&list)?.map(str::to_owned), page.fetch());
        let items = self
            .store
            .read(move |tx| -> Result<Vec<Resource>> {
                let position = match tx.backend() {
                    Backend::Sqlite => "instr",
                    Backend::Postgres => "strpos",
                };
                let mut query = Query::new(SELECT);
                query.push(" WHERE r.project_id = ?", scope.project_id).push(" AND r.kind = ?", kind.clone());
                query.push(
                    " AND r.state = ?",
                    filter.state.unwrap_or(ResourceState::Active).as_str().to_owned(),
                );
                if let Some(after) = &after {
                    query.push(" AND r.name > ?", after.clone());
                }
                if let Some(text) = &filter.text {
                    let text = text.to_lowercase();
                    query.push(&format!(" AND ({position}(r.name, ?) > 0"), text.clone());
                    query.push(&format!(" OR {position}(lower(r.display_name), ?) > 0)"), text);
                }
                for (key, value) in &filter.labels {
                    let pair = format!("{}:{}", Value::from(key.as_str()), Value::from(value.as_str()));
                    query.push(&format!(" AND {position}(r.metadata, ?) > 0"), pair);
                }
                filter.sight.narrow(&mut query, tx.backend(), "r.id");
                query.text(" ORDER BY r.name").limit(fetch);
                let rows = query.rows(tx, row)?;
                with_runs(tx, rows)
            })
            .await?;
        Ok(page.cut(&list, items, |resource| resource.name.clone()))
    }

    /// `name` takes a name or an id.
    pub async fn resource_get(&self, scope: Scope, kind: &str, name: &str) -> Result<Resource> {
        let (kind_owned, name_owned) = (kind.to_owned(), name.to_owned());
        self.store
            .read(move |tx| -> Result<Option<Resource>> {
                let mut query = Query::new(SELECT);
                query
                    .push(" WHERE r.project_id = ?", scope.project_id)
                    .push(" AND r.kind = ?", kind_owned.clone());
                match name_owned.parse::<ResourceId>() {
                    Ok(id) => query.push(" AND r.id = ?", id),
                    Err(_) => query.push(" AND r.name = ?", name_owned.clone()),
                };
                let rows = query.rows(tx, row)?;
                Ok(with_runs(tx, rows)?.into_iter().next())
            })
            .await?
            .ok_or_else(|| not_found(kind, name))
    }
}

pub(crate) fn not_found(kind: &str, name: &str) -> Error {
    Error::not_found("resource_not_found", format!("there is no {kind} named {name:?} here"))
}

/// Locks a resource's row for the rest of the transaction, so that a read-modify-write cannot lose an update.
pub(crate) fn lock(tx: &mut Tx<'_>, scope: Scope, kind: &str, name: &str) -> Result<Locked> {
    let for_update = tx.backend().for_update();
    by_name(tx, scope, kind, name, for_update)
}

/// The same row without the lock, for whoever changes nothing.
pub(crate) fn peek(tx: &mut Tx<'_>, scope: Scope, kind: &str, name: &str) -> Result<Locked> {
    by_name(tx, scope, kind, name, "")
}

fn by_name(tx: &mut Tx<'_>, scope: Scope, kind: &str, name: &str, for_update: &str) -> Result<Locked> {
    let mut query = Query::new(LOCKED);
    query.push(" WHERE project_id = ?", scope.project_id).push(" AND kind = ?", kind.to_owned());
    match name.parse::<ResourceId>() {
        Ok(id) => query.push(" AND id = ?", id),
        Err(_) => query.push(" AND name = ?", name.to_owned()),
    };
    query.text(for_update);
    query.rows(tx, locked_row)?.into_iter().next().ok_or_else(|| not_found(kind, name))
}

/// As [`lock`], for the kernel's own follow-up work that already holds a checked id.
pub(crate) fn resource_by_id(tx: &mut Tx<'_>, scope: Scope, id: ResourceId) -> Result<Locked> {
    let mut query = Query::new(LOCKED);
    query
        .push(" WHERE project_id = ?", scope.project_id)
        .push(" AND id = ?", id)
        .text(tx.backend().for_update());
    let found = query.rows(tx, locked_row)?.into_iter().next();
    found.ok_or_else(|| not_found("resource", &id.to_string()))
}

const LOCKED: &str = "SELECT id, name, state, version, last_revision, last_run, published_number, display_name, description, metadata,
  publish_asked, publish_done FROM resource";

fn locked_row(row: &Row<'_>) -> StoreResult<Locked> {
    Ok(Locked {
        id: row.get(0)?,
        name: row.get(1)?,
        state: row.get(2)?,
        version: row.get(3)?,
        last_revision: row.get(4)?,
        last_run: row.get(5)?,
        published_number: row.get(6)?,
        publish_asked: row.get(10)?,
        publish_done: row.get(11)?,
        display_name: row.get(7)?,
        description: row.get(8)?,
        metadata: row.get::<Json<_>>(9)?.0,
    })
}

struct ListRow {
    resource: Resource,
    last_run: i64,
}

fn row(row: &Row<'_>) -> StoreResult<ListRow> {
    let metadata: StoredMetadata = row.get::<Json<_>>(5)?.0;
    let published = match row.get::<Option<i64>>(11)? {
        Some(number) => Some(Published { number, published_at: row.get(12)?, spec_hash: row.get(13)? }),
        None => None,
    };
    let latest_revision = match row.get::<Option<i64>>(14)? {
        Some(number) => Some(RevisionRef { number, state: row.get(15)? }),
        None => None,
    };
    Ok(ListRow {
        last_run: row.get(17)?,
        resource: Resource {
            id: row.get(0)?,
            kind: row.get(1)?,
            name: row.get(2)?,
            display_name: row.get(3)?,
            description: row.get(4)?,
            labels: metadata.labels,
            tags: metadata.tags,
            owners: metadata.owners,
            teams: metadata.teams,
            state: row.get(6)?,
            version: row.get(7)?,
            created_at: row.get(8)?,
            created_by: row.get(9)?,
            updated_at: row.get(10)?,
            published,
            latest_revision,
            last_run: None,
            recent_runs: vec![],
            changed: row.get::<i64>(16)? == 1,
        },
    })
}

/// Adds the newest runs of a page of resources with one more query.
fn with_runs(tx: &mut Tx<'_>, rows: Vec<ListRow>) -> Result<Vec<Resource>> {
    let ids: Vec<ResourceId> = rows.iter().filter(|r| r.last_run > 0).map(|r| r.resource.id).collect();
    let mut runs: HashMap<ResourceId, Vec<RunSummary>> = HashMap::new();
    if !ids.is_empty() {
        let (list, args) = in_list(&ids, 1);
        let sql = format!(
            "SELECT u.resource_id, u.id, u.number, u.state, u.created_at, u.started_at, u.ended_at
             FROM resource r JOIN run u ON u.resource_id = r.id AND u.number > r.last_run - {RECENT_RUNS}
             WHERE r.id IN ({list}) ORDER BY u.number DESC"
        );
        for (id, run) in tx.rows(&sql, &args, |row| Ok((row.get::<ResourceId>(0)?, summary(row)?)))? {
            runs.entry(id).or_default().push(run);
        }
    }
    Ok(rows
        .into_iter()
        .map(|mut row| {
            row.resource.recent_runs = runs.remove(&row.resource.id).unwrap_or_default();
            row.resource.last_run = row.resource.recent_runs.first().cloned();
            row.resource
        })
        .collect())
}

fn summary(row: &Row<'_>) -> StoreResult<RunSummary> {
    Ok(RunSummary {
        id: row.get::<RunId>(1)?,
        number: row.get(2)?,
        state: row.get(3)?,
        created_at: row.get(4)?,
        started_at: row.get(5)?,
        ended_at: row.get(6)?,
    })
}

/// What kinds may read of other resources' specs while they validate.
#[derive(Clone)]
pub struct SpecReader {
    store: Store,
    /// What is being applied together with what is validated, by kind and name: it will be the published one.
    beside: Arc<HashMap<(String, String), (i64, Value)>>,
}

impl SpecReader {
    pub fn new(store: Store) -> Self {
        Self { store, beside: Arc::default() }
    }

    pub(crate) fn beside(mut self, specs: HashMap<(String, String), (i64, Value)>) -> Self {
        self.beside = Arc::new(specs);
        self
    }

    /// The spec of a stated revision, or of the published one; with its number.
    pub async fn find(
        &self,
        scope: Scope,
        kind: &str,
        name: &str,
        revision: Option<i64>,
    ) -> Result<Option<(i64, Value)>> {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        let key = (kind, name);
        if let Some((number, spec)) = self.beside.get(&key)
            && revision.is_none_or(|wanted| wanted == *number)
        {
            return Ok(Some((*number, spec.clone())));
        }
        let (kind, name) = key;
        self.store
            .read(move |tx| -> Result<Option<(i64, Value)>> {
                Ok(tx.opt(
                    "SELECT v.number, v.spec FROM resource r JOIN revision v ON v.resource_id = r.id
                       AND v.number = COALESCE($4, r.published_number)
                     WHERE r.project_id = $1 AND r.kind = $2 AND r.name = $3",
                    params![scope.project_id, kind, name, revision],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?)
            })
            .await
    }
}
