//! The Xenna environment being prepared, shown step by step. The server prepares it; this only looks.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::client::Client;
use crate::client::shapes::{Engine, Page};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;

const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Waits until no engine is being prepared; false when one is known not to be well.
pub async fn wait(invocation: &Invocation, client: &Client) -> Result<bool, Failure> {
    let mut bar: Option<ProgressBar> = None;
    let mut told = String::new();
    loop {
        let engines: Page<Engine> = client.fetch("/api/v1/engines").await?;
        let Some(engine) = engines.items.iter().find(|engine| engine.state == "preparing") else {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
            return judge(invocation, &engines.items);
        };
        let line = format!("preparing {}: {}", clean(&engine.name), clean(&engine.detail_text()));
        if invocation.out.may_redraw() {
            let bar = bar.get_or_insert_with(new_bar);
            if let Some(progress) = &engine.progress {
                bar.set_length(progress.total);
                bar.set_position(progress.step.saturating_sub(1));
            }
            bar.set_message(line);
        } else if let Some(progress) = engine.progress.as_ref().filter(|progress| progress.total > 0) {
            // What it is at within a step changes too often for lines that stay.
            let (step, total, title) = (progress.step, progress.total, clean(&progress.title));
            let line = format!("preparing {}: step {step} of {total}: {title}", clean(&engine.name));
            if line != told {
                invocation.out.note(&line);
                told = line;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn judge(invocation: &Invocation, engines: &[Engine]) -> Result<bool, Failure> {
    let mut well = true;
    for engine in engines {
        let line = format!("{}: {}", clean(&engine.name), clean(&engine.detail_text()));
        if !hinders(&engine.state) {
            invocation.out.line(&format!("  {line}"))?;
        } else {
            well = false;
            let paint = invocation.out.error_paint();
            invocation.out.error_line(&format!("{} {line}", paint.bad("not well:")));
            invocation.out.error_line(&format!(
                "{} `qd doctor` looks closer; runs wait until it is well",
                paint.dim("what to do:")
            ));
        }
    }
    Ok(well)
}

/// Whether nothing should be begun. Nothing is known of an engine that has nobody to ask yet, such as `ray` without a cluster.
fn hinders(state: &str) -> bool {
    !["healthy", "unknown"].contains(&state)
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::new(1);
    if let Ok(style) = ProgressStyle::with_template("{spinner} [{bar:20}] {elapsed} {wide_msg}") {
        bar.set_style(style.progress_chars("█·"));
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_without_a_cluster_hinders_nothing() {
        assert!(!hinders("healthy") && !hinders("unknown"));
        assert!(hinders("degraded"));
    }
}
