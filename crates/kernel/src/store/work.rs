//! A closure on its way to a database thread and its answer on the way back.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{StoreError, Tx};

/// A transaction's closure, whatever it returns. A thread may run it several times, and answers it once.
pub(super) trait Work: Send {
    /// Runs the closure; true when its result wants to be committed.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Hands the closure's own result back, or the transaction's error in its place.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// What a thread takes from its queue.
pub(super) struct Queued {
    pub work: Box<dyn Work>,
    pub since: Instant,
    /// How long the closure may take; `None` for migrations.
    pub limit: Option<Duration>,
    pub writes: bool,
}

impl Queued {
    /// True when the closure has waited so long that its caller is better off with an error.
    pub fn is_late(&self, patience: Duration) -> bool {
        self.limit.is_some() && self.since.elapsed() > patience
    }

    pub fn answer_late(self) {
        self.work.answer(Err(StoreError::Unavailable("every database connection is busy".into())));
    }
}

struct Closure<F, T, E> {
    call: F,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

/// Packs a closure; the receiver gets its answer.
pub(super) fn pack<T, E, F>(call: F) -> (Box<dyn Work>, oneshot::Receiver<Result<T, E>>)
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Closure { call, result: None, reply }), answer)
}

impl<F, T, E> Work for Closure<F, T, E>
where
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let call = &mut self.call;
        // A closure does nothing but database work, and that is rolled back: no state of it outlives the panic.
        let result = catch_unwind(AssertUnwindSafe(|| call(tx)))
            .unwrap_or_else(|panic| Err(StoreError::Panic(message(panic.as_ref())).into()));
        let commit = result.is_ok();
        self.result = Some(result);
        commit
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let never_ran = || Err(StoreError::Unavailable("the closure never ran".into()).into());
        let result = match outcome {
            Ok(()) => self.result.unwrap_or_else(never_ran),
            Err(error) => Err(error.into()),
        };
        // A caller that went away does not undo its commit.
        let _ = self.reply.send(result);
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}
