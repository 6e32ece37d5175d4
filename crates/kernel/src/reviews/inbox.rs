//! What waits for somebody: revisions and plans that he may decide on, in every project of the tenant where he may, and his own that were
//! decided.
//!
//! Four keyset reads of indexed rows, merged by id, which is the order in which they were submitted. What his roles alone decide is
//! asked once for each set of roles that he holds somewhere; a row is asked about where what it is about decides: something that
//! is his or shared with him, or that a policy of the project singles out.

use std::{collections::BTreeMap, sync::Arc};

use qd_core::{
    error::Result,
    id::{PlanId, ProjectId, TenantId},
    plan::{Plan, Risk},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    access::{
        cedar::Verdict,
        objects::{self, On},
        sight::{Sifted, sifted},
    },
    context::{Context, PrincipalKind, RequestIds, Scope},
    credentials::Identity,
    kernel::Kernel,
    page::{Page, PageRequest},
    params, plans,
    policies::POLICY,
    query::Query,
    registry::Registry,
    store::{Json, Row, StoreResult, Tx},
};

/// Of each sort, at most so many are counted.
const COUNTED: u32 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InboxWhat {
    /// A revision that waits for the caller's approval.
    Review,
    /// A plan that does.
    Plan,
    /// A revision of the caller's that was approved and is not published yet.
    Approved,
    /// One that was rejected, and that nothing newer was cut after.
    Rejected,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct InboxItem {
    /// Of the review or the plan.
    pub id: Uuid,
    pub what: InboxWhat,
    pub project: String,
    /// `pipelines/curate`, or what the plan's first step acts on.
    pub target: String,
    /// None of a plan.
    pub kind: Option<String>,
    /// The resource's name; none of a plan.
    pub name: Option<String>,
    pub revision: Option<i64>,
    pub plan_id: Option<PlanId>,
    /// Of a plan.
    pub risk: Option<Risk>,
    /// Who submitted or planned it; of the caller's own, who decided.
    pub by: String,
    pub at: Timestamp,
    /// What the reviewer should know; of the caller's own, why it was decided so.
    pub message: String,
}

/// How many there are of each sort, up to 100.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InboxCounts {
    pub review: usize,
    pub plan: usize,
    pub approved: usize,
    pub rejected: usize,
    /// What waits for the caller's decision.
    pub to_decide: usize,
    /// Notifications that were not read.
    pub unread: usize,
}

/// Where the caller may do what.
struct Reach {
    me: String,
    tenant: TenantId,
    registry: Arc<Registry>,
    /// The caller in each project where anything may be his to see.
    at: BTreeMap<ProjectId, Context>,
    /// Projects by the kinds of which he may be one to decide on revisions there.
    reviews: BTreeMap<Vec<&'static str>, Vec<ProjectId>>,
    /// Where he may be one to decide on plans.
    plans: Vec<ProjectId>,
    /// From which risk on the server wants a second person: 1 to 3, 9 for never.
    rank: i64,
    now: Timestamp,
    plurals: BTreeMap<String, &'static str>,
}

impl Reach {
    fn may(&self, tx: &mut Tx<'_>, project: ProjectId, action: &str, on: &On) -> Result<bool> {
        let Some(context) = self.at.get(&project) else { return Ok(false) };
        objects::may(tx, &self.registry, context, action, on)
    }

    /// The same of the resource that the item is about.
    fn may_to(&self, tx: &mut Tx<'_>, (project, item): &Found, verb: &str) -> Result<bool> {
        let (Some(kind), Some(name)) = (&item.kind, &item.name) else { return Ok(false) };
        let Some(plural) = self.plurals.get(kind) else { return Ok(false) };
        self.may(tx, *project, &format!("{plural}.{verb}"), &On::resource(kind, name))
    }
}

