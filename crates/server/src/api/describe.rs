//! The types of the fixed routes, for their description.

pub use super::{
    access::{CanI, CanIQuery, RoleMatrix, WhoCanQuery},
    apply::{ApplyQuery, ApplyResult},
    audit::{AuditQuery, ChainQuery, ExportQuery, Verification, VerifyQuery},
    auth::{
        Me, SignedIn,
        keys::Rotated,
        oidc::{CallbackQuery, ProviderList, StartQuery},
        own::{CredentialList, HeldRoleList, Link, PasswordBody, Token, TokenBody},
        sign_in::{AcceptBody, ExchangeBody, SignInBody},
        tokens::{Grant, Granted},
    },
    connections::TestBody,
    consumers::ConsumerList,
    dead_letters::DeadLettersQuery,
    engines::EngineList,
    events::{EventList, EventsQuery},
    jobs::{Accepted, AskBody, JobsQuery, ReasonBody},
    kinds::KindList,
    members::GrantQuery,
    notifications::{NotificationsQuery, ReadBody, ReadCount},
    plans::{ApproveBody, PlanApplied, PlanBody, PlanQuery, PlansQuery},
    runs::{AttemptQuery, RequestBody, RequestResult, RunsQuery, logs::LogsQuery, results::ResultList},
    secrets::{DeleteQuery, RotateBody, SecretsQuery},
    stream::StreamQuery,
    system::{Health, Ready},
    teams::TeamPatchBody,
    tenants::{NamedBody, TenantPatchBody, delete::DeletionBody, projects::ProjectPatchBody},
    users::{Invitation, NewUserBody, ServiceToken, ServiceTokenBody, TokenList, UserCreated, UserPatchBody},
};
pub use qd_kernel::logs::LogPage;
