//! What the kernel and its clients are told of the kind.

use std::sync::Arc;

use async_trait::async_trait;
use qd_core::{
    error::Result,
    id::{PrincipalId, ResourceId},
    violation::Violation,
};
use serde_json::{Value, json};

use super::{PLURAL, SCHEDULE, ScheduleStatus, run_action, spec::ScheduleSpec, status, times::Times};
use crate::{
    access::objects::On,
    context::Scope,
    kernel::Kernel,
    kind::{Kind, KindInfo, KindScope, SpecView},
    mutation::Mutation,
    params,
    resources::Resource,
};

pub(super) struct Schedules {
    info: KindInfo,
    /// The kinds that have runs to start.
    targets: Vec<Arc<dyn Kind>>,
}

impl Schedules {
    pub(super) fn new(targets: Vec<Arc<dyn Kind>>) -> Self {
        let example = targets.first().map_or("Pipeline", |kind| kind.info().kind);
        let info = KindInfo {
            kind: SCHEDULE,
            plural: PLURAL,
            singular: "schedule",
            title: "Schedules",
            summary: "What is started at which times, by a cron expression in a time zone.",
            group: "operate",
            scope: KindScope::Project,
            engine: None,
            actions: vec![],
            schema: schemars::schema_for!(ScheduleSpec).to_value(),
            example: json!({
                "cron": "30 2 * * *",
                "time_zone": "Europe/Berlin",
                "target": { "kind": example, "name": "curate" },
                "action": "run"
            }),
        };
        Self { info, targets }
    }

    fn target(&self, kind: &str) -> Option<&Arc<dyn Kind>> {
        self.targets.iter().find(|target| target.info().kind == kind)
    }
}

#[async_trait]
impl Kind for Schedules {
    fn info(&self) -> &KindInfo {
        &self.info
    }

    fn parse(&self, spec: &Value) -> std::result::Result<Value, Vec<Violation>> {
        ScheduleSpec::read(spec).map(|spec| json!(spec))
    }

    fn depends_on(&self, spec: &Value) -> Vec<(&'static str, String)> {
        let kind = spec["target"]["kind"].as_str().and_then(|kind| self.target(kind));
        let name = spec["target"]["name"].as_str();
        kind.zip(name).map(|(kind, name)| (kind.info().kind, name.to_owned())).into_iter().collect()
    }

    async fn validate(&self, spec: &Value, view: &SpecView) -> Result<Vec<Violation>> {
        let spec = match ScheduleSpec::read(spec) {
            Ok(spec) => spec,
            Err(violations) => return Ok(violations),
        };
        let target = &spec.target;
        let Some(kind) = self.target(&target.kind) else {
            let known: Vec<&str> = self.targets.iter().map(|kind| kind.info().kind).collect();
            let detail = format!("{:?} has no runs to start; there is {}", target.kind, known.join(", "));
            return Ok(vec![Violation::new("/target/kind", "unknown_kind", detail)]);
        };
        let found = view.specs.find(view.scope, &target.kind, &target.name, None).await?;
        let Some((_, published)) = found else {
            let detail =
                format!("there is no published {} named {:?} to run", kind.info().singular, target.name);
            return Ok(vec![Violation::new("/target/name", "unknown_target", detail)]);
        };
        let params = Value::Object(spec.params);
        Ok(kind.run_params(&published, &params).err().unwrap_or_default())
    }

    /// Who publishes a schedule starts what it starts.
    fn publishing_takes(&self, spec: &Value) -> Option<(String, On)> {
        let (kind, name) = (spec["target"]["kind"].as_str()?, spec["target"]["name"].as_str()?);
        let target = self.target(kind)?;
        Some((run_action(&**target), On::resource(target.info().kind, name)))
    }

    /// A published schedule counts from that moment on: what was due before it is nobody's.
    fn published(
        &self,
        m: &mut Mutation<'_, '_>,
        id: ResourceId,
        revision: i64,
        by: Option<PrincipalId>,
    ) -> Result<()> {
        let spec: Value = m.tx.one(
            "SELECT spec FROM revision WHERE resource_id = $1 AND number = $2",
            params![id, revision],
            |row| row.get(0),
        )?;
        let due = ScheduleSpec::read(&spec)
            .ok()
            .filter(|spec| !spec.paused)
            .and_then(|spec| Times::new(&spec.cron, &spec.time_zone).ok()?.after(m.due_now));
        let scope = m.context.scope;
        m.tx.exec(
            "INSERT INTO schedule (resource_id, tenant_id, project_id, revision, cursor_at, due_at, published_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (resource_id) DO UPDATE SET revision = excluded.revision, cursor_at = excluded.cursor_at,
               due_at = excluded.due_at, published_by = COALESCE(excluded.published_by, schedule.published_by)",
            params![id, scope.tenant_id, scope.project_id, revision, m.due_now, due, by],
        )?;
        Ok(())
    }

    fn status_schema(&self) -> Option<Value> {
        Some(schemars::schema_for!(ScheduleStatus).to_value())
    }

    async fn status(&self, kernel: &Kernel, scope: Scope, resource: &Resource) -> Result<Option<Value>> {
        Ok(Some(json!(status::read(kernel, scope, resource).await?)))
    }
}
