//! Following one job's log: from its beginning, past what was told before, as it grows, to the job's end.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use qd_core::time::Timestamp;
use qd_kernel::clock;
use qd_kernel::engine::Observation;
use reqwest_websocket::{Message, WebSocket};

use super::api::{Api, Fault, Job};
use super::ending;
use super::log::JobLog;
use super::reading::Reading;
use crate::engine::observe::ended;

/// Bytes of the log in one observation.
const PAGE: u64 = 256 * 1024;
/// While the log is silent the job is asked for this often: a connection may be dead without saying so.
const ASK: Duration = Duration::from_secs(5);
/// Where there is no WebSocket, the whole log is fetched this often.
const FETCH: Duration = Duration::from_secs(2);

/// Bytes of a log that is fetched that are held at once; the rest is fetched when these were told.
const HELD: usize = 4 * 1024 * 1024;

/// Looks that are left out while another server may be storing.
const PATIENCE: u32 = 5;
/// How often the end of a log is asked for before the job ends without it.
const TRIES: u32 = 5;

/// How the log comes.
enum Source {
    Socket(Box<WebSocket>),
    /// Whole, again and again; with the job once it has ended.
    Text(Option<Job>),
    /// The log is complete; so is the job.
    Complete(Job),
}

pub(super) struct Follow {
    api: Api,
    job: String,
    source: Source,
    log: JobLog,
    pub reading: Reading,
    /// What comes before this place was told by an earlier observation.
    told: u64,
    asked: Instant,
    /// Between two fetches.
    pause: Duration,
    /// How often it was waited for somebody to store what was told here.
    waited: u32,
    /// The job had ended when it was last asked for, and its log went on.
    over: bool,
}

impl Follow {
    /// An observation that finds nothing new comes back after this.
    pub const LOOK: Duration = Duration::from_secs(1);

    /// `cursor` is where the last observation ended.
    pub async fn open(api: Api, job: String, cursor: u64, reading: Reading) -> Result<Self, Fault> {
        let source = match api.tail(&job).await {
            Ok(socket) => Source::Socket(Box::new(socket)),
            // Either there is no such job, or no WebSocket on the way to it.
            Err(Fault::Refused(_) | Fault::NotFound) => {
                api.job(&job).await?;
                Source::Text(None)
            }
            Err(fault) => return Err(fault),
        };
        let log = JobLog::default();
        // Asked for at once where the log is fetched.
        let asked = Instant::now().checked_sub(FETCH).unwrap_or_else(Instant::now);
        Ok(Self { api, job, source, log, reading, told: cursor, asked, pause: FETCH, waited: 0, over: false })
    }

    /// Where the next observation goes on.
    pub fn cursor(&self) -> u64 {
        self.log.place().max(self.told)
    }

    /// What comes before `place` is told already; no further back than [`Follow::cursor`].
    pub fn skip_to(&mut self, place: u64) {
        self.told = place;
        self.waited = 0;
    }

    /// Whether to go on waiting until what was told here is stored. A log is read from its beginning, so that starting anew for
    /// each page of which another server was the first to tell would read it again and again.
    pub fn patient(&self) -> bool {
        self.waited < PATIENCE
    }

    pub fn waited(&mut self) {
        self.waited += 1;
    }

    /// What comes next: a page of lines, the end, or nothing within a second.
    pub async fn read(&mut self, clock: &clock::Source) -> Result<Observation, Fault> {
        let from = self.cursor();
        let deadline = Instant::now() + Self::LOOK;
        loop {
            let mut seen = self.lines(clock.now());
            seen.cursor = i64::try_from(self.cursor()).unwrap_or(i64::MAX);
            if self.cursor() > from {
                return Ok(seen);
            }
            if let Source::Complete(job) = &self.source {
                let end = ending::of_job(job, &self.reading.memory, clock.now());
                return Ok(ended(seen, &self.reading.memory, end));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(seen);
            }
            self.more(left).await?;
        }
    }

