//! Creating, describing, archiving and restoring resources.

use qd_core::{
    diff::diff,
    document::{Document, Metadata},
    error::{Error, Result},
    id::ResourceId,
    state::ResourceState,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    access::{
        objects::{self, On},
        sharing,
    },
    context::Context,
    kernel::Kernel,
    kind::Kind,
    mutation::{Act, Mutation, Object, Subject},
    params, quotas,
    resources::{Resource, StoredMetadata, read, working_copy},
};

/// What a resource starts as.
pub struct NewResource<'a> {
    pub kind: &'a str,
    pub metadata: &'a Metadata,
    pub spec: &'a Value,
}

/// Changes to the descriptive fields; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetadataPatch {
    pub display_name: Option<String>,
    pub description: Option<String>,
    pub labels: Option<std::collections::BTreeMap<String, String>>,
    pub tags: Option<Vec<String>>,
    pub owners: Option<Vec<String>>,
    pub teams: Option<Vec<String>>,
}

impl Kernel {
    /// Makes a resource with a working copy and no revision.
    pub async fn resource_create(
        &self,
        context: &Context,
        kind: &dyn Kind,
        document: Document,
    ) -> Result<Resource> {
        let info = kind.info();
        let (kind_name, plural) = (info.kind, info.plural);
        if document.kind != kind_name {
            return Err(Error::malformed(
                "wrong_kind",
                format!("this is the address of {kind_name} documents, not of {}", document.kind),
            ));
        }
        working_copy::check_body(&document.spec)?;
        working_copy::check_draft(kind, &document.spec)?;
        let name = document.metadata.name.to_string();
        let wanted = name.clone();
        let act = Act::new(plural, "create").on(On::document(&self.registry, &document));
        self.mutate(context, act, move |m| {
            insert(m, &NewResource { kind: kind_name, metadata: &document.metadata, spec: &document.spec })?;
            Ok(())
        })
        .await
        .map_err(|error| already_exists(error, kind_name, &wanted))?;
        self.resource_get(context.scope, kind_name, &name).await
    }

    /// Changes descriptive fields, if nobody else did since `version`.
    pub async fn resource_patch(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        version: i64,
        patch: MetadataPatch,
    ) -> Result<Resource> {
        let (kind_name, plural, wanted) = (kind.info().kind, kind.info().plural, name.to_owned());
        let registry = self.registry.clone();
        let act = Act::new(plural, "update").on(On::resource(kind_name, name));
        self.mutate(context, act, move |m| {
            let old = read::lock(m.tx, m.context.scope, kind_name, &wanted)?;
            expect_version(old.version, version)?;
            let before = described(&old.display_name, &old.description, &old.metadata);
            let (patch, was) = (patch.clone(), old.metadata.clone());
            let after_metadata = StoredMetadata {
                labels: patch.labels.unwrap_or(old.metadata.labels),
                tags: patch.tags.unwrap_or(old.metadata.tags),
                owners: patch.owners.unwrap_or(old.metadata.owners),
                teams: patch.teams.unwrap_or(old.metadata.teams),
            };
            let display_name = patch.display_name.unwrap_or(old.display_name);
            let description = patch.description.unwrap_or(old.description);
            let after = described(&display_name, &description, &after_metadata);
            check_metadata(&old.name, &after)?;
            let changes = diff(&before, &after);
            if changes.is_empty() {
                m.unchanged();
                return Ok(());
            }
            if sharing::owners(&was) != sharing::owners(&after_metadata) {
                // Whoever names the owners gives the resource away.
                let share = format!("{plural}.share");
                objects::check(m.tx, &registry, m.context, &share, &On::resource(kind_name, &old.name))?;
            }
            sharing::own(m, old.id, &was, &after_metadata).map_err(without_metadata)?;
            m.tx.exec(
                "UPDATE resource SET display_name = $2, description = $3, metadata = $4, version = version + 1, updated_at = $5
                 WHERE id = $1",
                params![old.id, display_name, description, after_metadata.to_json(), m.now],
            )?;
            m.audit(&Object { kind: kind_name, id: old.id.uuid(), name: &old.name }, &changes, None)?;
            m.event("resource.updated", subject(kind_name, old.id, &old.name), &json!({ "changes": changes }))
        })
        .await?;
        self.resource_get(context.scope, kind_name, name).await
    }

