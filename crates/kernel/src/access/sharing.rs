//! Whom one resource belongs to, and with whom it is shared.
//!
//! Its owners are those whom its metadata name: people and services by name (`owners`), teams by name (`teams`, or `team:core`
//! among the owners). They do everything to it that its kind offers, and share it: with a person or a team, as a viewer, an
//! operator or an editor. Both are kept as rows by holder, so that a caller's are found with the caller.
//!
//! A name means whoever has it in the tenant when it is written, and is kept as that one's id: what names nobody there is
//! refused, so that nobody comes to own something by the name that he gets later, or has in another tenant.
//!
//! Changing whom it belongs to is sharing, and wants the same right.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use qd_core::{
    diff::Change,
    error::{Error, Result},
    id::{PrincipalId, ProjectId, ResourceId, TenantId},
    time::Timestamp,
    violation::Violation,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    bindings::{TEAM, principal_in, principal_named},
    matrix::READS,
    objects::On,
    teams,
};
use crate::{
    context::{Context, Scope},
    kernel::Kernel,
    kind::Kind,
    mutation::{Act, Mutation},
    params,
    resources::{StoredMetadata, lock, peek, subject},
    store::{self, Column, Tx},
};

/// How a resource is held. Each allows what those before it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    Viewer,
    Operator,
    Editor,
    /// By the metadata alone.
    Owner,
}

impl Share {
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Editor, Self::Owner];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Editor => "editor",
            Self::Owner => "owner",
        }
    }

    /// Patterns of the actions that it allows on the resource.
    pub(crate) fn allows(self, plurals: &[&str]) -> Vec<String> {
        let own: &[&str] = match self {
            Self::Viewer => &[READS],
            Self::Operator => &["*.run", "*.stop", "*.retry", "*.request", "jobs.cancel", "connections.test"],
            Self::Editor => &[
                "*.edit",
                "*.update",
                "*.revise",
                "*.submit",
                "*.withdraw",
                "*.comment",
                "*.publish",
                "*.rollback",
                "plans.create",
                "plans.apply",
            ],
            Self::Owner => &["*.archive", "*.restore", "*.share"],
        };
        let below = Self::ALL.iter().rev().find(|share| **share < self);
        let mut allows = below.map_or_else(Vec::new, |share| share.allows(plurals));
        allows.extend(own.iter().map(|pattern| (*pattern).to_owned()));
        if self == Self::Owner {
            allows.extend(plurals.iter().map(|plural| format!("{plural}.*")));
        }
        allows
    }
}

/// Something that a caller holds of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub resource_id: ResourceId,
    pub project_id: ProjectId,
    pub tenant_id: TenantId,
    pub share: Share,
    /// The team that it is held through.
    pub team: Option<String>,
}

/// Somebody who holds a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Holder {
    /// A name, or `team:` and the name of a team.
    pub holder: String,
    #[serde(rename = "as")]
    pub share: Share,
    pub since: Timestamp,
    pub by: String,
}

/// Everybody who holds a resource by itself; what roles allow is not told here.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct HolderList {
    pub items: Vec<Holder>,
}

impl Kernel {
    /// Owners first, then by name.
    pub async fn sharing_list(&self, scope: Scope, kind: &str, name: &str) -> Result<HolderList> {
        let (kind, name) = (kind.to_owned(), name.to_owned());
        let items = self
            .store
            .read(move |tx| -> Result<Vec<Holder>> {
                let id = peek(tx, scope, &kind, &name)?.id;
                Ok(tx.rows(
                    "SELECT holder, access, created_at, created_by FROM resource_holder WHERE resource_id = $1
                     ORDER BY CASE WHEN access = 'owner' THEN 0 ELSE 1 END, holder",
                    params![id],
                    |row| {
                        Ok(Holder { holder: row.get(0)?, share: row.get(1)?, since: row.get(2)?, by: row.get(3)? })
                    },
                )?)
            })
            .await?;
        Ok(HolderList { items })
    }

