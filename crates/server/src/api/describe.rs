//! The types of the fixed routes, for their description.

pub use super::{
    apply::{ApplyQuery, ApplyResult},
    audit::{AuditQuery, ChainQuery, ExportQuery, Verification, VerifyQuery},
    auth::{ExchangeBody, Link, Me, SignedIn, Token, TokenBody},
    consumers::ConsumerList,
    dead_letters::DeadLettersQuery,
    engines::EngineList,
    events::{EventList, EventsQuery},
    jobs::{Accepted, AskBody, JobsQuery, ReasonBody},
    kinds::KindList,
    plans::{ApproveBody, PlanApplied, PlanBody, PlanQuery, PlansQuery},
    runs::{AttemptQuery, RequestBody, RequestResult, RunsQuery, logs::LogsQuery, results::ResultList},
    stream::StreamQuery,
    system::{Health, Ready},
};
pub use qd_kernel::logs::LogPage;
