//! What an archive holds, as data: which rows each of its files has, by which columns, in which order they are read.
//!
//! Columns are named one by one, so that what a table gets later is not in an archive before somebody has put it here. There are
//! none of what a secret holds, of passwords and of tokens: of secrets, paths and versions; of accounts, names.
//!
//! Rows are read in pages by a key. What a row names stands in a file that is read after it, where rows of that kind are only ever
//! added: a published number is that of a revision in the archive.

use qd_core::{
    document::API_VERSION,
    error::{Error, Result},
    time::Timestamp,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    query::Query,
    store::{Param, Row, StoreResult, Tx},
};

/// How a column is read, and bound where it is part of a key.
#[derive(Debug, Clone, Copy)]
enum As {
    Text,
    Id,
    Number,
    Flag,
    Time,
    Json,
}

use As::{Flag, Id, Json, Number, Text, Time};

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A line of JSON.
    Line,
    /// The same, with a document made of its metadata and its spec.
    LineWithDocument,
    /// Documents for `qd apply`: a file for each kind, and for each [`DOCUMENTS`] of one.
    Documents,
}

/// As many as one apply takes.
pub(crate) const DOCUMENTS: usize = crate::apply::MAX_DOCUMENTS;

/// The rows of one file, or of several.
pub(crate) struct Table {
    /// Without its ending.
    pub file: &'static str,
    pub shape: Shape,
    from: &'static str,
    /// The column that holds the id of the tenant or project.
    of: &'static str,
    and: &'static str,
    key: &'static [(&'static str, As)],
    /// So many columns of the key lead an index beside the owner.
    lead: usize,
    columns: &'static [(&'static str, &'static str, As)],
    /// Rows read at once.
    page: i64,
}

/// A row, and the key to go on after.
pub(crate) struct Entry {
    pub key: Vec<Value>,
    pub value: Map<String, Value>,
}

/// Rows with specs or plans in them, which may be large.
const LARGE: i64 = 25;
const SMALL: i64 = 250;

const BY_NAME: &[(&str, As)] = &[("r.kind", Text), ("r.name", Text)];

/// Who holds which role in the tenant itself, or in the project itself, and what it may have at most.
const MEMBERS: Table = Table {
    file: "members",
    shape: Shape::Line,
    from: "role_binding b JOIN principal a ON a.id = b.principal_id",
    of: "b.object_id",
    and: "",
    key: &[("b.principal_id", Id), ("b.role", Text)],
    lead: 0,
    columns: &[
        ("account", "a.name", Text),
        ("account_kind", "a.kind", Text),
        ("role", "b.role", Text),
        ("created_by", "b.created_by", Text),
        ("created_at", "b.created_at", Time),
    ],
    page: SMALL,
};

const TEAM_ROLES: Table = Table {
    file: "team-roles",
    shape: Shape::Line,
    from: "team_binding b JOIN team t ON t.id = b.team_id",
    of: "b.object_id",
    and: "",
    key: &[("b.team_id", Id), ("b.role", Text)],
    lead: 0,
    columns: &[
        ("team", "t.name", Text),
        ("role", "b.role", Text),
        ("created_by", "b.created_by", Text),
        ("created_at", "b.created_at", Time),
    ],
    page: SMALL,
};

const QUOTAS: Table = Table {
    file: "quotas",
    shape: Shape::Line,
    from: "quota q",
    of: "q.object_id",
    and: "",
    key: &[("q.object_id", Id)],
    lead: 0,
    columns: &[
        ("resources", "q.resources", Number),
        ("active_runs", "q.active_runs", Number),
        ("log_bytes", "q.log_bytes", Number),
    ],
    page: SMALL,
};

/// Of a tenant itself.
pub(crate) static OF_TENANT: &[Table] = &[
    MEMBERS,
    TEAM_ROLES,
    QUOTAS,
    Table {
        file: "teams",
        shape: Shape::Line,
        from: "team t",
        of: "t.tenant_id",
        and: "",
        key: &[("t.id", Id)],
        lead: 0,
        columns: &[
            ("name", "t.name", Text),
            ("display_name", "t.display_name", Text),
            ("created_by", "t.created_by", Text),
            ("created_at", "t.created_at", Time),
        ],
        page: SMALL,
    },
    Table {
        file: "team-members",
        shape: Shape::Line,
        from: "team_member m JOIN team t ON t.id = m.team_id JOIN principal a ON a.id = m.principal_id",
        of: "t.tenant_id",
        and: "",
        key: &[("m.team_id", Id), ("m.principal_id", Id)],
        lead: 0,
        columns: &[
            ("team", "t.name", Text),
            ("account", "a.name", Text),
            ("created_by", "m.created_by", Text),
            ("created_at", "m.created_at", Time),
        ],
        page: SMALL,
    },
];