    /// Shares a resource with a person, a service or a team of the tenant (`team:core`), or changes as what.
    ///
    /// # Errors
    /// `user_not_found`, `team_not_found` (404), the former also for somebody who holds nothing in the tenant unless the caller may
    /// take people in; `owner_by_metadata` (422) for an owner, whom the metadata name; `own_access` (403)
    /// for oneself.
    pub async fn resource_share(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        holder: &str,
        share: Share,
    ) -> Result<()> {
        if share == Share::Owner {
            let detail = "who owns a resource stands in its metadata: change its owners or teams";
            return Err(Error::invalid("owner_by_metadata", detail));
        }
        self.sharing_change(context, kind, name, holder, Some(share)).await
    }

    /// # Errors
    /// `not_shared` (404) where it is not shared with that one; as [`Self::resource_share`].
    pub async fn resource_unshare(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        holder: &str,
    ) -> Result<()> {
        self.sharing_change(context, kind, name, holder, None).await
    }

    async fn sharing_change(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        holder: &str,
        to: Option<Share>,
    ) -> Result<()> {
        let (kind_name, plural) = (kind.info().kind, kind.info().plural);
        let (wanted, holder) = (name.to_owned(), holder.to_owned());
        let act = Act::new(plural, "share").on(On::resource(kind_name, name));
        self.mutate(context, act, move |m| {
            let resource = lock(m.tx, m.context.scope, kind_name, &wanted)?;
            let old: Option<Share> = m.tx.opt(
                "SELECT access FROM resource_holder WHERE resource_id = $1 AND holder = $2 AND owner = $3",
                params![resource.id, holder.clone(), false],
                |row| row.get(0),
            )?;
            let mut principal = None;
            if to.is_some() || old.is_none() {
                principal = there(m, &holder)?;
            }
            let change = match (old, to) {
                (None, None) => {
                    let detail = format!("{wanted} is not shared with {holder}");
                    return Err(Error::not_found("not_shared", detail));
                }
                (old, Some(to)) if old == Some(to) => {
                    m.unchanged();
                    return Ok(());
                }
                (Some(old), Some(to)) => {
                    Change::replace("/sharing", json!({ &holder: old }), json!({ &holder: to }))
                }
                (None, Some(to)) => Change::add("/sharing", json!({ &holder: to })),
                (Some(old), None) => Change::remove("/sharing", json!({ &holder: old })),
            };
            m.tx.exec(
                "DELETE FROM resource_holder WHERE resource_id = $1 AND holder = $2 AND owner = $3",
                params![resource.id, holder.clone(), false],
            )?;
            if let Some(share) = to {
                insert(m, resource.id, (&holder, principal), share)?;
            }
            m.audit(&resource.object(kind_name), &[change], None)?;
            let event = if to.is_some() { "resource.shared" } else { "resource.unshared" };
            let data = json!({ "holder": holder, "as": to });
            m.event(event, subject(kind_name, resource.id, &resource.name), &data)
        })
        .await?;
        self.callers.clear();
        Ok(())
    }
}

/// Refuses a holder whom there is not, or of whom the caller is not to know, and oneself; the id of a person or service.
fn there(m: &mut Mutation<'_, '_>, holder: &str) -> Result<Option<PrincipalId>> {
    if let Some(team) = holder.strip_prefix(TEAM) {
        return teams::find(m.tx, m.context.scope, team, "").map(|_| None);
    }
    let id = principal_named(m.tx, m.context, holder)?;
    if id == m.context.principal.id {
        return Err(super::bindings::own_access());
    }
    Ok(Some(id))
}

fn insert(
    m: &mut Mutation<'_, '_>,
    id: ResourceId,
    (holder, principal_id): (&str, Option<PrincipalId>),
    share: Share,
) -> Result<()> {
    let (scope, me) = (m.context.scope, m.context.principal.name.clone());
    m.tx.exec(
        "INSERT INTO resource_holder (resource_id, holder, principal_id, owner, access, tenant_id, project_id, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        params![
            id,
            holder.to_owned(),
            principal_id,
            share == Share::Owner,
            share.as_str(),
            scope.tenant_id,
            scope.project_id,
            me,
            m.now
        ],
    )?;
    Ok(())
}