/// The kinds of which somebody may be one to decide on revisions, and whether on plans.
type Decides = (Vec<&'static str>, bool);

/// An item, and the project that it is in.
type Found = (ProjectId, InboxItem);

impl Kernel {
    /// Newest first.
    pub async fn inbox(
        &self,
        identity: &Identity,
        scope: Scope,
        page: PageRequest,
    ) -> Result<Page<InboxItem>> {
        let (before, fetch) = (page.after_uuid("inbox")?, page.fetch());
        let (mut items, rest) = self.inbox_items(identity, scope, before, fetch).await?;
        items.sort_by_key(|item| std::cmp::Reverse(item.id));
        let rest = rest.map(|id| id.to_string());
        Ok(page.cut_sifted("inbox", (items, rest), |item| item.id.to_string()))
    }

    pub async fn inbox_counts(&self, identity: &Identity, scope: Scope) -> Result<InboxCounts> {
        let (items, _) = self.inbox_items(identity, scope, None, i64::from(COUNTED)).await?;
        let of = |what| items.iter().filter(|item| item.what == what).count();
        let (review, plan) = (of(InboxWhat::Review), of(InboxWhat::Plan));
        let (approved, rejected) = (of(InboxWhat::Approved), of(InboxWhat::Rejected));
        let page = PageRequest::first(COUNTED);
        let unread = self.notification_list(identity, scope, true, page).await?.items.len();
        Ok(InboxCounts { review, plan, approved, rejected, to_decide: review + plan, unread })
    }

    /// What is there, and from below which id to go on where not all was looked at for it.
    async fn inbox_items(
        &self,
        identity: &Identity,
        scope: Scope,
        before: Option<Uuid>,
        fetch: i64,
    ) -> Result<Sifted<InboxItem, Uuid>> {
        let reach = self.inbox_reach(identity, scope.tenant_id).await?;
        self.store
            .read(move |tx| -> Result<Sifted<InboxItem, Uuid>> {
                let found = [
                    to_review(tx, &reach, before, fetch)?,
                    to_approve(tx, &reach, before, fetch)?,
                    own(tx, &reach, InboxWhat::Approved, before, fetch)?,
                    own(tx, &reach, InboxWhat::Rejected, before, fetch)?,
                ];
                // Below where one of them stopped, nothing is told yet: what it has there belongs between the others'.
                let rest = found.iter().filter_map(|(_, rest)| *rest).max();
                let items = found.into_iter().flat_map(|(items, _)| items).map(|(_, item)| item);
                Ok((items.filter(|item| rest.is_none_or(|rest| item.id >= rest)).collect(), rest))
            })
            .await
    }

    /// The caller at work in each project of the tenant in which he holds something, or policies may give him something.
    pub(crate) async fn context_in_projects(
        &self,
        identity: &Identity,
        tenant_id: TenantId,
    ) -> Result<BTreeMap<ProjectId, Context>> {
        let projects: Vec<(ProjectId, bool)> = self
            .store
            .read(move |tx| -> Result<_> {
                Ok(tx.rows(
                    "SELECT p.id, EXISTS (SELECT 1 FROM resource r WHERE r.project_id = p.id AND r.kind = $2
                       AND r.state = 'active' AND r.published_number IS NOT NULL)
                     FROM project p WHERE p.tenant_id = $1 ORDER BY p.id",
                    params![tenant_id, POLICY],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?)
            })
            .await?;
        self.without_policies(projects.iter().filter(|(_, policies)| !policies).map(|(id, _)| *id));
        let mut at = BTreeMap::new();
        for (project_id, policies) in projects {
            let scope = Scope { tenant_id, project_id };
            let ids = RequestIds::own(self.source.uuid());
            let context = self.context(identity, scope, ids, String::new()).await?;
            if policies || !context.principal.roles.is_empty() || !context.principal.held.is_empty() {
                at.insert(project_id, context);
            }
        }
        Ok(at)
    }

    async fn inbox_reach(&self, identity: &Identity, tenant: TenantId) -> Result<Reach> {
        let rank = self.options.approval.map_or(9, |risk| match risk {
            Risk::Low => 1,
            Risk::Medium => 2,
            Risk::High => 3,
        });
        let mut reach = Reach {
            me: identity.name.clone(),
            tenant,
            registry: self.registry.clone(),
            at: self.context_in_projects(identity, tenant).await?,
            reviews: BTreeMap::new(),
            plans: vec![],
            rank,
            now: self.source.now(),
            plurals: plurals(&self.registry),
        };
        if identity.kind != PrincipalKind::User {
            return Ok(reach);
        }
        // What is held in many projects is asked about once, but where a project has policies of its own.
        let mut known: BTreeMap<(Vec<String>, bool), Decides> = BTreeMap::new();
        for (project_id, context) in &reach.at {
            let Context { principal, authority, scope, .. } = context;
            let asked = || {
                let may = |action: &str| authority.verdict(principal, *scope, action) != Verdict::Deny;
                let kinds = self.registry.kinds().map(|kind| kind.info());
                let kinds = kinds.filter(|info| may(&format!("{}.review", info.plural)));
                (kinds.map(|info| info.kind).collect(), may("plans.approve"))
            };
            let (kinds, plans): Decides = if authority.has_rules() {
                asked()
            } else {
                let held = (principal.roles.clone(), principal.held.is_empty());
                known.entry(held).or_insert_with(asked).clone()
            };
            if !kinds.is_empty() {
                reach.reviews.entry(kinds).or_default().push(*project_id);
            }
            if plans {
                reach.plans.push(*project_id);
            }
        }
        Ok(reach)
    }
}

fn plurals(registry: &Registry) -> BTreeMap<String, &'static str> {
    registry.kinds().map(|kind| (kind.info().kind.to_owned(), kind.info().plural)).collect()
}

