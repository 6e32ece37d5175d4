//! The six machines. Each says which moves it has beyond the straight line, and why.

use super::{machine, words};
use crate::error::{Error, Result};

words! {
    /// A resource is archived instead of deleted, because its revisions, runs and audit records outlive it.
    ResourceState ("resource state") {
        Active = "active",
        Archived = "archived",
    }
}

machine!(ResourceState, "resource", "illegal_resource_move", {
    Active => [Archived],
    Archived => [Active],
});

words! {
    /// `draft` may be published at once where the project's review is `none`. `in_review` goes back to `draft` when
    /// its author withdraws it, `approved` when its approval holds no more; that can still be rejected until it is
    /// published. `superseded` is final: a rollback is a new revision with the old spec.
    RevisionState ("revision state") {
        Draft = "draft",
        InReview = "in_review",
        Approved = "approved",
        Published = "published",
        Superseded = "superseded",
        Rejected = "rejected",
    }
}

machine!(RevisionState, "revision", "illegal_revision_move", {
    Draft => [InReview, Published],
    InReview => [Draft, Approved, Rejected],
    Approved => [Draft, Published, Rejected],
    Published => [Superseded],
});

words! {
    /// `open` is applied at once where no approval is asked for. A plan becomes `stale` when one of its preconditions
    /// moved and `expired` when nobody used it in time, approved or not; neither comes back, a new plan is made.
    PlanState ("plan state") {
        Open = "open",
        Approved = "approved",
        Applied = "applied",
        Rejected = "rejected",
        Stale = "stale",
        Expired = "expired",
    }
}

machine!(PlanState, "plan", "illegal_plan_move", {
    Open => [Approved, Applied, Rejected, Stale, Expired],
    Approved => [Applied, Stale, Expired],
});

words! {
    /// The state of a run is that of its newest attempt, and this is the life of one attempt. A queued one can be
    /// stopped, or fail because it cannot be submitted; it never succeeds unseen: whoever first sees an attempt after
    /// its end records that it ran. A retry is no move but a new attempt: [`RunState::retry`].
    RunState ("run state") {
        Queued = "queued",
        Running = "running",
        Succeeded = "succeeded",
        Failed = "failed",
        Stopped = "stopped",
    }
}

machine!(RunState, "run", "illegal_run_move", {
    Queued => [Running, Failed, Stopped],
    Running => [Succeeded, Failed, Stopped],
});

impl RunState {
    /// The state that a new attempt puts the run in: `queued`, after `failed` or `stopped` only.
    pub fn retry(self) -> Result<Self> {
        match self {
            Self::Failed | Self::Stopped => Ok(Self::Queued),
            Self::Queued | Self::Running | Self::Succeeded => Err(Error::conflict(
                "run_not_retryable",
                format!("the run is {self}: only a run that failed or was stopped can be retried"),
            )),
        }
    }
}

words! {
    /// A wait ends by being claimed again (`running`), by cancel, or by a time-out (`failed`, or `undoing`). A queued job waits
    /// for a lock or for a server that knows its operation before it ever runs. A job whose worker died stays `running` and is claimed under a new fencing
    /// token; one that is undoing stays `undoing` while its undo waits, so that nobody takes it for going forward.
    JobState ("job state") {
        Queued = "queued",
        Running = "running",
        Waiting = "waiting",
        Succeeded = "succeeded",
        Failed = "failed",
        Cancelled = "cancelled",
        Undoing = "undoing",
        Undone = "undone",
    }
}

machine!(JobState, "job", "illegal_job_move", {
    Queued => [Running, Waiting, Failed, Cancelled],
    Running => [Waiting, Succeeded, Failed, Cancelled, Undoing],
    Waiting => [Running, Failed, Cancelled, Undoing],
    Undoing => [Undone, Failed],
});

words! {
    /// A step that took effect, in whole (`succeeded`) or perhaps in part (`failed`, `cancelled`), can be undone; what never
    /// began is `skipped`, or `cancelled` with its job. An undo that fails leaves the step `failed`.
    StepState ("step state") {
        Pending = "pending",
        Running = "running",
        Waiting = "waiting",
        Succeeded = "succeeded",
        Failed = "failed",
        Cancelled = "cancelled",
        Skipped = "skipped",
        Undoing = "undoing",
        Undone = "undone",
    }
}

machine!(StepState, "step", "illegal_step_move", {
    Pending => [Running, Cancelled, Skipped],
    Running => [Waiting, Succeeded, Failed, Cancelled],
    Waiting => [Running, Failed, Cancelled],
    Succeeded => [Undoing],
    Failed => [Undoing],
    Cancelled => [Undoing],
    Undoing => [Undone, Failed],
});

impl StepState {
    /// Nothing more happens in it unless it is undone.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Skipped | Self::Undone)
    }
}
