//! What a person is told of: that something waits for his review or was withdrawn from it, that his own was decided on, that
//! somebody said something.
//!
//! A row for each person, in the transaction of what it is about, kept for [`KEPT`]. What waits for somebody is never found from these
//! rows (that is [`crate::reviews`]' inbox): they may be read, trimmed or missing without anything being lost.
//!
//! Not done here: telling it outside. That is what [`crate::subscriptions`] are for.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use qd_core::{
    error::{Error, Result},
    id::{ProjectId, ResourceId},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::{
    access::{
        everybody::{self, OF_TENANT},
        matrix::Level,
        objects::{self, On},
        sharing::Share,
        sight::{Sifted, sifted},
    },
    context::{Context, Scope},
    credentials::Identity,
    kernel::Kernel,
    mutation::{Act, Mutation, Object, Subject},
    page::{Page, PageRequest},
    params,
    query::Query,
    registry::Registry,
    store::{Param, Row, StoreResult, Tx, in_list},
};

/// How long a notification is kept, read or not.
pub(crate) const KEPT: Duration = Duration::from_hours(24 * 90);
/// People told of one thing.
const MOST: usize = 200;
/// People who are looked at for whom to tell.
const MOST_ASKED: usize = 500;
/// Marked as read by one request.
const MOST_READ: usize = 500;

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Notification {
    pub id: Uuid,
    /// The type of the event that it is about: `revision.submitted`.
    pub what: String,
    pub project: String,
    pub kind: String,
    pub name: String,
    pub revision: i64,
    /// Who did it.
    pub by: String,
    pub message: String,
    pub created_at: Timestamp,
    pub read_at: Option<Timestamp>,
}

/// What there is to tell of a revision.
pub(crate) struct News<'a> {
    pub what: &'a str,
    pub kind: &'a str,
    pub resource_id: ResourceId,
    pub revision: i64,
    pub message: &'a str,
}

const COLUMNS: &str =
    "n.id, n.what, j.name, n.kind, r.name, n.number, n.actor, n.message, n.created_at, n.read_at";

impl Kernel {
    /// The caller's in the tenant, newest first: of what he may still read.
    pub async fn notification_list(
        &self,
        identity: &Identity,
        scope: Scope,
        unread: bool,
        page: PageRequest,
    ) -> Result<Page<Notification>> {
        let (before, fetch, me) = (page.after_uuid("notifications")?, page.fetch(), identity.name.clone());
        let at = self.context_in_projects(identity, scope.tenant_id).await?;
        let registry = self.registry.clone();
        let (items, rest) = self
            .store
            .read(move |tx| -> Result<Sifted<(ProjectId, Notification), Uuid>> {
                let read = |tx: &mut Tx<'_>, before: Option<Uuid>| -> Result<Vec<(ProjectId, Notification)>> {
                    let mut query = Query::new(&format!(
                        "SELECT {COLUMNS}, n.project_id FROM notification n JOIN project j ON j.id = n.project_id
                         JOIN resource r ON r.id = n.resource_id WHERE"
                    ));
                    query.push(" n.tenant_id = ?", scope.tenant_id).push(" AND n.person = ?", me.clone());
                    if unread {
                        query.text(" AND n.read_at IS NULL");
                    }
                    if let Some(before) = before {
                        query.push(" AND n.id < ?", before);
                    }
                    query.text(" ORDER BY n.id DESC").limit(fetch);
                    Ok(query.rows(tx, |found| Ok((found.get(10)?, row(found)?)))?)
                };
                let shown = |tx: &mut Tx<'_>, (project, item): &(ProjectId, Notification)| -> Result<bool> {
                    let kind = registry.find_kind(&item.kind);
                    let (Some(context), Some(kind)) = (at.get(project), kind) else { return Ok(false) };
                    let action = format!("{}.read", kind.info().plural);
                    objects::may(tx, &registry, context, &action, &On::resource(&item.kind, &item.name))
                };
                sifted(tx, (fetch, before), read, |(_, item)| item.id, shown)
            })
            .await?;
        let items: Vec<Notification> = items.into_iter().map(|(_, item)| item).collect();
        let rest = rest.map(|id| id.to_string());
        Ok(page.cut_sifted("notifications", (items, rest), |item| item.id.to_string()))
    }

    /// Marks those, or without any all of the caller's in the tenant, as read; answers how many were not.
    ///
    /// # Errors
    /// `too_many_notifications` (413).
    pub async fn notification_read(&self, context: &Context, ids: Vec<Uuid>) -> Result<u64> {
        if ids.len() > MOST_READ {
            let detail = format!("{} at once; at most {MOST_READ}, or none for all", ids.len());
            return Err(Error::too_large("too_many_notifications", detail));
        }
        self.mutate(context, Act::new("own", "read-notifications"), move |m| {
            let (me, tenant) = (m.context.principal.name.clone(), m.context.scope.tenant_id);
            let mut sql = "UPDATE notification SET read_at = $1 WHERE tenant_id = $2 AND person = $3 AND read_at IS NULL".to_owned();
            let mut args: Vec<&dyn Param> = vec![&m.now, &tenant, &me];
            if !ids.is_empty() {
                let (list, some) = in_list(&ids, 4);
                sql.push_str(&format!(" AND id IN ({list})"));
                args.extend(some);
            }
            let read = m.tx.exec(&sql, &args)?;
            if read == 0 {
                m.unchanged();
                return Ok(0);
            }
            let id = m.context.principal.id.uuid();
            m.event("notifications.read", Subject::default(), &json!({ "principal": me, "count": read }))?;
            m.audit(&Object { kind: "Principal", id, name: &me }, &[], None)?;
            Ok(read)
        })
        .await
    }
}