    /// The whole lines that are there, up to a page of those that were not told yet.
    fn lines(&mut self, now: Timestamp) -> Observation {
        let (mut seen, mut again) = (Observation::default(), Observation::default());
        let complete = matches!(self.source, Source::Complete(_));
        let until = self.cursor() + PAGE;
        while self.log.place() < until {
            // Its place is known only once it was taken.
            let before = self.log.place();
            let line = match self.log.line() {
                Some(line) => Some(line),
                None if complete => self.log.rest(),
                None => None,
            };
            let Some(line) = line else { break };
            let told = before < self.told;
            self.reading.take(line, now, if told { &mut again } else { &mut seen });
            if told {
                again = Observation::default();
            }
        }
        seen
    }

    /// Waits for more of the log, no longer than `left`.
    async fn more(&mut self, left: Duration) -> Result<(), Fault> {
        match &mut self.source {
            Source::Complete(_) => Ok(()),
            Source::Text(Some(job)) => {
                let job = job.clone();
                self.fetch_rest(job).await
            }
            Source::Text(None) => {
                let pause = self.pause.saturating_sub(self.asked.elapsed());
                if !pause.is_zero() {
                    tokio::time::sleep(pause.min(left)).await;
                    return Ok(());
                }
                let job = self.api.job(&self.job).await?;
                if job.is_terminal() {
                    return self.fetch_rest(job).await;
                }
                let began = Instant::now();
                if self.fetch().await? {
                    // A log is fetched from its beginning each time: a long one less often.
                    self.pause = FETCH.max(began.elapsed() * 10);
                    self.asked = Instant::now();
                }
                Ok(())
            }
            Source::Socket(socket) => match tokio::time::timeout(left, socket.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => {
                    self.log.feed(&text);
                    self.asked = Instant::now();
                    Ok(())
                }
                Ok(Some(Ok(Message::Close { .. }))) | Ok(None) => self.complete().await,
                Ok(Some(Ok(_))) => Ok(()),
                Ok(Some(Err(_))) => Err(Fault::Unreachable("its address broke the log off".to_owned())),
                Err(_) if self.asked.elapsed() >= ASK => self.ask().await,
                Err(_) => Ok(()),
            },
        }
    }

    /// The log has ended: so has the job, or the connection was cut.
    async fn complete(&mut self) -> Result<(), Fault> {
        let job = self.api.job(&self.job).await?;
        if !job.is_terminal() {
            return Err(Fault::Unreachable("its address closed the log before the job had ended".to_owned()));
        }
        // The runner's last words have come, so nothing of the run is missing.
        if self.reading.memory.exit.is_some() {
            self.source = Source::Complete(job);
            return Ok(());
        }
        // Ray's tail may end before the last lines.
        self.fetch_rest(job).await
    }

    /// The job has ended: what is left of its log, or the next part of it. It comes by way of the driver's node, which may be
    /// gone for good.
    async fn fetch_rest(&mut self, job: Job) -> Result<(), Fault> {
        for _ in 1..TRIES {
            match self.fetch().await {
                Ok(whole) => {
                    self.source = if whole { Source::Complete(job) } else { Source::Text(Some(job)) };
                    return Ok(());
                }
                Err(Fault::Unreachable(_)) => tokio::time::sleep(Self::LOOK).await,
                Err(fault) => return Err(fault),
            }
        }
        let job = self.api.job(&self.job).await?;
        match self.fetch().await {
            Ok(false) => self.source = Source::Text(Some(job)),
            Ok(true) => self.source = Source::Complete(job),
            Err(_) => {
                let text = "\nThe rest of this log cannot be read: the node that has it does not answer.\n";
                self.log.feed(text);
                self.source = Source::Complete(job);
            }
        }
        Ok(())
    }

    /// Nothing was said for a while.
    async fn ask(&mut self) -> Result<(), Fault> {
        let job = self.api.job(&self.job).await?;
        self.asked = Instant::now();
        if job.is_terminal() && std::mem::replace(&mut self.over, true) {
            return self.complete().await;
        }
        Ok(())
    }

    /// What the log has beyond what came, or a part of it; answers whether that is all.
    async fn fetch(&mut self) -> Result<bool, Fault> {
        let (rest, whole) = self.api.logs(&self.job, self.log.received(), HELD).await?;
        self.log.feed(&rest);
        Ok(whole)
    }
}