/// Of each project.
pub(crate) static OF_PROJECT: &[Table] = &[
    Table {
        file: "project",
        shape: Shape::Line,
        from: "project p",
        of: "p.id",
        and: "",
        key: &[("p.id", Id)],
        lead: 0,
        columns: &[
            ("id", "p.id", Id),
            ("name", "p.name", Text),
            ("display_name", "p.display_name", Text),
            ("review", "p.review", Text),
            ("approval_from", "p.approval_from", Text),
            ("created_at", "p.created_at", Time),
        ],
        page: SMALL,
    },
    MEMBERS,
    TEAM_ROLES,
    QUOTAS,
    Table {
        file: "secrets",
        shape: Shape::Line,
        from: "secret s",
        of: "s.project_id",
        and: "",
        key: &[("s.path", Text)],
        lead: 0,
        columns: &[
            ("path", "s.path", Text),
            ("version", "s.version", Number),
            ("created_by", "s.created_by", Text),
            ("created_at", "s.created_at", Time),
            ("updated_by", "s.updated_by", Text),
            ("updated_at", "s.updated_at", Time),
        ],
        page: SMALL,
    },
    Table {
        file: "documents/",
        shape: Shape::Documents,
        from: "resource r LEFT JOIN revision v ON v.resource_id = r.id AND v.number = r.published_number
               LEFT JOIN working_copy w ON w.resource_id = r.id",
        of: "r.project_id",
        and: " AND r.state = 'active'",
        key: BY_NAME,
        lead: 0,
        columns: &[
            ("kind", "r.kind", Text),
            ("name", "r.name", Text),
            ("display_name", "r.display_name", Text),
            ("description", "r.description", Text),
            ("metadata", "r.metadata", Json),
            ("spec", "COALESCE(v.spec, w.spec)", Json),
        ],
        page: LARGE,
    },
    Table {
        file: "resources",
        shape: Shape::Line,
        from: "resource r",
        of: "r.project_id",
        and: "",
        key: BY_NAME,
        lead: 0,
        columns: &[
            ("id", "r.id", Id),
            ("kind", "r.kind", Text),
            ("name", "r.name", Text),
            ("display_name", "r.display_name", Text),
            ("description", "r.description", Text),
            ("metadata", "r.metadata", Json),
            ("state", "r.state", Text),
            ("published", "r.published_number", Number),
            ("last_revision", "r.last_revision", Number),
            ("last_run", "r.last_run", Number),
            ("created_by", "r.created_by", Text),
            ("created_at", "r.created_at", Time),
            ("updated_at", "r.updated_at", Time),
        ],
        page: SMALL,
    },
    Table {
        file: "working-copies",
        shape: Shape::LineWithDocument,
        from: "working_copy w JOIN resource r ON r.id = w.resource_id",
        of: "r.project_id",
        and: "",
        key: BY_NAME,
        lead: 0,
        columns: &[
            ("kind", "r.kind", Text),
            ("name", "r.name", Text),
            ("base_revision", "w.base_revision", Number),
            ("updated_by", "w.updated_by", Text),
            ("updated_at", "w.updated_at", Time),
            ("display_name", "r.display_name", Text),
            ("description", "r.description", Text),
            ("metadata", "r.metadata", Json),
            ("spec", "w.spec", Json),
        ],
        page: LARGE,
    },
    Table {
        file: "revisions",
        shape: Shape::LineWithDocument,
        from: "revision v JOIN resource r ON r.id = v.resource_id",
        of: "r.project_id",
        and: "",
        key: &[("r.kind", Text), ("r.name", Text), ("v.number", Number)],
        lead: 2,
        columns: &[
            ("kind", "r.kind", Text),
            ("name", "r.name", Text),
            ("number", "v.number", Number),
            ("state", "v.state", Text),
            ("origin", "v.origin", Text),
            ("spec_hash", "v.spec_hash", Text),
            ("message", "v.message", Text),
            ("created_by", "v.created_by", Text),
            ("created_at", "v.created_at", Time),
            ("published_at", "v.published_at", Time),
            ("display_name", "r.display_name", Text),
            ("description", "r.description", Text),
            ("metadata", "r.metadata", Json),
            ("spec", "v.spec", Json),
        ],
        page: LARGE,
    },
    Table {
        file: "sharing",
        shape: Shape::Line,
        from: "resource_holder h JOIN resource r ON r.id = h.resource_id",
        of: "r.project_id",
        and: "",
        key: &[("r.kind", Text), ("r.name", Text), ("h.holder", Text), ("h.owner", Flag)],
        lead: 2,
        columns: &[
            ("kind", "r.kind", Text),
            ("name", "r.name", Text),
            ("holder", "h.holder", Text),
            ("owner", "h.owner", Flag),
            ("access", "h.access", Text),
            ("created_by", "h.created_by", Text),
            ("created_at", "h.created_at", Time),
        ],
        page: SMALL,
    },
    Table {
        file: "reviews",
        shape: Shape::Line,
        from: "review w JOIN resource r ON r.id = w.resource_id",
        of: "r.project_id",
        and: "",
        key: &[("r.kind", Text), ("r.name", Text), ("w.id", Id)],
        lead: 2,
        columns: &[
            ("id", "w.id", Id),
            ("kind", "r.kind", Text),
            ("name", "r.name", Text),
            ("number", "w.number", Number),
            ("state", "w.state", Text),
            ("submitted_by", "w.submitted_by", Text),
            ("submitted_at", "w.submitted_at", Time),
            ("message", "w.message", Text),
            ("decided_by", "w.decided_by", Text),
            ("decided_at", "w.decided_at", Time),
            ("decision", "w.decision", Text),
            ("plan_id", "w.plan_id", Id),
        ],
        page: SMALL,
    },
    Table {
        file: "review-comments",
        shape: Shape::Line,
        from: "review_comment c JOIN resource r ON r.id = c.resource_id",
        of: "r.project_id",
        and: "",
        key: &[("r.kind", Text), ("r.name", Text), ("c.id", Id)],
        lead: 2,
        columns: &[
            ("kind", "r.kind", Text),
            ("name", "r.name", Text),
            ("number", "c.number", Number),
            ("author", "c.author", Text),
            ("created_at", "c.created_at", Time),
            ("pointer", "c.pointer", Text),
            ("body", "c.body", Text),
        ],
        page: LARGE,
    },
    Table {
        file: "runs",
        shape: Shape::Line,
        from: "run u JOIN resource r ON r.id = u.resource_id",
        of: "u.project_id",
        and: "",
        key: &[("u.id", Id)],
        lead: 0,
        columns: &[
            ("id", "u.id", Id),
            ("kind", "u.kind", Text),
            ("name", "r.name", Text),
            ("number", "u.number", Number),
            ("revision", "u.revision", Number),
            ("state", "u.state", Text),
            ("code", "u.code", Text),
            ("message", "u.message", Text),
            ("params", "u.params", Json),
            ("engine", "u.engine", Text),
            ("attempt", "u.attempt", Number),
            ("job_id", "u.job_id", Id),
            ("log_lines", "u.log_lines", Number),
            ("created_by", "u.created_by", Text),
            ("created_at", "u.created_at", Time),
            ("started_at", "u.started_at", Time),
            ("ended_at", "u.ended_at", Time),
        ],
        page: SMALL,
    },
    Table {
        file: "run-attempts",
        shape: Shape::Line,
        from: "run_attempt a JOIN run u ON u.id = a.run_id",
        of: "u.project_id",
        and: "",
        key: &[("u.id", Id), ("a.attempt", Number)],
        lead: 1,
        columns: &[
            ("run_id", "u.id", Id),
            ("attempt", "a.attempt", Number),
            ("state", "a.state", Text),
            ("external_id", "a.external_id", Text),
            ("exit_code", "a.exit_code", Number),
            ("code", "a.code", Text),
            ("message", "a.message", Text),
            ("started_at", "a.started_at", Time),
            ("ended_at", "a.ended_at", Time),
        ],
        page: SMALL,
    },
    Table {
        file: "jobs",
        shape: Shape::Line,
        from: "job j",
        of: "j.project_id",
        and: "",
        key: &[("j.id", Id)],
        lead: 0,
        columns: &[
            ("id", "j.id", Id),
            ("operation", "j.operation", Text),
            ("state", "j.state", Text),
            ("resource_id", "j.resource_id", Id),
            ("run_id", "j.run_id", Id),
            ("plan_id", "j.plan_id", Id),
            ("plan_hash", "j.plan_hash", Text),
            ("reason", "j.reason", Text),
            ("error_code", "j.error_code", Text),
            ("error_message", "j.error_message", Text),
            ("created_by", "j.created_by", Text),
            ("created_at", "j.created_at", Time),
            ("started_at", "j.started_at", Time),
            ("ended_at", "j.ended_at", Time),
            ("request_id", "j.request_id", Text),
            ("correlation_id", "j.correlation_id", Text),
        ],
        page: SMALL,
    },
    Table {
        file: "job-steps",
        shape: Shape::Line,
        from: "job_step s JOIN job j ON j.id = s.job_id",
        of: "j.project_id",
        and: "",
        key: &[("j.id", Id), ("s.idx", Number)],
        lead: 1,
        columns: &[
            ("job_id", "j.id", Id),
            ("index", "s.idx", Number),
            ("name", "s.name", Text),
            ("title", "s.title", Text),
            ("state", "s.state", Text),
            ("started_at", "s.started_at", Time),
            ("ended_at", "s.ended_at", Time),
        ],
        page: SMALL,
    },
    Table {
        file: "plans",
        shape: Shape::Line,
        from: "plan p",
        of: "p.project_id",
        and: "",
        key: &[("p.id", Id)],
        lead: 0,
        columns: &[
            ("id", "p.id", Id),
            ("operation", "p.operation", Text),
            ("action", "p.action", Text),
            ("state", "p.state", Text),
            ("hash", "p.hash", Text),
            ("risk", "p.risk", Text),
            ("reason", "p.reason", Text),
            ("created_by", "p.created_by", Text),
            ("created_at", "p.created_at", Time),
            ("expires_at", "p.expires_at", Time),
            ("decided_by", "p.decided_by", Text),
            ("decided_at", "p.decided_at", Time),
            ("decision", "p.decision", Text),
            ("job_id", "p.job_id", Id),
            ("plan", "p.body", Json),
        ],
        page: LARGE,
    },
    Table {
        file: "events",
        shape: Shape::Line,
        from: "event e",
        of: "e.project_id",
        and: "",
        key: &[("e.pos", Number)],
        lead: 0,
        columns: &[
            ("pos", "e.pos", Number),
            ("type", "e.type", Text),
            ("at", "e.at", Time),
            ("actor", "e.actor", Text),
            ("kind", "e.kind", Text),
            ("resource_id", "e.resource_id", Id),
            ("resource_name", "e.resource_name", Text),
            ("run_id", "e.run_id", Id),
            ("job_id", "e.job_id", Id),
            ("correlation_id", "e.correlation_id", Text),
            ("data", "e.data", Json),
        ],
        page: SMALL,
    },
];