/// Tells people by name; not the one who did it, no services, nobody who is suspended.
pub(crate) fn tell(m: &mut Mutation<'_, '_>, people: &BTreeSet<String>, news: &News<'_>) -> Result<()> {
    let (me, scope) = (m.context.principal.name.clone(), m.context.scope);
    let others: Vec<String> = people.iter().filter(|name| **name != me).take(MOST).cloned().collect();
    if others.is_empty() {
        return Ok(());
    }
    let (list, args) = in_list(&others, 1);
    let sql =
        format!("SELECT name FROM principal WHERE kind = 'user' AND state = 'active' AND name IN ({list})");
    let known: Vec<String> = m.tx.rows(&sql, &args, |row| row.get(0))?;
    for person in known {
        let id: Uuid = m.id();
        m.tx.exec_later(
            "INSERT INTO notification (id, tenant_id, project_id, person, what, kind, resource_id, number, actor, message, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            params![
                id,
                scope.tenant_id,
                scope.project_id,
                person,
                news.what,
                news.kind,
                news.resource_id,
                news.revision,
                me,
                news.message,
                m.now
            ],
        )?;
    }
    Ok(())
}

/// Who may do the action to the resource: by what they hold of it, in its project or its tenant, and where there is nobody those who
/// may by what they hold everywhere.
pub(crate) fn who_may(
    m: &mut Mutation<'_, '_>,
    registry: &Registry,
    action: &str,
    on: &On,
) -> Result<BTreeSet<String>> {
    let (scope, authority) = (m.context.scope, &m.context.authority);
    let ids = m.tx.rows(
        &format!(
            "SELECT p.id FROM principal p WHERE p.kind = 'user' AND p.state = 'active' AND ({OF_TENANT})
             ORDER BY p.name LIMIT {MOST_ASKED}"
        ),
        params![scope.tenant_id],
        |row| row.get(0),
    )?;
    let people = everybody::identities(m.tx, &ids)?;
    let of = objects::facts(m.tx, registry, scope, on)?.unwrap_or_default();
    // Where the roles and shares alone decide, those who hold the same are asked about once.
    let mut known: HashMap<(Vec<String>, Vec<Share>), bool> = HashMap::new();
    let mut may = |person: &Identity| {
        let principal = person.principal(scope);
        let asked =
            || !of.is_empty() && of.iter().all(|facts| authority.allows_on(&principal, scope, action, facts));
        if authority.has_rules() {
            return asked();
        }
        let here = principal.held.iter().filter(|held| of.iter().any(|on| on.id == Some(held.resource_id)));
        *known.entry((principal.roles.clone(), here.map(|held| held.share).collect())).or_insert_with(asked)
    };
    let (mut here, mut everywhere) = (BTreeSet::new(), BTreeSet::new());
    for person in people {
        let bindings = person.bindings.iter().filter(|held| held.level != Level::Platform).cloned();
        let local = Identity { bindings: bindings.collect(), ..person.clone() };
        if may(&local) {
            here.insert(person.name);
        } else if may(&person) {
            everywhere.insert(person.name);
        }
    }
    Ok(if here.is_empty() { everywhere } else { here })
}

fn row(row: &Row<'_>) -> StoreResult<Notification> {
    Ok(Notification {
        id: row.get(0)?,
        what: row.get(1)?,
        project: row.get(2)?,
        kind: row.get(3)?,
        name: row.get(4)?,
        revision: row.get(5)?,
        by: row.get(6)?,
        message: row.get(7)?,
        created_at: row.get(8)?,
        read_at: row.get(9)?,
    })
}
