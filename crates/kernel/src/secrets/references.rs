//! References in specs: found by their look, checked when a spec is validated, and written down when a revision becomes the
//! published one, so that a secret knows who refers to it.

use qd_core::{
    error::{Error, Result},
    id::{ProjectId, ResourceId},
    violation::{Pointer, Violation},
};
use serde_json::Value;

use super::{Referrer, SCHEME, Secrets, StoredRef};
use crate::{
    context::Scope,
    mutation::Mutation,
    params,
    store::{Param, Tx, in_list},
};

/// Every text of a spec that begins as a reference, with its place.
pub(crate) fn find(spec: &Value) -> Vec<(Pointer, Result<StoredRef>)> {
    let mut found = vec![];
    walk(spec, &Pointer::root(), &mut found);
    found
}

fn walk(value: &Value, at: &Pointer, found: &mut Vec<(Pointer, Result<StoredRef>)>) {
    match value {
        Value::String(text) if text.starts_with(SCHEME) => found.push((at.clone(), text.parse())),
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(index, value)| walk(value, &at.index(index), found));
        }
        Value::Object(members) => members.iter().for_each(|(key, value)| walk(value, &at.key(key), found)),
        _ => {}
    }
}

/// What is wrong with the references of a spec.
pub(crate) async fn violations(secrets: &Secrets, scope: Scope, spec: &Value) -> Result<Vec<Violation>> {
    let mut violations = vec![];
    for (pointer, reference) in find(spec) {
        let reference = match reference {
            Ok(reference) => reference,
            Err(error) => {
                violations.push(Violation::new(pointer, "invalid_reference", error.detail));
                continue;
            }
        };
        if !secrets.exists(scope, &reference).await? {
            let detail =
                format!("there is no secret {reference}; `qd secrets set {}` makes one", reference.path);
            violations.push(Violation::new(pointer, "unknown_secret", detail));
        }
    }
    Ok(violations)
}

/// Writes down what the revision refers to, in the transaction in which it becomes the published one, and holds what it refers to.
///
/// # Errors
/// `secret_not_found` where somebody removed one since the spec was validated.
pub(crate) fn publish(m: &mut Mutation<'_, '_>, id: ResourceId, revision: i64, spec: &Value) -> Result<()> {
    m.tx.exec("DELETE FROM secret_reference WHERE resource_id = $1", params![id])?;
    let project = m.context.scope.project_id;
    for (pointer, reference) in find(spec) {
        let reference = reference?;
        let sql = format!(
            "SELECT 1 FROM secret WHERE project_id = $1 AND path = $2{}",
            m.tx.backend().for_update()
        );
        let there: Option<i64> = m.tx.opt(&sql, params![project, reference.path.as_str()], |_| Ok(1))?;
        if there.is_none() {
            let detail = format!("there is no secret at {} here any more", reference.path);
            return Err(Error::not_found("secret_not_found", detail));
        }
        m.tx.exec(
            "INSERT INTO secret_reference (resource_id, revision, pointer, project_id, path, version) VALUES ($1, $2, $3, $4, $5, $6)",
            params![id, revision, pointer.as_str(), project, reference.path.as_str(), reference.version],
        )?;
    }
    Ok(())
}

/// Who refers to these paths. What is archived refers to nothing.
pub(super) fn of(tx: &mut Tx<'_>, project: ProjectId, paths: &[String]) -> Result<Vec<(String, Referrer)>> {
    if paths.is_empty() {
        return Ok(vec![]);
    }
    let (list, args) = in_list(paths, 2);
    let mut all: Vec<&dyn Param> = vec![&project];
    all.extend(args);
    let sql = format!(
        "SELECT f.path, r.kind, r.name, f.revision, f.pointer, f.version, r.id FROM secret_reference f
         JOIN resource r ON r.id = f.resource_id AND r.published_number = f.revision AND r.state = 'active'
         WHERE f.project_id = $1 AND f.path IN ({list}) ORDER BY f.path, r.kind, r.name, f.pointer"
    );
    Ok(tx.rows(&sql, &all, |row| {
        let referrer = Referrer {
            kind: row.get(1)?,
            name: row.get(2)?,
            revision: row.get(3)?,
            pointer: row.get(4)?,
            version: row.get(5)?,
            resource_id: row.get(6)?,
        };
        Ok((row.get(0)?, referrer))
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_found_wherever_they_stand() {
        let spec = json!({ "a": "secret://x", "b": [{ "c/d": "secret://y#2" }, "https://secret"], "e": "secret://" });
        let found: Vec<(String, Option<String>)> = find(&spec)
            .into_iter()
            .map(|(at, reference)| (at.as_str().to_owned(), reference.ok().map(|found| found.to_string())))
            .collect();
        let at = |pointer: &str, text: Option<&str>| (pointer.to_owned(), text.map(str::to_owned));
        assert_eq!(
            found,
            [at("/a", Some("secret://x")), at("/b/0/c~1d", Some("secret://y#2")), at("/e", None)]
        );
    }
}
