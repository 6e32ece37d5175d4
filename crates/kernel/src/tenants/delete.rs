//! Asking for a tenant or a project to be deleted: for whom, and with what said again, so that nobody does it by mistake.
//!
//! What the job does stands in [`crate::operations::removal`].

use qd_core::error::{Error, Result};
use serde_json::json;

use super::{DEFAULT, NamedScope};
use crate::{
    access,
    changes::Request,
    context::Context,
    idempotency::IdempotencyKey,
    jobs::Job,
    kernel::Kernel,
    mutation::Act,
    operations::removal::{PROJECT_DELETE, Removal, TENANT_DELETE},
};

/// What is said to have something deleted.
#[derive(Debug, Clone)]
pub struct Deletion {
    pub name: String,
    /// The name once more.
    pub confirm: String,
    pub reason: String,
}

impl Deletion {
    fn meant(&self) -> Result<()> {
        if self.confirm != self.name {
            let detail = format!("to delete {:?}, say its name once more as `confirm`", self.name);
            return Err(Error::malformed("name_not_confirmed", detail));
        }
        if self.reason.trim().is_empty() {
            return Err(Error::malformed(
                "reason_required",
                "deleting wants a reason, which stays in the audit",
            ));
        }
        Ok(())
    }
}

impl Kernel {
    /// The request of a deletion with the context of its job: the default project of the default tenant.
    ///
    /// # Errors
    /// `scope_not_found` (404); `default_tenant` (409).
    pub async fn tenant_delete_request(
        &self,
        context: &Context,
        name: &str,
        reason: &str,
    ) -> Result<(Context, Request)> {
        access::check(context, "tenants.delete")?;
        let named = self.scope_find(Some(name), None).await?;
        if named.tenant.name == DEFAULT {
            return Err(Error::conflict("default_tenant", "the default tenant is not deleted"));
        }
        let home = self.scope_find(None, None).await?;
        let removal = Removal::of_tenant(named.tenant.id, named.tenant.name);
        Ok(request(context, home, ("tenants", TENANT_DELETE), &removal, reason))
    }

    /// The same of a project of the tenant, in the tenant's default project.
    ///
    /// # Errors
    /// `project_not_found` (404); `default_project` (409).
    pub async fn project_delete_request(
        &self,
        context: &Context,
        name: &str,
        reason: &str,
    ) -> Result<(Context, Request)> {
        access::check(context, "projects.delete")?;
        let tenant = context.scope.tenant_id.to_string();
        let home = self.scope_find(Some(&tenant), None).await?;
        let named = self.scope_find(Some(&tenant), Some(name)).await.map_err(|error| match error.code {
            "scope_not_found" => {
                Error::not_found("project_not_found", format!("the tenant has no project {name:?}"))
            }
            _ => error,
        })?;
        if named.project.name == DEFAULT {
            return Err(Error::conflict("default_project", "the default project is not deleted"));
        }
        let removal = Removal::of_project(named.scope, named.project.name);
        Ok(request(context, home, ("projects", PROJECT_DELETE), &removal, reason))
    }

    /// # Errors
    /// Those of [`Self::tenant_delete_request`]; `name_not_confirmed`, `reason_required` (400); `tenant_not_suspended`,
    /// `scope_deleting` (409).
    pub async fn tenant_delete(
        &self,
        context: &Context,
        asked: Deletion,
        key: IdempotencyKey,
    ) -> Result<Job> {
        access::check(context, "tenants.delete")?;
        asked.meant()?;
        let made = self.tenant_delete_request(context, &asked.name, &asked.reason).await;
        let home = self.scope_find(None, None).await?;
        self.delete(context, home, made, key).await
    }

    /// # Errors
    /// Those of [`Self::project_delete_request`]; `name_not_confirmed`, `reason_required` (400); `scope_deleting` (409).
    pub async fn project_delete(
        &self,
        context: &Context,
        asked: Deletion,
        key: IdempotencyKey,
    ) -> Result<Job> {
        access::check(context, "projects.delete")?;
        asked.meant()?;
        let made = self.project_delete_request(context, &asked.name, &asked.reason).await;
        let home = self.scope_find(Some(&context.scope.tenant_id.to_string()), None).await?;
        self.delete(context, home, made, key).await
    }

    /// A repeat finds its job, also when what it named is gone.
    async fn delete(
        &self,
        context: &Context,
        home: NamedScope,
        made: Result<(Context, Request)>,
        key: IdempotencyKey,
    ) -> Result<Job> {
        let job = match made {
            Ok((context, Request { act, operation, input })) => {
                self.job_create(&context, act, &operation, input, key).await?
            }
            Err(error) => {
                let context = Context { scope: home.scope, ..context.clone() };
                match self.job_of_key(&context, &key).await? {
                    Some(job) => self.job_get(home.scope, job).await?,
                    None => return Err(error),
                }
            }
        };
        self.scopes().clear();
        Ok(job)
    }
}

fn request(
    context: &Context,
    home: NamedScope,
    (plural, operation): (&str, &str),
    removal: &Removal,
    reason: &str,
) -> (Context, Request) {
    let act = Act::new(plural, "delete").because(reason);
    let context = Context { scope: home.scope, ..context.clone() };
    (context, Request { act, operation: operation.to_owned(), input: json!(removal) })
}
