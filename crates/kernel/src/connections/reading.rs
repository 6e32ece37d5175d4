//! Testing a connection on request, and what the last test came to.

use std::time::{Duration, Instant};

use qd_core::{
    diff::Change,
    error::{Error, Result},
    id::ResourceId,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{CONNECTION, Call};
use crate::{
    access::objects::On,
    context::Context,
    kernel::Kernel,
    mutation::{Act, Object},
    params,
    resources::subject,
    secrets::SecretUse,
    store::{Row, StoreResult, Tx},
};

/// A test takes no longer.
const LIMIT: Duration = Duration::from_secs(10);

/// What a test of a connection came to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionReading {
    pub ok: bool,
    /// What answered, or why it does not work: one sentence.
    pub detail: String,
    /// Of what did not work.
    pub code: Option<String>,
    pub latency_ms: f64,
    /// The revision that was tested.
    pub revision: i64,
    pub tested_at: Timestamp,
    pub tested_by: String,
}

impl Kernel {
    /// Calls what a connection leads to: its published revision, the newest where none is published, or the one that is named. The
    /// answer is kept as the connection's last reading.
    pub async fn connection_test(
        &self,
        context: &Context,
        name: &str,
        revision: Option<i64>,
    ) -> Result<ConnectionReading> {
        const ACTION: &str = "connections.test";
        let on = On::resource(CONNECTION, name);
        self.permit(context, ACTION, on.clone()).await?;
        let scope = context.scope;
        let resource = self.resource_get(scope, CONNECTION, name).await?;
        let number = revision
            .or_else(|| resource.published.as_ref().map(|published| published.number))
            .or_else(|| resource.latest_revision.as_ref().map(|newest| newest.number))
            .ok_or_else(|| {
                let detail =
                    format!("{name} has no revision to test; apply it, or cut one from the working copy");
                Error::conflict("no_revision", detail)
            })?;
        let spec = self.revision_get(scope, CONNECTION, name, number).await?.spec;
        let wanted = spec["type"].as_str().unwrap_or_default();
        let known = self.registry.connection_types().iter().find(|known| known.name == wanted);
        let probe = known.map(|known| known.probe.clone()).ok_or_else(|| {
            Error::conflict(
                "connection_type_unknown",
                format!("this server knows no connections of type {wanted:?}"),
            )
        })?;
        let usage = SecretUse {
            scope,
            by: context.principal.name.clone(),
            principal_id: Some(context.principal.id),
            purpose: format!("test of connections/{}, revision {number}", resource.name),
            source: context.source.clone(),
            correlation_id: context.ids.correlation_id.clone(),
            job_id: None,
            covers: false,
        };
        // Whoever asked may go away while it is called: the record of the action is written before. What it comes to is an event.
        let asked = Act { action: ACTION.into(), reason: String::new(), on };
        let (id, named) = (resource.id, resource.name.clone());
        self.mutate(context, asked, move |m| {
            m.audit(
                &Object { kind: CONNECTION, id: id.uuid(), name: &named },
                &[Change::add("/asked", json!({ "revision": number }))],
                None,
            )?;
            m.event("connection.test_asked", subject(CONNECTION, id, &named), &json!({ "revision": number }))
        })
        .await?;
        let began = Instant::now();
        let call = Call::new(&spec, &self.outbound, LIMIT, &self.secrets, &usage, &self.source);
        let late =
            |_| Err(Error::unavailable("test_timeout", format!("no answer within {} s", LIMIT.as_secs())));
        let came = tokio::time::timeout(LIMIT, probe.probe(&call)).await.unwrap_or_else(late);
        let latency = began.elapsed();
        let (ok, code, detail) = match call.clean(came) {
            Ok(said) => (true, None, said),
            Err(error) => (false, Some(error.code.to_owned()), error.detail),
        };
        let reading = ConnectionReading {
            ok,
            detail,
            code,
            latency_ms: latency.as_secs_f64() * 1000.0,
            revision: number,
            tested_at: self.source.now(),
            tested_by: context.principal.name.clone(),
        };
        let kept = reading.clone();
        let latency_us = i64::try_from(latency.as_micros()).unwrap_or(i64::MAX);
        self.carry_out(context, move |m| {
            let told = json!({ "revision": number, "ok": kept.ok, "code": kept.code, "detail": kept.detail });
            m.tx.exec(
                "INSERT INTO connection_reading (resource_id, revision, ok, code, detail, latency_us, tested_at, tested_by)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (resource_id) DO UPDATE SET revision = excluded.revision, ok = excluded.ok, code = excluded.code,
                   detail = excluded.detail, latency_us = excluded.latency_us, tested_at = excluded.tested_at,
                   tested_by = excluded.tested_by",
                params![resource.id, number, kept.ok, kept.code, kept.detail, latency_us, kept.tested_at, kept.tested_by],
            )?;
            m.event("connection.tested", subject(CONNECTION, resource.id, &resource.name), &told)
        })
        .await?;
        Ok(reading)
    }
}

/// The last one, if it was ever tested.
pub(super) fn last(tx: &mut Tx<'_>, id: ResourceId) -> Result<Option<ConnectionReading>> {
    Ok(tx.opt(
        "SELECT ok, detail, code, latency_us, revision, tested_at, tested_by FROM connection_reading WHERE resource_id = $1",
        params![id],
        row,
    )?)
}

fn row(row: &Row<'_>) -> StoreResult<ConnectionReading> {
    let latency_us: i64 = row.get(3)?;
    Ok(ConnectionReading {
        ok: row.get(0)?,
        detail: row.get(1)?,
        code: row.get(2)?,
        latency_ms: Duration::from_micros(u64::try_from(latency_us).unwrap_or(0)).as_secs_f64() * 1000.0,
        revision: row.get(4)?,
        tested_at: row.get(5)?,
        tested_by: row.get(6)?,
    })
}
