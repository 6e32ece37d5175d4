//! The model's own types as parameters and columns, and the store's errors as the model's.

use qd_core::error::Error;
use qd_core::id::{
    AuditId, EventId, JobId, PlanId, PrincipalId, ProjectId, ResourceId, RevisionId, RunId, TeamId, TenantId,
};
use qd_core::state::{JobState, PlanState, ResourceState, RevisionState, RunState, StepState, UnknownState};
use qd_core::time::Timestamp;
use uuid::Uuid;

use super::value::unfit;
use super::{Column, Param, StoreError, StoreResult, Value};

macro_rules! ids {
    ($($id:ty),+ $(,)?) => { $(
        impl Param for $id {
            fn value(&self) -> StoreResult<Value<'_>> {
                Ok(Value::Uuid(self.uuid()))
            }
        }

        impl Column for $id {
            fn column(value: Value<'_>) -> Result<Self, String> {
                Uuid::column(value).map(Self::from)
            }
        }
    )+ };
}

ids!(
    AuditId,
    EventId,
    JobId,
    PlanId,
    PrincipalId,
    ProjectId,
    ResourceId,
    RevisionId,
    RunId,
    TeamId,
    TenantId
);

macro_rules! states {
    ($($state:ty),+ $(,)?) => { $(
        impl Column for $state {
            fn column(value: Value<'_>) -> Result<Self, String> {
                String::column(value)?.parse().map_err(|unknown: UnknownState| unknown.to_string())
            }
        }
    )+ };
}

states!(JobState, PlanState, ResourceState, RevisionState, RunState, StepState);

impl Param for Timestamp {
    fn value(&self) -> StoreResult<Value<'_>> {
        Ok(Value::Time(self.micros()))
    }
}

impl Column for Timestamp {
    fn column(value: Value<'_>) -> Result<Self, String> {
        match value {
            Value::Time(micros) | Value::Int(micros) => {
                let time = Self::from_micros(micros);
                if time.micros() == micros {
                    Ok(time)
                } else {
                    Err("a time outside the years 0 to 9999".into())
                }
            }
            other => Err(unfit(&other, "a time")),
        }
    }
}

/// What a client hears. The statement and the database's words stay in the source, for the log.
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let unavailable =
            |code, detail: &str, seconds| Self::unavailable(code, detail).with_retry_after(seconds);
        let answer = match &error {
            StoreError::Unique { constraint } => {
                Self::conflict("already_exists", format!("one with the same {constraint} exists already"))
            }
            StoreError::Nul => Self::malformed("control_character", "a text holds a NUL character"),
            StoreError::Unavailable(_) | StoreError::ReadOnly(_) => {
                unavailable("store_unavailable", "the database cannot be reached now", 2)
            }
            StoreError::Timeout(_) => unavailable("store_timeout", "the database took too long", 2),
            StoreError::Retry(_) => unavailable("store_busy", "others are changing the same rows", 1),
            StoreError::Full(_) => unavailable("store_full", "the database has no room left", 30),
            StoreError::UnknownOutcome(_) => unavailable(
                "store_outcome_unknown",
                "the database went away during the commit: look whether the change is there before sending it again",
                2,
            ),
            StoreError::Abort(inner) if inner.is::<Self>() => return unwrap_abort(error),
            _ => Self::internal("store_failed", "the database layer failed"),
        };
        answer.with_source(error)
    }
}

/// A model error that travelled through [`StoreError::Abort`] comes out as itself.
fn unwrap_abort(error: StoreError) -> Error {
    match error {
        StoreError::Abort(inner) => match inner.downcast::<Error>() {
            Ok(error) => *error,
            Err(inner) => Error::internal("store_failed", "the database layer failed").with_source(inner),
        },
        other => Error::internal("store_failed", "the database layer failed").with_source(other),
    }
}