const RANK: &str = "CASE p.risk WHEN 'low' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END";

const OF_REVIEW: &str =
    "SELECT v.id, j.name, v.kind, r.name, v.number, v.submitted_by, v.submitted_at, v.message,
  v.decided_by, v.decided_at, v.decision, v.plan_id, v.project_id
  FROM review v JOIN project j ON j.id = v.project_id JOIN resource r ON r.id = v.resource_id";

fn to_review(
    tx: &mut Tx<'_>,
    reach: &Reach,
    before: Option<Uuid>,
    fetch: i64,
) -> Result<Sifted<Found, Uuid>> {
    if reach.reviews.is_empty() {
        return Ok((vec![], None));
    }
    let read = |tx: &mut Tx<'_>, before: Option<Uuid>| -> Result<Vec<Found>> {
        let mut query = Query::new(&format!(
            "{OF_REVIEW} JOIN revision w ON w.resource_id = v.resource_id AND w.number = v.number
             WHERE v.state = 'open' AND r.state = 'active'"
        ));
        query.push(" AND w.created_by <> ?", reach.me.clone());
        query.push(
            " AND NOT EXISTS (SELECT 1 FROM revision_author a
                 WHERE a.resource_id = v.resource_id AND a.number = v.number AND a.name = ?)",
            reach.me.clone(),
        );
        query.text(" AND (");
        for (place, (kinds, projects)) in reach.reviews.iter().enumerate() {
            query.text(if place == 0 { "(" } else { " OR (" });
            one_of(&mut query, "v.project_id", projects);
            query.text(" AND ");
            one_of(&mut query, "v.kind", &kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>());
            query.text(")");
        }
        query.text(")");
        if let Some(before) = before {
            query.push(" AND v.id < ?", before);
        }
        query.text(" ORDER BY v.id DESC").limit(fetch);
        Ok(query.rows(tx, |row| review_item(row, InboxWhat::Review, reach))?)
    };
    let keep = |tx: &mut Tx<'_>, found: &Found| reach.may_to(tx, found, "review");
    sifted(tx, (fetch, before), read, |(_, item)| item.id, keep)
}

fn to_approve(
    tx: &mut Tx<'_>,
    reach: &Reach,
    before: Option<Uuid>,
    fetch: i64,
) -> Result<Sifted<Found, Uuid>> {
    if reach.plans.is_empty() {
        return Ok((vec![], None));
    }
    let read = |tx: &mut Tx<'_>, before: Option<Uuid>| -> Result<Vec<Found>> {
        let mut query = Query::new(
            "SELECT p.id, j.name, p.body, p.created_by, p.created_at, p.reason, p.project_id
             FROM plan p JOIN project j ON j.id = p.project_id WHERE p.state = 'open' AND ",
        );
        one_of(&mut query, "p.project_id", &reach.plans);
        query.push(" AND p.expires_at > ?", reach.now).push(" AND p.created_by <> ?", reach.me.clone());
        query.push(
            " AND NOT EXISTS (SELECT 1 FROM service_person a JOIN principal s ON s.id = a.principal_id
                 WHERE s.name = p.created_by AND s.kind = 'service' AND a.name = ?)",
            reach.me.clone(),
        );
        query.push(&format!(" AND ({RANK} >= CAST(? AS bigint)"), reach.rank);
        query.text(&format!(
            " OR {RANK} >= CASE j.approval_from WHEN 'low' THEN 1 WHEN 'medium' THEN 2 WHEN 'high' THEN 3 ELSE 9 END)"
        ));
        if let Some(before) = before {
            query.push(" AND p.id < ?", before);
        }
        query.text(" ORDER BY p.id DESC").limit(fetch);
        Ok(query.rows(tx, plan_item)?)
    };
    let keep = |tx: &mut Tx<'_>, (project, item): &Found| -> Result<bool> {
        let Some(id) = item.plan_id else { return Ok(false) };
        let Some(context) = reach.at.get(project) else { return Ok(false) };
        Ok(reach.may(tx, *project, "plans.approve", &On::Plan(id))?
            && plans::beyond(tx, &reach.registry, context, id)?.is_none())
    };
    sifted(tx, (fetch, before), read, |(_, item)| item.id, keep)
}