impl Table {
    /// The next rows of a tenant or project, after a key.
    pub fn entries(&self, tx: &mut Tx<'_>, owner: Uuid, after: Option<&[Value]>) -> Result<Vec<Entry>> {
        let keys = self.key.iter().map(|(sql, _)| *sql).collect::<Vec<_>>();
        let columns = keys.iter().chain(self.columns.iter().map(|(_, sql, _)| sql));
        let columns = columns.copied().collect::<Vec<_>>().join(", ");
        let mut query = Query::new(&format!("SELECT {columns} FROM {} WHERE", self.from));
        query.push(&format!(" {} = ?", self.of), owner).text(self.and);
        if let Some(after) = after {
            // By itself the whole key leads no index where it is of two tables.
            if self.lead > 0 {
                self.beyond(&mut query, &keys[..self.lead], ">=", after)?;
            }
            self.beyond(&mut query, &keys, ">", after)?;
        }
        query.text(&format!(" ORDER BY {}", keys.join(", "))).limit(self.page);
        Ok(query.rows(tx, |row| self.entry(row))?)
    }

    fn beyond(&self, query: &mut Query, keys: &[&str], how: &str, after: &[Value]) -> Result<()> {
        query.text(&format!(" AND ({}) {how} (", keys.join(", ")));
        for (at, ((_, kind), value)) in self.key.iter().zip(after).take(keys.len()).enumerate() {
            query.push_boxed(if at == 0 { "?" } else { ", ?" }, bound(*kind, value)?);
        }
        query.text(")");
        Ok(())
    }

