//! A run told in single lines, for logs and pipes: one line each time something changes its state.

use std::collections::{HashMap, HashSet};

use time::OffsetDateTime;

use crate::client::shapes::Run;
use crate::live::stage_table;
use crate::output::clean;
use crate::output::paint::Paint;

#[derive(Debug, Default)]
pub struct Narrator {
    run: String,
    stages: HashMap<String, String>,
    waiting: Option<String>,
    /// Stages that were named before: which one is the slowest may change with each look.
    bottlenecks: HashSet<String>,
    serving: bool,
}

impl Narrator {
    fn bottleneck(&mut self, run: &Run) -> Option<String> {
        let progress = run.progress.as_ref()?;
        let id = progress.bottleneck.as_ref().filter(|_| run.state == "running")?;
        let stage = progress.stages.iter().find(|stage| stage.id == *id && stage.state == "running")?;
        let name = stage.name.as_deref().unwrap_or(&stage.id);
        self.bottlenecks.insert(id.clone()).then(|| format!("  bottleneck: {}", clean(name)))
    }

    /// The lines for what is new since the last call.
    pub fn tell(
        &mut self,
        run: &Run,
        waiting_for: Option<&str>,
        now: OffsetDateTime,
        paint: Paint,
    ) -> Vec<String> {
        let mut lines = Vec::new();
        let phase = run.progress.as_ref().and_then(|progress| progress.phase.as_deref()).unwrap_or_default();
        let moved = format!("{} {} {phase} {}", run.state, run.attempt, run.stop_requested_at.is_some());
        if moved != self.run {
            self.run = moved;
            lines.push(stage_table::head(run, now, paint));
        }
        if waiting_for != self.waiting.as_deref() {
            self.waiting = waiting_for.map(str::to_owned);
            lines.extend(waiting_for.map(|why| format!("  waiting for {}", clean(why))));
        }
        let Some(progress) = &run.progress else { return lines };
        for stage in &progress.stages {
            if self.stages.get(&stage.id) == Some(&stage.state) {
                continue;
            }
            let known = self.stages.insert(stage.id.clone(), stage.state.clone()).is_some();
            if !known && stage.state == "pending" {
                continue;
            }
            let name = stage.name.as_deref().unwrap_or(&stage.id);
            let done =
                if stage.items_out > 0 { format!("  {} done", stage.items_out) } else { String::new() };
            let dropped =
                if stage.dropped > 0 { format!("  {} dropped", stage.dropped) } else { String::new() };
            lines.push(format!(
                "  stage {}: {}{done}{dropped}",
                clean(name),
                paint.state(&clean(&stage.state))
            ));
        }
        lines.extend(self.bottleneck(run));
        if let Some(serving) = run.serving.as_ref().filter(|serving| serving.ready && !self.serving) {
            self.serving = true;
            lines.push(format!("  {}", stage_table::serving(serving, paint)));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::stage_table::tests::running;
    use time::macros::datetime;

    #[test]
    fn each_change_is_told_once() {
        let now = datetime!(2026-11-20 12:00:12 UTC);
        let mut narrator = Narrator::default();
        let mut told = Vec::new();
        let mut run = running();
        run.state = "queued".into();
        let progress = run.progress.take();
        told.extend(narrator.tell(&run, Some("the Xenna environment: step 2 of 4"), now, Paint::plain()));
        told.extend(narrator.tell(&run, Some("the Xenna environment: step 2 of 4"), now, Paint::plain()));
        run.state = "running".into();
        run.progress = progress;
        told.extend(narrator.tell(&run, None, now, Paint::plain()));
        told.extend(narrator.tell(&run, None, now, Paint::plain()));
        if let Some(progress) = &mut run.progress {
            progress.stages[1].state = "succeeded".into();
            progress.stages[1].items_out = 397;
        }
        told.extend(narrator.tell(&run, None, now, Paint::plain()));
        insta::assert_snapshot!(told.join("\n"), @r"
        curate#42  queued  revision 3  attempt 2  1m12s (usually 42.0s)
          waiting for the Xenna environment: step 2 of 4
        curate#42  running  revision 3  attempt 2  1m12s (usually 42.0s)
          stage Load: succeeded  400 done
          stage Quality filter: running  120 done  3 dropped
          bottleneck: Quality filter
          stage Quality filter: succeeded  397 done  3 dropped
        ");
    }
}
