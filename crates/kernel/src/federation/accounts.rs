//! The account of somebody whom another recognised: found by issuer and subject, made at the first sign-in.
//!
//! Its name is the one that the other gave, as far as it can be a name here, or `person`; where somebody has it already, the lowest
//! number from 2 on that is free is put behind it, as behind one that the system has for itself. Roles that follow from groups carry the provider's name as who granted
//! them: they are replaced at each sign-in, and those that somebody granted by hand stay.

use std::collections::BTreeSet;

use qd_core::{
    diff::Change,
    error::{Error, Result},
    id::{PrincipalId, TenantId},
    name::Name,
};
use serde_json::json;
use uuid::Uuid;

use super::settings::GroupRole;
use crate::{
    access::{
        PLATFORM_ADMIN,
        bindings::{self, Binding},
        matrix::Level,
    },
    context::{Context, RequestIds, Scope},
    credentials::{Origin, accounts::account_name},
    kernel::Kernel,
    mutation::{Act, Mutation, Object, Subject},
    params,
    store::Tx,
};

/// Somebody, as another says.
#[derive(Debug, Clone)]
pub struct Person {
    pub issuer: String,
    /// What only that issuer calls him so.
    pub subject: String,
    /// By what he came: `oidc:corp`, `gateway`, `edge`.
    pub provider: String,
    /// What he would like to be called.
    pub name: String,
    pub display_name: String,
    pub groups: Vec<String>,
}

/// Where a rule gives its role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    role: String,
    level: Level,
    object_id: Uuid,
    tenant_id: Uuid,
}

impl Kernel {
    /// Finds or makes the account, and gives it the roles that follow from groups; without rules its roles stay as they are.
    ///
    /// # Errors
    /// `bad_credential` (401) where it is suspended.
    pub(crate) async fn person_account(
        &self,
        person: Person,
        rules: Option<&[GroupRole]>,
        origin: &Origin,
        ids: &RequestIds,
    ) -> Result<PrincipalId> {
        if rules.is_none() {
            // At each request of some: nothing is written where there is nothing to write.
            let asked = person.clone();
            let found = self.store.read(move |tx| -> Result<_> { account(tx, &asked) }).await?;
            if let Some((id, _, false)) = found {
                return Ok(id);
            }
        }
        let context = Context::system(person.provider.clone(), Scope::PLATFORM, ids.clone(), &origin.source);
        let rules: Option<Vec<GroupRole>> = rules
            .map(|rules| rules.iter().filter(|rule| person.groups.contains(&rule.group)).cloned().collect());
        let (id, changed) = self
            .mutate(&context, Act::new("own", "link-account"), move |m| {
                let mut changes = vec![];
                let (id, name) = match account(m.tx, &person)? {
                    Some((_, _, true)) => {
                        return Err(Error::unauthenticated("bad_credential", "the account is suspended"));
                    }
                    Some((id, name, false)) => (id, name),
                    None => {
                        let (id, name) = make(m, &person)?;
                        let made =
                            json!({ "name": name, "issuer": person.issuer, "subject": person.subject });
                        changes.push(Change::add("", made));
                        (id, name)
                    }
                };
                if let Some(rules) = &rules {
                    changes.extend(replace(m, id, &person.provider, rules)?);
                }
                if changes.is_empty() {
                    m.unchanged();
                    return Ok((id, false));
                }
                let data = json!({ "user": name, "provider": person.provider });
                m.event("user.linked", Subject::default(), &data)?;
                m.audit(&Object { kind: "Principal", id: id.uuid(), name: &name }, &changes, None)?;
                Ok((id, true))
            })
            .await?;
        if changed {
            self.callers.clear();
        }
        Ok(id)
    }
}