    fn entry(&self, row: &Row<'_>) -> StoreResult<Entry> {
        let kinds = self.key.iter().map(|(_, kind)| kind).enumerate();
        let key = kinds.map(|(at, kind)| read(row, at, *kind)).collect::<StoreResult<_>>()?;
        let mut value = Map::new();
        for (at, (name, _, kind)) in self.columns.iter().enumerate() {
            value.insert((*name).to_owned(), read(row, self.key.len() + at, *kind)?);
        }
        Ok(Entry { key, value })
    }

    /// Whether this was the last page.
    pub fn ends(&self, rows: usize) -> bool {
        (rows as i64) < self.page
    }
}

fn read(row: &Row<'_>, at: usize, kind: As) -> StoreResult<Value> {
    Ok(match kind {
        Text => json!(row.get::<Option<String>>(at)?),
        Id => json!(row.get::<Option<Uuid>>(at)?),
        Number => json!(row.get::<Option<i64>>(at)?),
        Flag => json!(row.get::<Option<bool>>(at)?),
        Time => json!(row.get::<Option<Timestamp>>(at)?),
        Json => row.get::<Option<Value>>(at)?.unwrap_or_default(),
    })
}

/// Of a key that was read as [`read`] does.
fn bound(kind: As, value: &Value) -> Result<Box<dyn Param + Send>> {
    let bad = || Error::internal("bad_job_input", "the place at which an export goes on cannot be read");
    Ok(match kind {
        Text => Box::new(value.as_str().ok_or_else(bad)?.to_owned()),
        Id => Box::new(value.as_str().and_then(|id| id.parse::<Uuid>().ok()).ok_or_else(bad)?),
        Number => Box::new(value.as_i64().ok_or_else(bad)?),
        Flag => Box::new(value.as_bool().ok_or_else(bad)?),
        Time | Json => return Err(bad()),
    })
}