fn plan_item(row: &Row<'_>) -> StoreResult<Found> {
    let Json(plan): Json<Plan> = row.get(2)?;
    let id: Uuid = row.get(0)?;
    let item = InboxItem {
        id,
        what: InboxWhat::Plan,
        project: row.get(1)?,
        target: plan.steps.first().map_or_else(|| plan.operation.clone(), |step| step.target.clone()),
        kind: None,
        name: None,
        revision: None,
        plan_id: Some(id.into()),
        risk: Some(plan.risk()),
        by: row.get(3)?,
        at: row.get(4)?,
        message: row.get(5)?,
    };
    Ok((row.get(6)?, item))
}

/// Of those that the caller submitted.
fn own(
    tx: &mut Tx<'_>,
    reach: &Reach,
    what: InboxWhat,
    before: Option<Uuid>,
    fetch: i64,
) -> Result<Sifted<Found, Uuid>> {
    if reach.at.is_empty() {
        return Ok((vec![], None));
    }
    let seen: Vec<ProjectId> = reach.at.keys().copied().collect();
    let read = |tx: &mut Tx<'_>, before: Option<Uuid>| -> Result<Vec<Found>> {
        let mut query = Query::new(&format!("{OF_REVIEW} WHERE"));
        query.push(" v.tenant_id = ?", reach.tenant).push(" AND v.submitted_by = ?", reach.me.clone());
        query.text(match what {
            InboxWhat::Approved => " AND v.state = 'approved' AND ",
            _ => " AND v.state = 'rejected' AND r.last_revision = v.number AND ",
        });
        one_of(&mut query, "v.project_id", &seen);
        query.text(" AND r.state = 'active'");
        if let Some(before) = before {
            query.push(" AND v.id < ?", before);
        }
        query.text(" ORDER BY v.id DESC").limit(fetch);
        Ok(query.rows(tx, |row| review_item(row, what, reach))?)
    };
    let keep = |tx: &mut Tx<'_>, found: &Found| reach.may_to(tx, found, "read");
    sifted(tx, (fetch, before), read, |(_, item)| item.id, keep)
}

fn one_of<T: crate::store::Param + Clone + Send + 'static>(query: &mut Query, column: &str, values: &[T]) {
    query.text(&format!("{column} IN ("));
    for (place, value) in values.iter().enumerate() {
        query.push(if place == 0 { "?" } else { ", ?" }, value.clone());
    }
    query.text(")");
}

fn review_item(row: &Row<'_>, what: InboxWhat, reach: &Reach) -> StoreResult<Found> {
    let (kind, name): (String, String) = (row.get(2)?, row.get(3)?);
    let plural = reach.plurals.get(&kind).copied().unwrap_or("resources");
    let (by, at, message): (String, Timestamp, String) = match what {
        InboxWhat::Approved | InboxWhat::Rejected => {
            let (by, at): (Option<String>, Option<Timestamp>) = (row.get(8)?, row.get(9)?);
            let why: Option<String> = row.get(10)?;
            (by.unwrap_or_default(), at.unwrap_or(reach.now), why.unwrap_or_default())
        }
        InboxWhat::Review | InboxWhat::Plan => (row.get(5)?, row.get(6)?, row.get(7)?),
    };
    let item = InboxItem {
        id: row.get(0)?,
        what,
        project: row.get(1)?,
        target: format!("{plural}/{name}"),
        kind: Some(kind),
        name: Some(name),
        revision: row.get(4)?,
        plan_id: row.get(11)?,
        risk: None,
        by,
        at,
        message,
    };
    Ok((row.get(12)?, item))
}
