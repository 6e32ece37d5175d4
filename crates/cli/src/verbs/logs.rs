//! `qd logs`: the log of a run, line by line, each once. Ctrl-C detaches and never cancels.

use futures::StreamExt;

use crate::client::Client;
use crate::client::follow::Signal;
use crate::client::shapes::{LogLine, LogPage, Run};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output::clean;
use crate::output::paint::Paint;
use crate::targets::{self, run_path};

/// Lines asked for at once.
const PAGE: usize = 2000;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run: curate#42, its id, or pipelines/curate for the newest
    run: String,
    /// Go on with new lines until the run ends
    #[arg(short, long)]
    follow: bool,
    /// Only lines of this stage
    #[arg(long)]
    stage: Option<String>,
    /// Only lines of this level and above: debug, info, warning, error
    #[arg(long)]
    level: Option<String>,
    /// Only lines of this stream: stdout, stderr, driver
    #[arg(long)]
    stream: Option<String>,
    /// Only lines of this attempt
    #[arg(long, value_name = "N")]
    attempt: Option<u64>,
    /// Only lines with this text
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Begin with this line number
    #[arg(long, value_name = "N", conflicts_with = "tail")]
    since_line: Option<u64>,
    /// Begin with the last N lines
    #[arg(long, value_name = "N")]
    tail: Option<usize>,
    /// Put number, time, level and stage before each line
    #[arg(long)]
    prefix: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub async fn run(args: &Args, invocation: &Invocation) -> Result<Exit, Failure> {
    let client = invocation.client()?;
    let (run, _) = targets::run(&client, &args.run).await?;
    let log = Log {
        client: &client,
        path: format!("{}/logs", run_path(&run.id)),
        filters: filters(args),
        args,
        invocation,
    };
    let mut last = args.since_line.and_then(|line| line.checked_sub(1));
    match args.tail {
        Some(count) => last = log.tail(count).await?,
        None => last = log.forward(last).await?,
    }
    if !args.follow {
        return Ok(Exit::OK);
    }
    log.follow(last, &run).await
}

struct Log<'a> {
    client: &'a Client,
    path: String,
    filters: Vec<(&'static str, String)>,
    args: &'a Args,
    invocation: &'a Invocation,
}

impl Log<'_> {
    async fn page(&self, bounds: &[(&str, u64)], limit: usize) -> Result<LogPage, Failure> {
        let mut request = self.client.get(&self.path).query("limit", limit);
        for (name, value) in bounds {
            request = request.query(name, value);
        }
        for (name, value) in &self.filters {
            request = request.query(name, value);
        }
        request.send().await?.json()
    }

    /// Prints everything after `last`; returns the last line that was read.
    async fn forward(&self, mut last: Option<u64>) -> Result<Option<u64>, Failure> {
        loop {
            let bounds: Vec<(&str, u64)> = last.iter().map(|last| ("after", *last)).collect();
            let page = self.page(&bounds, PAGE).await?;
            for line in &page.items {
                self.print(line)?;
                last = Some(line.n);
            }
            match page.next {
                // A page may be empty and not the last one, where a filter leaves nothing of it.
                Some(next) => last = Some(next),
                None => return Ok(last),
            }
        }
    }

    /// Prints the last `count` lines, found backwards because filters leave holes.
    async fn tail(&self, count: usize) -> Result<Option<u64>, Failure> {
        let (mut before, mut end) = (0, None);
        let mut lines: Vec<LogLine> = Vec::new();
        loop {
            let page = self.page(&[("before", before)], PAGE.min(count - lines.len()).max(1)).await?;
            end.get_or_insert(page.last);
            lines.extend(page.items);
            match page.next {
                Some(next) if lines.len() < count => before = next,
                _ => break,
            }
        }
        lines.sort_by_key(|line| line.n);
        for line in lines.iter().skip(lines.len().saturating_sub(count)) {
            self.print(line)?;
        }
        Ok(end)
    }

    async fn follow(&self, mut last: Option<u64>, run: &Run) -> Result<Exit, Failure> {
        let mut query: Vec<(&str, String)> =
            self.filters.iter().map(|(name, value)| (*name, value.clone())).collect();
        query.extend(last.iter().map(|last| ("after", last.to_string())));
        let mut signals = self.client.follow(&self.path, &query, last.map(|last| last.to_string())).signals();
        let interrupt = tokio::signal::ctrl_c();
        tokio::pin!(interrupt);
        loop {
            let signal = tokio::select! {
                _ = &mut interrupt => {
                    let again = last.map(|last| format!(" --since-line {}", last + 1)).unwrap_or_default();
                    self.invocation.out.error_line(&format!(
                        "detached: {0} goes on. `qd logs -f {0}{again}` continues here, `qd stop {0}` stops it.",
                        clean(run.label())
                    ));
                    return Ok(Exit::OK);
                }
                signal = signals.next() => signal,
            };
            let Some(signal) = signal else { return Ok(Exit::OK) };
            let Signal::Message(message) = signal? else { continue };
            match message.event.as_str() {
                "log" | "message" => {
                    if let Ok(line) = serde_json::from_str::<LogLine>(&message.data) {
                        last = Some(line.n);
                        self.print(&line)?;
                    }
                }
                "gap" => {
                    self.invocation.out.error_line(&format!("older lines are gone: {}", clean(&message.data)))
                }
                "end" => {
                    return message.end_reason().map_or(Ok(Exit::OK), |why| Err(Failure::local(why)));
                }
                _ => {}
            }
        }
    }

    fn print(&self, line: &LogLine) -> Result<(), Failure> {
        let out = &self.invocation.out;
        if self.args.json {
            return out.line(
                &serde_json::json!({
                    "n": line.n, "attempt": line.attempt, "stage": line.stage, "stream": line.stream,
                    "level": line.level, "at": line.at, "text": line.text,
                })
                .to_string(),
            );
        }
        let text = out.foreign(&line.text);
        if self.args.prefix { out.line(&prefixed(line, &text, out.paint())) } else { out.line(&text) }
    }
}

fn filters(args: &Args) -> Vec<(&'static str, String)> {
    [
        ("stage", args.stage.clone()),
        ("level", args.level.clone()),
        ("stream", args.stream.clone()),
        ("attempt", args.attempt.map(|attempt| attempt.to_string())),
        ("q", args.search.clone()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

fn prefixed(line: &LogLine, text: &str, paint: Paint) -> String {
    let time = line.at.as_deref().and_then(|at| at.get(11..23)).unwrap_or("-");
    let level = match line.level.as_str() {
        "error" => paint.bad("error"),
        "warning" => paint.warn("warning"),
        other => other.to_owned(),
    };
    let stage = line.stage.as_deref().unwrap_or(&line.stream);
    format!("{} {level} {}  {text}", paint.dim(&format!("{} {time}", line.n)), paint.bold(&clean(stage)),)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_says_where_a_line_is_from() {
        let line = LogLine {
            n: 7,
            at: Some("2026-11-20T11:59:58.123456Z".into()),
            level: "warning".into(),
            stage: Some("filter".into()),
            text: "slow".into(),
            ..LogLine::default()
        };
        assert_eq!(prefixed(&line, "slow", Paint::plain()), "7 11:59:58.123 warning filter  slow");
    }
}
