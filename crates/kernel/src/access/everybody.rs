//! All that many people and services hold, read at once: as many queries for five hundred as for one.
//!
//! Of one who calls, [`bindings::of`](super::bindings) and its like read the same.

use std::{collections::HashMap, sync::Arc};

use qd_core::{
    error::Result,
    id::{PrincipalId, TenantId},
};
use uuid::Uuid;

use super::{
    bindings::Binding,
    sharing::{Held, Share},
};
use crate::{
    credentials::Identity,
    store::{Param, Row, StoreResult, Tx, in_list},
};

/// Of these, those who are active, by name; no credential is in use.
pub(crate) fn identities(tx: &mut Tx<'_>, ids: &[PrincipalId]) -> Result<Vec<Identity>> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let (list, args) = in_list(ids, 1);
    let people = tx.rows(
        &format!(
            "SELECT id, name, kind FROM principal WHERE state = 'active' AND id IN ({list}) ORDER BY name"
        ),
        &args,
        |row| {
            Ok(Identity {
                id: row.get(0)?,
                name: row.get(1)?,
                kind: row.get(2)?,
                bindings: Arc::default(),
                teams: Arc::default(),
                held: Arc::default(),
                limits: None,
                credential_id: Uuid::nil(),
            })
        },
    )?;
    let (mut roles, mut teams) = (bindings(tx, &list, &args)?, teams(tx, &list, &args)?);
    let mut held = held(tx, &list, &args)?;
    let whole = |one: Identity| Identity {
        bindings: roles.remove(&one.id).unwrap_or_default().into(),
        teams: teams.remove(&one.id).unwrap_or_default().into(),
        held: held.remove(&one.id).unwrap_or_default().into(),
        ..one
    };
    Ok(people.into_iter().map(whole).collect())
}

type Of<T> = HashMap<PrincipalId, Vec<T>>;

/// By the id in the first column.
fn by_holder<T>(
    tx: &mut Tx<'_>,
    sql: &str,
    args: &[&dyn Param],
    one: impl Fn(&Row<'_>) -> StoreResult<T>,
) -> Result<Of<T>> {
    let mut found: Of<T> = HashMap::new();
    for (id, one) in tx.rows(sql, args, |row| Ok((row.get(0)?, one(row)?)))? {
        found.entry(id).or_default().push(one);
    }
    Ok(found)
}

fn bindings(tx: &mut Tx<'_>, list: &str, args: &[&dyn Param]) -> Result<Of<Binding>> {
    let sql = format!(
        "SELECT principal_id, role, level, object_id, tenant_id, NULL AS team FROM role_binding WHERE principal_id IN ({list})
         UNION ALL
         SELECT m.principal_id, b.role, b.level, b.object_id, b.tenant_id, t.name
         FROM team_member m JOIN team_binding b ON b.team_id = m.team_id JOIN team t ON t.id = m.team_id
         WHERE m.principal_id IN ({list})
         ORDER BY 2, 4, 6"
    );
    by_holder(tx, &sql, args, |row| {
        Ok(Binding {
            role: row.get(1)?,
            level: row.get(2)?,
            object_id: row.get(3)?,
            tenant_id: row.get(4)?,
            team: row.get(5)?,
        })
    })
}

fn teams(tx: &mut Tx<'_>, list: &str, args: &[&dyn Param]) -> Result<Of<(TenantId, String)>> {
    let sql = format!(
        "SELECT m.principal_id, t.tenant_id, t.name FROM team_member m JOIN team t ON t.id = m.team_id
         WHERE m.principal_id IN ({list}) ORDER BY t.tenant_id, t.name"
    );
    by_holder(tx, &sql, args, |row| Ok((row.get(1)?, row.get(2)?)))
}

fn held(tx: &mut Tx<'_>, list: &str, args: &[&dyn Param]) -> Result<Of<Held>> {
    let sql = format!(
        "SELECT h.principal_id, h.resource_id, h.project_id, h.tenant_id, h.access, NULL AS team
         FROM resource_holder h WHERE h.principal_id IN ({list})
         UNION ALL
         SELECT m.principal_id, h.resource_id, h.project_id, h.tenant_id, h.access, t.name
         FROM team_member m JOIN team t ON t.id = m.team_id
           JOIN resource_holder h ON h.holder = 'team:' || t.name AND h.tenant_id = t.tenant_id
         WHERE m.principal_id IN ({list})"
    );
    by_holder(tx, &sql, args, |row| {
        Ok(Held {
            resource_id: row.get(1)?,
            project_id: row.get(2)?,
            tenant_id: row.get(3)?,
            share: row.get::<Share>(4)?,
            team: row.get(5)?,
        })
    })
}

/// Conditions on a principal `p` who may have a say in the tenant `$1`: a role, a team, something that is held, or a role that
/// is held everywhere.
pub(crate) const OF_TENANT: &str =
    "EXISTS (SELECT 1 FROM role_binding b WHERE b.principal_id = p.id AND (b.tenant_id = $1 OR b.level = 'platform'))
     OR EXISTS (SELECT 1 FROM team_member m WHERE m.principal_id = p.id AND m.tenant_id = $1)
     OR EXISTS (SELECT 1 FROM resource_holder h WHERE h.principal_id = p.id AND h.tenant_id = $1)";