/// The document that `qd apply` takes, of what a row says of a resource; the row keeps the rest.
pub(crate) fn document(row: &mut Map<String, Value>) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".into(), row.get("name").cloned().unwrap_or_default());
    let spec = row.shift_remove("spec").unwrap_or_default();
    let stored = row.shift_remove("metadata").unwrap_or_default();
    for field in ["display_name", "description"] {
        metadata.insert(field.into(), row.shift_remove(field).unwrap_or_default());
    }
    for field in ["labels", "tags", "owners", "teams"] {
        metadata.insert(field.into(), stored.get(field).cloned().unwrap_or_default());
    }
    metadata.retain(|_, value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    });
    json!({ "apiVersion": API_VERSION, "kind": row.get("kind"), "metadata": metadata, "spec": spec })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_column_holds_what_is_secret() {
        let tables = OF_TENANT.iter().chain(OF_PROJECT);
        for table in tables {
            for (_, sql, _) in table.columns {
                for secret in ["sealed", "wrapped", "password", "hash", "credential"] {
                    let harmless = ["v.spec_hash", "j.plan_hash", "p.hash"].contains(sql);
                    assert!(harmless || !sql.contains(secret), "{} has {sql}", table.file);
                }
            }
            assert!(
                !["credential", "secret_version", "secret_key", "signing_key"]
                    .iter()
                    .any(|t| table.from.contains(t))
            );
        }
    }

    #[test]
    fn a_document_has_what_apply_takes_and_the_row_keeps_the_rest() {
        let row = json!({
            "kind": "Pipeline", "name": "curate", "number": 3, "display_name": "", "description": "x",
            "metadata": { "labels": {}, "tags": ["a"], "owners": [], "teams": [] }, "spec": { "stages": [] },
        });
        let mut row = row.as_object().unwrap().clone();
        let made = json!({
            "apiVersion": "quarterdeck/v1", "kind": "Pipeline",
            "metadata": { "name": "curate", "description": "x", "tags": ["a"] }, "spec": { "stages": [] },
        });
        assert_eq!(document(&mut row), made);
        assert_eq!(Value::Object(row), json!({ "kind": "Pipeline", "name": "curate", "number": 3 }));
    }
}
