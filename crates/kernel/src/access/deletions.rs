//! Who may know of the deletion of a tenant or a project: whoever may ask for one.
//!
//! Its job and plan stand in a default project although they reach beyond it, so what is held in that project alone says nothing
//! about them. To everybody else they are not there: not in lists, events and audit of the project, not by their ids, and not to
//! be approved, applied or cancelled.
//!
//! The chain of a tenant's audit is not narrowed: who reads it may read all of the tenant.

use qd_core::error::Result;

use super::objects::On;
use crate::{
    context::{Context, Scope},
    events::Event,
    operations::removal::{PROJECT_DELETE, TENANT_DELETE},
    params,
    query::Query,
    store::Tx,
};

/// Operations whose jobs and plans the caller may not know of; none by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unseen {
    tenants: bool,
    projects: bool,
}

impl Unseen {
    /// By what the caller may do, not by what its token is limited to: to look is less than to delete.
    pub fn of(context: &Context) -> Self {
        let (authority, principal) = (&context.authority, &context.principal);
        let may = |scope: Scope, action: &str| authority.decide(principal, scope, action, None).allowed;
        Self {
            tenants: !may(Scope::PLATFORM, TENANT_DELETE),
            projects: !may(context.scope.of_tenant(), PROJECT_DELETE),
        }
    }

    fn operations(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.tenants, TENANT_DELETE), (self.projects, PROJECT_DELETE)];
        all.into_iter().filter_map(|(unseen, operation)| unseen.then_some(operation))
    }

    /// `'tenants.delete', 'projects.delete'`; none where nothing is unseen.
    fn list(self) -> Option<String> {
        let quoted: Vec<String> = self.operations().map(|operation| format!("'{operation}'")).collect();
        (!quoted.is_empty()).then(|| quoted.join(", "))
    }

    /// Narrows a query of jobs or plans by the column of their operation.
    pub(crate) fn narrow(self, query: &mut Query, column: &str) {
        if let Some(list) = self.list() {
            query.text(&format!(" AND {column} NOT IN ({list})"));
        }
    }

    /// The same of events: those of such jobs, those of such plans, and those that say what is deleted.
    pub(crate) fn narrow_events(self, query: &mut Query) {
        let Some(list) = self.list() else { return };
        for operation in self.operations() {
            let of = operation.trim_end_matches("s.delete");
            query.text(&format!(
                " AND type NOT IN ('{of}.deleting', '{of}.deleted')
                  AND NOT (type LIKE 'plan.%' AND data LIKE '%\"operation\":\"{operation}\"%')"
            ));
        }
        query.text(&format!(
            " AND NOT EXISTS (SELECT 1 FROM job d WHERE d.id = event.job_id AND d.operation IN ({list}))"
        ));
    }

    /// The same of the audit of a project.
    pub(crate) fn narrow_audit(self, query: &mut Query) {
        let Some(list) = self.list() else { return };
        query.text(&format!(
            " AND a.action NOT IN ({list}) AND NOT (a.kind IN ('Job', 'Plan') AND a.object_name IN ({list}))
              AND NOT EXISTS (SELECT 1 FROM job d WHERE d.id = a.job_id AND d.operation IN ({list}))"
        ));
    }

    /// Whether an object is one that the caller may not know of.
    pub(crate) fn hides(self, tx: &mut Tx<'_>, scope: Scope, on: &On) -> Result<bool> {
        let Some(list) = self.list() else { return Ok(false) };
        let (table, id) = match on {
            On::Job(id) => ("job", id.uuid()),
            On::Plan(id) => ("plan", id.uuid()),
            _ => return Ok(false),
        };
        let sql =
            format!("SELECT 1 FROM {table} WHERE project_id = $1 AND id = $2 AND operation IN ({list})");
        Ok(tx.opt(&sql, params![scope.project_id, id], |row| row.get::<i64>(0))?.is_some())
    }

    /// The same of one event that was read already.
    pub(crate) fn hides_event(self, tx: &mut Tx<'_>, scope: Scope, event: &Event) -> Result<bool> {
        let is_named = self.operations().any(|operation| {
            let of = operation.trim_end_matches("s.delete");
            let verb = event.event_type.strip_prefix(of);
            matches!(verb, Some(".deleting" | ".deleted"))
                || (event.event_type.starts_with("plan.") && event.data["operation"] == operation)
        });
        match event.job_id {
            Some(id) if !is_named => self.hides(tx, scope, &On::Job(id)),
            _ => Ok(is_named),
        }
    }
}
