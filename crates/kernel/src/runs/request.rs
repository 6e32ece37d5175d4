//! One item through a serving run, and where a run's results lie.

use std::{path::PathBuf, time::Duration};

use qd_core::{
    error::{Error, Result},
    state::RunState,
};
use serde_json::Value;

use crate::{
    access::objects::On,
    context::{Context, Scope},
    kernel::Kernel,
};

impl Kernel {
    /// Answers with the item's result. Changes nothing of ours, so it leaves no audit record.
    pub async fn run_request(
        &self,
        context: &Context,
        id: &str,
        item: Value,
        timeout: Duration,
    ) -> Result<Value> {
        let on = On::Run(id.to_owned());
        self.permit(context, "runs.read", on.clone()).await?;
        let run = self.run_get(context.scope, id).await?;
        self.permit(context, &format!("{}.request", self.plural_of(&run.kind)), on).await?;
        if run.state != RunState::Running {
            return Err(Error::conflict(
                "run_not_running",
                format!("{} is {}; only a running one takes requests", run.run_ref, run.state),
            ));
        }
        let engine = self.registry.find_engine(&run.engine).cloned().ok_or_else(|| {
            Error::unavailable("engine_missing", format!("this process has no engine {}", run.engine))
        })?;
        let (ticket, _) = self.run_ticket(context.scope, run.id).await?;
        engine.request(&ticket, item, timeout).await
    }

    /// The folder of a run's results, where its engine keeps them on this machine.
    pub async fn run_output_dir(&self, scope: Scope, id: &str) -> Result<PathBuf> {
        let run = self.run_get(scope, id).await?;
        self.registry.find_engine(&run.engine).and_then(|engine| engine.output_dir(run.id)).ok_or_else(|| {
            Error::not_found("no_results", format!("the engine of {} keeps no results here", run.run_ref))
        })
    }
}
