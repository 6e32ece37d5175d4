//! The types of the fixed routes, for their description.

pub use super::{
    access::{CanI, CanIQuery, RoleMatrix},
    apply::{ApplyQuery, ApplyResult},
    audit::{AuditQuery, ChainQuery, ExportQuery, Verification, VerifyQuery},
    auth::{
        Me, SignedIn,
        own::{CredentialList, Link, PasswordBody, Token, TokenBody},
        sign_in::{AcceptBody, ExchangeBody, SignInBody},
    },
    connections::TestBody,
    consumers::ConsumerList,
    dead_letters::DeadLettersQuery,
    engines::EngineList,
    events::{EventList, EventsQuery},
    jobs::{Accepted, AskBody, JobsQuery, ReasonBody},
    kinds::KindList,
    members::GrantQuery,
    plans::{ApproveBody, PlanApplied, PlanBody, PlanQuery, PlansQuery},
    runs::{AttemptQuery, RequestBody, RequestResult, RunsQuery, logs::LogsQuery, results::ResultList},
    secrets::{DeleteQuery, RotateBody, SecretsQuery},
    stream::StreamQuery,
    system::{Health, Ready},
    tenants::{NamedBody, TenantPatchBody, projects::ProjectPatchBody},
    users::{Invitation, NewUserBody, ServiceToken, ServiceTokenBody, UserCreated, UserPatchBody},
};
pub use qd_kernel::logs::LogPage;
