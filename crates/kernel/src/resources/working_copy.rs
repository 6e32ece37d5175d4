//! The working copy: one mutable spec per resource, autosaved, guarded by its version.
//!
//! It may hold a spec that is not valid yet; revisions may not.

use qd_core::{
    canonical::hash_json,
    diff::diff,
    document::{DEPTH_MAX, depth_limit, reject_control_characters},
    error::{Error, Result},
    id::ResourceId,
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    access::objects::On,
    context::{Context, Scope},
    kernel::Kernel,
    kind::Kind,
    mutation::{Act, Mutation},
    params,
    resources::{change::subject, read},
    reviews::authors,
    revisions::{require_active, spec_invalid},
    store::Row,
};

/// Largest spec, as compact JSON.
pub const MAX_SPEC_BYTES: usize = 1024 * 1024;

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WorkingCopy {
    pub spec: Value,
    /// The ETag.
    pub version: i64,
    /// The revision that was last cut from it.
    pub base_revision: Option<i64>,
    /// Differs from what that revision was cut from.
    pub changed: bool,
    pub updated_at: Timestamp,
    pub updated_by: String,
}

impl Kernel {
    pub async fn working_copy_get(&self, scope: Scope, kind: &str, name: &str) -> Result<WorkingCopy> {
        let resource = self.resource_get(scope, kind, name).await?;
        self.store
            .read(move |tx| -> Result<WorkingCopy> {
                Ok(tx.one(
                    "SELECT spec, version, base_revision, updated_at, updated_by,
                       CASE WHEN cut_hash IS NULL OR cut_hash <> spec_hash THEN 1 ELSE 0 END
                     FROM working_copy WHERE resource_id = $1",
                    params![resource.id],
                    |row: &Row<'_>| {
                        Ok(WorkingCopy {
                            spec: row.get(0)?,
                            version: row.get(1)?,
                            base_revision: row.get(2)?,
                            updated_at: row.get(3)?,
                            updated_by: row.get(4)?,
                            changed: row.get::<i64>(5)? == 1,
                        })
                    },
                )?)
            })
            .await
    }

    /// Saves a new spec, if nobody else did since `version`.
    pub async fn working_copy_put(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        version: i64,
        spec: Value,
    ) -> Result<WorkingCopy> {
        check_body(&spec)?;
        check_draft(kind, &spec)?;
        let (kind_name, plural, wanted) = (kind.info().kind, kind.info().plural, name.to_owned());
        let act = Act::new(plural, "edit").on(On::resource(kind_name, name));
        self.mutate(context, act, move |m| {
            let resource = read::lock(m.tx, m.context.scope, kind_name, &wanted)?;
            require_active(resource.state, &resource.name)?;
            let (old, actual): (Value, i64) = m.tx.one(
                "SELECT spec, version FROM working_copy WHERE resource_id = $1",
                params![resource.id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            if actual != version {
                return Err(Error::stale(
                    "stale_working_copy",
                    format!("the working copy is at version {actual}, not {version}: somebody saved it meanwhile; read it again"),
                ));
            }
            let changes = diff(&old, &spec);
            if changes.is_empty() {
                m.unchanged();
                return Ok(());
            }
            write(m, resource.id, &spec, None)?;
            m.audit(&resource.object(kind_name), &changes, None)?;
            m.event("working_copy.updated", subject(kind_name, resource.id, &resource.name), &json!({ "changes": changes.len() }))
        })
        .await?;
        self.working_copy_get(context.scope, kind_name, name).await
    }
}

/// Refuses what the kind does not let stand in a draft.
pub(super) fn check_draft(kind: &dyn Kind, spec: &Value) -> Result<()> {
    let violations = kind.draft_violations(spec);
    if violations.is_empty() { Ok(()) } else { Err(spec_invalid(violations)) }
}

/// Refuses what no kind can hold: not an object, too large, too deep, NUL and other control characters.
pub(crate) fn check_body(spec: &Value) -> Result<()> {
    if !spec.is_object() {
        return Err(Error::malformed("spec_not_object", "spec must be an object"));
    }
    let violations = depth_limit(spec, DEPTH_MAX);
    if !violations.is_empty() {
        return Err(Error::malformed("too_deep", "the spec is nested too deeply").with_violations(violations));
    }
    let size = spec.to_string().len();
    if size > MAX_SPEC_BYTES {
        return Err(Error::too_large(
            "spec_too_large",
            format!("the spec has {size} bytes as JSON; at most {MAX_SPEC_BYTES}"),
        ));
    }
    let violations = reject_control_characters(spec);
    if !violations.is_empty() {
        return Err(Error::malformed("control_character", "the spec holds control characters")
            .with_violations(violations));
    }
    Ok(())
}

pub(super) fn insert(m: &mut Mutation<'_, '_>, id: ResourceId, spec: &Value) -> Result<()> {
    m.tx.exec(
        "INSERT INTO working_copy (resource_id, spec, spec_hash, version, updated_by, updated_at) VALUES ($1, $2, $3, 1, $4, $5)",
        params![id, spec.to_string(), hash_json(spec)?.to_string(), m.context.principal.name, m.now],
    )?;
    authors::drafted(m, id)
}

/// Replaces the spec; `cut` is the revision that is being cut from exactly this spec.
pub(crate) fn write(m: &mut Mutation<'_, '_>, id: ResourceId, spec: &Value, cut: Option<i64>) -> Result<()> {
    let hash = hash_json(spec)?.to_string();
    let cut_hash = cut.map(|_| hash.clone());
    m.tx.exec(
        "UPDATE working_copy SET spec = $2, spec_hash = $3, cut_hash = COALESCE($4, cut_hash),
           base_revision = COALESCE($5, base_revision), version = version + 1, updated_by = $6, updated_at = $7
         WHERE resource_id = $1",
        params![id, spec.to_string(), hash, cut_hash, cut, m.context.principal.name, m.now],
    )?;
    match cut {
        Some(_) => Ok(()),
        None => authors::drafted(m, id),
    }
}