    /// Archived resources keep everything and do nothing; runs cannot be started.
    pub async fn resource_set_state(
        &self,
        context: &Context,
        kind: &dyn Kind,
        name: &str,
        version: Option<i64>,
        to: ResourceState,
    ) -> Result<Resource> {
        let (kind_name, plural, wanted) = (kind.info().kind, kind.info().plural, name.to_owned());
        let verb = if to == ResourceState::Archived { "archive" } else { "restore" };
        let registry = self.registry.clone();
        self.mutate(context, Act::new(plural, verb).on(On::resource(kind_name, name)), move |m| {
            let old = read::lock(m.tx, m.context.scope, kind_name, &wanted)?;
            if let Some(version) = version {
                expect_version(old.version, version)?;
            }
            if old.state == to {
                m.unchanged();
                return Ok(());
            }
            old.state.step(to)?;
            m.tx.exec(
                "UPDATE resource SET state = $2, version = version + 1, updated_at = $3 WHERE id = $1",
                params![old.id, to.as_str(), m.now],
            )?;
            if to == ResourceState::Active {
                quotas::resources_within(m.tx, m.context.scope)?;
            }
            if let (ResourceState::Active, Some(published), Some(kind)) =
                (to, old.published_number, registry.find_kind(kind_name))
            {
                kind.published(m, old.id, published, None)?;
            }
            let changes = diff(&json!({ "state": old.state.as_str() }), &json!({ "state": to.as_str() }));
            m.audit(&old.object(kind_name), &changes, None)?;
            m.event(&format!("resource.{verb}d"), subject(kind_name, old.id, &old.name), &json!({}))
        })
        .await?;
        self.resource_get(context.scope, kind_name, name).await
    }
}

/// Inserts a resource and its working copy within a mutation that may hold more.
pub(crate) fn insert(m: &mut Mutation<'_, '_>, new: &NewResource<'_>) -> Result<ResourceId> {
    let id: ResourceId = m.id();
    let metadata = StoredMetadata::from(new.metadata);
    let name = new.metadata.name.to_string();
    m.tx.exec(
        "INSERT INTO resource (id, tenant_id, project_id, kind, name, display_name, description, metadata, state, version,
           last_revision, last_run, publish_asked, publish_done, created_by, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'active', 1, 0, 0, 0, 0, $9, $10, $10)",
        params![
            id,
            m.context.scope.tenant_id,
            m.context.scope.project_id,
            new.kind,
            name,
            new.metadata.display_name,
            new.metadata.description,
            metadata.to_json(),
            m.context.principal.name,
            m.now
        ],
    )?;
    quotas::resources_within(m.tx, m.context.scope)?;
    sharing::own(m, id, &StoredMetadata::default(), &metadata)?;
    working_copy::insert(m, id, new.spec)?;
    let after = json!({ "metadata": new.metadata, "spec": new.spec });
    let changes = diff(&json!({}), &after);
    m.audit(&Object { kind: new.kind, id: id.uuid(), name: &name }, &changes, None)?;
    m.event("resource.created", subject(new.kind, id, &name), &json!({}))?;
    Ok(id)
}

/// Sets the descriptive fields of a locked resource to those of a document; says whether anything differed.
pub(crate) fn describe(
    m: &mut Mutation<'_, '_>,
    old: &read::Locked,
    metadata: &Metadata,
) -> Result<Vec<qd_core::diff::Change>> {
    let new = StoredMetadata::from(metadata);
    let before = described(&old.display_name, &old.description, &old.metadata);
    let changes = diff(&before, &described(&metadata.display_name, &metadata.description, &new));
    if !changes.is_empty() {
        sharing::own(m, old.id, &old.metadata, &new)?;
        m.tx.exec(
            "UPDATE resource SET display_name = $2, description = $3, metadata = $4, version = version + 1, updated_at = $5
             WHERE id = $1",
            params![old.id, metadata.display_name, metadata.description, new.to_json(), m.now],
        )?;
    }
    Ok(changes)
}

pub(crate) fn subject<'a>(kind: &'a str, id: ResourceId, name: &'a str) -> Subject<'a> {
    Subject { kind: Some(kind), resource_id: Some(id), resource_name: Some(name), ..Subject::default() }
}

pub(crate) fn already_exists(error: Error, kind: &str, name: &str) -> Error {
    if error.kind == qd_core::error::ErrorKind::Conflict && error.code == "already_exists" {
        return Error::conflict(
            "resource_exists",
            format!("a {kind} named {name:?} exists already (archived ones keep their name)"),
        );
    }
    error
}

fn expect_version(actual: i64, expected: i64) -> Result<()> {
    if actual == expected {
        return Ok(());
    }
    Err(Error::stale(
        "stale_version",
        format!("it is at version {actual}, not {expected}: somebody changed it; read it again"),
    ))
}

pub(crate) fn described(display_name: &str, description: &str, metadata: &StoredMetadata) -> Value {
    json!({
        "display_name": display_name, "description": description, "labels": metadata.labels, "tags": metadata.tags,
        "owners": metadata.owners, "teams": metadata.teams,
    })
}

/// A patch obeys the same limits as a document.
fn check_metadata(name: &str, described: &Value) -> Result<()> {
    let mut metadata = described.clone();
    metadata["name"] = name.into();
    let document = json!({ "apiVersion": qd_core::document::API_VERSION, "kind": "Any", "metadata": metadata, "spec": {} });
    match Document::from_value(document) {
        Ok(_) => Ok(()),
        Err(violations) => Err(without_metadata(
            Error::invalid("metadata_invalid", "the change would break the rules for metadata")
                .with_violations(violations),
        )),
    }
}

/// With pointers into the patch, which has the fields of a document's metadata at its top.
fn without_metadata(mut error: Error) -> Error {
    for violation in &mut error.violations {
        violation.pointer = violation.pointer.trim_start_matches("/metadata").to_owned();
    }
    error
}
