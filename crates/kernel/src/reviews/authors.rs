//! Who had a hand in a revision: whoever changed the working copy that it was cut from, cut it, or submitted it, and the same of
//! the revisions before it that were never published, because their content may be in it.
//!
//! A service counts as the people who answer for it, and what the system does for somebody as his.

use qd_core::{error::Result, id::ResourceId};

use crate::{
    context::{Context, PrincipalKind},
    mutation::Mutation,
    params,
    revisions::Origin,
    store::Tx,
};

/// Those that the caller stands for: itself, on whose behalf it acts, and who answers for it where it is a service.
fn acting(tx: &mut Tx<'_>, context: &Context) -> Result<Vec<String>> {
    let principal = &context.principal;
    let mut names = vec![principal.name.clone()];
    names.extend(context.on_behalf_of.clone());
    if principal.kind == PrincipalKind::Service {
        names.extend(tx.rows(
            "SELECT name FROM service_person WHERE principal_id = $1 ORDER BY name",
            params![principal.id],
            |row| row.get::<String>(0),
        )?);
    }
    Ok(names)
}

/// The caller changed the working copy.
pub(crate) fn drafted(m: &mut Mutation<'_, '_>, resource_id: ResourceId) -> Result<()> {
    for name in acting(m.tx, m.context)? {
        m.tx.exec_later(
            "INSERT INTO draft_author (resource_id, name) VALUES ($1, $2) ON CONFLICT (resource_id, name) DO NOTHING",
            params![resource_id, name],
        )?;
    }
    Ok(())
}

/// The caller cut a revision; `source` is the one whose spec it has again.
pub(crate) fn cut(
    m: &mut Mutation<'_, '_>,
    resource_id: ResourceId,
    number: i64,
    origin: Origin,
    source: Option<i64>,
) -> Result<()> {
    submitted(m, resource_id, number)?;
    let unpublished: Option<i64> = m.tx.opt(
        "SELECT number FROM revision WHERE resource_id = $1 AND number = $2 AND published_at IS NULL",
        params![resource_id, number - 1],
        |row| row.get(0),
    )?;
    // What was not published may be in the working copy, also where a rollback was cut since.
    let base: Option<i64> = match origin {
        Origin::WorkingCopy => m.tx.opt(
            "SELECT v.number FROM working_copy w JOIN revision v ON v.resource_id = w.resource_id AND v.number = w.base_revision
             WHERE w.resource_id = $1 AND v.published_at IS NULL",
            params![resource_id],
            |row| row.get(0),
        )?,
        Origin::Apply | Origin::Rollback => None,
    };
    for from in [unpublished, base, source].into_iter().flatten() {
        m.tx.exec_later(
            "INSERT INTO revision_author (resource_id, number, name)
             SELECT resource_id, CAST($3 AS bigint), name FROM revision_author WHERE resource_id = $1 AND number = $2
             UNION SELECT resource_id, CAST($3 AS bigint), created_by FROM revision WHERE resource_id = $1 AND number = $2
             ON CONFLICT (resource_id, number, name) DO NOTHING",
            params![resource_id, from, number],
        )?;
    }
    if origin == Origin::WorkingCopy {
        m.tx.exec_later(
            "INSERT INTO revision_author (resource_id, number, name)
             SELECT resource_id, CAST($2 AS bigint), name FROM draft_author WHERE resource_id = $1
             ON CONFLICT (resource_id, number, name) DO NOTHING",
            params![resource_id, number],
        )?;
    }
    // A rollback leaves the working copy as it is.
    if origin != Origin::Rollback {
        m.tx.exec_later("DELETE FROM draft_author WHERE resource_id = $1", params![resource_id])?;
    }
    Ok(())
}

/// Whether the caller stands for the one of that name: is he, or one who answers for the service that he is.
pub(crate) fn stands_for(tx: &mut Tx<'_>, context: &Context, name: &str) -> Result<bool> {
    let mut names: Vec<String> = tx.rows(
        "SELECT s.name FROM service_person s JOIN principal p ON p.id = s.principal_id WHERE p.name = $1 AND p.kind = 'service'",
        params![name.to_owned()],
        |row| row.get(0),
    )?;
    names.push(name.to_owned());
    Ok(acting(tx, context)?.iter().any(|me| names.contains(me)))
}

/// The caller cut or submitted the revision.
pub(crate) fn submitted(m: &mut Mutation<'_, '_>, resource_id: ResourceId, number: i64) -> Result<()> {
    for name in acting(m.tx, m.context)? {
        m.tx.exec(
            "INSERT INTO revision_author (resource_id, number, name) VALUES ($1, $2, $3)
             ON CONFLICT (resource_id, number, name) DO NOTHING",
            params![resource_id, number, name],
        )?;
    }
    Ok(())
}

/// Whether the caller is one of the revision's authors.
pub(crate) fn is_one(m: &mut Mutation<'_, '_>, resource_id: ResourceId, number: i64) -> Result<bool> {
    let authors = of(m.tx, resource_id, number)?;
    Ok(acting(m.tx, m.context)?.iter().any(|name| authors.contains(name)))
}

/// By name. A revision that is older than this record has whoever cut it.
pub(crate) fn of(tx: &mut Tx<'_>, resource_id: ResourceId, number: i64) -> Result<Vec<String>> {
    Ok(tx.rows(
        "SELECT name FROM revision_author WHERE resource_id = $1 AND number = $2
         UNION SELECT created_by FROM revision WHERE resource_id = $1 AND number = $2 ORDER BY 1",
        params![resource_id, number],
        |row| row.get(0),
    )?)
}

/// People who answer for a service: who made it, and who makes it a token.
pub(crate) fn answers_for(m: &mut Mutation<'_, '_>, service: qd_core::id::PrincipalId) -> Result<()> {
    for name in acting(m.tx, m.context)? {
        m.tx.exec(
            "INSERT INTO service_person (principal_id, name) VALUES ($1, $2) ON CONFLICT (principal_id, name) DO NOTHING",
            params![service, name],
        )?;
    }
    Ok(())
}
