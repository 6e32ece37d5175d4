//! What is said, and with `--stop-runs` done, about the runs that are under way when the server stops.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Client;
use crate::client::shapes::{Page, Run};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;
use crate::targets::run_path;

/// A stop takes ten seconds at most; the rest is for several at once.
const PATIENCE: Duration = Duration::from_secs(25);

/// Never fails: the server stops in any case.
pub async fn tell(invocation: &Invocation, client: &Client, stop_runs: bool) {
    let out = &invocation.out;
    match under_way(client).await {
        Ok(runs) if runs.is_empty() => out.note("stopping; no run is under way"),
        Ok(runs) if stop_runs => {
            if let Err(failure) = stop(invocation, client, &runs).await {
                out.error_line(&failure.render(out.error_paint()));
            }
        }
        Ok(runs) => {
            for run in &runs {
                out.error_line(&format!("{} goes on without the server", clean(run.label())));
            }
            let stops: Vec<String> =
                runs.iter().map(|run| format!("`qd stop '{}'`", clean(run.label()))).collect();
            out.error_line(&format!(
                "the next start on this data folder finds {0}; to stop {0}, start the server again, then {1}; with \
                 --stop-runs Ctrl-C stops runs too",
                if runs.len() == 1 { "it" } else { "them" },
                stops.join(", "),
            ));
        }
        Err(failure) => out.error_line(&failure.render(out.error_paint())),
    }
}

async fn under_way(client: &Client) -> Result<Vec<Run>, Failure> {
    let mut runs = Vec::new();
    for state in ["running", "queued"] {
        let mut cursor: Option<String> = None;
        loop {
            let request = client.get("/api/v1/runs").query("state", state).query("limit", 100);
            let page: Page<Run> = request.maybe_query("cursor", cursor).once().send().await?.json()?;
            runs.extend(page.items);
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
    }
    Ok(runs)
}

async fn stop(invocation: &Invocation, client: &Client, runs: &[Run]) -> Result<(), Failure> {
    for run in runs {
        invocation.out.note(&format!("stopping {}", clean(run.label())));
        let path = format!("{}/stop", run_path(&run.id));
        client
            .post(&path)
            .json(&json!({"reason": "the server is stopping (--stop-runs)"}))
            .idempotent(None)?
            .send()
            .await?;
    }
    let until = Instant::now() + PATIENCE;
    for run in runs {
        loop {
            let now: Run = client.fetch(&run_path(&run.id)).await?;
            if now.ended() {
                invocation.out.note(&format!("{} is {}", clean(now.label()), clean(&now.state)));
                break;
            }
            if Instant::now() > until {
                return Err(Failure::local(format!(
                    "{} has not stopped in time and goes on",
                    clean(now.label())
                )));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}