/// The account, its name, and whether it is suspended.
fn account(tx: &mut Tx<'_>, person: &Person) -> Result<Option<(PrincipalId, String, bool)>> {
    Ok(tx.opt(
        "SELECT p.id, p.name, p.state = 'suspended' FROM external_identity e JOIN principal p ON p.id = e.principal_id
         WHERE e.issuer = $1 AND e.subject = $2",
        params![person.issuer.clone(), person.subject.clone()],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?)
}

fn make(m: &mut Mutation<'_, '_>, person: &Person) -> Result<(PrincipalId, String)> {
    let wish = name_of(&person.name);
    let id: PrincipalId = m.id();
    let mut made = None;
    for number in 1..1000 {
        let name = numbered(&wish, number);
        if account_name(&name).is_err() {
            continue;
        }
        let written = m.tx.exec(
            "INSERT INTO principal (id, name, display_name, kind, created_at) VALUES ($1, $2, $3, 'user', $4)
             ON CONFLICT (name) DO NOTHING",
            params![id, name.clone(), person.display_name.clone(), m.now],
        )?;
        if written == 1 {
            made = Some(name);
            break;
        }
    }
    let name =
        made.ok_or_else(|| Error::conflict("already_exists", format!("there is no name like {wish} left")))?;
    let linked = m.tx.exec(
        "INSERT INTO external_identity (issuer, subject, principal_id, provider, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (issuer, subject) DO NOTHING",
        params![person.issuer.clone(), person.subject.clone(), id, person.provider.clone(), m.now],
    )?;
    match linked {
        1 => Ok((id, name)),
        // Two first sign-ins at once: the other one made the account.
        _ => Err(Error::unavailable(
            "sign_in_raced",
            "the account is being made by another sign-in; try again",
        )),
    }
}

/// What can be a name here of what somebody is called elsewhere.
fn name_of(wish: &str) -> String {
    let mut name = String::new();
    for sign in wish.to_lowercase().chars() {
        match sign {
            'a'..='z' => name.push(sign),
            '0'..='9' if !name.is_empty() => name.push(sign),
            _ if !name.is_empty() && !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    let name: String = name.chars().take(32).collect();
    match name.trim_end_matches('-') {
        "" => "person".into(),
        name => name.into(),
    }
}

fn numbered(wish: &str, number: u32) -> String {
    match number {
        1 if wish.parse::<Name>().is_ok() => wish.to_owned(),
        1 => "person".to_owned(),
        _ => format!("{wish}-{number}"),
    }
}

/// Replaces the roles that the provider gave, and says what changed.
fn replace(m: &mut Mutation<'_, '_>, id: PrincipalId, by: &str, rules: &[GroupRole]) -> Result<Vec<Change>> {
    let mut wanted = BTreeSet::new();
    for rule in rules {
        match place(m.tx, rule)? {
            Some(held) => {
                wanted.insert(held);
            }
            None => {
                tracing::warn!(group = rule.group, "the tenant or project of a group's role is not there")
            }
        }
    }
    let held: Vec<Held> = m.tx.rows(
        "SELECT role, level, object_id, tenant_id FROM role_binding WHERE principal_id = $1 AND created_by = $2",
        params![id, by.to_owned()],
        |row| {
            Ok(Held { role: row.get(0)?, level: row.get(1)?, object_id: row.get(2)?, tenant_id: row.get(3)? })
        },
    )?;
    let mut changes = vec![];
    for gone in held.iter().filter(|one| !wanted.contains(one)) {
        m.tx.exec(
            "DELETE FROM role_binding WHERE principal_id = $1 AND role = $2 AND object_id = $3",
            params![id, gone.role.clone(), gone.object_id],
        )?;
        if gone.role == PLATFORM_ADMIN && bindings::administrators_left(m.tx).is_err() {
            tracing::warn!(principal = %id, "the last administrator keeps the role that its groups no longer give");
            give(m, id, by, gone)?;
            continue;
        }
        changes.push(Change::remove("/roles", said(gone)));
    }
    for new in wanted.iter().filter(|one| !held.contains(one)) {
        if give(m, id, by, new)? {
            changes.push(Change::add("/roles/-", said(new)));
        }
    }
    Ok(changes)
}

fn said(held: &Held) -> serde_json::Value {
    json!({ "role": held.role, "at": held.level.as_str(), "object": held.object_id })
}

/// False where somebody has granted it by hand: then it is theirs, and stays.
fn give(m: &mut Mutation<'_, '_>, id: PrincipalId, by: &str, held: &Held) -> Result<bool> {
    let given = m.tx.exec(
        "INSERT INTO role_binding (principal_id, role, level, object_id, tenant_id, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (principal_id, role, object_id) DO NOTHING",
        params![
            id,
            held.role.clone(),
            held.level.as_str(),
            held.object_id,
            held.tenant_id,
            by.to_owned(),
            m.now
        ],
    )?;
    Ok(given == 1)
}

fn place(tx: &mut Tx<'_>, rule: &GroupRole) -> Result<Option<Held>> {
    let found = ids_of(tx, rule.tenant.as_deref(), rule.project.as_deref())?;
    Ok(found.map(|(tenant_id, object_id)| Held {
        role: rule.role.clone(),
        level: rule.level(),
        object_id,
        tenant_id,
    }))
}

/// The ids of a tenant and of what is meant in it: both nil for the platform, the tenant twice without a project.
fn ids_of(tx: &mut Tx<'_>, tenant: Option<&str>, project: Option<&str>) -> Result<Option<(Uuid, Uuid)>> {
    let Some(tenant) = tenant else { return Ok(Some((Uuid::nil(), Uuid::nil()))) };
    let found: Option<Uuid> =
        tx.opt("SELECT id FROM tenant WHERE name = $1", params![tenant.to_owned()], |row| row.get(0))?;
    let Some(tenant_id) = found else { return Ok(None) };
    let Some(project) = project else { return Ok(Some((tenant_id, tenant_id))) };
    let found: Option<Uuid> = tx.opt(
        "SELECT id FROM project WHERE tenant_id = $1 AND name = $2",
        params![tenant_id, project.to_owned()],
        |row| row.get(0),
    )?;
    Ok(found.map(|project_id| (tenant_id, project_id)))
}

/// The same as bindings of nobody in particular, for roles that are not kept here.
pub(super) fn bindings_of(tx: &mut Tx<'_>, rules: &[GroupRole]) -> Result<Vec<Binding>> {
    let mut found = vec![];
    for rule in rules {
        if let Some(held) = place(tx, rule)? {
            found.push(Binding {
                role: held.role,
                level: held.level,
                object_id: held.object_id,
                tenant_id: TenantId::from(held.tenant_id),
                team: None,
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_is_called_elsewhere_becomes_a_name() {
        for (wish, name) in [
            ("ann", "ann"),
            ("Ann Lee", "ann-lee"),
            ("ann.lee+x@example.org", "ann-lee-x-example-org"),
            ("007bond", "bond"),
            ("--", "person"),
            ("", "person"),
            ("Ünal", "nal"),
            (&"x".repeat(80), &"x".repeat(32)),
        ] {
            assert_eq!(name_of(wish), name, "{wish}");
            numbered(&name_of(wish), 1).parse::<Name>().unwrap();
            numbered(&name_of(wish), 999).parse::<Name>().unwrap();
        }
    }
}