/// Those whom the metadata name.
pub(crate) fn owners(metadata: &StoredMetadata) -> BTreeSet<String> {
    let teams = metadata.teams.iter().map(|team| format!("{TEAM}{team}"));
    metadata.owners.iter().cloned().chain(teams).collect()
}

/// Those whom the metadata name and did not name before, each with its id if it is no team.
fn found(
    m: &mut Mutation<'_, '_>,
    before: &BTreeSet<String>,
    metadata: &StoredMetadata,
) -> Result<BTreeMap<String, Option<PrincipalId>>> {
    let owners = metadata.owners.iter().enumerate().map(|(at, one)| (format!("owners/{at}"), one.clone()));
    let teams = metadata.teams.iter().enumerate();
    let teams = teams.map(|(at, one)| (format!("teams/{at}"), format!("{TEAM}{one}")));
    let (mut found, mut violations) = (BTreeMap::new(), vec![]);
    for (at, holder) in owners.chain(teams).filter(|(_, holder)| !before.contains(holder)) {
        let detail = match holder.strip_prefix(TEAM) {
            Some(team) => match teams::find(m.tx, m.context.scope, team, "") {
                Ok(_) => {
                    found.insert(holder, None);
                    continue;
                }
                Err(error) if error.code == "team_not_found" => error.detail,
                Err(error) => return Err(error),
            },
            None => match principal_in(m.tx, m.context.scope.tenant_id, &holder)? {
                Some(id) => {
                    found.insert(holder, Some(id));
                    continue;
                }
                None => format!(
                    "nobody named {holder:?} holds anything in the tenant; give a role first, or a place in a team"
                ),
            },
        };
        violations.push(Violation::new(format!("/metadata/{at}"), "unknown_holder", detail));
    }
    if violations.is_empty() {
        return Ok(found);
    }
    let detail = "the metadata name owners whom the tenant does not know";
    Err(Error::invalid("metadata_invalid", detail).with_violations(violations))
}

/// Writes down whom a resource belongs to, with the metadata that say so.
///
/// # Errors
/// `metadata_invalid` (422) for owners who are new and hold nothing in the tenant; those who stood there before stay as they are.
pub(crate) fn own(
    m: &mut Mutation<'_, '_>,
    id: ResourceId,
    old: &StoredMetadata,
    new: &StoredMetadata,
) -> Result<()> {
    let (before, after) = (owners(old), owners(new));
    if before == after {
        return Ok(());
    }
    let found = found(m, &before, new)?;
    for gone in before.difference(&after) {
        m.tx.exec(
            "DELETE FROM resource_holder WHERE resource_id = $1 AND holder = $2 AND owner = $3",
            params![id, gone.clone(), true],
        )?;
    }
    for (owner, principal) in &found {
        insert(m, id, (owner, *principal), Share::Owner)?;
    }
    m.callers_changed();
    Ok(())
}

/// All that somebody holds of single resources, by himself and through teams.
pub(crate) fn of(tx: &mut Tx<'_>, principal_id: PrincipalId) -> Result<Arc<[Held]>> {
    let held = tx.rows(
        "SELECT h.resource_id, h.project_id, h.tenant_id, h.access, NULL AS team FROM resource_holder h WHERE h.principal_id = $1
         UNION ALL
         SELECT h.resource_id, h.project_id, h.tenant_id, h.access, t.name
         FROM team_member m JOIN team t ON t.id = m.team_id
           JOIN resource_holder h ON h.holder = 'team:' || t.name AND h.tenant_id = t.tenant_id
         WHERE m.principal_id = $1",
        params![principal_id],
        |row| {
            Ok(Held {
                resource_id: row.get(0)?,
                project_id: row.get(1)?,
                tenant_id: row.get(2)?,
                share: row.get(3)?,
                team: row.get(4)?,
            })
        },
    )?;
    Ok(held.into())
}

impl Column for Share {
    fn column(value: store::Value<'_>) -> std::result::Result<Self, String> {
        let text = String::column(value)?;
        let found = Self::ALL.into_iter().find(|share| share.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is no way to hold a resource"))
    }
}
